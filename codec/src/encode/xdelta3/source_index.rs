//! The source index: checksums of spaced positions in the source, indexed ahead of the matcher.

use std::io;

use super::checksum::{
    LEVEL_LOOK, LargeChecksum, checksums, four, hash, permute, slot, table_bits,
};
use super::entry::{NONE, Packing};
use super::keyed_table::KeyedTable;
use super::source_window::SourceWindow;
use super::table::Table;
use crate::Source;

/// The number of positions whose bytes are permuted at once, few enough for the nearest cache.
const PIECE: usize = 2048;
/// The number of checksums computed side by side.
const LANES: usize = 16;
/// The greatest step at which the checksums of all positions are computed, also of those between.
const DENSE_STEP: usize = 4;

/// The number of every position that is too far back for a match, and stays so.
const PASSED: u32 = 1;
/// The number of the position where the numbering begins.
const FIRST: u32 = 2;

/// The checksums of a source, and the end of the indexed part of the source.
#[derive(Debug)]
pub(super) struct SourceIndex {
    look: usize,
    step: usize,
    /// The length of the source window in bytes; it determines the size of the table and how far
    /// the index runs ahead.
    window: u64,
    bits: u32,
    packing: Packing,
    /// The position in the source that [`FIRST`] numbers. Without fingerprints an entry is the
    /// low 32 bits of the position + 1 instead, as in xdelta3.
    origin: u64,
    entries: Entries,
    /// The end of the indexed part of the source.
    covered: u64,
}

/// The entries by slot.
#[derive(Debug)]
enum Entries {
    /// Not allocated yet; the number of entries that a source of known length has at most.
    Planned(Option<u64>),
    Direct(Table),
    /// For a source so short that most slots would never be used.
    Keyed(KeyedTable),
}

impl SourceIndex {
    /// Creates an index for a source, of `len` bytes if that is known.
    pub(super) fn new(look: u32, step: u32, window: u64, len: Option<u64>) -> Self {
        let bits = table_bits(window / u64::from(step));
        let in_window = len.filter(|&len| len <= window);
        // An entry is moved down, or given up, before the numbers of the positions run out. Beyond
        // 4 GiB xdelta3 takes a position for another one, which needs all of its bits.
        let packing = match len {
            Some(len) if len <= window => Packing::of_positions_below(len + u64::from(FIRST)),
            Some(len) if len <= u64::from(u32::MAX) => Packing::of_positions_below(2 * window),
            _ => Packing::WITHOUT_FINGERPRINT,
        };
        Self {
            look: look as usize,
            step: step as usize,
            window,
            bits,
            packing,
            origin: 0,
            entries: Entries::Planned(in_window.map(|len| len / u64::from(step) + 1)),
            covered: 0,
        }
    }

    /// Returns the end of the part of the source that is indexed, or skipped as already matched.
    pub(super) fn covered(&self) -> u64 {
        self.covered
    }

