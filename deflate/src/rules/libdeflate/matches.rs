//! libdeflate's search: a chain of the strings that share a hash of four bytes, and the last one
//! that shares a hash of three.

use super::super::chains::{Match, Wanted, boxed, four_bytes, match_length};
use super::super::{CANDIDATES_PER_BYTE, Span, View};
use crate::token::WINDOW;

const MASK: usize = WINDOW - 1;
/// The number of bytes that must be ahead of a position to be entered.
const NEEDED: usize = 5;

/// The effort of a search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// The length that a match must exceed.
    pub(super) best: usize,
    pub(super) depth: usize,
    /// The length that ends the search.
    pub(super) nice: usize,
}

/// The positions entered so far. Position 0 is never found, since libdeflate enters it under no
/// hash.
#[derive(Debug)]
pub(super) struct Matches {
    /// There is no hash of three bytes, and that of four has one bit less.
    fastest: bool,
    heads: Box<[u32; 1 << 16]>,
    /// The last position of each hash of three bytes.
    short_heads: Box<[u32; 1 << 15]>,
    /// The distance from each position to the one before it of the same hash of four bytes, at most
    /// 65,535.
    steps: Box<[u16; WINDOW]>,
    /// The same for the hash of three bytes.
    short_steps: Box<[u16; WINDOW]>,
    next: usize,
    budget: u64,
}

fn hash(bytes: u32, bits: u32) -> usize {
    (bytes.wrapping_mul(0x1e35_a7bd) >> (32 - bits)) as usize
}

impl Matches {
    pub(super) fn new(fastest: bool, span: &Span<'_>) -> Self {
        let mut matches = Self {
            fastest,
            heads: boxed(),
            short_heads: boxed(),
            steps: boxed(),
            short_steps: boxed(),
            next: span.start.saturating_sub(WINDOW),
            budget: CANDIDATES_PER_BYTE * (span.text_len() + WINDOW) as u64,
        };
        matches.enter(span.bytes, span.start);
        matches
    }

    /// Enters the positions up to `end`, which is excluded.
    #[inline]
    pub(super) fn enter(&mut self, bytes: &[u8], end: usize) {
        let bits = if self.fastest { 15 } else { 16 };
        while self.next < end {
            let at = self.next;
            self.next += 1;
            let Some(four) = four_bytes(bytes, at) else { continue };
            let step = |head: &mut u32| {
                let step = at.wrapping_sub(*head as usize).min(0xffff) as u16;
                *head = at as u32;
                step
            };
            self.steps[at & MASK] = step(&mut self.heads[hash(four, bits)]);
            if !self.fastest {
                let head = &mut self.short_heads[hash(four & 0xff_ffff, 15)];
                self.short_steps[at & MASK] = step(head);
            }
        }
    }

    /// Enters `at` and returns the longest match there of more than `best` bytes; without a
    /// distance if there is none.
    #[inline]
    pub(super) fn search(&mut self, view: View<'_>, at: usize, effort: Effort) -> Match {
        let ahead = view.ahead(at);
        let none = Match { length: effort.best, distance: 0 };
        if ahead < NEEDED {
            return none;
        }
        self.enter(view.bytes, at + 1);
        let short = if self.fastest || effort.best >= 4 {
            none
        } else {
            match self.shortest(view, at, effort.best) {
                Some(short) => short,
                None => return none,
            }
        };
        let depth = effort.depth.min(usize::try_from(self.budget).unwrap_or(usize::MAX));
        let (found, left) = self.follow(view, at, Effort { depth, ..effort }, short);
        self.budget -= (depth - left) as u64;
        found
    }

    /// Returns the match of three bytes; `None` if no position within reach has their hash.
    fn shortest(&self, view: View<'_>, at: usize, best: usize) -> Option<Match> {
        let distance = usize::from(self.short_steps[at & MASK]);
        if distance >= WINDOW || distance >= at {
            return None;
        }
        let three = |at| four_bytes(view.bytes, at).map(|four| four & 0xff_ffff);
        let equal = best < 3 && three(at) == three(at - distance);
        let found = Match { length: 3, distance };
        Some(if equal { found } else { Match { length: best, distance: 0 } })
    }

    /// Follows the chain; also returns how many more candidates were allowed.
    #[inline]
    fn follow(&self, view: View<'_>, at: usize, effort: Effort, short: Match) -> (Match, usize) {
        let ahead = view.ahead(at);
        let nice = effort.nice.min(ahead);
        let mut found = short;
        // Matches in the chain have four bytes at least.
        let mut best = effort.best.max(3);
        let mut left = effort.depth;
        if best >= 4 && best >= nice {
            return (found, left);
        }
        let mut wanted = Wanted::new(view.bytes, at, best);
        let mut candidate = at;
        while left > 0 {
            let step = usize::from(self.steps[candidate & MASK]);
            // Position 0 is never found.
            if at - candidate + step >= WINDOW || step >= candidate {
                break;
            }
            candidate -= step;
            left -= 1;
            if wanted.may_match(view.bytes, candidate) {
                let length = match_length(view.bytes, candidate, at, ahead);
                if length > best {
                    best = length;
                    found = Match { length, distance: at - candidate };
                    if length >= nice {
                        break;
                    }
                    wanted = Wanted::new(view.bytes, at, best);
                }
            }
        }
        (found, left)
    }
}
