//! Positions entered ahead of the search, with the candidates that each had when it was entered.

use super::index::{CANDIDATES, Index, distance, moved_down};
use super::{DICTIONARY, HASHED};

/// The maximum number of positions in a batch.
pub(super) const LEN: usize = 32;
/// The maximum number of positions that one call of [`Batch::unmatched`] looks at.
pub(super) const RUN: usize = 7;

/// Up to [`LEN`] positions, entered one after the other. A search depends on the positions entered
/// before, and all are, whether searched or skipped; so its candidates can be looked up ahead.
///
/// A `place` is the distance to the batch's end: the last position's is 1.
#[derive(Debug)]
pub(super) struct Batch {
    pairs: [u32; LEN + RUN],
    triples: [[u32; CANDIDATES]; LEN + RUN],
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { pairs: [0; LEN + RUN], triples: [[0; CANDIDATES]; LEN + RUN] }
    }

    /// Enters the positions from `position` on, one for each three bytes of `bytes`.
    #[inline(never)]
    pub(super) fn fill(&mut self, index: &mut Index, bytes: &[u8], position: u32) {
        let start = LEN - (bytes.len() - (HASHED - 1));
        let candidates = self.pairs[start..LEN].iter_mut().zip(&mut self.triples[start..LEN]);
        for ((bytes, position), (pair, triples)) in
            bytes.array_windows().zip(position..).zip(candidates)
        {
            let before = index.enter_one(bytes, position);
            *pair = before.0;
            *triples = before.1;
        }
    }

    /// Returns the candidates of a position: the latest entry with the same hash of two bytes, and
    /// those with the same hash of three, latest first.
    #[inline(always)]
    pub(super) fn candidates(&self, place: usize) -> (u32, [u32; CANDIDATES]) {
        (self.pairs[LEN - place], self.triples[LEN - place])
    }

    /// Returns the number of entries, up to the first that has a candidate with the same bytes in
    /// reach. `owns` are the entries of the positions from `place` on; those behind the batch do
    /// not count.
    #[inline(always)]
    pub(super) fn unmatched(&self, place: usize, owns: [u32; RUN]) -> usize {
        let start = LEN - place;
        let (Some(pairs), Some(triples)) =
            (self.pairs[start..].first_chunk::<RUN>(), self.triples[start..].first_chunk::<RUN>())
        else {
            return 0;
        };
        for k in 0..RUN {
            if any_in_reach(owns[k], pairs[k], &triples[k]) {
                return k.min(place);
            }
        }
        RUN.min(place)
    }

    /// Moves all positions down by `drop`, as [`Index::rebase`] does.
    pub(super) fn rebase(&mut self, drop: u32) {
        for entry in self.pairs.iter_mut().chain(self.triples.as_flattened_mut()) {
            *entry = moved_down(*entry, drop);
        }
    }
}

/// Returns whether one of the candidates has the same bytes and is in reach.
#[inline(always)]
pub(super) fn any_in_reach(own: u32, pair: u32, triples: &[u32; CANDIDATES]) -> bool {
    let mut any = false;
    for &candidate in triples {
        any |= distance(own, candidate) <= DICTIONARY as u32;
    }
    any | (distance(own, pair) <= DICTIONARY as u32)
}
