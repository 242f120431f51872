//! Decoding of prefix codes: a table for short code words, counts for long ones.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]
// A code has at most 288 words of at most 15 bits.
#![allow(clippy::arithmetic_side_effects)]

use crate::bits::BitReader;
use crate::error::ParseErrorKind;
use crate::huffman::{LONGEST, count_lengths};

/// The maximum length of a code word in the table.
const SHORT: u32 = 10;

/// A table that decodes a prefix code, which may be incomplete.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The symbol times 16 plus the length of its code word, or 0, for each value of the next
    /// [`SHORT`] bits.
    short: Box<[u16; 1 << SHORT]>,
    /// The number of code words of each length.
    counts: [u16; LONGEST + 1],
    /// The symbols in order of length, then symbol.
    symbols: Vec<u16>,
}

impl Table {
    /// Creates the table.
    ///
    /// # Errors
    ///
    /// Fails if the lengths are over-subscribed.
    pub(crate) fn new(lengths: &[u8]) -> Result<Self, ParseErrorKind> {
        let counts = count_lengths(lengths);
        let mut room = 1i32;
        for &count in counts.iter().skip(1) {
            room = room * 2 - i32::from(count);
            if room < 0 {
                return Err(ParseErrorKind::OverSubscribed);
            }
        }
        let mut symbols: Vec<u16> =
            (0..lengths.len() as u16).filter(|&n| length_of(lengths, n) != 0).collect();
        symbols.sort_by_key(|&symbol| length_of(lengths, symbol));
        let mut table = Self { short: Box::new([0; 1 << SHORT]), counts, symbols };
        table.fill(lengths);
        Ok(table)
    }

    fn fill(&mut self, lengths: &[u8]) {
        let mut word = 0u32;
        let mut previous = 0;
        for &symbol in &self.symbols {
            let length = u32::from(length_of(lengths, symbol));
            if length > SHORT {
                break;
            }
            word <<= length - previous;
            previous = length;
            let first = word.reverse_bits() >> (32 - length);
            let entry = symbol << 4 | length as u16;
            for to in self.short.iter_mut().skip(first as usize).step_by(1 << length) {
                *to = entry;
            }
            word += 1;
        }
    }

    /// Reads one symbol.
    #[inline]
    pub(crate) fn read(&self, bits: &mut BitReader) -> Result<u16, ParseErrorKind> {
        let index = bits.peek() as usize % (1 << SHORT);
        let entry = self.short.get(index).copied().unwrap_or(0);
        if entry != 0 {
            bits.skip(u32::from(entry & 15)).ok_or(ParseErrorKind::Truncated)?;
            return Ok(entry >> 4);
        }
        self.read_long(bits)
    }

    #[cold]
    fn read_long(&self, bits: &mut BitReader) -> Result<u16, ParseErrorKind> {
        let (mut word, mut first, mut index) = (0u32, 0u32, 0u32);
        for (length, &count) in self.counts.iter().enumerate().skip(1) {
            word = word << 1 | (bits.peek() >> (length - 1)) as u32 & 1;
            first <<= 1;
            let count = u32::from(count);
            if word.wrapping_sub(first) < count {
                bits.skip(length as u32).ok_or(ParseErrorKind::Truncated)?;
                let symbol = self.symbols.get((index + word - first) as usize);
                return symbol.copied().ok_or(ParseErrorKind::UnknownCode);
            }
            index += count;
            first += count;
        }
        let short = bits.count() < LONGEST as u32;
        Err(if short { ParseErrorKind::Truncated } else { ParseErrorKind::UnknownCode })
    }
}

fn length_of(lengths: &[u8], symbol: u16) -> u8 {
    lengths.get(usize::from(symbol)).copied().unwrap_or(0)
}
