//! The range decoder of LZMA: bits, with probabilities and without.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// The number of bits of a probability.
const PROBABILITY_BITS: u32 = 11;
/// The initial probability, one half.
pub(super) const EVEN: u16 = 1 << (PROBABILITY_BITS - 1);
/// The shift of a probability's adaptation: it moves by a 32nd of the remaining difference.
const MOVE_BITS: u32 = 5;
/// The limit below which the range is widened by a byte.
const RANGE_FLOOR: u64 = 1 << 24;

/// Returns the entry of a table whose length is a power of two; the index is masked to it.
#[inline(always)]
#[allow(clippy::indexing_slicing)] // the mask keeps the index below N
#[allow(clippy::arithmetic_side_effects)] // N is not 0, by the assertion
pub(super) fn pick<T, const N: usize>(table: &mut [T; N], index: usize) -> &mut T {
    const { assert!(N.is_power_of_two()) };
    &mut table[index & (N - 1)]
}

#[derive(Debug)]
pub(super) struct RangeDecoder<'a> {
    // Both fit into 32 bits; more let a subtraction show its sign.
    range: u64,
    code: u64,
    input: &'a [u8],
    at: usize,
}

impl<'a> RangeDecoder<'a> {
    /// Creates a decoder; `None` if the first byte is not the zero that every range coder begins
    /// with.
    pub(super) fn new(input: &'a [u8]) -> Option<Self> {
        let mut coder = Self { range: u32::MAX.into(), code: 0, input, at: 0 };
        let first = coder.next();
        for _ in 0..4 {
            coder.code = coder.code << 8 | coder.next();
        }
        (first == 0).then_some(coder)
    }

    /// Returns the next byte; zeros after the end, which [`is_finished`](Self::is_finished)
    /// detects.
    #[inline(always)]
    fn next(&mut self) -> u64 {
        let byte = self.input.get(self.at).copied().unwrap_or(0);
        self.at = self.at.wrapping_add(1);
        u64::from(byte)
    }

    #[inline(always)]
    fn normalize(&mut self) {
        if self.range < RANGE_FLOOR {
            self.range <<= 8;
            // Only a code that no encoder writes is not below the range and loses bits.
            self.code = (self.code << 8 | self.next()) & u64::from(u32::MAX);
        }
    }

    /// Returns whether the input was used up exactly and the coder is in the final state of an
    /// encoder.
    pub(super) fn is_finished(&mut self) -> bool {
        self.normalize();
        self.code == 0 && self.at == self.input.len()
    }

    #[inline(always)]
    pub(super) fn bit(&mut self, probability: &mut u16) -> bool {
        self.normalize();
        let bound = (self.range >> PROBABILITY_BITS).wrapping_mul(u64::from(*probability));
        if self.code < bound {
            self.range = bound;
            *probability = probability
                .wrapping_add((1u16 << PROBABILITY_BITS).wrapping_sub(*probability) >> MOVE_BITS);
            false
        } else {
            self.range = self.range.wrapping_sub(bound);
            self.code = self.code.wrapping_sub(bound);
            *probability = probability.wrapping_sub(*probability >> MOVE_BITS);
            true
        }
    }

    /// Reads a bit as [`bit`](Self::bit) does, but without a branch: where bits are as good as
    /// random, half of the branches would be predicted wrongly.
    #[inline(always)]
    pub(super) fn branchless_bit(&mut self, probability: &mut u16) -> usize {
        self.normalize();
        let even = u64::from(*probability);
        let bound = (self.range >> PROBABILITY_BITS).wrapping_mul(even);
        let code = self.code.wrapping_sub(bound);
        // All ones if the bit is 0, since both were below 2^32.
        let zero = (code as i64 >> 63) as u64;
        self.code = code.wrapping_add(bound & zero);
        let above = self.range.wrapping_sub(bound);
        self.range = above.wrapping_add(bound.wrapping_sub(above) & zero);
        // A zero adds a 32nd of the difference to one, a one subtracts a 32nd, rounded down.
        let to = zero as u32 & ((1 << PROBABILITY_BITS) - (1 << MOVE_BITS) + 1);
        let change = (even as u32).wrapping_sub(to) as i32 >> MOVE_BITS;
        *probability = (even as u32).wrapping_sub(change as u32) as u16;
        zero.wrapping_add(1) as usize
    }

    /// Reads a symbol, highest bit first.
    #[inline(always)]
    pub(super) fn tree<const N: usize>(&mut self, probabilities: &mut [u16; N]) -> usize {
        let mut symbol = 1usize;
        for _ in 0..N.trailing_zeros() {
            symbol = symbol << 1 | self.branchless_bit(pick(probabilities, symbol));
        }
        symbol.wrapping_sub(N)
    }

    /// Reads a symbol of `bits` bits, lowest bit first, with probabilities from `first` on.
    #[inline(always)]
    pub(super) fn reverse_tree<const N: usize>(
        &mut self,
        probabilities: &mut [u16; N],
        first: usize,
        bits: u32,
    ) -> u32 {
        let mut node = 1usize;
        let mut symbol = 0u32;
        for shift in 0..bits {
            let bit = self.branchless_bit(pick(probabilities, first.wrapping_add(node)));
            node = node << 1 | bit;
            symbol |= (bit as u32).wrapping_shl(shift);
        }
        symbol
    }

    /// Reads a number of `bits` bits without probabilities.
    #[inline(always)]
    pub(super) fn direct(&mut self, bits: u32) -> u32 {
        let mut value = 0u32;
        for _ in 0..bits {
            self.normalize();
            self.range >>= 1;
            let bit = self.code >= self.range;
            if bit {
                self.code = self.code.wrapping_sub(self.range);
            }
            value = value << 1 | u32::from(bit);
        }
        value
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    /// For any input, also those that no encoder writes.
    #[test]
    fn branchless_bit_equals_bit() {
        let mut random = 1u32;
        let mut next = || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8
        };
        for start in [0x00, 0x55, 0xff] {
            let mut input = vec![start; 5];
            input[0] = 0;
            input.extend((0..4000).map(|_| next()));
            let mut plain = RangeDecoder::new(&input).unwrap();
            let mut branchless = RangeDecoder::new(&input).unwrap();
            let (mut probability, mut same) = (EVEN, EVEN);
            while plain.at < input.len() + 10 {
                let bit = usize::from(plain.bit(&mut probability));
                assert_eq!(bit, branchless.branchless_bit(&mut same));
                assert_eq!(
                    (plain.range, plain.code, plain.at, probability),
                    (branchless.range, branchless.code, branchless.at, same)
                );
            }
        }
    }
}
