//! miniz and miniz_oxide at levels 2 to 9, as the zip files of Rust programs have them.

use super::chains::{Match, boxed, four_bytes, match_length};
use super::hash::{Hash, Rolling};
use super::plan::{self, Trees};
use super::{CANDIDATES_PER_BYTE, Predictor, Progress, Span, View};
use crate::block::{BlockKind, Counts};
use crate::token::{MIN_MATCH, Token, WINDOW};

const MASK: usize = WINDOW - 1;
/// The distance from which a match of the shortest length is not used.
const FAR: usize = 8192;
/// The length of a match that is not compared with one at the next byte.
const LONG: usize = 128;
/// The length of the match before from which fewer probes are made.
const GOOD: usize = 32;
/// The number of candidates that a probe looks at, at most.
const CANDIDATES_PER_PROBE: usize = 3;
/// The number of bytes for the tokens of a block.
const BLOCK: usize = 65_536 - 8;
/// The number of bytes of text from which a block that compresses badly ends.
const BAD_BLOCK: usize = 31 * 1024;

/// Predicts miniz's tokens.
#[derive(Debug)]
pub(crate) struct Miniz {
    hash: Rolling,
    heads: Box<[u32; 1 << 15]>,
    /// The distance from each position to the one before it of the same hash, at most 65,535.
    steps: Box<[u16; WINDOW]>,
    next: usize,
    budget: u64,
    /// The number of probes, and that after a good match.
    probes: [usize; 2],
    lazy: bool,
    /// The offset of the first byte of the span.
    offset: u64,
    /// The match at a position, once searched there after a shorter one at the byte before.
    waiting: Option<(usize, Match)>,
}

impl Miniz {
    /// Creates the state at the start of a segment.
    pub(crate) fn new(level: u8, span: &Span<'_>) -> Self {
        let probes = match level {
            2 => 6,
            3 => 32,
            4 => 16,
            5 => 32,
            6 => 128,
            7 => 256,
            8 => 512,
            _ => 768,
        };
        let mut miniz = Self {
            hash: Rolling::new(15),
            heads: boxed(),
            steps: boxed(),
            next: span.start.saturating_sub(WINDOW),
            budget: CANDIDATES_PER_BYTE * (span.text_len() + WINDOW) as u64,
            probes: [probes, probes / 4].map(|probes: usize| probes.div_ceil(3)),
            lazy: level > 3,
            offset: span.offset.saturating_sub(span.start as u64),
            waiting: None,
        };
        miniz.enter(span.bytes, span.start);
        miniz
    }

    fn enter(&mut self, bytes: &[u8], end: usize) {
        while self.next < end {
            let at = self.next;
            self.next += 1;
            let Some(four) = four_bytes(bytes, at) else { continue };
            let head = &mut self.heads[self.hash.of(four) & 0x7fff];
            let step = if *head == 0 { usize::MAX } else { at + 1 - *head as usize };
            self.steps[at & MASK] = step.min(0xffff) as u16;
            *head = at as u32 + 1;
        }
    }

    /// Returns the longest match at `at` of more than `best` bytes.
    fn search(&mut self, view: View<'_>, at: usize, best: usize) -> Match {
        let ahead = view.ahead(at);
        let mut found = Match { length: best, distance: 0 };
        if ahead <= best {
            return found;
        }
        self.enter(view.bytes, at + 1);
        let two = |at: usize| view.bytes.get(at..at + 2);
        let mut candidate = at;
        for _ in 0..self.probes[usize::from(best >= GOOD)] {
            let end = two(at + found.length - 1);
            let mut ends_alike = false;
            for _ in 0..CANDIDATES_PER_PROBE {
                let step = usize::from(self.steps[candidate & MASK]);
                if at - candidate + step > WINDOW - ahead || step > candidate || self.budget == 0 {
                    return self.usable(at, found);
                }
                candidate -= step;
                self.budget -= 1;
                // A position is known by its low 16 bits, and 0 means none.
                if (self.offset + candidate as u64).is_multiple_of(1 << 16) {
                    return self.usable(at, found);
                }
                ends_alike = two(candidate + found.length - 1) == end;
                if ends_alike {
                    break;
                }
            }
            if !ends_alike {
                continue;
            }
            let length = match_length(view.bytes, candidate, at, ahead);
            if length > found.length {
                found = Match { length, distance: at - candidate };
                if length == ahead {
                    break;
                }
            }
        }
        self.usable(at, found)
    }

    /// Returns the match unless it is short and far, or begins where miniz's buffer does.
    fn usable(&self, at: usize, found: Match) -> Match {
        let far = found.length == MIN_MATCH && found.distance >= FAR;
        let at_start = (self.offset + at as u64) as usize & MASK == found.distance;
        if far || at_start { Match::default() } else { found }
    }
}

impl Predictor for Miniz {
    fn predict(&mut self, view: View<'_>, at: usize) -> Token {
        let literal = Token::literal(view.bytes.get(at).copied().unwrap_or(0));
        let here = match self.waiting.take() {
            Some((waiting, found)) if waiting == at => found,
            _ => self.search(view, at, MIN_MATCH - 1),
        };
        if here.distance == 0 {
            return literal;
        }
        if self.lazy && here.length < LONG {
            let next = self.search(view, at + 1, here.length);
            if next.length > here.length {
                self.waiting = Some((at + 1, next));
                return literal;
            }
        }
        Token::reuse(here.length, here.distance)
    }

    fn accept(&mut self, view: View<'_>, at: usize, token: Token) {
        self.enter(view.bytes, at + token.length());
    }

    fn block_ends(&mut self, _view: View<'_>, at: usize, progress: &Progress) -> bool {
        // A long match is written together with the literal before it.
        let together = |&(waiting, found): &(usize, Match)| waiting == at && found.length >= LONG;
        if self.waiting.as_ref().is_some_and(together) {
            return false;
        }
        // One byte for a literal, three for a match, and a bit for each.
        let size = 1 + progress.tokens + 2 * progress.matches + progress.tokens / 8;
        size > BLOCK || progress.text > BAD_BLOCK && size * 115 / 128 >= progress.text
    }

    fn plan(&self, counts: &Counts, progress: &Progress, bit: u64) -> BlockKind {
        plan::miniz(counts, progress.text, bit)
    }

    fn trees(&self) -> Trees {
        Trees::Miniz
    }
}
