//! The source index: checksums of spaced positions in the source, indexed ahead of the matcher.

use std::io;

use super::source_window::SourceWindow;
use crate::Source;

/// The maximum size of a table, as a power of two.
const MAX_BITS: u32 = 28;
const MIN_BITS: u32 = 2;

/// Returns the number of slots in a table of about `wanted` entries, as a power of two.
pub(super) fn table_bits(wanted: u64) -> u32 {
    wanted.checked_ilog2().unwrap_or(0).clamp(MIN_BITS, MAX_BITS)
}

/// Returns the slot of a 32-bit checksum in a table of `1 << bits` slots.
#[inline]
pub(super) fn slot(checksum: u32, bits: u32) -> usize {
    ((checksum >> (u32::BITS - bits)) ^ (checksum & ((1 << bits) - 1))) as usize
}

/// A checksum of two 16-bit sums over permuted bytes; it can roll one byte on or back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LargeChecksum {
    // Only the low 16 bits of both are used.
    low: u32,
    high: u32,
}

impl LargeChecksum {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut sum = Self::default();
        for &byte in bytes {
            sum.low = sum.low.wrapping_add(permuted(byte));
            sum.high = sum.high.wrapping_add(sum.low);
        }
        sum
    }

    /// Rolls the checksum of `look` bytes one byte on.
    #[inline]
    pub(super) fn roll_on(&mut self, leaves: u8, enters: u8, look: u32) {
        let leaves = permuted(leaves);
        self.low = self.low.wrapping_sub(leaves).wrapping_add(permuted(enters));
        self.high = self.high.wrapping_sub(leaves.wrapping_mul(look)).wrapping_add(self.low);
    }

    /// Rolls the checksum of `look` bytes one byte back.
    #[inline]
    fn roll_back(&mut self, enters: u8, leaves: u8, look: u32) {
        let enters = permuted(enters);
        self.high = self.high.wrapping_sub(self.low).wrapping_add(enters.wrapping_mul(look));
        self.low = self.low.wrapping_add(enters).wrapping_sub(permuted(leaves));
    }

    #[inline]
    fn value(self) -> u32 {
        self.high << 16 | self.low & 0xffff
    }
}

#[inline]
fn permuted(byte: u8) -> u32 {
    u32::from(PERMUTATION[usize::from(byte)])
}

/// The table of checksums, and the end of the indexed part of the source.
#[derive(Debug)]
pub(super) struct SourceIndex {
    look: usize,
    step: usize,
    /// The length of the source window in bytes; it determines the size of the table and how far
    /// the index runs ahead.
    window: u64,
    bits: u32,
    /// The low 32 bits of position + 1, 0 for none. Allocated at the first search.
    table: Vec<u32>,
    /// The end of the indexed part of the source.
    covered: u64,
}

impl SourceIndex {
    pub(super) fn new(look: u32, step: u32, window: u64) -> Self {
        let bits = table_bits(window / u64::from(step));
        Self {
            look: look as usize,
            step: step as usize,
            window,
            bits,
            table: Vec::new(),
            covered: 0,
        }
    }

    /// Returns the end of the part of the source that is indexed, or skipped as already matched.
    pub(super) fn covered(&self) -> u64 {
        self.covered
    }

    /// Returns the position last entered under a checksum.
    #[inline]
    pub(super) fn find(&self, checksum: LargeChecksum) -> Option<u64> {
        match self.table[slot(checksum.value(), self.bits)] {
            0 => None,
            entry => Some(self.position(entry)),
        }
    }

    /// Returns the position of an entry: the last one with these low 32 bits that is not beyond the
    /// indexed part.
    fn position(&self, entry: u32) -> u64 {
        let low = entry.wrapping_sub(1);
        match self.covered >> u32::BITS {
            0 => u64::from(low),
            high if low > self.covered as u32 => (high - 1) << u32::BITS | u64::from(low),
            high => high << u32::BITS | u64::from(low),
        }
    }

