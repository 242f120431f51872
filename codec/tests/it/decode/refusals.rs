//! Every fault of a delta or its source, and the error it causes.

use std::error::Error;
use std::io;

use deltaglider_vcdiff::decode::{CodeTableFault, Field, HuffmanFault, LzmaFault, Part, Section};
use deltaglider_vcdiff::{
    DecodeError, DecodeErrorKind as Kind, DecodeOptions, Decoder, Limit, Source, decode,
};

use super::decoded;
use crate::support::delta_by_hand::{HandWindow, delta, lzma_delta, lzma_start};

const SOURCE: &[u8] = b"abcdefgh";

fn window(target_len: u64, data: &[u8], instructions: &[u8], addresses: &[u8]) -> HandWindow {
    HandWindow::new(target_len, data, instructions, addresses).source(8, 0)
}

fn rejected(window: HandWindow) -> Kind {
    decoded(Some(SOURCE), &delta(&[window])).unwrap_err()
}

fn error(source: Option<&[u8]>, delta: &[u8]) -> DecodeError {
    decode(source, delta, &DecodeOptions::default()).unwrap_err()
}

#[test]
fn invalid_file_headers() {
    for (header, kind, offset) in [
        (&b"PK\x03\x04 not a delta"[..], Kind::NotVcdiff, 0),
        (b"\xd6\xc3\xc5\0\0", Kind::NotVcdiff, 2),
        (b"\xd6\xc3\xc4T\0", Kind::Version(b'T'), 3),
        (b"\xd6\xc3\xc4\0\x08", Kind::HeaderIndicator(8), 4),
        (b"\xd6\xc3\xc4\0\x02\x01\0\0\0\0", Kind::CodeTable(CodeTableFault::Short), 0),
        (
            b"\xd6\xc3\xc4\0\x02\x84\x80\x01",
            Kind::Limit { limit: Limit::CodeTable, asked: 65_537, allowed: 65_536 },
            5,
        ),
        (b"\xd6\xc3\xc4\0\x01\x03", Kind::UnknownSecondary(3), 5),
        (
            b"\xd6\xc3\xc4\0\x04\x90\x80\x80\x80\x00",
            Kind::IntegerOverflow(Field::ApplicationHeader),
            5,
        ),
        (
            b"\xd6\xc3\xc4\0\x04\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
            Kind::IntegerOverflow(Field::ApplicationHeader),
            5,
        ),
    ] {
        let error = error(None, header);
        assert_eq!(
            (*error.kind(), error.window(), error.offset()),
            (kind, None, offset),
            "{header:02x?}"
        );
    }
}

/// The length of the longest copy window without a limit of its own.
const SPAN: u64 = u32::MAX as u64;

