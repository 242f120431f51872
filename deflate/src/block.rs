//! A block of a deflate stream as data, and how one is written.

use std::sync::LazyLock;

use crate::bits::BitWriter;
use crate::header::Header;
use crate::huffman::{Code, fixed_distance_lengths, fixed_literal_lengths};
use crate::token::{DISTANCE_SYMBOLS, END, LITERAL_SYMBOLS, MAX_MATCH, MIN_MATCH, Token};

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
    /// The way the block is written.
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

/// The number of tokens from which a table of all code words pays.
const WORTH_A_TABLE: usize = 1000;

/// The code words of a block with their extra bits, for each literal, each length and each distance
/// symbol.
struct Words {
    /// The bits of each literal and, from 512 on, of each length.
    near: [(u32, u8); 1024],
    far: [(u16, u8); DISTANCE_SYMBOLS],
    /// The bits of length 258 as code 284.
    long_258: (u32, u8),
}

impl Words {
    fn of(literals: &Code, distances: &Code) -> Self {
        let coded = |token: Token| near_bits(literals, token);
        let mut near = [(0, 0); 1024];
        for byte in 0..=u8::MAX {
            near[usize::from(byte)] = coded(Token::literal(byte));
        }
        for length in MIN_MATCH..=MAX_MATCH {
            near[512 + length] = coded(Token::reuse(length, 1));
        }
        let mut far = [(0, 0); DISTANCE_SYMBOLS];
        for (symbol, to) in far.iter_mut().enumerate() {
            *to = distances.word(symbol);
        }
        Self { near, far, long_258: coded(Token::long_258(1)) }
    }

    /// Returns the bits of a token, and whether it has code words.
    #[inline]
    fn get(&self, token: Token) -> (u64, u32, bool) {
        let (near, near_bits) =
            if token.is_long_258() { self.long_258 } else { self.near[token.index() % 1024] };
        // For a literal, the distance has no bits.
        let is_match = token.distance() != 0;
        let (symbol, extra, value) = token.distance_symbol();
        let (word, length) = self.far[symbol % DISTANCE_SYMBOLS];
        let far = (u64::from(word) | u64::from(value) << length) * u64::from(is_match);
        let far_bits = u32::from(length + extra) * u32::from(is_match);
        let coded = near_bits != 0 && (length != 0 || !is_match);
        (u64::from(near) | far << near_bits, u32::from(near_bits) + far_bits, coded)
    }
}

/// Returns the bits of a literal or length.
fn near_bits(literals: &Code, token: Token) -> (u32, u8) {
    let (symbol, extra, value) = token.literal_symbol();
    let (word, length) = literals.word(symbol);
    // Without a code word there is nothing to add extra bits to.
    let extra = if length == 0 { 0 } else { extra };
    (u32::from(word) | value << length, length + extra)
}

/// Returns the bits of a token, and whether it has code words.
fn token_bits(literals: &Code, distances: &Code, token: Token) -> (u64, u32, bool) {
    let (near, bits) = near_bits(literals, token);
    if token.distance() == 0 {
        return (u64::from(near), u32::from(bits), bits != 0);
    }
    let (symbol, extra, value) = token.distance_symbol();
    let (word, length) = distances.word(symbol);
    let far = u64::from(word) | u64::from(value) << length;
    let count = u32::from(bits) + u32::from(length + extra);
    (u64::from(near) | far << bits, count, bits != 0 && length != 0)
}

fn write_tokens(bits: &mut BitWriter, tokens: &[Token], literals: &Code, distances: &Code) -> bool {
    let mut all_coded = true;
    let mut item = |(value, count, coded): (u64, u32, bool)| {
        all_coded &= coded;
        (value, count)
    };
    if tokens.len() < WORTH_A_TABLE {
        bits.put_all(tokens.iter().map(|&token| item(token_bits(literals, distances, token))));
    } else {
        let words = Words::of(literals, distances);
        bits.put_all(tokens.iter().map(|&token| item(words.get(token))));
    }
    let (word, length) = literals.word(END);
    bits.put(u32::from(word), length);
    all_coded && length != 0
}
