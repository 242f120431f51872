//! The checksums that the indexes are keyed by, and the slots they lead to.

/// The look of every level: the number of source bytes under one checksum.
pub(super) const LEVEL_LOOK: usize = 9;

/// The maximum size of a table, as a power of two.
const MAX_BITS: u32 = 28;
const MIN_BITS: u32 = 2;
/// The multiplier of the hash of four bytes. It is odd, so that four other bytes have another hash.
const MULTIPLIER: u32 = 1_597_334_677;

/// Returns the number of slots in a table of about `wanted` entries, as a power of two.
pub(super) fn table_bits(wanted: u64) -> u32 {
    wanted.checked_ilog2().unwrap_or(0).clamp(MIN_BITS, MAX_BITS)
}

/// Returns the slot of a 32-bit checksum or hash in a table of `1 << bits` slots.
#[inline(always)]
pub(super) fn slot(checksum: u32, bits: u32) -> u32 {
    (checksum >> (u32::BITS - bits)) ^ (checksum & ((1 << bits) - 1))
}

/// Returns the hash of four bytes, read as a little-endian number.
#[inline(always)]
pub(super) fn hash(four: u32) -> u32 {
    four.wrapping_mul(MULTIPLIER)
}

/// Returns the four bytes from `at` on as a little-endian number; 0 behind the end.
#[inline(always)]
pub(super) fn four(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |&four| u32::from_le_bytes(four))
}

/// A checksum of two 16-bit sums over permuted bytes; it can roll one byte on.
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
            sum.low = sum.low.wrapping_add(u32::from(permuted(byte)));
            sum.high = sum.high.wrapping_add(sum.low);
        }
        sum
    }

    /// Rolls the checksum of `look` bytes one byte on.
    #[inline]
    pub(super) fn roll_on(&mut self, leaves: u8, enters: u8, look: u32) {
        let leaves = u32::from(permuted(leaves));
        self.low = self.low.wrapping_sub(leaves).wrapping_add(u32::from(permuted(enters)));
        self.high = self.high.wrapping_sub(leaves.wrapping_mul(look)).wrapping_add(self.low);
    }

    #[inline]
    pub(super) fn value(self) -> u32 {
        self.high << 16 | self.low & 0xffff
    }
}

#[inline(always)]
pub(super) fn permuted(byte: u8) -> u16 {
    PERMUTATION[usize::from(byte)]
}

/// Writes the permuted bytes to `to`, which is as long.
#[inline]
pub(super) fn permute(bytes: &[u8], to: &mut [u16]) {
    for (permuted_byte, &byte) in to.iter_mut().zip(bytes) {
        *permuted_byte = permuted(byte);
    }
}

/// Returns the checksums, each of [`LEVEL_LOOK`] bytes, at `N` positions in a row; `permuted` has
/// the permuted bytes of all.
///
/// The sums are computed side by side in 16 bits: no more of them ever counts.
#[inline(always)]
pub(super) fn checksums<const N: usize>(permuted: &[u16]) -> [u32; N] {
    let mut sums = [0; N];
    let (mut low, mut high) = ([0u16; N], [0u16; N]);
    for shift in 0..LEVEL_LOOK {
        let Some(bytes) = permuted.get(shift..).and_then(<[u16]>::first_chunk::<N>) else {
            return sums;
        };
        for lane in 0..N {
            low[lane] = low[lane].wrapping_add(bytes[lane]);
            high[lane] = high[lane].wrapping_add(low[lane]);
        }
    }
    for lane in 0..N {
        sums[lane] = u32::from(high[lane]) << 16 | u32::from(low[lane]);
    }
    sums
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

    fn bytes(len: u32) -> Vec<u8> {
        (0..len).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    #[test]
    fn rolling_equals_fresh_sum() {
        let bytes = bytes(300);
        for look in [4usize, 9, 33] {
            for at in 0..bytes.len() - look {
                let here = LargeChecksum::of(&bytes[at..at + look]);
                let next = LargeChecksum::of(&bytes[at + 1..at + 1 + look]);
                let mut on = here;
                on.roll_on(bytes[at], bytes[at + look], look as u32);
                assert_eq!(on.value(), next.value());
            }
        }
    }

    #[test]
    fn lanes_equal_single_sums() {
        let bytes = bytes(60);
        let mut permuted = [0; 60];
        permute(&bytes, &mut permuted);
        for at in 0..20 {
            let sums = checksums::<16>(&permuted[at..]);
            for (lane, &sum) in sums.iter().enumerate() {
                let single = LargeChecksum::of(&bytes[at + lane..at + lane + LEVEL_LOOK]);
                assert_eq!(sum, single.value());
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
}
