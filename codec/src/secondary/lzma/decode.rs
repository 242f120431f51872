//! Reads the container of LZMA sections: the header of the .xz stream before the first section,
//! LZMA2 chunks in every section.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::decode_symbols::{Chunk, SymbolDecoder};
use crate::append::append;
use crate::error::{DecodeErrorKind, Fault, Feature, Limit, LzmaFault};

/// The first bytes of an .xz stream.
const STREAM_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
/// The length of the stream header in bytes: magic, two bytes of flags, CRC-32 of the flags.
const STREAM_HEADER: usize = 12;
/// The id of the LZMA2 filter in a block header.
const FILTER_LZMA2: u8 = 0x21;
/// The number of bytes that may stay in memory beyond the dictionary between windows, so that short
/// sections do not move it each time.
const SLACK: usize = 2 << 20;
/// The number of bytes a range coder needs before the first symbol.
const CODER_START: usize = 5;

/// A decoder for one never-ending LZMA stream, which takes it section by section.
#[derive(Debug)]
pub(crate) struct LzmaDecoder {
    /// The size of the dictionary in bytes, which limits the distance of a match; `None` until the
    /// stream's header was read.
    dictionary: Option<usize>,
    symbols: Option<Box<SymbolDecoder>>,
    /// `true` once the first chunk, which empties the dictionary, was read.
    dictionary_set: bool,
    /// The bytes that matches may refer to, then the section decoded last.
    bytes: Vec<u8>,
    /// The index in `bytes` where the dictionary begins.
    oldest: usize,
    /// The index in `bytes` where the last section begins.
    section: usize,
    /// The number of bytes dropped from the front of `bytes`, modulo the word size: positions are
    /// coded by their low bits.
    dropped: usize,
    /// The number of bytes of the dictionary, right before `oldest`, that
    /// [`forget_oldest`](Self::forget_oldest) dropped.
    lost: usize,
    /// The limit reported when a match needs dropped bytes.
    allowed: u64,
}

impl LzmaDecoder {
    /// Creates a decoder for a stream; `allowed` is the limit that its owner enforces.
    pub(crate) fn new(allowed: u64) -> Self {
        Self {
            dictionary: None,
            symbols: None,
            dictionary_set: false,
            bytes: Vec::new(),
            oldest: 0,
            section: 0,
            dropped: 0,
            lost: 0,
            allowed,
        }
    }

    /// Returns the size of the dictionary that the stream declares, once its header was read.
    pub(crate) fn declared(&self) -> u64 {
        self.dictionary.unwrap_or_default() as u64
    }

    /// Returns the number of bytes kept besides the section decoded last.
    pub(crate) fn remembered(&self) -> usize {
        self.section
    }

    /// Drops the oldest `len` bytes of those kept, although a match may refer to them.
    pub(crate) fn forget_oldest(&mut self, len: usize) {
        self.lost = self.lost.saturating_add(len.saturating_sub(self.oldest));
        self.drop_front(len);
    }

    fn drop_front(&mut self, len: usize) {
        self.bytes.drain(..len.min(self.bytes.len()));
        self.section = self.section.saturating_sub(len);
        self.oldest = self.oldest.saturating_sub(len);
        self.dropped = self.dropped.wrapping_add(len);
    }

    /// Returns the section decoded last.
    pub(crate) fn decoded(&self) -> &[u8] {
        self.bytes.get(self.section..).unwrap_or_default()
    }

    /// Decodes one section, which must produce exactly `len` bytes and use all of `input`.
    pub(crate) fn decode(&mut self, input: &[u8], len: usize) -> Result<(), Fault> {
        if len == 0 {
            return Err(LzmaFault::Empty.into());
        }
        let mut input = input;
        let dictionary = match self.dictionary {
            Some(dictionary) => dictionary,
            None => {
                let (dictionary, rest) = self.stream_start(input)?;
                self.dictionary = Some(dictionary);
                input = rest;
                dictionary
            }
        };
        self.section = self.bytes.len();
        let end = self.section.saturating_add(len);
        while self.bytes.len() < end {
            input = self.chunk(input, dictionary, end)?;
        }
        if !input.is_empty() {
            return Err(LzmaFault::Left { left: input.len() as u64 }.into());
        }
        Ok(())
    }

