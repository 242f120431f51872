//! The DJW decoder: reads the codes of a section, then its symbols.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::move_to_front::FrontDecoder;
use super::{
    BYTES, GROUP_BITS, LENGTH_BITS, LENGTH_COUNT_BITS, LIKELY_LENGTHS, LONGEST, MIN_LENGTHS,
    SECTOR_BITS, SECTOR_UNIT, SELECTOR_LENGTH_BITS,
};
use crate::error::{Fault, HuffmanFault};
use crate::secondary::bits::BitReader;

/// The length of the longest code that is looked up in one step, in bits; the tables of eight
/// groups fit the first-level cache of a processor.
const QUICK_BITS: u32 = 10;

/// Appends a section of `len` bytes, which must use all of `input`.
pub(in crate::secondary) fn decode_section(
    input: &[u8],
    len: usize,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let mut bits = BitReader::new(input);
    let groups = (bits.number(GROUP_BITS)? as usize).saturating_add(1);
    if groups == 1 {
        let codes = read_codes(groups, &mut bits)?;
        for _ in 0..len {
            let code = codes.first().ok_or(HuffmanFault::Code)?;
            out.push(code.symbol(&mut bits)?);
        }
        return bits.finish();
    }
    let sector = (bits.number(SECTOR_BITS)? as usize).saturating_add(1).saturating_mul(SECTOR_UNIT);
    let codes = read_codes(groups, &mut bits)?;
    let picks = read_selectors(groups, len.div_ceil(sector), &mut bits)?;
    let mut left = len;
    for pick in picks {
        let code = codes.get(usize::from(pick)).ok_or(HuffmanFault::Code)?;
        for _ in 0..sector.min(left) {
            out.push(code.symbol(&mut bits)?);
        }
        left = left.saturating_sub(sector);
    }
    bits.finish()
}

/// Reads the lengths of all codes, which are coded themselves. The first group has a length for
/// every byte, the other groups for those bytes whose length in the first group is not 0.
fn read_codes(groups: usize, bits: &mut BitReader<'_>) -> Result<Vec<Code>, Fault> {
    let count = (bits.number(LENGTH_COUNT_BITS)? as usize).saturating_add(MIN_LENGTHS);
    let of_lengths = read_code(count, LENGTH_BITS, bits)?;
    let mut front = FrontDecoder::new(&LIKELY_LENGTHS);
    let mut length = || front.value(|| of_lengths.symbol(bits));
    let mut first = [0; BYTES];
    for len in &mut first {
        *len = length()?;
    }
    let mut codes = vec![Code::new(&first)?];
    for _ in 1..groups {
        let mut lengths = first;
        for len in lengths.iter_mut().filter(|len| **len > 0) {
            *len = length()?;
        }
        codes.push(Code::new(&lengths)?);
    }
    front.finish()?;
    Ok(codes)
}

/// Reads the group of each sector.
fn read_selectors(
    groups: usize,
    sectors: usize,
    bits: &mut BitReader<'_>,
) -> Result<Vec<u8>, Fault> {
    let of_selectors = read_code(groups.saturating_add(1), SELECTOR_LENGTH_BITS, bits)?;
    let list: Vec<u8> = (0..groups as u8).collect();
    let mut front = FrontDecoder::new(&list);
    let mut picks = Vec::with_capacity(sectors);
    for _ in 0..sectors {
        picks.push(front.value(|| of_selectors.symbol(bits))?);
    }
    front.finish()?;
    Ok(picks)
}

/// Reads a code of `symbols` symbols whose lengths are stored uncoded.
fn read_code(symbols: usize, length_bits: u32, bits: &mut BitReader<'_>) -> Result<Code, Fault> {
    let mut lengths = Vec::with_capacity(symbols);
    for _ in 0..symbols {
        lengths.push(bits.number(length_bits)? as u8);
    }
    Code::new(&lengths)
}

/// A canonical Huffman code.
#[derive(Debug)]
struct Code {
    /// Symbol and length by the next [`QUICK_BITS`] bits, the first one lowest; length 0 for longer
    /// codes.
    quick: Vec<(u8, u8)>,
    /// The number of codes of each length, from 0.
    counts: [u32; LONGEST + 1],
    /// The symbols in the order of their codes.
    symbols: Vec<u8>,
}

