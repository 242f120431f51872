//! DJW sections: one or more static Huffman codes per section, without state from one section to
//! the next.

pub(super) mod decode;
pub(super) mod encode;
mod lengths;
mod move_to_front;

/// The length of the longest code of a byte, in bits.
const LONGEST: usize = 20;
/// The length of the longest code in the code of the lengths, whose own lengths have 4 bits.
const LONGEST_OF_LENGTHS: usize = 15;
/// The length of the longest code in the code of the selectors, whose own lengths have 3 bits.
const LONGEST_OF_SELECTORS: usize = 7;

const GROUP_BITS: u32 = 3;
const SECTOR_BITS: u32 = 5;
/// The unit of sector lengths: they are multiples of it.
const SECTOR_UNIT: usize = 5;
const LENGTH_COUNT_BITS: u32 = 4;
/// The minimum number of lengths stored for the code of lengths.
const MIN_LENGTHS: usize = 7;
const LENGTH_BITS: u32 = 4;
const SELECTOR_LENGTH_BITS: u32 = 3;

const BYTES: usize = 256;
/// The number of symbols for lengths from 0 to [`LONGEST`] as places in a list, with one more since
/// runs of the first place have two.
const LENGTH_SYMBOLS: usize = LONGEST + 2;

/// The initial order of the lengths in the list: likely ones first.
const LIKELY_LENGTHS: [u8; LONGEST + 1] =
    [0, 4, 5, 6, 7, 8, 9, 10, 3, 11, 2, 12, 13, 1, 14, 15, 16, 17, 18, 19, 20];
