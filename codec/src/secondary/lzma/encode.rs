//! The LZMA encoder: writes the bytes of liblzma at preset 0, with a sync flush after each section.

use super::encode_symbols::SymbolEncoder;
use super::fast_parse::{Choice, Symbol};
use super::match_finder::{LONGEST_MATCH, MatchFinder};
use super::range_encoder::RangeEncoder;

/// The header of a stream without integrity check, and the header of a block whose one filter is
/// LZMA2 with a dictionary of 256 KiB.
const STREAM_HEADER: [u8; 24] = [
    0xfd, b'7', b'z', b'X', b'Z', 0x00, 0x00, 0x00, 0xff, 0x12, 0xd9, 0x41, // stream
    0x02, 0x00, 0x21, 0x01, 0x0c, 0x00, 0x00, 0x00, 0x8f, 0x98, 0x41, 0x9c, // block
];

/// The data after which a chunk ends, in bytes: a chunk holds at most 2 MiB, and the symbol that
/// reaches this limit may be of any length.
const CHUNK_DATA: usize = (1 << 21) - LONGEST_MATCH;
/// The coded bytes after which a chunk ends: a chunk holds at most 64 KiB, and liblzma leaves this
/// much space for the last symbol.
const CHUNK_BYTES: usize = (1 << 16) - 4097;

/// Control bytes of LZMA2 chunks.
const STORED_AFTER_DICTIONARY_RESET: u8 = 0x01;
const STORED: u8 = 0x02;
const ENCODED: u8 = 0x80;
const ENCODED_AFTER_STATE_RESET: u8 = 0xa0;
const ENCODED_WITH_PROPERTIES: u8 = 0xc0;
const ENCODED_AFTER_DICTIONARY_RESET: u8 = 0xe0;
/// The properties lc = 3, lp = 0, pb = 2.
const PROPERTIES: u8 = 0x5d;

/// An encoder for one never-ending .xz stream, which takes it section by section.
#[derive(Debug)]
pub(crate) struct LzmaEncoder {
    finder: MatchFinder,
    choice: Choice,
    symbols: SymbolEncoder,
    range: RangeEncoder,
    started: bool,
    properties_due: bool,
    dictionary_reset_due: bool,
    state_reset_due: bool,
}

impl LzmaEncoder {
    pub(crate) fn new() -> Self {
        Self {
            finder: MatchFinder::new(),
            choice: Choice::default(),
            symbols: SymbolEncoder::new(),
            range: RangeEncoder::new(),
            started: false,
            properties_due: true,
            dictionary_reset_due: true,
            state_reset_due: false,
        }
    }

    /// Appends the stream's bytes for one more section, all that are needed to decode it.
    pub(crate) fn encode_section(&mut self, section: &[u8], out: &mut Vec<u8>) {
        if !self.started {
            out.extend_from_slice(&STREAM_HEADER);
        }
        let mut rest = section;
        self.finder.refill(&mut rest);
        while self.finder.available() + self.choice.looked_ahead() > 0 {
            let len = self.encode_chunk(&mut rest);
            self.write_chunk(len, out);
        }
    }

    /// Fills the range encoder with the symbols of one chunk; returns the number of data bytes they
    /// represent.
    fn encode_chunk(&mut self, rest: &mut &[u8]) -> usize {
        if self.state_reset_due {
            self.symbols.reset();
        }
        self.range.restart();
        let mut len = 0;
        if !self.started {
            self.started = true;
            self.finder.skip(1);
            self.symbols.encode(&mut self.range, Symbol::Literal, self.finder.bytes(), 0);
            len = 1;
        }
        while len < CHUNK_DATA && self.range.finished_len() < CHUNK_BYTES {
            self.finder.refill(rest);
            let ahead = self.choice.looked_ahead();
            if self.finder.available() + ahead == 0 {
                break;
            }
            if ahead == 0 && self.symbols.is_after_literal() {
                let count = self.finder.unmatched(self.symbols.recent());
                if count > 0 {
                    let at = self.finder.next();
                    let end = at + count.min(CHUNK_DATA - len);
                    let bytes = self.finder.bytes();
                    let count = self.symbols.literals(&mut self.range, bytes, at, end, CHUNK_BYTES);
                    self.finder.pass(count);
                    len += count;
                    continue;
                }
            }
            let at = self.finder.next() - ahead;
            let symbol = self.choice.next(&mut self.finder, self.symbols.recent());
            self.symbols.encode(&mut self.range, symbol, self.finder.bytes(), at);
            len += symbol.len();
        }
        len
    }

    fn write_chunk(&mut self, len: usize, out: &mut Vec<u8>) {
        let encoded = self.range.finish();
        if encoded.len() >= len {
            let ahead = self.choice.forget();
            self.symbols.pass(ahead);
            let end = self.finder.next();
            let stored = &self.finder.bytes()[end - len - ahead..end];
            out.push(if self.dictionary_reset_due {
                STORED_AFTER_DICTIONARY_RESET
            } else {
                STORED
            });
            out.extend_from_slice(&low_16_bits_less_one(stored.len()));
            out.extend_from_slice(stored);
            self.dictionary_reset_due = false;
            self.state_reset_due = true;
            return;
        }
        let control = if self.dictionary_reset_due {
            ENCODED_AFTER_DICTIONARY_RESET
        } else if self.properties_due {
            ENCODED_WITH_PROPERTIES
        } else if self.state_reset_due {
            ENCODED_AFTER_STATE_RESET
        } else {
            ENCODED
        };
        out.push(control + ((len - 1) >> 16) as u8);
        out.extend_from_slice(&low_16_bits_less_one(len));
        out.extend_from_slice(&low_16_bits_less_one(encoded.len()));
        if self.properties_due {
            out.push(PROPERTIES);
        }
        out.extend_from_slice(encoded);
        self.properties_due = false;
        self.dictionary_reset_due = false;
        self.state_reset_due = false;
    }
}

fn low_16_bits_less_one(len: usize) -> [u8; 2] {
    ((len - 1) as u16).to_be_bytes()
}

#[cfg(test)]
#[path = "encode_tests.rs"]
mod tests;
