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

/// The number of slots in a page of 4 KiB.
const PAGE_SLOTS: usize = 256;
/// The number of positions from which on most pages will be written.
const MANY_POSITIONS: usize = 256;

/// Returns the entry of a position: the position, and the first byte above it.
///
/// Entries of one slot with the same first byte have the same two or three bytes: the slot is the
/// exclusive or of a function of the first byte and of the others, which do not overlap.
#[inline(always)]
pub(super) fn entry(position: u32, first: u8) -> u32 {
    position | (u32::from(first) << POSITION_BITS)
}

/// Returns the distance from `earlier` to `own`, two entries of one slot; more than [`DICTIONARY`]
/// if their bytes differ or `earlier` is 0.
#[inline(always)]
pub(super) fn distance(own: u32, earlier: u32) -> u32 {
    own.wrapping_sub(earlier)
}

/// Returns the entry with its position moved down; 0 if it is too early.
pub(super) fn moved_down(entry: u32, drop: u32) -> u32 {
    if entry & LAST_POSITION < drop { 0 } else { entry - drop }
}

/// The entries of the latest four positions with the same hash: the third with the fourth above
/// it, the second, the latest. (A tuple of zeros is allocated without being written.)
///
/// Each field is read as it is written: a read of a part of one and a part of another waits until
/// both writes are in the cache, which takes longer than all the rest where bytes repeat.
type Slot = (u64, u32, u32);

/// Returns the entries of a slot, latest first.
#[inline(always)]
fn entries((older, second, latest): Slot) -> [u32; CANDIDATES] {
    [latest, second, older as u32, (older >> 32) as u32]
}

/// Adds an entry to a slot in place of the earliest; returns the entries as they were.
#[inline(always)]
fn push(slot: &mut Slot, entry: u32) -> [u32; CANDIDATES] {
    let (older, second, latest) = *slot;
    slot.0 = (older << 32) | u64::from(second);
    slot.1 = latest;
    slot.2 = entry;
    entries((older, second, latest))
}

/// The latest positions by the hash of two bytes and by that of three.
///
/// liblzma keeps the positions with the same hash in a chain and tries the latest four; here these
/// four are the slot.
#[derive(Debug)]
pub(super) struct Index {
    pairs: Box<[u32; PAIR_SLOTS]>,
    triples: Box<[Slot; TRIPLE_SLOTS]>,
    /// `true` if positions may have been entered.
    prepared: bool,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { pairs: boxed(0), triples: boxed((0, 0, 0)), prepared: false }
    }

    /// Prepares the empty index for `count` positions at once. A page that is read before it is
    /// written takes two page faults, so pages are written first, unless few of them will be.
    pub(super) fn prepare(&mut self, count: usize) {
        if !self.prepared && count >= MANY_POSITIONS {
            for slot in self.triples.iter_mut().step_by(PAGE_SLOTS) {
                *slot = std::hint::black_box((0, 0, 0));
            }
        }
        self.prepared = true;
    }

    /// Enters the positions from `position` on, one for each three bytes of `bytes`.
    #[inline(never)]
    pub(super) fn enter(&mut self, bytes: &[u8], position: u32) {
        for (bytes, position) in bytes.array_windows().zip(position..) {
            self.enter_one(bytes, position);
        }
    }

    /// Enters a position as the latest with its bytes; returns the entries before: the latest with
    /// the same hash of two bytes, and those with the same hash of three.
    #[inline(always)]
    pub(super) fn enter_one(
        &mut self,
        &[first, second, third]: &[u8; HASHED],
        position: u32,
    ) -> (u32, [u32; CANDIDATES]) {
        let own = entry(position, first);
        let mixed = CRC32[usize::from(first)] ^ u32::from(second);
        let pair = &mut self.pairs[mixed as usize % PAIR_SLOTS];
        let triple = &mut self.triples[(mixed ^ (u32::from(third) << 8)) as usize % TRIPLE_SLOTS];
        (std::mem::replace(pair, own), push(triple, own))
    }

    /// Moves all positions down by `drop`. Only differences of positions are ever used, and an
    /// entry that becomes 0 was already out of reach, so the matches found do not change.
    pub(super) fn rebase(&mut self, drop: u32) {
        for entry in self.pairs.iter_mut() {
            *entry = moved_down(*entry, drop);
        }
        for slot in self.triples.iter_mut() {
            let [latest, second, third, fourth] =
                entries(*slot).map(|entry| moved_down(entry, drop));
            *slot = (u64::from(fourth) << 32 | u64::from(third), second, latest);
        }
    }
}

/// Returns an array allocated directly on the heap: it may be too large for a small stack.
fn boxed<T: Copy, const N: usize>(value: T) -> Box<[T; N]> {
    vec![value; N].try_into().unwrap_or_else(|_| boxed_from_stack(value))
}

/// Is never called. Inlined, its array would take stack even so.
#[cold]
#[inline(never)]
fn boxed_from_stack<T: Copy, const N: usize>(value: T) -> Box<[T; N]> {
    Box::new([value; N])
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
