//! Go's compress/flate at levels 2 to 9.

use super::chains::{Match, Wanted, boxed, four_bytes, match_length};
use super::lazy::Level;
use super::plan::{self, Trees};
use super::{CANDIDATES_PER_BYTE, Predictor, Progress, Span, View, warm_up};
use crate::block::{BlockKind, Counts};
use crate::token::{MAX_MATCH, Token, WINDOW};

/// The minimum length of a match.
const SHORTEST: usize = 4;
/// The maximum distance of a match of the shortest length.
const FAR: usize = 4096;
/// The number of tokens in a block.
const BLOCK: usize = 1 << 14;
const MASK: usize = WINDOW - 1;
/// The position in each 32 KiB from which the window has moved already.
const MOVED: u64 = (WINDOW - MAX_MATCH - SHORTEST + 1) as u64;

/// Predicts Go's tokens.
#[derive(Debug)]
pub(crate) struct Go {
    /// The last position of each hash and one, or 0.
    heads: Box<[u32; 1 << 17]>,
    /// The distance from each position to the one before it of the same hash, at most 65,535.
    steps: Box<[u16; WINDOW]>,
    next: usize,
    budget: u64,
    level: Level,
    /// The maximum length of a match whose inside is entered, if there is no lazy matching.
    enters: Option<usize>,
    /// The offset of the first byte of the span.
    offset: u64,
    /// The match at a position, once searched there.
    waiting: Option<(usize, Match)>,
}

impl Go {
    /// Creates the state at the start of a segment.
    pub(crate) fn new(level: u8, span: &Span<'_>) -> Self {
        let enters = match level {
            2 => Some(5),
            3 => Some(6),
            _ => None,
        };
        let mut go = Self {
            heads: boxed(),
            steps: boxed(),
            next: 0,
            budget: CANDIDATES_PER_BYTE * (span.text_len() + WINDOW) as u64,
            level: Level::of(level),
            enters,
            offset: span.offset.saturating_sub(span.start as u64),
            waiting: None,
        };
        if enters.is_none() {
            go.next = span.start.saturating_sub(WINDOW);
            go.enter(span.bytes, span.start);
        } else {
            warm_up(&mut go, span, 0);
        }
        go
    }

    fn enter(&mut self, bytes: &[u8], end: usize) {
        while self.next < end {
            let at = self.next;
            self.next += 1;
            let Some(four) = four_bytes(bytes, at) else { continue };
            let hash = four.swap_bytes().wrapping_mul(0x1e35_a7bd) >> 15;
            let head = &mut self.heads[hash as usize];
            self.steps[at & MASK] = (at + 1 - *head as usize).min(0xffff) as u16;
            if *head == 0 {
                self.steps[at & MASK] = u16::MAX;
            }
            *head = at as u32 + 1;
        }
    }

    /// Returns the first position that a match at `at` may begin at.
    fn limit(&self, at: usize) -> usize {
        let phase = (self.offset + at as u64) % WINDOW as u64;
        let reach = if phase >= MOVED { phase as usize } else { WINDOW };
        at.saturating_sub(reach)
    }

    fn search(&mut self, view: View<'_>, at: usize) -> Match {
        let ahead = view.ahead(at);
        let mut found = Match::default();
        if ahead < SHORTEST {
            return found;
        }
        self.enter(view.bytes, at + 1);
        let (limit, nice) = (self.limit(at), self.level.nice.min(ahead));
        let mut best = SHORTEST - 1;
        let mut wanted = Wanted::new(view.bytes, at, best);
        let mut step = usize::from(self.steps[at & MASK]);
        let mut candidate = at;
        for _ in 0..self.level.chain {
            if step > candidate - limit || self.budget == 0 {
                break;
            }
            candidate -= step;
            self.budget -= 1;
            if wanted.may_match(view.bytes, candidate) {
                let length = match_length(view.bytes, candidate, at, ahead);
                let distance = at - candidate;
                if length > best && (length > SHORTEST || distance <= FAR) {
                    best = length;
                    found = Match { length, distance };
                    if length >= nice {
                        break;
                    }
                    wanted = Wanted::new(view.bytes, at, best);
                }
            }
            if at - candidate == WINDOW {
                break;
            }
            step = usize::from(self.steps[candidate & MASK]);
        }
        found
    }
}

impl Predictor for Go {
    fn predict(&mut self, view: View<'_>, at: usize) -> Token {
        let literal = Token::literal(view.bytes.get(at).copied().unwrap_or(0));
        let here = match self.waiting.take() {
            Some((waiting, found)) if waiting == at => found,
            _ => self.search(view, at),
        };
        if here.length < SHORTEST {
            return literal;
        }
        let waits = self.enters.is_none() && here.length < self.level.lazy;
        if waits && view.ahead(at + 1) > here.length {
            let next = self.search(view, at + 1);
            if next.length > here.length {
                self.waiting = Some((at + 1, next));
                return literal;
            }
        }
        Token::reuse(here.length, here.distance)
    }

    fn accept(&mut self, view: View<'_>, at: usize, token: Token) {
        let end = at + token.length();
        if self.enters.is_none_or(|most| token.length() <= most) {
            self.enter(view.bytes, end);
        } else {
            self.enter(view.bytes, at + 1);
            self.next = self.next.max(end);
        }
    }

    fn block_ends(&mut self, _view: View<'_>, _at: usize, progress: &Progress) -> bool {
        progress.tokens >= BLOCK
    }

    fn plan(&self, counts: &Counts, progress: &Progress, _bit: u64) -> BlockKind {
        plan::go(counts, progress.text)
    }

    fn last_block(&self) -> Option<BlockKind> {
        Some(BlockKind::Stored { padding: 0 })
    }

    fn trees(&self) -> Trees {
        Trees::Go
    }
}
