//! The index of the match finder: the latest positions with the same first two or three bytes.

use super::{DICTIONARY, HASHED};

/// The number of latest positions with the same three bytes that a search tries.
pub(super) const CANDIDATES: usize = 4;

/// The first position, far enough from 0 for 0 to mean "none" by its distance alone.
pub(super) const FIRST_POSITION: u32 = 2 * DICTIONARY as u32;
/// The largest position that fits into an entry.
pub(in super::super) const LAST_POSITION: u32 = (1 << POSITION_BITS) - 1;

const POSITION_BITS: u32 = 24;
const PAIR_SLOTS: usize = 1 << 10;
const TRIPLE_SLOTS: usize = 1 << 17;

/// The latest positions in a slot as entries, latest first.
pub(super) type Latest = [u32; CANDIDATES];

/// Returns the entry of a position: the position, and the first byte above it.
///
/// Entries of one slot with the same first byte have the same two or three bytes: the slot is the
/// sum (exclusive or) of a function of the first byte and of the others, which do not overlap.
#[inline(always)]
pub(super) fn entry(position: u32, first: u8) -> u32 {
    position | u32::from(first) << POSITION_BITS
}

/// Returns the distance from `earlier` to `own`, entries of one slot; at least 2^24 - 2^18 unless
/// their bytes are the same. An entry of 0 is more than [`DICTIONARY`] away.
#[inline(always)]
pub(super) fn distance(own: u32, earlier: u32) -> u32 {
    own.wrapping_sub(earlier)
}

/// The latest positions by the hash of two bytes and by that of three.
///
/// liblzma keeps the positions with the same hash in a chain and tries the latest four; here these
/// four are the slot.
#[derive(Debug)]
pub(super) struct Index {
    pairs: Box<[u32; PAIR_SLOTS]>,
    triples: Box<[Latest; TRIPLE_SLOTS]>,
}

impl Index {
    pub(super) fn new() -> Self {
        Self {
            pairs: vec![0; PAIR_SLOTS].try_into().unwrap_or_else(|_| Box::new([0; PAIR_SLOTS])),
            triples: vec![[0; CANDIDATES]; TRIPLE_SLOTS]
                .try_into()
                .unwrap_or_else(|_| Box::new([[0; CANDIDATES]; TRIPLE_SLOTS])),
        }
    }

    /// Enters the positions from `position` on, one for each three bytes of `bytes`.
    pub(super) fn enter(&mut self, bytes: &[u8], position: u32) {
        for (window, position) in bytes.array_windows().zip(position..) {
            self.enter_one(window, position);
        }
    }

    /// Enters a position as the latest with its bytes; returns the entries before.
    #[inline(always)]
    pub(super) fn enter_one(
        &mut self,
        &[first, second, third]: &[u8; HASHED],
        position: u32,
    ) -> (u32, Latest) {
        let own = entry(position, first);
        let mixed = CRC32[usize::from(first)] ^ u32::from(second);
        let pair = &mut self.pairs[mixed as usize % PAIR_SLOTS];
        let triple = &mut self.triples[(mixed ^ (u32::from(third) << 8)) as usize % TRIPLE_SLOTS];
        let before = (*pair, *triple);
        *pair = own;
        *triple = [own, before.1[0], before.1[1], before.1[2]];
        before
    }

    /// Moves all positions down by `drop`. Only differences of positions are ever used, and an
    /// entry that becomes 0 was already out of reach, so the matches found do not change.
    pub(super) fn rebase(&mut self, drop: u32) {
        for entry in self.pairs.iter_mut().chain(self.triples.as_flattened_mut()) {
            *entry = moved_down(*entry, drop);
        }
    }
}

/// Returns the entry with its position moved down; 0 if that is not possible.
#[inline(always)]
pub(super) fn moved_down(entry: u32, drop: u32) -> u32 {
    if entry & LAST_POSITION < drop { 0 } else { entry - drop }
}

/// The first table of CRC-32 (reflected polynomial 0xEDB88320), which liblzma hashes with.
const CRC32: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { (value >> 1) ^ 0xedb8_8320 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};
