//! The end of libdeflate's blocks, and the minimum length of a match in them.

/// The minimum number of bytes of a block.
const MIN_BLOCK: usize = 5000;
/// The maximum number of bytes of a block, but for the last.
const MAX_BLOCK: usize = 300_000;
const FASTEST_MAX_BLOCK: usize = 65_535;
/// The maximum number of matches in a block.
pub(super) const MATCHES: usize = 50_000;
pub(super) const FASTEST_MATCHES: usize = 8192;
/// The number of tokens between two questions of whether a block should end.
const TOKENS_BETWEEN_QUESTIONS: u32 = 512;
/// The number of kinds of tokens told apart: eight of literals, two of matches.
const KINDS: usize = 10;

/// Returns the position at which a block that starts at `block` ends at the latest.
pub(super) fn block_end(block: usize, text_end: usize, fastest: bool) -> usize {
    let most = if fastest { FASTEST_MAX_BLOCK } else { MAX_BLOCK };
    if text_end.saturating_sub(block) < most + MIN_BLOCK { text_end } else { block + most }
}

/// Counts of each kind of token, in the block and since the last question.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Split {
    old: [u32; KINDS],
    new: [u32; KINDS],
    old_sum: u32,
    new_sum: u32,
}

impl Split {
    pub(super) fn literal(&mut self, byte: u8) {
        self.add(usize::from(byte >> 5 & 6 | byte & 1));
    }

    pub(super) fn reuse(&mut self, length: usize) {
        self.add(8 + usize::from(length >= 9));
    }

    fn add(&mut self, kind: usize) {
        self.new[kind] += 1;
        self.new_sum += 1;
    }

    /// Returns whether a block of `text` bytes ends here, `left` bytes before the end of the text.
    pub(super) fn ends(&mut self, text: usize, left: usize) -> bool {
        if self.new_sum < TOKENS_BETWEEN_QUESTIONS || text < MIN_BLOCK || left < MIN_BLOCK {
            return false;
        }
        if self.old_sum > 0 && self.differs(text as u32) {
            return true;
        }
        for (old, new) in self.old.iter_mut().zip(&mut self.new) {
            *old += std::mem::take(new);
        }
        self.old_sum += std::mem::take(&mut self.new_sum);
        false
    }

    /// Returns whether the new tokens differ enough from the old ones.
    fn differs(&self, text: u32) -> bool {
        let mut difference = 0u32;
        for (&old, &new) in self.old.iter().zip(&self.new) {
            let expected = old.wrapping_mul(self.new_sum);
            let actual = new.wrapping_mul(self.old_sum);
            difference = difference.wrapping_add(expected.abs_diff(actual));
        }
        let mut cutoff = (self.new_sum.wrapping_mul(200) / 512).wrapping_mul(self.old_sum);
        let sum = self.old_sum + self.new_sum;
        if text < 10_000 && sum < 8192 {
            cutoff = cutoff.wrapping_add((u64::from(cutoff) * u64::from(8192 - sum) / 8192) as u32);
        }
        difference.wrapping_add((text / 4096).wrapping_mul(self.old_sum)) >= cutoff
    }
}

/// Counts of each literal in the block.
#[derive(Clone, Debug)]
pub(super) struct Literals([u32; 256]);

impl Default for Literals {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Literals {
    pub(super) fn count(&mut self, byte: u8) {
        self.0[usize::from(byte)] += 1;
    }

    /// Returns the minimum length of a match, with rare literals ignored.
    pub(super) fn min_length(&self, depth: usize) -> usize {
        let rare = self.0.iter().sum::<u32>() >> 10;
        min_length(self.0.iter().filter(|&&count| count > rare).count(), depth)
    }
}

/// Returns the minimum length of a match in the block at `at`, by the different bytes of its first
/// 4 KiB.
pub(super) fn first_min_length(bytes: &[u8], at: usize, end: usize, depth: usize) -> usize {
    let mut used = [false; 256];
    let end = end.min(at + 4096).min(bytes.len());
    for &byte in bytes.get(at..end).unwrap_or_default() {
        used[usize::from(byte)] = true;
    }
    min_length(used.iter().filter(|&&used| used).count(), depth)
}

fn min_length(different: usize, depth: usize) -> usize {
    let length = match different {
        0..=5 => 9,
        6..=7 => 8,
        8..=9 => 7,
        10..=15 => 6,
        16..=44 => 5,
        45..=79 => 4,
        _ => return 3,
    };
    match depth {
        0..=4 => length.min(4),
        5..=9 => length.min(5),
        10..=15 => length.min(7),
        _ => length,
    }
}
