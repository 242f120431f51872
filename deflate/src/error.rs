//! Errors of parsing, of rebuilding and of reading archives.

use std::fmt;

use crate::limits::Limit;

/// A reason why a stream cannot be taken apart, with the bit where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub(crate) kind: ParseErrorKind,
    pub(crate) bit: u64,
}

impl ParseError {
    /// Returns the kind of the fault.
    pub fn kind(&self) -> ParseErrorKind {
        self.kind
    }

    /// Returns the offset in the stream, in bits, after the faulty field.
    pub fn bit(&self) -> u64 {
        self.bit
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (bit {} of the stream)", self.kind, self.bit)
    }
}

impl std::error::Error for ParseError {}

/// The kind of a [`ParseError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The input ends inside the stream.
    Truncated,
    /// The block type 3, which RFC 1951 reserves.
    BlockType,
    /// The length of a stored block and its complement disagree.
    StoredLength {
        /// The length.
        length: u16,
        /// The field that should be its complement.
        complement: u16,
    },
    /// A code with more symbols than its lengths have room for.
    OverSubscribed,
    /// A header that repeats a code length before there is one.
    RepeatsNothing,
    /// A header with more code lengths than it declares.
    TooManyLengths {
        /// The number declared.
        declared: u16,
    },
    /// A block whose code has no symbol for the end of the block.
    NoEndOfBlock,
    /// Bits that are no code word of an incomplete code.
    UnknownCode,
    /// A symbol that RFC 1951 excludes: lengths 286 and 287, distances 30 and 31.
    Symbol(u16),
    /// A match that begins before the text.
    Distance {
        /// The distance of the match.
        distance: u16,
        /// The number of bytes there are.
        available: u64,
    },
    /// More than [`Limits`](crate::Limits) allows.
    Limit {
        /// The limit exceeded.
        limit: Limit,
        /// The amount the stream needs, at least.
        needed: u64,
        /// The amount allowed.
        allowed: u64,
    },
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated => f.write_str("the stream is truncated"),
            Self::BlockType => f.write_str("block type 3 is reserved"),
            Self::StoredLength { length, complement } => {
                write!(f, "stored length {length} contradicts its complement {complement}")
            }
            Self::OverSubscribed => f.write_str("the code lengths are over-subscribed"),
            Self::RepeatsNothing => f.write_str("the header repeats a length before the first"),
            Self::TooManyLengths { declared } => {
                write!(f, "the header has more than its {declared} code lengths")
            }
            Self::NoEndOfBlock => f.write_str("the code has no end of block"),
            Self::UnknownCode => f.write_str("the bits are no code word"),
            Self::Symbol(symbol) => write!(f, "symbol {symbol} is reserved"),
            Self::Distance { distance, available } => {
                write!(f, "distance {distance} exceeds the {available} bytes before it")
            }
            Self::Limit { limit, needed, allowed } => {
                write!(f, "{limit}: at least {needed}, allowed {allowed}")
            }
        }
    }
}

/// A reason why a segment cannot be rebuilt from its text and corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RebuildError {
    /// A rule of a later version, or none.
    UnknownRule(u32),
    /// Corrections that end inside a field.
    Truncated,
    /// A number of more than 64 bits.
    Overflow,
    /// A match longer than the text, or one that begins before it.
    Match {
        /// The offset in the text.
        at: u64,
        /// The length of the match.
        length: u16,
        /// The distance of the match.
        distance: u16,
    },
    /// A match whose bytes are not those of the text.
    Mismatch {
        /// The offset in the text.
        at: u64,
    },
    /// A block longer than the text.
    BlockLength {
        /// The length stated.
        stated: u64,
        /// The length of the text that is left.
        left: u64,
    },
    /// A stored block longer than 65,535 bytes.
    StoredLength(u64),
    /// A header that no deflate block can have.
    Header,
    /// A token without a code word in its block.
    NoCode,
    /// Corrections left over at the end of the segment.
    Leftover,
    /// More tokens in a block, or more empty blocks, than any parse has.
    Limit {
        /// The limit exceeded.
        limit: Limit,
        /// The amount allowed.
        allowed: u64,
    },
}

impl fmt::Display for RebuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UnknownRule(number) => write!(f, "rule {number} is unknown"),
            Self::Truncated => f.write_str("the corrections are truncated"),
            Self::Overflow => f.write_str("a number has more than 64 bits"),
            Self::Match { at, length, distance } => {
                write!(f, "match of {length} bytes at distance {distance} leaves the text at {at}")
            }
            Self::Mismatch { at } => write!(f, "the match at {at} has other bytes than the text"),
            Self::BlockLength { stated, left } => {
                write!(f, "block of {stated} bytes, but {left} are left")
            }
            Self::StoredLength(length) => write!(f, "stored block of {length} bytes"),
            Self::Header => f.write_str("invalid header of a block"),
            Self::NoCode => f.write_str("a token has no code word in its block"),
            Self::Leftover => f.write_str("corrections are left over"),
            Self::Limit { limit, allowed } => write!(f, "{limit}: more than {allowed}"),
        }
    }
}

impl std::error::Error for RebuildError {}
