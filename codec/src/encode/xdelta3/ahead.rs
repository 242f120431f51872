//! The next positions of the target, hashed and looked up before the scan gets there.
//!
//! A lookup in a large table waits for memory. The lookups of a batch wait together, which one
//! after the other, each behind the decision about the position before, cannot.

use std::array;

use super::checksum::{LEVEL_LOOK, LargeChecksum, checksums, four, hash, permute, slot};
use super::entry::NONE;
use super::source_side::SourceSide;
use super::target_index::TargetIndex;
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
    /// The lanes where a run of at least four bytes begins.
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

    /// Fills the batch from position `at` on. The first batches of a scan are short: in text the
    /// next match is often so near that the rest would be computed in vain.
    #[inline]
    pub(super) fn fill(
        &mut self,
        at: usize,
        scanned: &Scanned<'_>,
        source: Option<(&SourceSide, &dyn Source)>,
        index: Option<&TargetIndex>,
    ) {
        match at - scanned.start {
            0..4 => self.fill_lanes::<4>(at, scanned, source, index),
            4..12 => self.fill_lanes::<8>(at, scanned, source, index),
            _ => self.fill_lanes::<BATCH>(at, scanned, source, index),
        }
    }

    #[inline(always)]
    fn fill_lanes<const N: usize>(
        &mut self,
        at: usize,
        scanned: &Scanned<'_>,
        source: Option<(&SourceSide, &dyn Source)>,
        index: Option<&TargetIndex>,
    ) {
        let Scanned { target, start, end, look } = *scanned;
        self.from = at;
        self.len = N.min(end - at);
        let mut short = [0; COVERED];
        let rest = &target[at..];
        let bytes = rest.first_chunk().unwrap_or_else(|| {
            short[..rest.len()].copy_from_slice(rest);
            &short
        });
        // Each loop does one thing to all lanes, in vector registers.
        let fours: [u32; N] = array::from_fn(|lane| four(bytes, lane));
        let hashes = fours.map(hash);
        self.hashes[..N].copy_from_slice(&hashes);
        self.runs = 0;
        if fours.iter().fold(0, |any, &four| any | lane_mask(is_run(four))) != 0 {
            let first_begins = at == start || target[at - 1] != target[at];
            let equal = lanes(&fours.map(is_run));
            self.runs = equal & !(equal << 1) & (!1 | u32::from(first_begins));
        }
        if let Some(index) = index {
            let bits = index.bits();
            let slots = hashes.map(|hash| slot(hash, bits));
            self.slots[..N].copy_from_slice(&slots);
            index.touch(&slots);
        }
        self.candidates = 0;
        if let Some((side, source)) = source {
            // Behind the last of them a checksum would cover bytes beyond the window.
            let count = (target.len() + 1).saturating_sub(at + look).min(self.len);
            let sums = if look == LEVEL_LOOK {
                let mut permuted = [0; COVERED];
                permute(&bytes[..N + LEVEL_LOOK - 1], &mut permuted);
                checksums::<N>(&permuted)
            } else {
                rolled(rest, look, count)
            };
            let (bits, packing) = (side.index.bits(), side.index.packing());
            let mut entries = side.index.entries(&sums.map(|sum| slot(sum, bits)));
            entries[count..].fill(NONE);
            self.entries[..N].copy_from_slice(&entries);
            self.candidates = lanes::<N>(&array::from_fn(|lane| {
                entries[lane] != NONE && packing.may_match(entries[lane], hashes[lane])
            }));
            if !packing.has_fingerprint() {
                self.compare(&fours, side, source);
            }
        }
    }

    /// Compares the first four bytes of the candidates: entries without fingerprints are all
    /// candidates.
    fn compare<const N: usize>(
        &mut self,
        fours: &[u32; N],
        side: &SourceSide,
        source: &dyn Source,
    ) {
        let rejected: [bool; N] = array::from_fn(|lane| {
            let entry = self.entries[lane];
            entry != NONE && side.rejects(source, entry, fours[lane])
        });
        self.candidates &= !lanes(&rejected);
    }
}

/// Returns whether four bytes are the same one.
#[inline(always)]
fn is_run(four: u32) -> bool {
    four == four.rotate_left(u8::BITS)
}

#[inline(always)]
fn lane_mask(set: bool) -> u32 {
    0u32.wrapping_sub(u32::from(set))
}

/// Returns the lanes that are set, a bit each.
#[inline(always)]
fn lanes<const N: usize>(set: &[bool; N]) -> u32 {
    set.iter().enumerate().fold(0, |bits, (lane, &set)| bits | (lane_mask(set) & 1 << lane))
}

/// Returns the checksums of `look` bytes each at the first `count` positions.
fn rolled<const N: usize>(bytes: &[u8], look: usize, count: usize) -> [u32; N] {
    let mut sums = [0; N];
    let Some(first) = bytes.get(..look).filter(|_| count > 0) else { return sums };
    let mut checksum = LargeChecksum::of(first);
    for (at, sum) in sums[..count].iter_mut().enumerate() {
        *sum = checksum.value();
        if let Some(&enters) = bytes.get(at + look) {
            checksum.roll_on(bytes[at], enters, look as u32);
        }
    }
    sums
}