    pub(super) fn packing(&self) -> Packing {
        self.packing
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// Returns the entries of slots, [`NONE`] for those that have none.
    #[inline(always)]
    pub(super) fn entries<const N: usize>(&self, slots: &[u32; N]) -> [u32; N] {
        let mut entries = [NONE; N];
        match &self.entries {
            Entries::Planned(_) => {}
            Entries::Direct(table) => {
                let table = &table[..];
                for (entry, &slot) in entries.iter_mut().zip(slots) {
                    *entry = table[slot as usize];
                }
            }
            Entries::Keyed(table) => {
                for (entry, &slot) in entries.iter_mut().zip(slots) {
                    *entry = table.get(slot);
                }
            }
        }
        entries
    }

    /// Returns the position in the source of an entry that is not [`NONE`]; `None` if it is too far
    /// back for a match.
    ///
    /// Without fingerprints it is the last position with these low 32 bits that is not beyond the
    /// indexed part.
    #[inline]
    pub(super) fn position(&self, entry: u32) -> Option<u64> {
        let number = self.packing.position(entry);
        if self.packing.has_fingerprint() {
            return (number > PASSED).then(|| self.origin + u64::from(number - FIRST));
        }
        let low = number.wrapping_sub(1);
        Some(match self.covered >> u32::BITS {
            0 => u64::from(low),
            high if low > self.covered as u32 => (high - 1) << u32::BITS | u64::from(low),
            high => high << u32::BITS | u64::from(low),
        })
    }

    /// Indexes the part of the source that xdelta3 has indexed once it has read the target up to
    /// `target`, except the part before `matched`. Returns the number of target bytes after which
    /// to call it again.
    pub(super) fn advance(
        &mut self,
        blocks: &mut SourceWindow,
        source: &dyn Source,
        target: u64,
        matched: u64,
    ) -> io::Result<u64> {
        if let Entries::Planned(most) = self.entries {
            self.entries = self.allocated(most);
        }
        if blocks.end() == Some(self.covered) {
            return Ok(u64::MAX);
        }
        let block_len = blocks.block_len();
        let ahead = self.window / 2;
        let goal = if target < ahead {
            self.window
        } else {
            let goal = target + ahead + 2 * block_len;
            goal - goal % block_len
        };
        self.covered = self.covered.max(matched);
        let goal = goal.max(self.covered);
        while self.covered < goal && blocks.end().is_none_or(|end| self.covered < end) {
            let number = self.covered / block_len;
            let from = (self.covered % block_len) as usize;
            self.make_room(number * block_len + block_len);
            if let Some(block) = blocks.block(source, number)? {
                self.enter(block, number * block_len, from);
            }
            self.covered = (number + 1) * block_len;
        }
        if let Some(end) = blocks.end().filter(|&end| self.covered >= end) {
            self.covered = end;
            return Ok(u64::MAX);
        }
        Ok(block_len - (self.covered - goal) % block_len)
    }

    fn allocated(&self, most: Option<u64>) -> Entries {
        match most.and_then(|most| KeyedTable::instead_of(1 << self.bits, most)) {
            Some(table) => Entries::Keyed(table),
            None => Entries::Direct(Table::zeroed(1 << self.bits)),
        }
    }

    /// Moves the numbering on if positions up to `end` would exceed it. Entries too far back for a
    /// match are given up: their positions are compared with nothing any more.
    fn make_room(&mut self, end: u64) {
        let greatest = u64::from(self.packing.greatest() - FIRST);
        if !self.packing.has_fingerprint() || end - self.origin <= greatest {
            return;
        }
        let origin = self.covered.saturating_sub(self.window).max(self.origin);
        let moved = u32::try_from(origin - self.origin).unwrap_or(u32::MAX);
        self.origin = origin;
        let packing = self.packing;
        if let Entries::Direct(table) = &mut self.entries {
            for entry in table.iter_mut().filter(|entry| **entry != NONE) {
                let number = packing.position(*entry);
                let moved = number.checked_sub(moved).filter(|&number| number > PASSED);
                *entry = packing.moved(*entry, moved.unwrap_or(PASSED));
            }
        }
    }

    /// Indexes a block from its end backwards, down to `from`; at least one position.
    fn enter(&mut self, block: &[u8], base: u64, from: usize) {
        let Some(last) = block.len().checked_sub(self.look) else { return };
        let place = Place {
            packing: self.packing,
            bits: self.bits,
            // The low bits are all that count without fingerprints.
            first: if self.packing.has_fingerprint() {
                (base + u64::from(FIRST)).wrapping_sub(self.origin) as u32
            } else {
                (base + 1) as u32
            },
        };
        let positions = Positions { last, from: from.min(last), step: self.step };
        match &mut self.entries {
            Entries::Planned(_) => {}
            Entries::Direct(table) => {
                let table = &mut table[..];
                let store = |slot: u32, entry| table[slot as usize] = entry;
                positions.enter(block, self.look, place, store);
            }
            Entries::Keyed(table) => {
                positions.enter(block, self.look, place, |slot, entry| table.set(slot, entry));
            }
        }
    }
}

/// The form of the entries of one block.
#[derive(Clone, Copy)]
struct Place {
    packing: Packing,
    bits: u32,
    /// The number of the block's first position.
    first: u32,
}

impl Place {
    /// Returns the entry of the position `at` in `bytes`, which begin at `first` in the block.
    #[inline(always)]
    fn entry(self, bytes: &[u8], first: usize, at: usize) -> u32 {
        let number = self.first.wrapping_add((first + at) as u32);
        self.packing.pack(number, hash(four(bytes, at)))
    }
}

/// The positions of a block that are indexed: `last` and those before it, `step` apart, down to
/// `from`.
#[derive(Clone, Copy)]
struct Positions {
    last: usize,
    from: usize,
    step: usize,
}

impl Positions {
    /// Passes the entries on, the last position first: of those in one slot the first remains.
    #[inline(always)]
    fn enter(self, block: &[u8], look: usize, place: Place, mut store: impl FnMut(u32, u32)) {
        let Self { mut last, from, step } = self;
        if look != LEVEL_LOOK || step > DENSE_STEP {
            for at in (from..=last).rev().step_by(step) {
                let sum = match block.get(at..).and_then(<[u8]>::first_chunk::<LEVEL_LOOK>) {
                    Some(bytes) if look == LEVEL_LOOK => LargeChecksum::of(bytes),
                    _ => LargeChecksum::of(&block[at..at + look]),
                };
                store(slot(sum.value(), place.bits), place.entry(block, 0, at));
            }
            return;
        }
        let mut permuted = [0; PIECE + LANES + LEVEL_LOOK];
        let mut slots = [0; PIECE + LANES];
        loop {
            let first = from.max((last + 1).saturating_sub(PIECE));
            let bytes = &block[first..last + LEVEL_LOOK];
            permute(bytes, &mut permuted);
            let lanes = slots.chunks_exact_mut(LANES).take((last - first) / LANES + 1);
            for (at, slots) in (0..).step_by(LANES).zip(lanes) {
                let sums = checksums::<LANES>(&permuted[at..]);
                slots.copy_from_slice(&sums.map(|sum| slot(sum, place.bits)));
            }
            // The stores wait for memory, as many at once as follow each other closely.
            let mut at = last - first;
            loop {
                store(slots[at], place.entry(bytes, first, at));
                match at.checked_sub(step) {
                    Some(next) => at = next,
                    None => break,
                }
            }
            match (first + at).checked_sub(step) {
                Some(next) if next >= from => last = next,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(window: u64, len: Option<u64>) -> SourceIndex {
        SourceIndex::new(9, 8, window, len)
    }

    #[test]
    fn entry_is_last_covered_position() {
        let mut index = index(1 << 19, None);
        assert_eq!(index.position(5), Some(4));
        index.covered = (7 << 32) + 1000;
        assert_eq!(index.position(1000), Some((7 << 32) + 999));
        assert_eq!(index.position(5000), Some((6 << 32) + 4999));
        assert_eq!(index.position(1), Some(7 << 32));
    }

    /// A source of known length below 4 GiB has entries with fingerprints, whatever its length.
    #[test]
    fn fingerprints_depend_on_length() {
        let bits = |len| index(1 << 26, len).packing().greatest().count_ones();
        assert_eq!([Some(62 << 20), Some(1 << 26)].map(bits), [26, 27]);
        assert_eq!([Some((1 << 26) + 1), Some(u64::from(u32::MAX))].map(bits), [27, 27]);
        assert_eq!([Some(1 << 32), None].map(bits), [32, 32]);
    }

    #[test]
    fn moved_entries_keep_their_positions() {
        let window = 1 << 19;
        let mut index = index(window, Some(1 << 30));
        index.entries = index.allocated(None);
        let entry = |index: &SourceIndex, position: u64| {
            let number = (position - index.origin) as u32 + FIRST;
            index.packing.pack(number, hash(position as u32))
        };
        let positions = [0, 5, window - 1, window, window + 1, 2 * window - 9];
        for (slot, &position) in positions.iter().enumerate() {
            let entry = entry(&index, position);
            let Entries::Direct(table) = &mut index.entries else { panic!("no table") };
            table[slot] = entry;
        }
        index.covered = 2 * window - 3;
        index.make_room(2 * window + 100);
        assert_eq!(index.origin, window - 3);
        let slots = [0, 1, 2, 3, 4, 5, 6];
        let found =
            index.entries(&slots).map(|entry| (entry != NONE).then(|| index.position(entry)));
        let expected = [None, None, Some(window - 1), Some(window), Some(window + 1)];
        assert_eq!(found[..5], expected.map(Some));
        assert_eq!(found[5..], [Some(Some(2 * window - 9)), None]);
        for (&position, entry) in positions.iter().zip(index.entries(&slots)) {
            assert!(index.packing.may_match(entry, hash(position as u32)));
        }
    }
}