#[test]
fn invalid_window_headers() {
    let overflow = [0x90, 0x80, 0x80, 0x80, 0];
    for (window, kind, offset) in [
        (&[8][..], Kind::WindowIndicator(8), 0),
        (&[3], Kind::WindowIndicator(3), 0),
        (&[2, 1, 0], Kind::TargetWindow { offset: 0, len: 1, produced: 0 }, 2),
        (
            &[&[1][..], &overflow].concat(),
            Kind::Limit { limit: Limit::SourceSpan, asked: 1 << 32, allowed: SPAN },
            1,
        ),
        (&[&[1][..], &[0xff; 9], &[0x7f]].concat(), Kind::IntegerOverflow(Field::CopyLength), 1),
        (
            &[1, 2, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            Kind::CopyWindow { offset: u64::MAX, len: 2 },
            2,
        ),
        (
            &[1, 2, 0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            Kind::IntegerOverflow(Field::CopyOffset),
            2,
        ),
        (&[&[0][..], &overflow].concat(), Kind::IntegerOverflow(Field::EncodingLength), 1),
        (&[&[0, 9][..], &overflow].concat(), Kind::IntegerOverflow(Field::TargetLength), 2),
        (&[0, 7, 2, 8], Kind::DeltaIndicator(8), 3),
        (&[0, 7, 2, 1], Kind::NoCompressor(Section::Data), 3),
        (&[0, 7, 2, 2], Kind::NoCompressor(Section::Instructions), 3),
        (&[0, 7, 2, 4], Kind::NoCompressor(Section::Addresses), 3),
        (
            &[&[0, 9, 2, 0][..], &overflow].concat(),
            Kind::IntegerOverflow(Field::SectionLength(Section::Data)),
            4,
        ),
        (&[0, 9, 2, 0, 2, 1, 0, b'a', b'b', 3], Kind::EncodingLength { stated: 9, actual: 8 }, 1),
        (&[0, 7, 2, 0, 2, 1, 0, b'a', b'b', 3], Kind::EncodingLength { stated: 7, actual: 8 }, 1),
    ] {
        let error = error(Some(SOURCE), &[&delta(&[]), window].concat());
        assert_eq!(
            (*error.kind(), error.window(), error.offset()),
            (kind, Some(0), 5 + offset),
            "{window:02x?}"
        );
    }
}

/// Sections are used up exactly, and the window is filled exactly.
#[test]
fn sections_and_window_must_match() {
    let left = |section, left| Kind::SectionLeft { section, left };
    assert_eq!(rejected(window(2, b"abc", &[3], &[])), left(Section::Data, 1));
    assert_eq!(rejected(window(2, b"ab", &[3], &[0, 0])), left(Section::Addresses, 2));
    assert_eq!(
        rejected(window(3, b"ab", &[3], &[])),
        Kind::WindowShort { produced: 2, expected: 3 }
    );
    assert_eq!(rejected(window(2, b"", &[], &[])), Kind::WindowShort { produced: 0, expected: 2 });
    assert_eq!(rejected(window(2, b"abc", &[4], &[])), Kind::WindowExceeded { asked: 3, left: 2 });
    assert_eq!(
        rejected(window(2, b"ab", &[3, 2], &[])),
        Kind::WindowExceeded { asked: 1, left: 0 }
    );
    assert_eq!(rejected(window(2, b"a", &[0, 3], &[])), Kind::WindowExceeded { asked: 3, left: 2 });
    assert_eq!(rejected(window(3, b"", &[20], &[0])), Kind::WindowExceeded { asked: 4, left: 3 });
    assert_eq!(rejected(window(2, b"a", &[3], &[])), Kind::SectionEnds(Section::Data));
    assert_eq!(rejected(window(2, b"", &[0, 2], &[])), Kind::SectionEnds(Section::Data));
    assert_eq!(rejected(window(2, b"ab", &[1], &[])), Kind::SectionEnds(Section::Instructions));
    assert_eq!(
        rejected(window(200, b"ab", &[1, 0x81], &[])),
        Kind::SectionEnds(Section::Instructions)
    );
    assert_eq!(rejected(window(4, b"", &[20], &[])), Kind::SectionEnds(Section::Addresses));
    assert_eq!(rejected(window(4, b"", &[20], &[0x80])), Kind::SectionEnds(Section::Addresses));
    assert_eq!(rejected(window(4, b"", &[20 + 96], &[])), Kind::SectionEnds(Section::Addresses));
    let overflow = [1, 0x90, 0x80, 0x80, 0x80, 0];
    assert_eq!(rejected(window(2, b"ab", &overflow, &[])), Kind::IntegerOverflow(Field::Size));
    assert_eq!(
        rejected(window(4, b"", &[20], &overflow[1..])),
        Kind::IntegerOverflow(Field::Address)
    );
}

/// A copy must begin before the current address and stay in its window.
#[test]
fn invalid_copy_addresses() {
    let address = |address, here| Kind::Address { address, here };
    assert_eq!(rejected(window(4, b"", &[20], &[8])), address(Some(8), 8));
    assert_eq!(rejected(window(6, b"xy", &[3, 20], &[10])), address(Some(10), 10));
    assert_eq!(rejected(window(4, b"", &[36], &[0])), address(Some(8), 8));
    assert_eq!(rejected(window(4, b"", &[36], &[9])), address(None, 8));
    assert_eq!(rejected(window(4, b"", &[52], &[9])), address(Some(9), 8));
    assert_eq!(
        rejected(window(4, b"", &[20], &[5])),
        Kind::CopyBeyondSource { address: 5, size: 4, len: 8 }
    );
    let without_source = HandWindow::new(4, b"", &[20], &[0]);
    assert_eq!(rejected(without_source), address(Some(0), 0));
}

#[test]
fn error_names_window_and_byte() {
    let good = window(2, b"ab", &[3], &[]);
    let bad = window(6, b"ab", &[3, 20], &[5]);
    let first = 5 + good.bytes().len() as u64;
    let codes = bad.bytes().len() as u64 - 3;
    let error = error(Some(SOURCE), &delta(&[good, bad]));
    assert_eq!((error.window(), error.offset()), (Some(1), first + codes + 1));
    let text = error.to_string();
    assert!(
        text.starts_with(
            "a copy of 4 bytes at 5 runs past the end of the copy window of 8 (window 1, byte "
        ),
        "{text}"
    );
}

#[test]
fn wrong_checksum_yields_no_bytes() {
    let good = window(2, b"ab", &[3], &[]).checksum(b"ab");
    let bad = window(2, b"xy", &[3], &[]).checksum(b"ab");
    let delta = delta(&[good, bad]);
    let mut decoder = Decoder::new(Some(SOURCE), &DecodeOptions::default());
    let mut out = b"before".to_vec();
    let taken = decoder.push(&delta, &mut out).unwrap();
    assert_eq!(out, b"beforeab");
    let error = decoder.push(&delta[taken..], &mut out).unwrap_err();
    assert_eq!(*error.kind(), Kind::Checksum { stated: 0x0126_00c4, computed: 0x016b_00f2 });
    assert_eq!(out, b"beforeab");
}

#[test]
fn errors_are_repeated() {
    let mut decoder = Decoder::new(Some(SOURCE), &DecodeOptions::default());
    let mut out = Vec::new();
    let first = decoder.push(b"\xd6\xc3\xc4\x07", &mut out).unwrap_err();
    let again = decoder.push(&delta(&[window(2, b"ab", &[3], &[])]), &mut out).unwrap_err();
    assert_eq!((first.kind(), first.offset()), (again.kind(), again.offset()));
    assert!(out.is_empty());
    assert_eq!(decoder.finish().unwrap_err().kind(), first.kind());
}

#[test]
fn early_end_is_truncation() {
    let whole = delta(&[window(2, b"ab", &[3], &[])]);
    for (len, part) in [
        (0, Part::Header),
        (4, Part::Header),
        (6, Part::WindowHeader),
        (whole.len() - 3, Part::Sections { missing: 3 }),
        (whole.len() - 1, Part::Sections { missing: 1 }),
    ] {
        let error = error(Some(SOURCE), &whole[..len]);
        assert_eq!((*error.kind(), error.offset()), (Kind::Truncated(part), len as u64));
    }
}

#[test]
fn plain_header_is_empty_target() {
    for header in [&b"\xd6\xc3\xc4\0\0"[..], b"\xd6\xc3\xc4S\0"] {
        assert_eq!(decoded(Some(SOURCE), header), Ok(Vec::new()));
    }
    for header in [&b"\xd6\xc3\xc4\0\x04\x01a"[..], b"\xd6\xc3\xc4\0\x01\x02"] {
        assert_eq!(decoded(Some(SOURCE), header), Err(Kind::Truncated(Part::NoWindow)));
    }
}

#[test]
fn missing_source_fails_at_once() {
    assert_eq!(decoded(None, &delta(&[window(2, b"ab", &[3], &[])])), Err(Kind::SourceMissing));
}

#[test]
fn short_source_names_lengths() {
    let copy = HandWindow::new(6, b"", &[22], &[3]).source(9, 100);
    let kind = Kind::SourceTooShort { needed: 109, available: 8 };
    assert_eq!(decoded(Some(SOURCE), &delta(&[copy])), Err(kind));
    let copy = HandWindow::new(100_000, b"", &[19, 0x86, 0x8d, 0x20], &[0]).source(100_000, 0);
    let kind = Kind::SourceTooShort { needed: 100_000, available: 8 };
    assert_eq!(decoded(Some(SOURCE), &delta(&[copy])), Err(kind));
}

/// A source whose reads fail.
struct Broken;

impl Source for Broken {
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the disk is gone"))
    }

    fn len(&self) -> Option<u64> {
        Some(8)
    }
}

#[test]
fn unreadable_source_keeps_cause() {
    let mut decoder = Decoder::new(Some(Broken), &DecodeOptions::default());
    let error = decoder.push(&delta(&[window(4, b"", &[20], &[0])]), &mut Vec::new()).unwrap_err();
    assert_eq!(*error.kind(), Kind::SourceRead(io::ErrorKind::PermissionDenied));
    assert_eq!(error.source().unwrap().to_string(), "the disk is gone");
}

#[test]
fn invalid_lzma_sections() {
    let compressed = |data: &[u8]| {
        let window = HandWindow { delta_indicator: 1, ..HandWindow::new(2, data, &[3], &[]) };
        let error = error(None, &lzma_delta(std::slice::from_ref(&window)));
        assert_eq!(error.offset(), 6 + window.bytes().len() as u64 - window.body().len() as u64);
        *error.kind()
    };
    assert_eq!(compressed(&[]), Kind::SectionEnds(Section::Data));
    assert_eq!(compressed(&[0x80]), Kind::SectionEnds(Section::Data));
    assert_eq!(compressed(&[0]), Kind::Lzma(LzmaFault::Empty));
    assert_eq!(compressed(&[2]), Kind::Lzma(LzmaFault::Header));
    assert_eq!(
        compressed(&[0x90, 0x80, 0x80, 0x80, 0]),
        Kind::IntegerOverflow(Field::DecompressedLength(Section::Data))
    );
    let with = |chunks: &[u8]| compressed(&[&lzma_start(2)[..], chunks].concat());
    assert_eq!(with(&[]), Kind::Lzma(LzmaFault::Ends));
    assert_eq!(with(&[1, 0, 1, b'a']), Kind::Lzma(LzmaFault::Ends));
    assert_eq!(with(&[1, 0, 2, b'a', b'b', b'c']), Kind::Lzma(LzmaFault::Excess));
    assert_eq!(with(&[1, 0, 1, b'a', b'b', 0]), Kind::Lzma(LzmaFault::Left { left: 1 }));
    assert_eq!(with(&[0]), Kind::Lzma(LzmaFault::NoState));
    // A first symbol that is a match has nothing to refer to.
    let first_is_match = [0xe0, 0, 1, 0, 5, 0x5d, 0, 0xff, 0xff, 0xff, 0xfe, 0];
    assert!(matches!(with(&first_is_match), Kind::Lzma(LzmaFault::Distance { available: 0, .. })));
    // Two zeros need seven bytes, and leave the range coder at zero.
    assert_eq!(
        with(&[0xe0, 0, 1, 0, 6, 0x5d, 0, 0, 0, 0, 0, 0, 1]),
        Kind::Lzma(LzmaFault::ChunkEnd)
    );
    assert_eq!(
        with(&[0xe0, 0, 1, 0, 7, 0x5d, 0, 0, 0, 0, 0, 0, 0, 0]),
        Kind::Lzma(LzmaFault::ChunkEnd)
    );
    assert_eq!(with(&[0xe0, 0, 1, 0, 5, 0x5d, 0, 0, 0, 0, 0, 0]), Kind::Lzma(LzmaFault::ChunkEnd));
    assert_eq!(with(&[0xe0, 0, 1, 0, 5, 0x5d, 1, 0, 0, 0, 0, 0]), Kind::Lzma(LzmaFault::ChunkEnd));
    assert_eq!(with(&[0xe0, 0, 1, 0, 3, 0x5d, 0, 0, 0, 0]), Kind::Lzma(LzmaFault::ChunkEnd));
}

#[test]
fn invalid_huffman_sections() {
    for id in [1, 16] {
        let compressed = |data: &[u8]| {
            let window = HandWindow { delta_indicator: 1, ..HandWindow::new(2, data, &[3], &[]) };
            let error = error(None, &[&[0xd6, 0xc3, 0xc4, 0, 1, id][..], &window.bytes()].concat());
            let Kind::Huffman(fault) = *error.kind() else { panic!("{error}") };
            fault
        };
        assert_eq!(compressed(&[0]), HuffmanFault::Empty);
        assert_eq!(compressed(&[2]), HuffmanFault::Ends);
        assert_eq!(compressed(&[9, 0]), HuffmanFault::Ends);
    }
    // Two letters seen for the first time: eight bits each, the second of which counts the unseen
    // ones.
    let fgk = |data: &[u8]| {
        let window = HandWindow { delta_indicator: 1, ..HandWindow::new(2, data, &[3], &[]) };
        decoded(None, &[b"\xd6\xc3\xc4\0\x01\x10", &window.bytes()[..]].concat())
    };
    assert_eq!(fgk(&[2, 0x86, 0x0c, 0x01]), Ok(b"ab".to_vec()));
    assert_eq!(fgk(&[2, 0x86, 0x0c, 0x03]), Err(Kind::Huffman(HuffmanFault::Padding)));
    assert_eq!(fgk(&[2, 0x86, 0x0c, 0x01, 0]), Err(Kind::Huffman(HuffmanFault::Left { left: 1 })));
    assert_eq!(fgk(&[2, 0x86, 0xfe, 0x01]), Err(Kind::Huffman(HuffmanFault::Code)));
}

#[test]
fn decoder_is_send() {
    fn assert_moves<T: Send + 'static + std::fmt::Debug>(_: T) {}
    assert_moves(Decoder::<std::sync::Arc<dyn Source>>::new(None, &DecodeOptions::default()));
}
