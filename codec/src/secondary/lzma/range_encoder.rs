//! The LZMA range encoder: turns decisions and their probabilities into bytes.

/// The initial probability, one half: probabilities are fractions of 2048.
pub(super) const EVEN: u16 = 1024;
const PROBABILITY_BITS: u32 = 11;
/// The shift of a probability's adaptation.
const ADAPTION_SHIFT: u32 = 5;
/// The limit below which the range is widened by a byte.
const NARROW: u32 = 1 << 24;

/// The bytes of one LZMA2 chunk under construction. Widening happens before a decision, never after
/// it: the number of bytes written at a given moment determines where a chunk ends.
#[derive(Debug)]
pub(super) struct RangeEncoder {
    bytes: Vec<u8>,
    low: u64,
    range: u32,
    /// The byte held back because a carry may still change it, followed by `held - 1` bytes of
    /// 0xff.
    cache: u8,
    held: usize,
}

impl RangeEncoder {
    pub(super) fn new(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), low: 0, range: u32::MAX, cache: 0, held: 1 }
    }

    /// Resets everything, as at the start of a chunk.
    pub(super) fn restart(&mut self) {
        self.bytes.clear();
        self.low = 0;
        self.range = u32::MAX;
        self.cache = 0;
        self.held = 1;
    }

    /// Returns the length of the chunk in bytes if it were finished now.
    pub(super) fn finished_len(&self) -> usize {
        self.bytes.len() + self.held + 4
    }

    /// Writes the bytes held back and returns the chunk.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.widen();
        for _ in 0..5 {
            self.shift_low();
        }
        &self.bytes
    }

    #[inline(always)]
    pub(super) fn bit(&mut self, probability: &mut u16, bit: bool) {
        self.widen();
        let bound = (self.range >> PROBABILITY_BITS) * u32::from(*probability);
        if bit {
            self.low += u64::from(bound);
            self.range -= bound;
            *probability -= *probability >> ADAPTION_SHIFT;
        } else {
            self.range = bound;
            *probability += ((1 << PROBABILITY_BITS) - *probability) >> ADAPTION_SHIFT;
        }
    }

    /// Encodes the lowest `bits` bits of `value`, most significant first, each in the context of
    /// those before it.
    #[inline(always)]
    pub(super) fn tree<const N: usize>(
        &mut self,
        probabilities: &mut [u16; N],
        bits: u32,
        value: u32,
    ) {
        let mut node = 1usize;
        for shift in (0..bits).rev() {
            let bit = (value >> shift) & 1;
            self.bit(&mut probabilities[node & (N - 1)], bit != 0);
            node = node * 2 + bit as usize;
        }
    }

    /// Encodes bits in the same way, the least significant first; `probabilities[node - 1]` belongs
    /// to `node`.
    #[inline]
    pub(super) fn reversed_tree(&mut self, probabilities: &mut [u16], bits: u32, value: u32) {
        let mut node = 1usize;
        for shift in 0..bits {
            let bit = (value >> shift) & 1;
            self.bit(&mut probabilities[node - 1], bit != 0);
            node = node * 2 + bit as usize;
        }
    }

    /// Encodes bits as equally likely.
    #[inline]
    pub(super) fn direct(&mut self, bits: u32, value: u32) {
        for shift in (0..bits).rev() {
            self.widen();
            self.range >>= 1;
            if (value >> shift) & 1 != 0 {
                self.low += u64::from(self.range);
            }
        }
    }

    #[inline(always)]
    fn widen(&mut self) {
        if self.range < NARROW {
            self.range <<= 8;
            self.shift_low();
        }
    }

    fn shift_low(&mut self) {
        let carry = (self.low >> 32) as u8;
        if carry != 0 || self.low < 0xff00_0000 {
            self.bytes.push(self.cache.wrapping_add(carry));
            for _ in 1..self.held {
                self.bytes.push(0xff_u8.wrapping_add(carry));
            }
            self.held = 0;
            self.cache = (self.low >> 24) as u8;
        }
        self.held += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }
}
