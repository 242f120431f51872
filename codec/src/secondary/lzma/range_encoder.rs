//! The LZMA range encoder: turns decisions and their probabilities into bytes.
//!
//! The code of a decision has no branch that depends on the decision or on the range: both are
//! as good as random, and a mispredicted branch costs more than a decision.

use std::hint::select_unpredictable;

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

/// The range of the code under construction.
#[derive(Debug, Clone, Copy)]
struct Range {
    /// The low end in 32 bits, below the bytes that are not written yet and a carry.
    low: u64,
    size: u32,
    /// The number of bits that are not written yet, a multiple of 8.
    held_bits: u32,
}

impl Range {
    const FULL: Self = Self { low: 0, size: u32::MAX, held_bits: 0 };

    /// Multiplies the range by 256 if it is narrow.
    #[inline(always)]
    fn widen(&mut self) {
        let narrow = self.size < NARROW;
        self.size = select_unpredictable(narrow, self.size << 8, self.size);
        self.low = select_unpredictable(narrow, self.low << 8, self.low);
        self.held_bits += u32::from(narrow) * 8;
    }

    #[inline(always)]
    fn clear_held(&mut self) {
        self.low &= u64::from(u32::MAX);
        self.held_bits = 0;
    }

    /// Narrows the range to the part of `bit`, which is 0 or 1; `probability` is that of 0.
    #[inline(always)]
    fn narrow(&mut self, probability: &mut u16, bit: u32) {
        let ones = bit.wrapping_neg();
        let before = u32::from(*probability);
        let unit = self.size >> PROBABILITY_BITS;
        let of_zero = unit * before;
        // A 1 takes what a 0 leaves, which includes the remainder of the division.
        let share = (before ^ ones).wrapping_add(((1 << PROBABILITY_BITS) + 1) & ones);
        let remainder = self.size & ((1 << PROBABILITY_BITS) - 1) & ones;
        self.size = unit * share + remainder;
        self.low += u64::from(of_zero & ones);
        let upwards = ((1 << PROBABILITY_BITS) - ADAPTION_ROUNDING) & !ones;
        let change = before.wrapping_sub(upwards) as i32 >> ADAPTION_SHIFT;
        *probability = before.wrapping_sub(change as u32) as u16;
    }
}

/// The bytes of one LZMA2 chunk under construction. Widening happens before a decision, never after
/// it: the number of bytes written at a given moment determines where a chunk ends.
#[derive(Debug)]
pub(super) struct RangeEncoder {
    bytes: Box<[u8]>,
    /// The number of bytes written; the first is always 0.
    len: usize,
    range: Range,
}

impl RangeEncoder {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BUFFER].into_boxed_slice(), len: 1, range: Range::FULL }
    }

    /// Resets everything, as at the start of a chunk.
    pub(super) fn restart(&mut self) {
        self.bytes[0] = 0;
        self.len = 1;
        self.range = Range::FULL;
    }

    /// Returns the length of the chunk in bytes if it were finished now.
    #[inline(always)]
    pub(super) fn finished_len(&self) -> usize {
        self.len + self.range.held_bits as usize / 8 + 4
    }

    /// Writes the bytes held back and returns the chunk.
    pub(super) fn finish(&mut self) -> &[u8] {
        let mut range = self.range;
        self.make_space(&mut range);
        range.widen();
        self.write(range.low, range.held_bits);
        self.bytes[self.len..self.len + 4].copy_from_slice(&(range.low as u32).to_be_bytes());
        self.len += 4;
        &self.bytes[..self.len]
    }

    /// Encodes `bit`, which is 0 or 1; `probability` is that of 0.
    #[inline(always)]
    pub(super) fn bit(&mut self, probability: &mut u16, bit: u32) {
        let mut range = self.range;
        self.bit_in(&mut range, probability, bit);
        self.range = range;
    }

    #[inline(always)]
    fn bit_in(&mut self, range: &mut Range, probability: &mut u16, bit: u32) {
        self.make_space(range);
        range.widen();
        range.narrow(probability, bit);
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

    /// Encodes a bit of 0 and then the eight bits of a byte, as [`bit`](Self::bit) and
    /// [`tree`](Self::tree) do.
    #[inline(always)]
    pub(super) fn literal(&mut self, is_match: &mut u16, probabilities: &mut [u16; 256], byte: u8) {
        let path = 0x100 | u32::from(byte);
        let mut range = self.range;
        self.bit_in(&mut range, is_match, 0);
        macro_rules! bit {
            ($shift:literal) => {
                let node = (path >> ($shift + 1)) as usize & 0xff;
                self.bit_in(&mut range, &mut probabilities[node], (path >> $shift) & 1);
            };
        }
        bit!(7);
        bit!(6);
        bit!(5);
        bit!(4);
        bit!(3);
        bit!(2);
        bit!(1);
        bit!(0);
        self.write(range.low, range.held_bits);
        range.clear_held();
        self.range = range;
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
        let mut range = self.range;
        for shift in (0..bits).rev() {
            self.make_space(&mut range);
            range.widen();
            range.size >>= 1;
            let ones = ((value >> shift) & 1).wrapping_neg();
            range.low += u64::from(range.size & ones);
        }
        self.range = range;
    }

    /// Writes the bytes held back if there is no space for one more.
    #[inline(always)]
    fn make_space(&mut self, range: &mut Range) {
        if range.held_bits == 8 * MOST_HELD {
            self.write_full(range.low);
            range.clear_held();
        }
    }

    #[cold]
    #[inline(never)]
    fn write_full(&mut self, low: u64) {
        self.write(low, 8 * MOST_HELD);
    }

    /// Writes the bytes held back, and adds the carry to those before.
    #[inline(always)]
    fn write(&mut self, low: u64, held_bits: u32) {
        let held = low >> 32;
        let start = self.len;
        let next = (held << (32 - held_bits)) as u32;
        self.bytes[start..start + 4].copy_from_slice(&next.to_be_bytes());
        let carry = (held >> held_bits) as u8;
        let before = &mut self.bytes[start - 1];
        *before = before.wrapping_add(carry);
        if *before < carry {
            self.carry_on(start - 1);
        }
        self.len = start + held_bits as usize / 8;
    }

    /// Adds a carry to the bytes before `end`.
    #[cold]
    #[inline(never)]
    fn carry_on(&mut self, end: usize) {
        for byte in self.bytes[..end].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
#[path = "range_encoder_tests.rs"]
mod tests;
