//! Rewrites and merges deltas without their files. `live_rewrite` compares the bytes with those of
//! xdelta3.
use crate::support::case::Case;
use crate::support::delta_by_hand::{HandWindow, delta};
use crate::support::inputs;
use crate::support::random::Random;
use deltaglider_vcdiff::encode::DjwLevel;
use deltaglider_vcdiff::rewrite::{RecodeError, RecodeOptions, merge, recode};
use deltaglider_vcdiff::{
    DecodeErrorKind, DecodeOptions, EncodeError, EncodeOptions, Secondary, decode, encode,
};
use proptest::prelude::*;

const SECONDARIES: [Secondary; 4] = [
    Secondary::None,
    Secondary::Lzma,
    Secondary::Djw(DjwLevel::DEFAULT),
    Secondary::Djw(DjwLevel::BEST),
];

fn to(secondary: Secondary) -> RecodeOptions {
    let mut options = RecodeOptions::default();
    options.secondary = secondary;
    options
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn recoding_equals_encoding(
        case in 1..1_000_000u64,
        from in 0..4usize,
        into in 0..4usize,
    ) {
        let mut case = Case::new(case, false);
        case.options.secondary = SECONDARIES[from];
        // Small buffers can be exhausted, which is an error.
        prop_assume!(case.options.instruction_buffer == 0 || case.options.instruction_buffer > 8);
        let delta = case.encode(usize::MAX).unwrap();
        case.options.secondary = SECONDARIES[into];
        let mut options = to(SECONDARIES[into]);
        prop_assert!(recode(&delta, &options).unwrap() == case.encode(usize::MAX).unwrap());
        options.drop_checksums = true;
        options.application_header = Some(Some(b"another".to_vec()));
        case.options.checksum = false;
        case.options.application_header = Some(b"another".to_vec());
        prop_assert!(recode(&delta, &options).unwrap() == case.encode(usize::MAX).unwrap());
    }

    #[test]
    fn merge_makes_last_version(
        seed in any::<u64>(),
        versions in 2..6usize,
        small in any::<bool>(),
    ) {
        let mut random = Random::new(seed);
        let len = random.length(40_000);
        let mut files = vec![inputs::bytes(&mut random, len)];
        for _ in 1..versions {
            files.push(inputs::edited(&mut random, files.last().unwrap()));
        }
        let mut options = EncodeOptions::default();
        options.window = if small { 1 << 14 } else { 1 << 20 };
        let deltas: Vec<Vec<u8>> = files
            .windows(2)
            .map(|pair| encode(Some(&pair[0]), &pair[1], &options).unwrap())
            .collect();
        let slices: Vec<&[u8]> = deltas.iter().map(Vec::as_slice).collect();
        let merged = merge(&slices, &to(Secondary::None)).unwrap();
        let target = decode(Some(&files[0]), &merged, &DecodeOptions::default()).unwrap();
        prop_assert!(target == *files.last().unwrap());
    }
}

#[test]
fn overlapping_copies_are_traced() {
    // "ab", then a COPY of 9 from 0: abababababa; the second delta takes 7 of it from 3 on, twice.
    let first = delta(&[HandWindow::new(11, b"ab", &[3, 25], &[0])]);
    let second = delta(&[HandWindow::new(14, b"", &[23, 23], &[3, 3]).source(11, 0)]);
    let merged = merge(&[&first, &second], &to(Secondary::None)).unwrap();
    assert_eq!(decode(None, &merged, &DecodeOptions::default()).unwrap(), b"babababbababab");
}

#[test]
fn unrelated_deltas_are_rejected() {
    let first = delta(&[HandWindow::new(4, b"abcd", &[5], &[])]);
    let second = delta(&[HandWindow::new(4, b"", &[20], &[1]).source(5, 0)]);
    let rejected = merge(&[&first, &second], &RecodeOptions::default());
    assert!(matches!(rejected, Err(RecodeError::Apart { needed: 5, available: 4 })));
    assert!(matches!(merge(&[], &RecodeOptions::default()), Err(RecodeError::Nothing)));
    let damaged = merge(&[&first, &second[..second.len() - 1]], &RecodeOptions::default());
    let Err(RecodeError::Decode(error)) = damaged else { panic!("{damaged:?}") };
    assert!(matches!(error.kind(), DecodeErrorKind::Truncated(_)));
}

/// Features of VCDIFF that xdelta3 lacks.
#[test]
fn foreign_features_are_rejected() {
    let first = HandWindow::new(4, b"abcd", &[5], &[]);
    let target =
        HandWindow { in_target: true, ..HandWindow::new(4, b"", &[20], &[0]).source(4, 0) };
    let delta = delta(&[first, target]);
    assert!(matches!(recode(&delta, &RecodeOptions::default()), Err(RecodeError::NotXdelta3)));
    assert!(matches!(merge(&[&delta], &RecodeOptions::default()), Err(RecodeError::NotXdelta3)));
    let mut sdch = delta;
    sdch[3] = b'S';
    assert!(matches!(recode(&sdch, &RecodeOptions::default()), Err(RecodeError::NotXdelta3)));
}

#[test]
fn merge_steps_are_limited() {
    // Every byte of the second target is a separate copy, each of which takes a step and a piece.
    let first = delta(&[HandWindow::new(1000, b"x", &[0, 0x87, 0x68], &[])]);
    let copies: Vec<u8> = [19, 1].repeat(100);
    let second = delta(&[HandWindow::new(100, b"", &copies, &[7; 100]).source(1000, 0)]);
    let mut options = to(Secondary::None);
    options.limits.instructions = 100;
    assert!(merge(&[&first, &second], &options).is_ok());
    // A chain of copies of one byte, which the merge has to follow to its end.
    let mut chain = HandWindow::new(40, b"x", &[2], &[]);
    for position in 1..40u8 {
        chain.instructions.extend([19, 1]);
        chain.addresses.push(position - 1);
    }
    let last = HandWindow::new(8, b"", &[19, 4, 19, 4], &[36, 36]).source(40, 0);
    let rejected = merge(&[&delta(&[chain]), &delta(&[last])], &options);
    assert!(matches!(rejected, Err(RecodeError::Instructions { allowed: 100 })));
}

#[test]
fn recode_rejects_undecodable() {
    let mut random = Random::new(8);
    let mut letters =
        |count: usize| -> Vec<u8> { (0..1 << 14).map(|_| random.below(count) as u8).collect() };
    let target = [letters(2), letters(256), letters(8)].concat();
    let mut plain = EncodeOptions::default();
    plain.window = 1 << 14;
    plain.target_matching = false;
    let delta = encode(None, &target, &plain).unwrap();
    let rejected = recode(&delta, &to(Secondary::Fgk));
    assert!(matches!(rejected, Err(RecodeError::Encode(EncodeError::Undecodable { .. }))));
}
