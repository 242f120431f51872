//! The target index: earlier positions of a window by hash.

use std::ops::Range;

use super::checksum::{four, hash, slot, table_bits};
use super::entry::{NONE, Packing};
use super::match_len::common_prefix;
use super::profile::MatcherProfile;
use super::table::Table;

/// The number of bytes under a hash, whatever the profile's small look is.
pub(super) const HASHED: usize = 4;

/// The part of the table from which on entries in use are not removed one by one.
const CLEARED_BY_POSITION: usize = 32;

/// The distance beyond which an address costs as much as the 4 bytes it replaces.
const FAR_FOR_4: usize = 1 << 14;
/// The same for 5 bytes.
const FAR_FOR_5: usize = 1 << 21;

/// A match inside the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TargetMatch {
    pub(super) len: usize,
    pub(super) at: usize,
}

/// The last position of every hash in the window, with chains to the earlier ones.
#[derive(Debug)]
pub(super) struct TargetIndex {
    bits: u32,
    /// An entry's position is the position in the window + 1.
    packing: Packing,
    /// Allocated at the first search.
    table: Table,
    /// For every remembered position, the entry before it in its chain; empty without chains.
    previous: Vec<u32>,
    history: usize,
    chain: u32,
    lazy_chain: u32,
    long_enough: usize,
    used: Used,
}

/// The slots of the table that are in use.
#[derive(Debug)]
enum Used {
    /// Those of the positions in these ranges, and their number.
    By(Vec<Range<usize>>, usize),
    Any,
}

impl TargetIndex {
    /// Creates an index for windows of `window` bytes that remembers `history` (a power of two)
    /// positions.
    pub(super) fn new(profile: &MatcherProfile, window: usize, history: usize) -> Self {
        let long_enough = profile.long_enough as usize;
        Self {
            bits: table_bits(window as u64),
            // A candidate of fewer than four equal bytes may end a search: none is rejected then.
            packing: if long_enough < HASHED {
                Packing::WITHOUT_FINGERPRINT
            } else {
                Packing::of_positions_below(window as u64)
            },
            table: Table::empty(),
            previous: Vec::new(),
            history: if profile.chains() { history } else { 0 },
            chain: profile.chain,
            lazy_chain: profile.lazy_chain,
            long_enough,
            used: Used::By(Vec::new(), 0),
        }
    }

    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// Prepares the index for the next window.
    pub(super) fn reset(&mut self) {
        if self.table.is_empty() {
            self.table = Table::zeroed(1 << self.bits);
            self.previous = vec![NONE; self.history];
        } else if matches!(self.used, Used::Any) {
            self.table.fill(NONE);
            self.used = Used::By(Vec::new(), 0);
        }
    }

    /// Notes that positions were entered.
    pub(super) fn note(&mut self, entered: Range<usize>) {
        if let Used::By(ranges, count) = &mut self.used {
            *count += entered.len();
            if *count > self.table.len() / CLEARED_BY_POSITION {
                self.used = Used::Any;
            } else {
                ranges.push(entered);
            }
        }
    }

    /// Removes the entries of a window that is scanned, if they are few.
    pub(super) fn clear(&mut self, target: &[u8]) {
        if let Used::By(ranges, count) = &mut self.used {
            let table = &mut self.table[..];
            for at in ranges.drain(..).flatten() {
                table[slot(hash(four(target, at)), self.bits) as usize] = NONE;
            }
            *count = 0;
        }
    }

    /// Reads the entries of slots, so that they are in the cache when they are needed.
    #[inline(always)]
    pub(super) fn touch<const N: usize>(&self, slots: &[u32; N]) {
        let table = &self.table[..];
        let mut all = 0;
        for &slot in slots {
            all |= table[slot as usize];
        }
        std::hint::black_box(all);
    }

    /// Enters positions from `from` on, with these hashes and slots, until one may match an earlier
    /// one; returns the number of those before it.
    #[inline(always)]
    pub(super) fn enter_until_candidate(
        &mut self,
        from: usize,
        hashes: &[u32],
        slots: &[u32],
    ) -> usize {
        let Self { packing, history, .. } = *self;
        let table = &mut self.table[..];
        let previous = &mut self.previous[..];
        let mask = previous.len().wrapping_sub(1);
        for (lane, (&hash, &slot)) in hashes.iter().zip(slots).enumerate() {
            let at = from + lane;
            let head = &mut table[slot as usize];
            let entry = *head;
            // A candidate that far back has no chain: its link is overwritten, or leads farther.
            let distance = (at + 1).wrapping_sub(packing.position(entry) as usize);
            if entry != NONE && (packing.may_match(entry, hash) || distance < history) {
                return lane;
            }
            *head = packing.pack(at as u32 + 1, hash);
            if let Some(link) = previous.get_mut(at & mask) {
                *link = entry;
            }
        }
        hashes.len()
    }

    /// Searches for a match of `target[at..]` of at least `least` bytes earlier in the window, then
    /// enters `at`, whose first bytes have this hash. If `lazy`, a match was already found.
    #[inline]
    pub(super) fn find_and_enter(
        &mut self,
        target: &[u8],
        at: usize,
        (hash, slot): (u32, u32),
        least: usize,
        lazy: bool,
    ) -> Option<TargetMatch> {
        let head = self.table[slot as usize];
        self.table[slot as usize] = self.packing.pack(at as u32 + 1, hash);
        let found =
            if head == NONE { None } else { self.longest(target, at, hash, head, least, lazy) };
        if let Some(mask) = self.previous.len().checked_sub(1) {
            self.previous[at & mask] = head;
        }
        found
    }

    fn longest(
        &self,
        target: &[u8],
        at: usize,
        hash: u32,
        head: u32,
        least: usize,
        lazy: bool,
    ) -> Option<TargetMatch> {
        let here = &target[at..];
        let mut left = if lazy { self.lazy_chain } else { self.chain };
        // A match of this length is neither long enough nor the end of the search.
        let mut best = TargetMatch { len: least.min(self.long_enough).saturating_sub(1), at };
        if here.len() <= best.len {
            return None;
        }
        let mask = self.previous.len().wrapping_sub(1);
        let mut entry = head;
        loop {
            let candidate = self.packing.position(entry) as usize - 1;
            // Only a longer match counts, and that one has to agree at the end of the best so far.
            if self.packing.may_match(entry, hash) && agree(target, candidate, here, best.len) {
                let len = common_prefix(&target[candidate..], here);
                if len > best.len {
                    best = TargetMatch { len, at: candidate };
                    if len == here.len() || len >= self.long_enough {
                        break;
                    }
                }
            }
            left = left.wrapping_sub(1);
            if left == 0 {
                break;
            }
            // A slot overwritten by a later position leads forward, not back.
            entry = self.previous[candidate & mask];
            let position = self.packing.position(entry) as usize;
            if entry == NONE || position - 1 > candidate || at - (position - 1) >= self.history {
                break;
            }
        }
        let TargetMatch { len, at: earlier } = best;
        let distance = at - earlier;
        let costly = (len == 4 && distance >= FAR_FOR_4) || (len == 5 && distance >= FAR_FOR_5);
        (distance > 0 && len >= least && !costly).then_some(best)
    }
}

/// Returns whether the byte at `len`, and the three before it if there are as many, are the same at
/// both places.
#[inline(always)]
fn agree(target: &[u8], candidate: usize, here: &[u8], len: usize) -> bool {
    match len.checked_sub(HASHED - 1) {
        Some(from) => four(target, candidate + from) == four(here, from),
        None => target[candidate + len] == here[len],
    }
}
