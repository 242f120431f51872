//! Streams of other compressors, rebuilt by every rule.

use std::io::Write as _;

use deltaglider_deflate::{Limits, Rule, detect, segments};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;

use crate::support::{inputs, properties};

fn compressed(text: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_rule_rebuilds_every_level() {
    let text = inputs::mixed(60_000, 1);
    for level in [0, 1, 6, 9] {
        let stream = compressed(&text, level);
        let (segments, _) = segments(&stream, &Limits::default()).unwrap();
        for rule in Rule::all() {
            assert!(properties::rebuilt(rule.into(), &segments) == stream, "{rule:?} {level}");
        }
    }
}

#[test]
fn several_segments_join_between_bytes() {
    let text = inputs::mixed(3 << 20, 2);
    let stream = compressed(&text, 6);
    let (segments, len) = segments(&stream, &Limits::default()).unwrap();
    assert!(segments.len() > 1);
    assert!(segments.iter().any(|segment| !segment.bit.is_multiple_of(8)));
    assert_eq!(len, stream.len() as u64);
    let (method, _) = detect(&segments[0], &[]).unwrap();
    assert!(properties::rebuilt(method, &segments) == stream);
}

#[test]
fn flushes_are_rebuilt() {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
    for piece in inputs::words(50_000, 3).chunks(7001) {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
    }
    let stream = encoder.finish().unwrap();
    let (segments, _) = segments(&stream, &Limits::default()).unwrap();
    assert!(properties::rebuilt(properties::zlib_6(), &segments) == stream);
}

#[test]
fn truncated_streams_are_rejected() {
    let stream = compressed(&inputs::words(5000, 4), 6);
    for len in 0..stream.len() {
        assert!(segments(&stream[..len], &Limits::default()).is_err());
        properties::parse(&stream[..len]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_streams_hold_properties(
        seed: u64, len in 1usize..20_000, level in 0u32..10, at: usize, byte: u8, choice: u8,
    ) {
        let mut stream = compressed(&inputs::mixed(len, seed), level);
        let at = at % stream.len();
        stream[at] = byte;
        properties::parse(&stream);
        properties::rebuild_any_parse(&[&[choice][..], &stream].concat());
        properties::rebuild_token_form(&stream);
    }

    #[test]
    fn stranger_corrections_hold_properties(input: Vec<u8>, seed: u64, len in 0usize..3000) {
        let text = inputs::mixed(len, seed);
        properties::rebuild_any_corrections(&[&input[..], &text].concat());
        properties::rebuild_any_token_form(&input);
    }
}
