//! Hash functions of the zlib family, each of the next three or four bytes.

/// A hash of the bytes at a position.
pub(crate) trait Hash {
    /// Returns the hash of four bytes, the first one lowest, below 2^16.
    fn of(&self, four: u32) -> usize;
}

/// zlib's rolling hash of three bytes, of `8 + memLevel - 1` bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rolling {
    shift: u32,
    mask: u32,
}

impl Rolling {
    pub(crate) fn new(bits: u32) -> Self {
        Self { shift: bits.div_ceil(3), mask: (1 << bits) - 1 }
    }
}

impl Hash for Rolling {
    #[inline]
    fn of(&self, four: u32) -> usize {
        let (a, b, c) = (four & 0xff, four >> 8 & 0xff, four >> 16 & 0xff);
        ((a << (2 * self.shift) ^ b << self.shift ^ c) & self.mask) as usize
    }
}

/// The multiplication of Chromium's zlib, of four bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    pub(crate) bits: u32,
}

impl Hash for Product {
    #[inline]
    fn of(&self, four: u32) -> usize {
        let product = four.wrapping_mul(66_521).wrapping_add(66_521);
        (product >> 16 & ((1 << self.bits) - 1)) as usize
    }
}

/// The multiplication of zlib-ng, of four bytes and 16 bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Golden;

impl Hash for Golden {
    #[inline]
    fn of(&self, four: u32) -> usize {
        (four.wrapping_mul(2_654_435_761) >> 16) as usize
    }
}

/// The CRC-32C of Chromium's zlib on processors with an instruction for it, of four bytes or, from
/// level 6 on, of three and a zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crc {
    pub(crate) bits: u32,
    pub(crate) mask: u32,
}

/// The Castagnoli polynomial, reversed.
const CASTAGNOLI: u32 = 0x82f6_3b78;

/// The CRC-32C of each byte.
static CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ ((crc & 1) * CASTAGNOLI);
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

impl Hash for Crc {
    #[inline]
    fn of(&self, four: u32) -> usize {
        let mut crc = four & self.mask;
        for _ in 0..4 {
            crc = (crc >> 8) ^ CRC_TABLE[(crc & 0xff) as usize];
        }
        (crc & ((1 << self.bits) - 1)) as usize
    }
}
