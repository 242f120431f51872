//! Bits as DJW and FGK store them: from the least significant bit of each byte upwards, numbers
//! with their highest bit first.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::{Fault, HuffmanFault};

/// A writer that appends bits to bytes; unused bits of the last byte are zero.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    byte: u8,
    filled: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, byte: 0, filled: 0 }
    }

    #[inline]
    pub(super) fn bit(&mut self, bit: bool) {
        self.byte |= u8::from(bit) << self.filled;
        self.filled = self.filled.wrapping_add(1);
        if self.filled == u8::BITS {
            self.out.push(self.byte);
            (self.byte, self.filled) = (0, 0);
        }
    }

    /// Appends the low `bits` of `value`, the highest of them first.
    #[inline]
    pub(super) fn number(&mut self, value: u32, bits: u32) {
        for shift in (0..bits).rev() {
            self.bit(value >> shift & 1 != 0);
        }
    }

    /// Returns the number of whole bytes in the output so far, including those before this writer.
    pub(super) fn bytes(&self) -> usize {
        self.out.len()
    }

    pub(super) fn finish(self) {
        if self.filled > 0 {
            self.out.push(self.byte);
        }
    }
}

/// A reader of bits from bytes.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    /// The next bits, the first one lowest; zeros above the `filled` ones.
    bits: u64,
    filled: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, bits: 0, filled: 0 }
    }

    /// Refills the buffer to more than 32 bits, if the bytes have as many.
    #[inline]
    fn fill(&mut self) {
        if self.filled > u32::BITS {
            return;
        }
        if let Some((word, rest)) = self.rest.split_first_chunk::<4>() {
            self.bits |= u64::from(u32::from_le_bytes(*word)) << self.filled;
            self.filled = self.filled.wrapping_add(u32::BITS);
            self.rest = rest;
        } else {
            for &byte in self.rest {
                self.bits |= u64::from(byte) << self.filled;
                self.filled = self.filled.wrapping_add(u8::BITS);
            }
            self.rest = &[];
        }
    }

    /// Returns the next 32 bits without taking them, the first one lowest; zeros after the end.
    #[inline]
    pub(super) fn peek(&mut self) -> u32 {
        self.fill();
        self.bits as u32
    }

    /// Takes up to 32 bits.
    #[inline]
    pub(super) fn take(&mut self, bits: u32) -> Result<(), Fault> {
        self.fill();
        self.filled = self.filled.checked_sub(bits).ok_or(HuffmanFault::Ends)?;
        self.bits >>= bits;
        Ok(())
    }

    #[inline]
    pub(super) fn bit(&mut self) -> Result<bool, Fault> {
        let bit = self.peek() & 1 != 0;
        self.take(1)?;
        Ok(bit)
    }

    /// Reads a number of up to 32 bits, the highest first.
    #[inline]
    pub(super) fn number(&mut self, bits: u32) -> Result<u32, Fault> {
        if bits == 0 {
            return Ok(0);
        }
        let number = self.peek().reverse_bits() >> u32::BITS.saturating_sub(bits);
        self.take(bits)?;
        Ok(number)
    }

    /// Checks that only the zero bits that fill the last byte are left.
    pub(super) fn finish(self) -> Result<(), Fault> {
        let left = self.rest.len().saturating_add((self.filled / u8::BITS) as usize);
        if left > 0 {
            return Err(HuffmanFault::Left { left: left as u64 }.into());
        }
        if self.bits != 0 {
            return Err(HuffmanFault::Padding.into());
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;
    use crate::error::DecodeErrorKind;

    /// The first bit is the lowest of its byte.
    #[test]
    fn numbers_round_trip() {
        let mut out = vec![7];
        let mut writer = BitWriter::new(&mut out);
        writer.number(0b101, 3);
        writer.number(0b1, 6);
        writer.finish();
        assert_eq!(out, [7, 0b0000_0101, 0b0000_0001]);

        let mut out = Vec::new();
        let mut writer = BitWriter::new(&mut out);
        let numbers: Vec<(u32, u32)> =
            (0..2000u32).map(|n| (n.wrapping_mul(2_654_435_761), n % 33)).collect();
        numbers.iter().for_each(|&(number, bits)| writer.number(number, bits));
        writer.finish();
        let mut reader = BitReader::new(&out);
        for (number, bits) in numbers {
            assert_eq!(
                reader.number(bits).unwrap(),
                (u64::from(number) & ((1 << bits) - 1)) as u32
            );
        }
        reader.finish().unwrap();
    }

    /// Leftover bytes are counted, and the unused bits of the last byte must be zero.
    #[test]
    fn finish_rejects_leftover_bits() {
        let kind = |bytes: &[u8], taken: u32| {
            let mut reader = BitReader::new(bytes);
            reader.number(taken).and_then(|_| reader.finish()).map_err(|fault| fault.kind)
        };
        assert_eq!(kind(&[0xff, 0x01], 9), Ok(()));
        assert_eq!(kind(&[0xff, 0x02], 9), Err(DecodeErrorKind::Huffman(HuffmanFault::Padding)));
        assert_eq!(
            kind(&[0xff, 0x02], 8),
            Err(DecodeErrorKind::Huffman(HuffmanFault::Left { left: 1 }))
        );
        assert_eq!(kind(&[0; 9], 1), Err(DecodeErrorKind::Huffman(HuffmanFault::Left { left: 8 })));
        assert_eq!(kind(&[0xff], 9), Err(DecodeErrorKind::Huffman(HuffmanFault::Ends)));
        assert_eq!(kind(&[], 1), Err(DecodeErrorKind::Huffman(HuffmanFault::Ends)));
    }
}
