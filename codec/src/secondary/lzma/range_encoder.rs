//! The LZMA range encoder: turns decisions and their probabilities into bytes.
//!
//! The code of a decision has no branch that depends on the decision or on the range: both are
//! as good as random, and a mispredicted branch costs more than a decision.

/// The initial probability, one half: probabilities are fractions of 2048.
pub(super) const EVEN: u16 = 1024;
const PROBABILITY_BITS: u32 = 11;
/// The shift of a probability's adaptation.
const ADAPTION_SHIFT: u32 = 5;
/// What rounds the adaptation towards 0 also if it is upwards.
const ADAPTION_ROUNDING: u32 = (1 << ADAPTION_SHIFT) - 1;
/// The limit below which the range is widened by a byte.
const NARROW: u32 = 1 << 24;

/// The maximum number of bytes held above the lower 32 bits of [`RangeEncoder::low`].
const MOST_HELD: u32 = 3;
/// The size of the buffer in bytes: a chunk ends before 64 KiB.
const BUFFER: usize = 1 << 16;

/// The bytes of one LZMA2 chunk under construction. Widening happens before a decision, never after
/// it: the number of bytes written at a given moment determines where a chunk ends.
#[derive(Debug)]
pub(super) struct RangeEncoder {
    bytes: Box<[u8]>,
    /// The number of bytes written; the first is always 0.
    len: usize,
    /// The low end of the range in 32 bits, below the bytes that are not written yet and a carry.
    low: u64,
    range: u32,
    /// The number of bits that are not written yet, a multiple of 8.
    held_bits: u32,
}

impl RangeEncoder {
    pub(super) fn new() -> Self {
        let bytes = vec![0; BUFFER].into_boxed_slice();
        Self { bytes, len: 1, low: 0, range: u32::MAX, held_bits: 0 }
    }

    /// Resets everything, as at the start of a chunk.
    pub(super) fn restart(&mut self) {
        self.bytes[0] = 0;
        self.len = 1;
        self.low = 0;
        self.range = u32::MAX;
        self.held_bits = 0;
    }

    /// Returns the length of the chunk in bytes if it were finished now.
    #[inline(always)]
    pub(super) fn finished_len(&self) -> usize {
        self.len + self.held_bits as usize / 8 + 4
    }

    /// Writes the bytes held back and returns the chunk.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.widen();
        self.flush();
        self.bytes[self.len..self.len + 4].copy_from_slice(&(self.low as u32).to_be_bytes());
        self.len += 4;
        &self.bytes[..self.len]
    }

    /// Encodes `bit`, which is 0 or 1; `probability` is that of 0.
    #[inline(always)]
    pub(super) fn bit(&mut self, probability: &mut u16, bit: u32) {
        self.widen();
        let ones = bit.wrapping_neg();
        let before = u32::from(*probability);
        // A 1 takes what a 0 leaves of the range.
        let unit = self.range >> PROBABILITY_BITS;
        let of_zero = unit * before;
        let remainder = self.range & ((1 << PROBABILITY_BITS) - 1);
        let share = (before ^ ones).wrapping_add(((1 << PROBABILITY_BITS) + 1) & ones);
        self.range = unit * share + (remainder & ones);
        self.low += u64::from(of_zero & ones);
        let upwards = ((1 << PROBABILITY_BITS) - ADAPTION_ROUNDING) & !ones;
        let change = before.wrapping_sub(upwards) as i32 >> ADAPTION_SHIFT;
        *probability = before.wrapping_sub(change as u32) as u16;
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
        let path = (1 << bits) | value;
        for shift in (0..bits).rev() {
            let node = (path >> (shift + 1)) as usize;
            self.bit(&mut probabilities[node & (N - 1)], (value >> shift) & 1);
        }
    }

    /// Encodes bits in the same way, the least significant first; `probabilities[node - 1]` belongs
    /// to `node`.
    #[inline]
    pub(super) fn reversed_tree(&mut self, probabilities: &mut [u16], bits: u32, value: u32) {
        let mut node = 1usize;
        for shift in 0..bits {
            let bit = (value >> shift) & 1;
            self.bit(&mut probabilities[node - 1], bit);
            node = node * 2 + bit as usize;
        }
    }

    /// Encodes bits as equally likely.
    #[inline]
    pub(super) fn direct(&mut self, bits: u32, value: u32) {
        for shift in (0..bits).rev() {
            self.widen();
            self.range >>= 1;
            let ones = ((value >> shift) & 1).wrapping_neg();
            self.low += u64::from(self.range & ones);
        }
    }

    #[inline(always)]
    fn widen(&mut self) {
        if self.held_bits == 8 * MOST_HELD {
            self.flush();
        }
        let bits = u32::from(self.range < NARROW) * 8;
        self.range <<= bits;
        self.low <<= bits;
        self.held_bits += bits;
    }

    /// Writes the bytes held back and adds the carry to those before.
    #[inline]
    fn flush(&mut self) {
        let held = self.low >> 32;
        let (start, count) = (self.len, self.held_bits / 8);
        let next = (held << (32 - self.held_bits)) as u32;
        self.bytes[start..start + 4].copy_from_slice(&next.to_be_bytes());
        if held >> self.held_bits != 0 {
            for byte in self.bytes[..start].iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
        self.len += count as usize;
        self.low &= u64::from(u32::MAX);
        self.held_bits = 0;
    }
}
