//! The target index: earlier positions of a window by checksum.

use super::match_len::common_prefix;
use super::profile::MatcherProfile;
use super::source_index::{slot, table_bits};

/// The number of bytes under a small checksum, whatever the profile's small look is.
const CHECKSUM_LEN: usize = 4;
const MULTIPLIER: u32 = 1_597_334_677;

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

/// The last position of every checksum in the window, with chains to the earlier ones.
#[derive(Debug)]
pub(super) struct TargetIndex {
    bits: u32,
    /// The position + 1, 0 for none. Allocated at the first search.
    table: Vec<u32>,
    /// For every remembered position, the position + 1 before it in its chain; empty without
    /// chains.
    previous: Vec<u32>,
    history: usize,
    chain: u32,
    lazy_chain: u32,
    long_enough: usize,
}

impl TargetIndex {
    /// Creates an index for windows of `window` bytes that remembers `history` (a power of two)
    /// positions.
    pub(super) fn new(profile: &MatcherProfile, window: usize, history: usize) -> Self {
        Self {
            bits: table_bits(window as u64),
            table: Vec::new(),
            previous: Vec::new(),
            history: if profile.chains() { history } else { 0 },
            chain: profile.chain,
            lazy_chain: profile.lazy_chain,
            long_enough: profile.long_enough as usize,
        }
    }

    /// Clears the index for the next window.
    pub(super) fn reset(&mut self) {
        if self.table.is_empty() {
            self.table = vec![0; 1 << self.bits];
            self.previous = vec![0; self.history];
        } else {
            self.table.fill(0);
        }
    }

    /// Searches for `target[at..]` earlier in the target, then enters `at`. `lazy` means that a
    /// match was already found.
    #[inline]
    pub(super) fn find_and_enter(
        &mut self,
        target: &[u8],
        at: usize,
        lazy: bool,
    ) -> Option<TargetMatch> {
        let bytes = target[at..].first_chunk::<CHECKSUM_LEN>()?;
        let slot = slot(u32::from_le_bytes(*bytes).wrapping_mul(MULTIPLIER), self.bits);
        let head = self.table[slot];
        self.table[slot] = at as u32 + 1;
        let found =
            if head == 0 { None } else { self.longest(target, at, head as usize - 1, lazy) };
        if !self.previous.is_empty() {
            let mask = self.previous.len() - 1;
            self.previous[at & mask] = head;
        }
        found
    }

    fn longest(&self, target: &[u8], at: usize, first: usize, lazy: bool) -> Option<TargetMatch> {
        let here = &target[at..];
        let mut left = if lazy { self.lazy_chain } else { self.chain };
        let mut best = TargetMatch { len: 0, at: first };
        let mut candidate = first;
        let mask = self.previous.len().wrapping_sub(1);
        loop {
            // Only a longer match counts, and that one has to agree at the end of the best so far.
            if target[candidate + best.len] == here[best.len] {
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
            match self.previous[candidate & mask] as usize {
                0 => break,
                entry if entry - 1 > candidate => break,
                entry => candidate = entry - 1,
            }
            if at - candidate >= self.history {
                break;
            }
        }
        let distance = at - best.at;
        let costly =
            (best.len == 4 && distance >= FAR_FOR_4) || (best.len == 5 && distance >= FAR_FOR_5);
        (best.len > 0 && !costly).then_some(best)
    }
}