    /// Indexes the part of the source that xdelta3 has indexed once it has read the target up to
    /// `target`, except the part before `matched`. Returns the number of target bytes after which
    /// to call it again.
    pub(super) fn advance<S: Source>(
        &mut self,
        blocks: &mut SourceWindow<S>,
        target: u64,
        matched: u64,
    ) -> io::Result<u64> {
        if blocks.end() == Some(self.covered) {
            if self.table.is_empty() {
                self.table = vec![0; 1 << self.bits];
            }
            return Ok(u64::MAX);
        }
        if self.table.is_empty() {
            self.table = vec![0; 1 << self.bits];
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
            if let Some(block) = blocks.block(number)? {
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

    /// Indexes a block from its end backwards, down to `from`; at least one position.
    fn enter(&mut self, block: &[u8], base: u64, from: usize) {
        let (look, step) = (self.look, self.step);
        let Some(mut at) = block.len().checked_sub(look) else { return };
        let mut sum = LargeChecksum::of(&block[at..]);
        loop {
            self.table[slot(sum.value(), self.bits)] = (base + at as u64 + 1) as u32;
            let Some(next) = at.checked_sub(step).filter(|&next| next >= from) else { return };
            if 2 * step < look {
                // The bytes that enter, and those that leave at the other end.
                for (&enters, &leaves) in
                    block[next..at].iter().rev().zip(block[next + look..at + look].iter().rev())
                {
                    sum.roll_back(enters, leaves, look as u32);
                }
            } else {
                sum = LargeChecksum::of(&block[next..next + look]);
            }
            at = next;
        }
    }
}

/// The weight of each byte in a checksum. It determines which positions collide, so the bytes of
/// the delta depend on it.
static PERMUTATION: [u16; 256] = [
    0xbcd1, 0xbb65, 0x42c2, 0xdffe, 0x9666, 0x431b, 0x8504, 0xeb46, 0x6379, 0xd460, 0xcf14, 0x53cf,
    0xdb51, 0xdb08, 0x12c8, 0xf602, 0xe766, 0x2394, 0x250d, 0xdcbb, 0xa678, 0x02af, 0xa5c6, 0x7ea6,
    0xb645, 0xcb4d, 0xc44b, 0xe5dc, 0x9fe6, 0x5b5c, 0x35f5, 0x701a, 0x220f, 0x6c38, 0x1a56, 0x4ca3,
    0xffc6, 0xb152, 0x8d61, 0x7a58, 0x9025, 0x8b3d, 0xbf0f, 0x95a3, 0xe5f4, 0xc127, 0x3bed, 0x320b,
    0xb7f3, 0x6054, 0x333c, 0xd383, 0x8154, 0x5242, 0x4e0d, 0x0a94, 0x7028, 0x8689, 0x3a22, 0x0980,
    0x1847, 0xb0f1, 0x9b5c, 0x4176, 0xb858, 0xd542, 0x1f6c, 0x2497, 0x6a5a, 0x9fa9, 0x8c5a, 0x7743,
    0xa8a9, 0x9a02, 0x4918, 0x438c, 0xc388, 0x9e2b, 0x4cad, 0x01b6, 0xab19, 0xf777, 0x365f, 0x1eb2,
    0x091e, 0x7bf8, 0x7a8e, 0x5227, 0xeab1, 0x2074, 0x4523, 0xe781, 0x01a3, 0x163d, 0x3b2e, 0x287d,
    0x5e7f, 0xa063, 0xb134, 0x8fae, 0x5e8e, 0xb7b7, 0x4548, 0x1f5a, 0xfa56, 0x7a24, 0x900f, 0x42dc,
    0xcc69, 0x02a0, 0x0b22, 0xdb31, 0x71fe, 0x0c7d, 0x1732, 0x1159, 0xcb09, 0xe1d2, 0x1351, 0x52e9,
    0xf536, 0x5a4f, 0xc316, 0x6bf9, 0x8994, 0xb774, 0x5f3e, 0xf6d6, 0x3a61, 0xf82c, 0xcc22, 0x9d06,
    0x299c, 0x09e5, 0x1eec, 0x514f, 0x8d53, 0xa650, 0x5c6e, 0xc577, 0x7958, 0x71ac, 0x8916, 0x9b4f,
    0x2c09, 0x5211, 0xf6d8, 0xcaaa, 0xf7ef, 0x287f, 0x7a94, 0xab49, 0xfa2c, 0x7222, 0xe457, 0xd71a,
    0x00c3, 0x1a76, 0xe98c, 0xc037, 0x8208, 0x5c2d, 0xdfda, 0xe5f5, 0x0b45, 0x15ce, 0x8a7e, 0xfcad,
    0xaa2d, 0x4b5c, 0xd42e, 0xb251, 0x907e, 0x9a47, 0xc9a6, 0xd93f, 0x085e, 0x35ce, 0xa153, 0x7e7b,
    0x9f0b, 0x25aa, 0x5d9f, 0xc04d, 0x8a0e, 0x2875, 0x4a1c, 0x295f, 0x1393, 0xf760, 0x9178, 0x0f5b,
    0xfa7d, 0x83b4, 0x2082, 0x721d, 0x6462, 0x0368, 0x67e2, 0x8624, 0x194d, 0x22f6, 0x78fb, 0x6791,
    0xb238, 0xb332, 0x7276, 0xf272, 0x47ec, 0x4504, 0xa961, 0x9fc8, 0x3fdc, 0xb413, 0x007a, 0x0806,
    0x7458, 0x95c6, 0xccaa, 0x18d6, 0xe2ae, 0x1b06, 0xf3f6, 0x5050, 0xc8e8, 0xf4ac, 0xc04c, 0xf41c,
    0x992f, 0xae44, 0x5f1b, 0x1113, 0x1738, 0xd9a8, 0x19ea, 0x2d33, 0x9698, 0x2fe9, 0x323f, 0xcde2,
    0x6d71, 0xe37d, 0xb697, 0x2c4f, 0x4373, 0x9102, 0x075d, 0x8e25, 0x1672, 0xec28, 0x6acb, 0x86cc,
    0x186e, 0x9414, 0xd674, 0xd1a5,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rolling_equals_fresh_sum() {
        let bytes: Vec<u8> =
            (0..300u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for look in [4usize, 9, 33] {
            for at in 0..bytes.len() - look {
                let here = LargeChecksum::of(&bytes[at..at + look]);
                let next = LargeChecksum::of(&bytes[at + 1..at + 1 + look]);
                let mut on = here;
                on.roll_on(bytes[at], bytes[at + look], look as u32);
                assert_eq!(on.value(), next.value());
                let mut back = next;
                back.roll_back(bytes[at], bytes[at + look], look as u32);
                assert_eq!(back.value(), here.value());
            }
        }
    }

    #[test]
    fn table_size_follows_window() {
        assert_eq!(
            [26, 15, 8, 3, 2].map(|step| table_bits((1 << 26) / step)),
            [21, 22, 23, 24, 25]
        );
        assert_eq!([0, 1, 7, 1 << 40].map(table_bits), [2, 2, 2, 28]);
    }

    #[test]
    fn entry_is_last_covered_position() {
        let mut index = SourceIndex::new(9, 8, 1 << 19);
        assert_eq!(index.position(5), 4);
        index.covered = (7 << 32) + 1000;
        assert_eq!(index.position(1000), (7 << 32) + 999);
        assert_eq!(index.position(5000), (6 << 32) + 4999);
        assert_eq!(index.position(1), 7 << 32);
    }
}