    /// Drops the last section, and the earlier bytes that no match can reach any more, once moving
    /// the rest is worth it.
    pub(crate) fn forget(&mut self) {
        self.section = self.bytes.len();
        let Some(dictionary) = self.dictionary else { return };
        let excess = self.bytes.len().saturating_sub(dictionary);
        if excess > dictionary.min(SLACK) {
            self.drop_front(excess);
        }
    }

    /// Returns the number of bytes allocated and not used.
    pub(crate) fn spare(&self) -> usize {
        self.bytes.capacity().saturating_sub(self.bytes.len())
    }

    /// Frees most of the memory that is not used.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to(self.bytes.len().saturating_add(SLACK));
    }

    /// Reads the headers of the stream and the block; returns the dictionary's size and the rest.
    fn stream_start<'a>(&self, input: &'a [u8]) -> Result<(usize, &'a [u8]), Fault> {
        let (stream, rest) = input.split_at_checked(STREAM_HEADER).ok_or(LzmaFault::Header)?;
        let (flags, crc) =
            match stream.strip_prefix(&STREAM_MAGIC).and_then(|rest| rest.split_at_checked(2)) {
                Some(parts) => parts,
                None => return Err(LzmaFault::Header.into()),
            };
        if crc32(flags).to_le_bytes() != crc {
            return Err(LzmaFault::Header.into());
        }
        if flags != [0, 0] {
            return Err(DecodeErrorKind::Unsupported(Feature::XzOption).into());
        }
        let size = match rest.first() {
            None | Some(0) => return Err(LzmaFault::Header.into()),
            Some(&words) => usize::from(words).saturating_add(1).saturating_mul(4),
        };
        let (block, chunks) = rest.split_at_checked(size).ok_or(LzmaFault::Header)?;
        let (block, crc) = block.split_last_chunk::<4>().ok_or(LzmaFault::Header)?;
        if crc32(block).to_le_bytes() != *crc {
            return Err(LzmaFault::Header.into());
        }
        let [_, 0, FILTER_LZMA2, 1, bits, padding @ ..] = block else {
            return Err(DecodeErrorKind::Unsupported(Feature::XzOption).into());
        };
        if *bits > 40 || padding.iter().any(|&byte| byte != 0) {
            return Err(LzmaFault::Header.into());
        }
        let dictionary = match *bits {
            40 => u64::from(u32::MAX),
            bits => u64::from(2 | (bits & 1)).wrapping_shl(u32::from(bits >> 1).wrapping_add(11)),
        };
        Ok((usize::try_from(dictionary).unwrap_or(usize::MAX), chunks))
    }

    /// Decodes the first chunk of `input` and returns the rest.
    fn chunk<'a>(
        &mut self,
        input: &'a [u8],
        dictionary: usize,
        end: usize,
    ) -> Result<&'a [u8], Fault> {
        let (&control, _) = input.split_first().ok_or(LzmaFault::Ends)?;
        if control == 1 || control >= 0xe0 {
            self.oldest = self.bytes.len();
            self.lost = 0;
            self.dictionary_set = true;
            self.symbols = None;
        } else if !self.dictionary_set {
            return Err(LzmaFault::NoState.into());
        }
        match control {
            1 | 2 => self.stored_chunk(input, end),
            0x80.. => self.coded_chunk(control, input, dictionary, end),
            _ => Err(LzmaFault::Control(control).into()),
        }
    }

    fn stored_chunk<'a>(&mut self, input: &'a [u8], end: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = input.split_first_chunk::<3>().ok_or(LzmaFault::Ends)?;
        let &[_, high, low] = head;
        let len = usize::from(u16::from_be_bytes([high, low])).saturating_add(1);
        self.reserve(len, end)?;
        let (bytes, rest) = rest.split_at_checked(len).ok_or(LzmaFault::Ends)?;
        append(&mut self.bytes, bytes);
        Ok(rest)
    }

    fn coded_chunk<'a>(
        &mut self,
        control: u8,
        input: &'a [u8],
        dictionary: usize,
        end: usize,
    ) -> Result<&'a [u8], Fault> {
        let (head, mut rest) = input.split_first_chunk::<5>().ok_or(LzmaFault::Ends)?;
        let &[_, len_high, len_low, coded_high, coded_low] = head;
        let len = usize::from(control & 0x1f) << 16
            | usize::from(u16::from_be_bytes([len_high, len_low]));
        let len = len.saturating_add(1);
        let coded = usize::from(u16::from_be_bytes([coded_high, coded_low])).saturating_add(1);
        if control >= 0xc0 {
            let (&properties, after) = rest.split_first().ok_or(LzmaFault::Ends)?;
            rest = after;
            match &mut self.symbols {
                Some(symbols) => symbols.set_properties(properties)?,
                None => self.symbols = Some(Box::new(SymbolDecoder::new(properties)?)),
            }
        }
        let Some(mut symbols) = self.symbols.take() else {
            return Err(LzmaFault::NoState.into());
        };
        if control >= 0xa0 {
            symbols.reset();
        }
        let (coded, rest) = rest.split_at_checked(coded).ok_or(LzmaFault::Ends)?;
        if coded.len() < CODER_START {
            return Err(LzmaFault::ChunkEnd.into());
        }
        self.reserve(len, end)?;
        let start = self.bytes.len();
        self.bytes.resize(start.saturating_add(len), 0);
        let chunk = Chunk {
            coded,
            out: &mut self.bytes,
            start,
            oldest: self.oldest,
            dictionary,
            dropped: self.dropped,
        };
        symbols.decode(chunk).map_err(|fault| self.forgotten(fault, dictionary))?;
        self.symbols = Some(symbols);
        Ok(rest)
    }

    /// Replaces a fault by that of the limit where a match refers to bytes dropped because of it.
    fn forgotten(&self, fault: LzmaFault, dictionary: usize) -> Fault {
        match fault {
            LzmaFault::Distance { distance, available }
                if distance
                    <= (dictionary as u64).min(available.saturating_add(self.lost as u64)) =>
            {
                let asked = self.allowed.saturating_add(distance.saturating_sub(available));
                DecodeErrorKind::Limit { limit: Limit::Dictionary, asked, allowed: self.allowed }
                    .into()
            }
            fault => fault.into(),
        }
    }

    /// Reserves memory for a chunk, doubling as chunks arrive but never beyond the section's stated
    /// end.
    fn reserve(&mut self, len: usize, end: usize) -> Result<(), Fault> {
        let left = end.saturating_sub(self.bytes.len());
        if len > left {
            return Err(LzmaFault::Excess.into());
        }
        if self.bytes.capacity().saturating_sub(self.bytes.len()) < len {
            let more = self.bytes.len().max(len).min(left);
            let asked = || DecodeErrorKind::OutOfMemory { asked: more as u64 };
            self.bytes.try_reserve_exact(more).map_err(|_| asked())?;
        }
        Ok(())
    }
}

