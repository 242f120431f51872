//! The delta of a file against itself is valid, and never larger than that of the matcher.

use deltaglider_vcdiff::encode::identical;
use deltaglider_vcdiff::inspect::{CopyFrom, Operation, inspect};
use deltaglider_vcdiff::{DecodeLimits, DecodeOptions, EncodeOptions, Encoder, decode, encode};
use proptest::prelude::*;

use crate::support::case::Case;
use crate::support::random::Random;

const WINDOW: usize = 8 << 20;

/// Checks the delta of random bytes of this length.
fn assert_identical(len: usize) {
    let mut random = Random::new(len as u64);
    let target: Vec<u8> =
        (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(len).collect();
    let options = EncodeOptions::default();
    let delta = identical(&target, &options).unwrap();
    assert!(delta.len() <= encode(Some(&target), &target, &options).unwrap().len());
    assert!(decode(Some(&target), &delta, &DecodeOptions::default()).unwrap() == target);
    let mut windows = 0;
    for window in inspect(delta.as_slice(), &DecodeLimits::default()).unwrap() {
        let window = window.unwrap();
        assert!(window.checksum().is_some());
        for instruction in window.instructions().map(Result::unwrap) {
            assert_eq!(
                (instruction.offset, instruction.size),
                (window.target_offset(), window.target_len())
            );
            match instruction.operation {
                Operation::Copy { from, .. } => {
                    assert_eq!(from, CopyFrom::Source(window.target_offset()))
                }
                _ => assert!(window.target_len() < 4),
            }
        }
        windows += 1;
    }
    assert_eq!(windows, len.div_ceil(WINDOW).max(1));
}

#[test]
fn identical_empty_file() {
    assert_identical(0);
}

#[test]
fn identical_file_of_one_byte() {
    assert_identical(1);
}

#[test]
fn identical_below_one_window() {
    assert_identical(WINDOW - 1);
}

#[test]
fn identical_file_of_one_window() {
    assert_identical(WINDOW);
}

#[test]
fn identical_above_one_window() {
    assert_identical(WINDOW + 1);
}

#[test]
fn identical_beyond_source_window() {
    assert_identical(65 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// It decodes, and is no larger than the delta of the matcher.
    #[test]
    fn identical_delta_is_small(case in 1..1_000_000u64, piece in 1..70_000usize) {
        let case = Case::new(case, false);
        let whole = identical(&case.target, &case.options).unwrap();
        let decoded = decode(Some(&case.target), &whole, &DecodeOptions::default()).unwrap();
        prop_assert!(decoded == case.target);
        let options = case.options.with_target_len(case.target.len() as u64);
        if let Ok(matched) = encode(Some(&case.target), &case.target, &options) {
            prop_assert!(whole.len() <= matched.len());
        }
        let mut encoder = Encoder::identical(&options).unwrap();
        let mut delta = Vec::new();
        for mut rest in case.target.chunks(piece) {
            while !rest.is_empty() {
                let taken = encoder.push(rest, &mut delta).unwrap();
                rest = &rest[taken..];
            }
        }
        encoder.finish(&mut delta).unwrap();
        prop_assert!(delta == whole);
    }
}
