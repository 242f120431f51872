//! Chains of earlier positions with the same hash, as zlib keeps and searches them.

use super::hash::Hash;
use super::{CANDIDATES_PER_BYTE, View};
use crate::token::{MAX_MATCH, MIN_MATCH, WINDOW};

/// The distance that zlib's matches can have at most, since its window needs bytes ahead.
const REACH: usize = WINDOW - MAX_MATCH - MIN_MATCH - 1;
const MASK: usize = WINDOW - 1;

/// A match, or `length` below 3 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) length: usize,
    pub(crate) distance: usize,
}

/// The effort of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// The maximum number of candidates.
    pub(crate) chain: usize,
    /// The length that ends the search.
    pub(crate) nice: usize,
}

/// The positions entered so far. Position 0 is never found, as in zlib.
#[derive(Debug)]
pub(crate) struct Chains<H> {
    hash: H,
    /// The last position of each hash, 0 for none.
    heads: Box<[u32; 1 << 16]>,
    /// The low bits of the position before each one that has the same hash; those of the position
    /// itself if there is none within the window.
    earlier: Box<[u16; WINDOW]>,
    /// The next position to enter.
    next: usize,
    /// The number of candidates that may still be looked at.
    budget: u64,
}

impl<H: Hash> Chains<H> {
    /// Creates empty chains for a segment of `text` bytes.
    pub(crate) fn new(hash: H, text: usize) -> Self {
        Self {
            hash,
            heads: boxed(),
            earlier: boxed(),
            next: 0,
            budget: CANDIDATES_PER_BYTE * (text as u64 + WINDOW as u64),
        }
    }

    /// Enters the positions up to `end`, which is excluded.
    #[inline]
    pub(crate) fn enter(&mut self, bytes: &[u8], end: usize) {
        while self.next < end {
            let at = self.next;
            self.next += 1;
            let Some(four) = four_bytes(bytes, at) else { continue };
            let head = &mut self.heads[self.hash.of(four) & 0xffff];
            let found = *head as usize;
            let near = found != 0 && at - found < WINDOW;
            self.earlier[at & MASK] = if near { found as u16 } else { at as u16 };
            *head = at as u32;
        }
    }

    /// Discards all positions; the next one to enter is `at`.
    pub(crate) fn clear(&mut self, at: usize) {
        self.heads.fill(0);
        self.next = at;
    }

    /// Leaves the positions up to `end` out.
    pub(crate) fn leave_out(&mut self, end: usize) {
        self.next = self.next.max(end);
    }

    /// Enters `at` and returns the longest match there of more than `best` bytes, the nearest of
    /// several; `best` and no distance if there is none.
    #[inline]
    pub(crate) fn search(
        &mut self,
        view: View<'_>,
        at: usize,
        best: usize,
        effort: Effort,
    ) -> Match {
        let ahead = view.ahead(at);
        let none = Match { length: best, distance: 0 };
        if ahead < MIN_MATCH {
            return none;
        }
        self.enter(view.bytes, at + 1);
        let low = self.earlier[at & MASK];
        let distance = usize::from((at as u16).wrapping_sub(low));
        if distance == 0 || distance > REACH || best >= ahead {
            return none;
        }
        let chain = effort.chain.min(usize::try_from(self.budget).unwrap_or(usize::MAX));
        if chain == 0 {
            return none;
        }
        let (found, left) = self.follow(view, at, best, Effort { chain, ..effort });
        self.budget -= (chain - left) as u64;
        found
    }