/// Returns the CRC-32 of .xz, computed bit by bit: it covers only fourteen bytes per section kind
/// and file.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    /// A stream header without a check and a block header with a dictionary of 256 KiB, as liblzma
    /// writes them.
    const START: [u8; 24] = [
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0, 0xff, 0x12, 0xd9, 0x41, 2, 0, 0x21, 1, 0x0c, 0, 0,
        0, 0x8f, 0x98, 0x41, 0x9c,
    ];

    fn section(chunks: &[u8]) -> Vec<u8> {
        [&START, chunks].concat()
    }

    fn decode(input: &[u8], len: usize) -> Result<Vec<u8>, DecodeErrorKind> {
        let mut decoder = LzmaDecoder::new(1 << 20);
        decoder.decode(input, len).map_err(|fault| fault.kind)?;
        Ok(decoder.decoded().to_vec())
    }

    fn block_header(fields: &[u8]) -> Vec<u8> {
        [&START[..12], fields, &crc32(fields).to_le_bytes()].concat()
    }

    /// The next section needs no stream header.
    #[test]
    fn stored_chunk_is_decoded() {
        let mut decoder = LzmaDecoder::new(1 << 20);
        decoder.decode(&section(b"\x01\x00\x0bhello world\n"), 12).unwrap();
        assert_eq!(decoder.decoded(), b"hello world\n");
        decoder.decode(b"\x02\x00\x02abc", 3).unwrap();
        assert_eq!(decoder.decoded(), b"abc");
    }

    #[test]
    fn header_bit_flips_are_rejected() {
        let good = section(b"\x01\x00\x0bhello world\n");
        for bit in 0..START.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, 12).is_err(), "bit {bit}");
        }
    }

    /// A section is used up exactly and produces its stated length.
    #[test]
    fn section_lengths_must_match() {
        let left = DecodeErrorKind::Lzma(LzmaFault::Left { left: 1 });
        assert_eq!(decode(&section(b"\x01\x00\x01ab\x00"), 2), Err(left));
        assert_eq!(
            decode(&section(b"\x01\x00\x01ab"), 3),
            Err(DecodeErrorKind::Lzma(LzmaFault::Ends))
        );
        assert_eq!(
            decode(&section(b"\x01\x00\x01ab"), 1),
            Err(DecodeErrorKind::Lzma(LzmaFault::Excess))
        );
        assert_eq!(
            decode(&section(b"\x01\x00\x02ab"), 3),
            Err(DecodeErrorKind::Lzma(LzmaFault::Ends))
        );
    }

    #[test]
    fn chunk_without_state_fails() {
        let no_state = Err(DecodeErrorKind::Lzma(LzmaFault::NoState));
        assert_eq!(decode(&section(b"\x02\x00\x01ab"), 2), no_state);
        assert_eq!(decode(&section(b"\x80\x00\x00\x00\x04\x00\x00\x00\x00\x00"), 1), no_state);
        assert_eq!(
            decode(&section(b"\x01\x00\x01ab\x80\x00\x00\x00\x04\x00\x00\x00\x00\x00"), 3),
            no_state
        );
        assert_eq!(
            decode(&section(b"\x01\x00\x01ab\x03"), 3),
            Err(DecodeErrorKind::Lzma(LzmaFault::Control(3)))
        );
        assert_eq!(
            decode(&section(b"\xe0\x00\x00\x00\x04\xff\x00\x00\x00\x00\x00"), 1),
            Err(DecodeErrorKind::Lzma(LzmaFault::Properties(0xff)))
        );
    }

    /// Integrity checks, stated sizes and filters other than LZMA2.
    #[test]
    fn xz_options_are_unsupported() {
        let unsupported = Err(DecodeErrorKind::Unsupported(Feature::XzOption));
        let flags = [0, 1];
        let stream = [
            &STREAM_MAGIC[..],
            &flags,
            &crc32(&flags).to_le_bytes(),
            &START[12..],
            b"\x01\x00\x00a",
        ]
        .concat();
        assert_eq!(decode(&stream, 1), unsupported);
        let with_filter = [&block_header(&[2, 0, 3, 1, 0, 0, 0, 0])[..], b"\x01\x00\x00a"].concat();
        assert_eq!(decode(&with_filter, 1), unsupported);
        let with_sizes =
            [&block_header(&[2, 0x40, 0x21, 1, 12, 0, 0, 0])[..], b"\x01\x00\x00a"].concat();
        assert_eq!(decode(&with_sizes, 1), unsupported);
    }

    #[test]
    fn dictionary_is_not_preallocated() {
        for (bits, size) in [(0u8, 4096), (17, 3 << 19), (40, u64::from(u32::MAX))] {
            let input =
                [&block_header(&[2, 0, 0x21, 1, bits, 0, 0, 0])[..], b"\x01\x00\x00a"].concat();
            let mut decoder = LzmaDecoder::new(1);
            decoder.decode(&input, 1).unwrap();
            assert_eq!((decoder.decoded(), decoder.declared()), (&b"a"[..], size));
            assert!(decoder.bytes.capacity() <= 8);
        }
    }

    #[test]
    fn crc32_matches_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