impl Code {
    fn new(lengths: &[u8]) -> Result<Self, Fault> {
        let mut counts = [0u32; LONGEST + 1];
        for &len in lengths.iter().filter(|&&len| len > 0) {
            let count = counts.get_mut(usize::from(len)).ok_or(HuffmanFault::Lengths)?;
            *count = count.saturating_add(1);
        }
        // A length may not have more codes than are free; with fewer, some codes are unused.
        let mut free = 1u32;
        for &count in counts.iter().skip(1) {
            free = free.saturating_mul(2).checked_sub(count).ok_or(HuffmanFault::Lengths)?;
        }
        let mut code = Self {
            quick: vec![(0, 0); 1 << QUICK_BITS],
            counts,
            symbols: Vec::with_capacity(lengths.len()),
        };
        let mut next = 0u32;
        for len in 1..=LONGEST as u32 {
            for (symbol, _) in
                lengths.iter().enumerate().filter(|&(_, &other)| u32::from(other) == len)
            {
                code.symbols.push(symbol as u8);
                code.look_up_at_once(next, len, symbol as u8);
                next = next.saturating_add(1);
            }
            next = next.saturating_mul(2);
        }
        Ok(code)
    }

    fn look_up_at_once(&mut self, code: u32, len: u32, symbol: u8) {
        if len > QUICK_BITS {
            return;
        }
        let start = code.reverse_bits() >> u32::BITS.saturating_sub(len);
        for entry in self.quick.iter_mut().skip(start as usize).step_by(1 << len) {
            *entry = (symbol, len as u8);
        }
    }

    #[inline]
    fn symbol(&self, bits: &mut BitReader<'_>) -> Result<u8, Fault> {
        let ahead = bits.peek();
        let (symbol, len) =
            self.quick.get(ahead as usize & ((1 << QUICK_BITS) - 1)).copied().unwrap_or_default();
        if len > 0 {
            bits.take(u32::from(len))?;
            return Ok(symbol);
        }
        self.long_symbol(ahead, bits)
    }

    fn long_symbol(&self, ahead: u32, bits: &mut BitReader<'_>) -> Result<u8, Fault> {
        // The first code of the current length, the code read so far, and the number of symbols
        // with shorter codes.
        let (mut first, mut code, mut shorter) = (0u32, 0u32, 0u32);
        let mut rest = ahead;
        for (len, &count) in (1..).zip(self.counts.iter().skip(1)) {
            code = code << 1 | rest & 1;
            rest >>= 1;
            first <<= 1;
            if let Some(index) = code.checked_sub(first).filter(|&index| index < count) {
                bits.take(len)?;
                let symbol = self.symbols.get(shorter.saturating_add(index) as usize);
                return symbol.copied().ok_or_else(|| HuffmanFault::Code.into());
            }
            first = first.saturating_add(count);
            shorter = shorter.saturating_add(count);
        }
        Err(HuffmanFault::Code.into())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::error::DecodeErrorKind;
    use crate::secondary::bits::BitWriter;
    use crate::secondary::djw::lengths::{code_lengths, codes};

    #[test]
    fn all_code_lengths_round_trip() {
        let frequencies: Vec<u32> = (0..40).map(|n| 1 << (n / 2)).collect();
        let (lengths, _) = code_lengths(&frequencies, LONGEST);
        assert!(lengths.iter().any(|&len| u32::from(len) > QUICK_BITS));
        let (codes, code) = (codes(&lengths), Code::new(&lengths).unwrap());
        let mut out = Vec::new();
        let mut bits = BitWriter::new(&mut out);
        (0..1000).for_each(|n| bits.number(codes[n * 7 % 40], u32::from(lengths[n * 7 % 40])));
        bits.finish();
        let mut bits = BitReader::new(&out);
        for n in 0..1000 {
            assert_eq!(usize::from(code.symbol(&mut bits).unwrap()), n * 7 % 40);
        }
        bits.finish().unwrap();
    }

    /// Lengths that no code can have, and codes without a symbol.
    #[test]
    fn invalid_codes_are_rejected() {
        let rejected = |lengths: &[u8]| Code::new(lengths).unwrap_err().kind;
        assert_eq!(rejected(&[1, 1, 1]), DecodeErrorKind::Huffman(HuffmanFault::Lengths));
        assert_eq!(rejected(&[1, 2, 2, 2]), DecodeErrorKind::Huffman(HuffmanFault::Lengths));
        assert_eq!(rejected(&[21]), DecodeErrorKind::Huffman(HuffmanFault::Lengths));
        for lengths in [&[2u8, 2][..], &[0, 0], &[12, 12]] {
            let code = Code::new(lengths).unwrap();
            let fault = code.symbol(&mut BitReader::new(&[0xff; 8])).unwrap_err();
            assert_eq!(fault.kind, DecodeErrorKind::Huffman(HuffmanFault::Code));
        }
    }
}
