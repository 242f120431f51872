//! Deltas written by xdelta3 3.0.11, and the same bytes in pieces and into used buffers.

use deltaglider_vcdiff::decode::DecodeSummary;
use deltaglider_vcdiff::{DecodeOptions, Decoder};

use super::decoded;
use crate::support::decode_inputs::{FIXTURES, Pair, Random, fixture, input};

/// Pushes pieces whose lengths `next` returns, appending each window to `out`.
fn in_pieces(
    pair: &Pair,
    delta: &[u8],
    mut next: impl FnMut() -> usize,
    out: &mut Vec<u8>,
) -> DecodeSummary {
    let mut decoder = Decoder::new(pair.source.as_deref(), &DecodeOptions::default());
    let mut rest = delta;
    while !rest.is_empty() {
        let (mut piece, after) = rest.split_at(next().min(rest.len()));
        while !piece.is_empty() {
            let taken = decoder.push(piece, out).unwrap();
            assert!(taken > 0);
            piece = &piece[taken..];
        }
        rest = after;
    }
    decoder.finish().unwrap()
}

#[test]
fn xdelta3_output_is_decoded() {
    for (file, name, _) in FIXTURES {
        let pair = input(name, 1);
        assert!(decoded(pair.source.as_deref(), &fixture(file)).unwrap() == pair.target, "{file}");
    }
}

#[test]
fn split_delta_gives_same_target() {
    let mut random = Random::new(3);
    for (file, name, _) in FIXTURES {
        let (pair, delta) = (input(name, 1), fixture(file));
        for len in [1, 2, 3, 7, 64, 65, 1000] {
            let mut out = Vec::new();
            let summary = in_pieces(&pair, &delta, || len, &mut out);
            assert!(out == pair.target, "{file} in pieces of {len}");
            assert_eq!(
                (summary.delta_len, summary.target_len),
                (delta.len() as u64, pair.target.len() as u64)
            );
        }
        let mut out = Vec::new();
        in_pieces(&pair, &delta, || 1 + random.below(200), &mut out);
        assert!(out == pair.target, "{file} in pieces of random length");
    }
}

/// The bytes already in the output buffer neither change nor affect the target.
#[test]
fn previous_output_is_kept() {
    for (file, name, _) in FIXTURES {
        let (pair, delta) = (input(name, 1), fixture(file));
        for filling in [0x00, 0xa5, 0xff] {
            let mut out = vec![filling; 100_000];
            out.truncate(777);
            in_pieces(&pair, &delta, || 50, &mut out);
            assert!(out[..777] == [filling; 777] && out[777..] == pair.target, "{file}");
        }
    }
}

/// A window is returned by the call that brings its last byte.
#[test]
fn push_yields_at_most_one_window() {
    let (pair, delta) = (input("text", 1), fixture("text-3-lzma-windows"));
    let mut decoder = Decoder::new(pair.source.as_deref(), &DecodeOptions::default());
    let mut rest = &delta[..];
    let mut lengths = Vec::new();
    while !rest.is_empty() {
        let mut out = Vec::new();
        let taken = decoder.push(rest, &mut out).unwrap();
        lengths.push(out.len());
        rest = &rest[taken..];
    }
    assert_eq!(lengths[..lengths.len() - 1], [16384, 16384]);
    let summary = decoder.finish().unwrap();
    assert_eq!((summary.windows, summary.verified_windows), (3, 3));
}

#[test]
fn xdelta3_headers_are_returned() {
    for (file, secondary, application) in [
        ("tiny-9-none", None, Some(&b"target//source/"[..])),
        ("tiny-9-lzma", Some(2), Some(b"target//source/")),
        ("tiny-9-no-header", None, None),
        ("tiny-9-own-header", None, Some(b"new#00//old#11/")),
    ] {
        let source = input("tiny", 1).source;
        let mut decoder = Decoder::new(source, &DecodeOptions::default());
        assert!(decoder.header().is_none());
        decoder.push(&fixture(file), &mut Vec::new()).unwrap();
        let header = decoder.header().unwrap();
        assert_eq!(
            (header.secondary, header.application.as_deref()),
            (secondary, application),
            "{file}"
        );
    }
}

/// The window is decoded, but does not count as verified.
#[test]
fn missing_checksum_is_allowed() {
    let (pair, delta) = (input("tiny", 1), fixture("tiny-9-no-checksum"));
    let mut out = Vec::new();
    let summary = in_pieces(&pair, &delta, || delta.len(), &mut out);
    assert_eq!((out == pair.target, summary.windows, summary.verified_windows), (true, 1, 0));
}
