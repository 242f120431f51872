//! Block limits, block types and headers as compressors choose them.

use super::Progress;
use crate::block::{BlockKind, Counts};
use crate::header::{
    Header, Run, go_run_lengths, libdeflate_run_lengths, miniz_run_lengths, zlib_run_lengths,
};
use crate::huffman::{LONGEST, fixed_literal_lengths};
use crate::huffman::{heap, package, sorted};
use crate::token::{distance_extra, literal_extra};

/// The number of tokens between two questions of GNU gzip whether a block should end.
const TOKENS_BETWEEN_QUESTIONS: usize = 0x1000;

/// The number of bytes of a block that miniz still has when it ends.
const MINIZ_KEPT: usize = (1 << 15) - 258;

/// The point at which zlib or GNU gzip ends a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// The maximum number of tokens.
    pub(crate) tokens: usize,
    /// If `true`, a block with many literals ends early once it compresses well (GNU gzip).
    pub(crate) early: bool,
}

impl Cut {
    /// Returns whether the block ends after the last token, when the compressor is `seen` bytes
    /// into its text.
    #[inline]
    pub(crate) fn ends(&self, progress: &Progress, seen: usize) -> bool {
        if progress.tokens >= self.tokens {
            return true;
        }
        if !self.early || !progress.tokens.is_multiple_of(TOKENS_BETWEEN_QUESTIONS) {
            return false;
        }
        let bits = 5 * progress.matches + progress.distance_extra;
        let bytes = (progress.tokens * 8 + bits) / 8;
        progress.matches < progress.tokens / 2 && bytes < seen / 2
    }
}

/// A way to choose code lengths and to cut them into runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trees {
    /// zlib, GNU gzip, Chromium's zlib and zlib-ng.
    Zlib,
    /// Go's compress/flate.
    Go,
    /// libdeflate.
    Libdeflate,
    /// miniz.
    Miniz,
}

impl Trees {
    pub(crate) const ALL: [Self; 4] = [Self::Zlib, Self::Go, Self::Libdeflate, Self::Miniz];

    /// Returns the number of the way in the token form.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Zlib => 0,
            Self::Go => 1,
            Self::Libdeflate => 2,
            Self::Miniz => 3,
        }
    }

    /// Returns the way with this number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|trees| trees.number() == number)
    }

    /// Returns the header for a block with these counts.
    pub(crate) fn header(self, counts: &Counts) -> Header {
        match self {
            Self::Zlib => zlib_header(counts).0,
            Self::Go => go_header(counts).0,
            Self::Libdeflate => libdeflate_header(counts).0,
            Self::Miniz => miniz_header(counts).0,
        }
    }

    /// Returns the header for these lengths.
    pub(crate) fn header_of(self, literals: &[u8], distances: &[u8]) -> Header {
        match self {
            Self::Zlib => Header::zlib(literals, distances),
            Self::Go => Header::joined(literals, distances, go_run_lengths),
            Self::Libdeflate => Header::joined(literals, distances, libdeflate_run_lengths),
            Self::Miniz => Header::joined(literals, distances, miniz_run_lengths),
        }
    }

    /// Returns the lengths of the code for these runs.
    pub(crate) fn run_lengths(self, runs: &[Run]) -> Vec<u8> {
        match self {
            Self::Zlib => zlib_run_lengths(runs),
            Self::Go => go_run_lengths(runs),
            Self::Libdeflate => libdeflate_run_lengths(runs),
            Self::Miniz => miniz_run_lengths(runs),
        }
    }
}

/// Returns the type of a block as zlib and GNU gzip choose it: by its size in whole bytes.
pub(crate) fn zlib(counts: &Counts, text: usize) -> BlockKind {
    let (header, dynamic) = zlib_header(counts);
    let fixed = (fixed_bits(counts) + 3).div_ceil(8);
    let dynamic = (dynamic + 3).div_ceil(8);
    if text as u64 + 4 <= fixed.min(dynamic) && text <= 0xffff {
        BlockKind::Stored { padding: 0 }
    } else if fixed <= dynamic {
        BlockKind::Fixed
    } else {
        BlockKind::Dynamic(header)
    }
}

/// Returns zlib's header for a block with these counts, and its size as zlib counts it.
fn zlib_header(counts: &Counts) -> (Header, u64) {
    let literals = heap::lengths(&counts.literals, LONGEST);
    let distances = heap::lengths(&counts.distances, LONGEST);
    let header = Header::zlib(&literals, &distances);
    let bits = header.bits()
        + cost(&counts.literals, &literals, literal_extra)
        + cost(&counts.distances, &distances, distance_extra);
    (header, bits)
}

