//! A block of a deflate stream as data, and how one is written.

use std::sync::LazyLock;

use crate::bits::BitWriter;
use crate::header::Header;
use crate::huffman::{Code, fixed_distance_lengths, fixed_literal_lengths};
use crate::token::{DISTANCE_SYMBOLS, END, LITERAL_SYMBOLS, Token};

/// The fixed codes for literals and for distances.
static FIXED: LazyLock<(Code, Code)> =
    LazyLock::new(|| (Code::new(&fixed_literal_lengths()), Code::new(&fixed_distance_lengths())));

/// The three ways to write a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// Uncompressed, with the bits between the block type and the next byte.
    Stored {
        /// The value of these bits; zlib writes zeros.
        padding: u8,
    },
    /// Coded by the fixed codes.
    Fixed,
    /// Coded by codes of its own.
    Dynamic(Header),
}

/// A block of a deflate stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// `true` for the last block of the stream.
    pub last: bool,
    /// How the block is written.
    pub kind: BlockKind,
    /// The literals and matches; none if stored.
    pub tokens: Vec<Token>,
    /// The number of bytes of text.
    pub text_len: usize,
    /// The offset of the block in the stream, in bits.
    pub bit: u64,
}

/// The number of times each symbol occurs in a block.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    pub(crate) literals: [u32; LITERAL_SYMBOLS],
    pub(crate) distances: [u32; DISTANCE_SYMBOLS],
}

impl Counts {
    /// Counts the tokens and the end of the block.
    pub(crate) fn of(tokens: &[Token]) -> Self {
        let mut counts = Self { literals: [0; LITERAL_SYMBOLS], distances: [0; DISTANCE_SYMBOLS] };
        for token in tokens {
            counts.literals[token.literal_symbol().0 % LITERAL_SYMBOLS] += 1;
            if token.as_literal().is_none() {
                counts.distances[token.distance_symbol().0 % DISTANCE_SYMBOLS] += 1;
            }
        }
        counts.literals[END] += 1;
        counts
    }
}

/// Writes a block; returns `false` if a token or run has no code word.
pub(crate) fn write(
    bits: &mut BitWriter,
    last: bool,
    kind: &BlockKind,
    tokens: &[Token],
    text: &[u8],
) -> bool {
    let header = |kind: u32| kind << 1 | u32::from(last);
    match kind {
        BlockKind::Stored { padding } => {
            bits.put(header(0), 3);
            bits.align(*padding);
            let length = text.len() as u16;
            bits.put(u32::from(length), 16);
            bits.put(u32::from(!length), 16);
            bits.put_bytes(text);
            true
        }
        BlockKind::Fixed => {
            bits.put(header(1), 3);
            write_tokens(bits, tokens, &FIXED.0, &FIXED.1)
        }
        BlockKind::Dynamic(dynamic) => {
            bits.put(header(2), 3);
            let literals = Code::new(dynamic.literal_lengths());
            let distances = Code::new(dynamic.distance_lengths());
            dynamic.write(bits) && write_tokens(bits, tokens, &literals, &distances)
        }
    }
}

/// The code word and its length of each symbol, in tables that need no check of bounds.
struct Words<const N: usize>([(u16, u8); N]);

impl<const N: usize> Words<N> {
    fn of(code: &Code) -> Self {
        let mut words = [(0, 0); N];
        for (to, (&word, &length)) in words.iter_mut().zip(code.words.iter().zip(&code.lengths)) {
            *to = (word, length);
        }
        Self(words)
    }

    #[inline]
    fn get(&self, symbol: usize) -> (u32, u8) {
        let (word, length) = self.0[symbol % N];
        (u32::from(word), length)
    }
}

fn write_tokens(bits: &mut BitWriter, tokens: &[Token], literals: &Code, distances: &Code) -> bool {
    let literals = Words::<512>::of(literals);
    let distances = Words::<DISTANCE_SYMBOLS>::of(distances);
    let mut coded = true;
    for token in tokens {
        let (symbol, extra, value) = token.literal_symbol();
        let (word, length) = literals.get(symbol);
        coded &= length != 0;
        if token.as_literal().is_some() {
            bits.put(word, length);
            continue;
        }
        bits.put(word | value << length, length + extra);
        let (symbol, extra, value) = token.distance_symbol();
        let (word, length) = distances.get(symbol);
        coded &= length != 0;
        bits.put(word | value << length, length + extra);
    }
    let (word, length) = literals.get(END);
    bits.put(word, length);
    coded && length != 0
}
