//! The next positions of the target, hashed and looked up before the scan gets there.
//!
//! A lookup in a large table waits for memory. The lookups of a batch wait together, which one
//! after the other, each behind the decision about the position before, cannot.

use super::checksum::{
    LEVEL_LOOK, LargeChecksum, checksums, four, hash, permute, slot,
};
use super::entry::NONE;
use super::source_side::SourceSide;
use super::target_index::{HASHED, TargetIndex};
use crate::Source;

/// The number of positions in a batch.
pub(super) const BATCH: usize = 32;
/// The number of bytes under the checksums of a batch.
const COVERED: usize = BATCH + LEVEL_LOOK - 1;

/// A batch of positions, each in a lane.
#[derive(Debug)]
pub(super) struct Ahead {
    /// The position of the first lane.
    pub(super) from: usize,
    /// The number of lanes in use.
    len: usize,
    /// The hash of the four bytes at each position, and the slot of the target index.
    pub(super) hashes: [u32; BATCH],
    pub(super) slots: [u32; BATCH],
    /// The entry of the source index at each position, [`NONE`] without one.
    pub(super) entries: [u32; BATCH],
    /// The lanes whose entry may match, a bit each.
    candidates: u32,
    /// The lanes where a run of [`HASHED`] bytes begins.
    runs: u32,
}

/// The part of the scan that a batch is filled from.
pub(super) struct Scanned<'a> {
    pub(super) target: &'a [u8],
    /// The position where the scan began: a run that began before it counts from there.
    pub(super) start: usize,
    /// The end of the positions that are scanned.
    pub(super) end: usize,
    /// The number of bytes under a checksum.
    pub(super) look: usize,
}

impl Ahead {
    pub(super) fn new() -> Self {
        Self {
            from: 0,
            len: 0,
            hashes: [0; BATCH],
            slots: [0; BATCH],
            entries: [NONE; BATCH],
            candidates: 0,
            runs: 0,
        }
    }

    /// Drops the batch, for a scan that begins elsewhere or after a change of the source index.
    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Returns the lane of a position; `None` if it is not in the batch.
    #[inline(always)]
    pub(super) fn lane(&self, at: usize) -> Option<usize> {
        at.checked_sub(self.from).filter(|&lane| lane < self.len)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether a run may begin in a lane.
    #[inline(always)]
    pub(super) fn begins_run(&self, lane: usize) -> bool {
        self.runs >> lane & 1 != 0
    }

    /// Returns whether the entry of a lane, which has one, may match.
    #[inline(always)]
    pub(super) fn may_match(&self, lane: usize) -> bool {
        self.candidates >> lane & 1 != 0
    }

    /// Returns the first lane from `lane` on where a run begins or the source may match.
    #[inline(always)]
    pub(super) fn next_event(&self, lane: usize) -> usize {
        let events = u64::from(self.candidates | self.runs) | 1 << BATCH;
        lane + (events >> lane).trailing_zeros() as usize
    }

    /// Returns the last entry of the lanes from `lane` up to `end`.
    #[inline(always)]
    pub(super) fn last_entry(&self, lane: usize, end: usize) -> Option<u32> {
        self.entries[lane..end].iter().rev().copied().find(|&entry| entry != NONE)
    }

    /// Fills the batch from position `at` on.
    #[inline]
    pub(super) fn fill(
        &mut self,
        at: usize,
        scanned: &Scanned<'_>,
        source: Option<(&SourceSide, &dyn Source)>,
        index: Option<&TargetIndex>,
    ) {
        let Scanned { target, start, end, look } = *scanned;
        self.from = at;
        self.len = BATCH.min(end - at);
        let mut short = [0; COVERED];
        let rest = &target[at..];
        let bytes = rest.first_chunk().unwrap_or_else(|| {
            short[..rest.len()].copy_from_slice(rest);
            &short
        });
        self.hash(bytes, at == start || target[at - 1] != target[at]);
        if let Some(index) = index {
            let bits = index.bits();
            for (place, &hash) in self.slots.iter_mut().zip(&self.hashes) {
                *place = slot(hash, bits);
            }
        }
        self.candidates = 0;
        if let Some((side, source)) = source {
            // Behind the last of them a checksum would cover bytes beyond the window.
            let lanes = (target.len() + 1).saturating_sub(at + look).min(self.len);
            self.look_up(bytes, rest, look, lanes, side);
            if !side.index.packing().has_fingerprint() {
                self.compare(bytes, side, source);
            }
        }
        if let Some(index) = index {
            index.touch(&self.slots);
        }
    }

    /// Hashes the bytes at each position, and finds the beginnings of runs.
    #[inline(always)]
    fn hash(&mut self, bytes: &[u8; COVERED], first_begins: bool) {
        let mut any = false;
        for lane in 0..BATCH {
            let four = four(bytes, lane);
            self.hashes[lane] = hash(four);
            any |= four == four.rotate_left(8);
        }
        self.runs = 0;
        if any {
            let equal = (0..BATCH)
                .map(|lane| u32::from(four(bytes, lane) == four(bytes, lane).rotate_left(8)) << lane)
                .sum::<u32>();
            self.runs = equal & !(equal << 1) & (!1 | u32::from(first_begins));
        }
    }

    /// Looks up the checksums of the first `lanes` positions in the source index.
    #[inline(always)]
    fn look_up(
        &mut self,
        bytes: &[u8; COVERED],
        rest: &[u8],
        look: usize,
        lanes: usize,
        side: &SourceSide,
    ) {
        let sums = if look == LEVEL_LOOK {
            let mut permuted = [0; COVERED];
            permute(bytes, &mut permuted);
            checksums(&permuted)
        } else {
            rolled(rest, look, lanes)
        };
        let bits = side.index.bits();
        self.entries = side.index.entries(&sums.map(|sum| slot(sum, bits)));
        self.entries[lanes..].fill(NONE);
        let packing = side.index.packing();
        let mut candidates = 0;
        for lane in 0..BATCH {
            let entry = self.entries[lane];
            let candidate = entry != NONE && packing.may_match(entry, self.hashes[lane]);
            candidates |= u32::from(candidate) << lane;
        }
        self.candidates = candidates;
    }

    /// Compares the first four bytes of the candidates: entries without fingerprints are all
    /// candidates.
    fn compare(&mut self, bytes: &[u8; COVERED], side: &SourceSide, source: &dyn Source) {
        let mut rejected = 0;
        for lane in 0..BATCH {
            let entry = self.entries[lane];
            let rejects = entry != NONE && side.rejects(source, entry, four(bytes, lane));
            rejected |= u32::from(rejects) << lane;
        }
        self.candidates &= !rejected;
    }
}

/// Returns the checksums of `look` bytes each at the first `lanes` positions.
fn rolled(bytes: &[u8], look: usize, lanes: usize) -> [u32; BATCH] {
    let mut sums = [0; BATCH];
    let Some(first) = bytes.get(..look).filter(|_| lanes > 0) else { return sums };
    let mut checksum = LargeChecksum::of(first);
    for (at, sum) in sums[..lanes].iter_mut().enumerate() {
        *sum = checksum.value();
        if let Some(&enters) = bytes.get(at + look) {
            checksum.roll_on(bytes[at], enters, look as u32);
        }
    }
    sums
}