/// Returns the type of a block as Go chooses it: by its size in bits.
pub(crate) fn go(counts: &Counts, text: usize) -> BlockKind {
    let (header, dynamic) = go_header(counts);
    let fixed = fixed_bits(counts) + u64::from(has_no_distance(counts)) * 5;
    if text <= 0xffff && (text as u64 + 5) * 8 < fixed.min(dynamic) + 3 {
        BlockKind::Stored { padding: 0 }
    } else if dynamic < fixed {
        BlockKind::Dynamic(header)
    } else {
        BlockKind::Fixed
    }
}

fn has_no_distance(counts: &Counts) -> bool {
    counts.distances.iter().all(|&count| count == 0)
}

/// Returns Go's header for a block with these counts, and its size as Go counts it.
fn go_header(counts: &Counts) -> (Header, u64) {
    let mut distances = counts.distances;
    if has_no_distance(counts) {
        distances[0] = 1;
    }
    let near = used(package::lengths(&counts.literals, LONGEST));
    let far = used(package::lengths(&distances, LONGEST));
    let header = Header::joined(&near, &far, go_run_lengths);
    let bits = header.bits()
        + cost(&counts.literals, &near, literal_extra)
        + cost(&distances, &far, distance_extra);
    (header, bits)
}

/// Returns code lengths up to the last one that is not zero, at least one.
fn used(mut lengths: Vec<u8>) -> Vec<u8> {
    let last = lengths.iter().rposition(|&length| length != 0);
    lengths.truncate(last.unwrap_or(0) + 1);
    lengths
}

/// Returns the type of a block at this bit as libdeflate chooses it: by its size in bits.
pub(crate) fn libdeflate(counts: &Counts, text: usize, bit: u64) -> BlockKind {
    let (header, dynamic) = libdeflate_header(counts);
    let fixed = fixed_bits(counts);
    let to_byte = (8 - (bit + 3) % 8) % 8;
    let pieces = text.div_ceil(0xffff).max(1) as u64;
    let stored = to_byte + 32 + 40 * (pieces - 1) + 8 * text as u64;
    if dynamic < fixed.min(stored) {
        BlockKind::Dynamic(header)
    } else if fixed < stored || text > 0xffff {
        BlockKind::Fixed
    } else {
        BlockKind::Stored { padding: 0 }
    }
}

/// Returns libdeflate's header for a block with these counts, and the size of the block in bits.
fn libdeflate_header(counts: &Counts) -> (Header, u64) {
    let near = used(sorted::libdeflate(&counts.literals, 14));
    let far = used(sorted::libdeflate(&counts.distances, LONGEST));
    let header = Header::joined(&near, &far, libdeflate_run_lengths);
    let bits = header.bits()
        + cost(&counts.literals, &near, literal_extra)
        + cost(&counts.distances, &far, distance_extra);
    (header, bits)
}

/// Returns the type of a block at this bit as miniz chooses it.
pub(crate) fn miniz(counts: &Counts, text: usize, bit: u64) -> BlockKind {
    let (kind, bits) = if text < 48 {
        (BlockKind::Fixed, fixed_bits(counts))
    } else {
        let (header, bits) = miniz_header(counts);
        (BlockKind::Dynamic(header), bits)
    };
    // miniz counts the whole bytes since the first bit of the block.
    let bytes = (bit + 3 + bits) / 8 - (bit + 1) / 8;
    if text > 32 && bytes + 1 >= text as u64 && text <= MINIZ_KEPT {
        return BlockKind::Stored { padding: 0 };
    }
    kind
}

/// Returns miniz's header for a block with these counts, and the size of the block in bits.
fn miniz_header(counts: &Counts) -> (Header, u64) {
    let near = used(sorted::miniz(&counts.literals, LONGEST));
    let far = used(sorted::miniz(&counts.distances, LONGEST));
    let header = Header::joined(&near, &far, miniz_run_lengths);
    let bits = header.bits()
        + cost(&counts.literals, &near, literal_extra)
        + cost(&counts.distances, &far, distance_extra);
    (header, bits)
}

fn cost(counts: &[u32], lengths: &[u8], extra: fn(usize) -> u8) -> u64 {
    let symbols = counts.iter().zip(lengths).enumerate();
    symbols.map(|(n, (&count, &bits))| u64::from(count) * u64::from(bits + extra(n))).sum()
}

/// Returns the size in bits of a block with the fixed codes.
pub(crate) fn fixed_bits(counts: &Counts) -> u64 {
    cost(&counts.literals, &fixed_literal_lengths(), literal_extra)
        + cost(&counts.distances, &[5; 32], distance_extra)
}
