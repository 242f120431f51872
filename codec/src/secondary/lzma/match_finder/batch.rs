//! Positions entered ahead of the search, with the candidates that each had when it was entered.

use super::index::{Index, Slot, distance, rebase};
use super::{DICTIONARY, HASHED};

/// The maximum number of positions in a batch.
pub(super) const LEN: usize = 32;

/// Up to [`LEN`] positions, entered one after the other. A search depends on the positions entered
/// before, and all are, whether searched or skipped; so its candidates can be looked up ahead.
///
/// A `place` is the distance to the batch's end: the last position's is 1.
#[derive(Debug)]
pub(super) struct Batch {
    pairs: [u32; LEN],
    triples: [Slot; LEN],
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { pairs: [0; LEN], triples: [Slot::EMPTY; LEN] }
    }

    /// Enters the positions from `position` on, one for each three bytes of `bytes`.
    #[inline(never)]
    pub(super) fn fill(&mut self, index: &mut Index, bytes: &[u8], position: u32) {
        let start = LEN - (bytes.len() - (HASHED - 1));
        let before = self.pairs[start..].iter_mut().zip(&mut self.triples[start..]);
        for ((bytes, position), (pair, triples)) in
            bytes.array_windows().zip(position..).zip(before)
        {
            let before = index.enter_one(bytes, position);
            *pair = before.0;
            *triples = before.1;
        }
    }

    /// Returns the latest entry with the same two bytes before a position, and those with the same
    /// three.
    #[inline(always)]
    pub(super) fn candidates(&self, place: usize) -> (u32, Slot) {
        (self.pairs[LEN - place], self.triples[LEN - place])
    }

    /// Returns the number of entries, up to the first that has a candidate with the same bytes in
    /// reach. `owns` are the entries of the positions from `place` on.
    #[inline(always)]
    pub(super) fn unmatched(&self, place: usize, owns: impl Iterator<Item = u32>) -> usize {
        let candidates = self.pairs[LEN - place..].iter().zip(&self.triples[LEN - place..]);
        let mut count = 0;
        for (own, (&pair, &triples)) in owns.zip(candidates) {
            if any_in_reach(own, pair, triples) {
                break;
            }
            count += 1;
        }
        count
    }

    /// Moves all positions down by `drop`, as [`Index::rebase`] does.
    pub(super) fn rebase(&mut self, drop: u32) {
        rebase(&mut self.pairs, &mut self.triples, drop);
    }
}

/// Returns whether one of the candidates has the same bytes and is in reach.
#[inline(always)]
pub(super) fn any_in_reach(own: u32, pair: u32, triples: Slot) -> bool {
    let mut any = distance(own, pair) <= DICTIONARY as u32;
    for candidate in triples.entries() {
        any |= distance(own, candidate) <= DICTIONARY as u32;
    }
    any
}
