//! Positions entered ahead of the search, with the candidates that each had when it was entered.

use super::index::{CANDIDATES, Index, Latest, distance, moved_down};
use super::{DICTIONARY, HASHED};

/// The maximum number of positions in a batch.
pub(super) const LEN: usize = 32;

/// Up to [`LEN`] positions, entered one after the other. A search depends on the positions entered
/// before, and all are, whether searched or skipped; so its candidates can be looked up ahead.
///
/// A `place` is the distance to the batch's end: the last position's is 1.
#[derive(Debug)]
pub(super) struct Batch {
    own: [u32; LEN],
    pairs: [u32; LEN],
    triples: [Latest; LEN],
    /// One bit for each position that has a candidate with the same bytes in reach; the last
    /// position has the highest.
    matches: u32,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { own: [0; LEN], pairs: [0; LEN], triples: [[0; CANDIDATES]; LEN], matches: 0 }
    }

    /// Enters the positions from `position` on, one for each three bytes of `bytes`.
    #[inline(never)]
    pub(super) fn fill(&mut self, index: &mut Index, bytes: &[u8], position: u32) {
        let start = LEN - (bytes.len() - (HASHED - 1));
        let own = self.own[start..].iter_mut();
        let before = self.pairs[start..].iter_mut().zip(&mut self.triples[start..]);
        let mut matches = 0;
        for (((bytes, position), own), (pair, triples)) in
            bytes.array_windows().zip(position..).zip(own).zip(before)
        {
            (*own, *pair, *triples) = index.enter_one(bytes, position);
            let mut any = is_near(*own, *pair);
            for &candidate in &*triples {
                any |= is_near(*own, candidate);
            }
            matches = (matches >> 1) | (u32::from(any) << (LEN - 1));
        }
        self.matches = matches;
    }

    /// Returns the number of positions, from the one at `place` on, before the first that has a
    /// candidate with the same bytes in reach; at least `place` if none has.
    #[inline(always)]
    pub(super) fn match_in(&self, place: usize) -> usize {
        (self.matches >> (LEN - place)).trailing_zeros() as usize
    }

    /// Returns the entry of a position, the latest entry with the same two bytes before it, and
    /// those with the same three.
    #[inline(always)]
    pub(super) fn candidates(&self, place: usize) -> (u32, u32, Latest) {
        let at = LEN - place;
        (self.own[at], self.pairs[at], self.triples[at])
    }

    /// Moves all positions down by `drop`, as [`Index::rebase`] does.
    pub(super) fn rebase(&mut self, drop: u32) {
        let triples = self.triples.as_flattened_mut();
        for entry in self.own.iter_mut().chain(&mut self.pairs).chain(triples) {
            *entry = moved_down(*entry, drop);
        }
    }
}

#[inline(always)]
fn is_near(own: u32, candidate: u32) -> bool {
    distance(own, candidate) <= DICTIONARY as u32
}