    /// Follows the chain of `at`, which has a candidate; also returns how many more were allowed.
    #[inline]
    fn follow(&self, view: View<'_>, at: usize, best: usize, effort: Effort) -> (Match, usize) {
        let bytes = view.bytes;
        let ahead = view.ahead(at);
        let nice = effort.nice.min(ahead);
        let mut found = Match { length: best, distance: 0 };
        let mut left = effort.chain;
        let mut wanted = Wanted::new(bytes, at, best);
        let mut low = self.earlier[at & MASK];
        let mut distance = usize::from((at as u16).wrapping_sub(low));
        loop {
            if wanted.may_match(bytes, at - distance) {
                let length = match_length(bytes, at - distance, at, ahead);
                if length > found.length {
                    found = Match { length, distance };
                    if length >= nice {
                        left -= 1;
                        break;
                    }
                    wanted = Wanted::new(bytes, at, length);
                }
            }
            low = self.earlier[usize::from(low) & MASK];
            let next = usize::from((at as u16).wrapping_sub(low));
            left -= 1;
            // The first candidate may be one byte farther than all others, and a chain ends with
            // the same position again.
            let farther = next.wrapping_sub(distance + 1) < (REACH - 1).saturating_sub(distance);
            if !farther || left == 0 {
                break;
            }
            distance = next;
        }
        (found, left)
    }
}

/// The bytes that a longer match must have: the last four of it, or its first three.
pub(crate) struct Wanted {
    offset: usize,
    mask: u32,
    bytes: u32,
}

impl Wanted {
    /// Creates the bytes for a match at `at` of more than `best` bytes.
    #[inline]
    pub(crate) fn new(bytes: &[u8], at: usize, best: usize) -> Self {
        let (offset, mask) = if best < 3 { (0, 0xff_ffff) } else { (best - 3, u32::MAX) };
        let bytes = four_bytes(bytes, at + offset).unwrap_or(0) & mask;
        Self { offset, mask, bytes }
    }

    /// Returns `false` if the match at a candidate is not longer.
    #[inline]
    pub(crate) fn may_match(&self, bytes: &[u8], candidate: usize) -> bool {
        let at = candidate + self.offset;
        match bytes.get(at..at + 4).and_then(|four| four.first_chunk::<4>()) {
            Some(four) => (u32::from_le_bytes(*four) ^ self.bytes) & self.mask == 0,
            None => true,
        }
    }
}

/// Returns the four bytes at `at`, the first one lowest, with zeros after the end of the text;
/// `None` at the end.
#[inline]
pub(crate) fn four_bytes(bytes: &[u8], at: usize) -> Option<u32> {
    let rest = bytes.get(at..)?;
    if let Some(four) = rest.first_chunk::<4>() {
        return Some(u32::from_le_bytes(*four));
    }
    let mut four = [0; 4];
    four.get_mut(..rest.len())?.copy_from_slice(rest);
    (!rest.is_empty()).then_some(u32::from_le_bytes(four))
}

/// Returns how many bytes at `a` and `b` are equal, at most `most`; `b` is the later position.
#[inline]
pub(crate) fn match_length(bytes: &[u8], a: usize, b: usize, most: usize) -> usize {
    let (Some(a), Some(b)) = (bytes.get(a..a + most), bytes.get(b..b + most)) else { return 0 };
    let mut length = 0;
    let (a_eights, a_rest) = a.as_chunks::<8>();
    let (b_eights, b_rest) = b.as_chunks::<8>();
    for (x, y) in a_eights.iter().zip(b_eights) {
        let different = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if different != 0 {
            return length + different.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + a_rest.iter().zip(b_rest).take_while(|(x, y)| x == y).count()
}

/// Creates a zeroed array on the heap.
pub(crate) fn boxed<T: Copy + Default, const N: usize>() -> Box<[T; N]> {
    match vec![T::default(); N].into_boxed_slice().try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("the vector has N elements"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash that puts all positions into one chain.
    struct Same;

    impl Hash for Same {
        fn of(&self, _four: u32) -> usize {
            1
        }
    }

    #[test]
    fn work_ends_at_the_budget() {
        let text: Vec<u8> = (0..60_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let view = View { bytes: &text, end: text.len() };
        let mut chains = Chains::new(Same, 1000);
        let budget = chains.budget;
        let effort = Effort { chain: usize::MAX, nice: MAX_MATCH };
        let mut searches = 0;
        for at in 1..text.len() {
            chains.search(view, at, 2, effort);
            searches += u64::from(chains.budget > 0);
        }
        assert_eq!(budget, CANDIDATES_PER_BYTE * (1000 + WINDOW as u64));
        assert_eq!(chains.budget, 0);
        assert!(searches < budget / 1000);
    }
}
