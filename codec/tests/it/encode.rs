//! The encoder's contract apart from the bytes themselves: cuts of the input, bad options, bad
//! sources.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::case::{Case, MaybePiped};
use crate::support::inputs;
use crate::support::random::Random;
use deltaglider_vcdiff::decode::Section;
use deltaglider_vcdiff::encode::MatcherProfile;
use deltaglider_vcdiff::{
    DecodeOptions, EncodeError, EncodeOptions, Encoder, Level, Secondary, Source, decode, encode,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn cuts_do_not_change_the_delta(
        case in 1..1_000_000u64,
        cuts in prop::collection::vec(1..20_000usize, 1..40),
    ) {
        let case = Case::new(case, false);
        prop_assume!(case.options.instruction_buffer == 0 || case.options.instruction_buffer > 8);
        let Ok(whole) = case.encode(usize::MAX) else {
            prop_assert!(case.options.secondary == Secondary::Fgk);
            return Ok(());
        };
        let piped = case.source_piped;
        let source = case.source.as_deref().map(|bytes| MaybePiped { bytes, piped });
        let mut encoder = Encoder::new(source, &case.options).unwrap();
        let mut delta = Vec::new();
        let mut cuts = cuts.iter().cycle();
        let mut rest = case.target.as_slice();
        while !rest.is_empty() {
            let piece = rest.len().min(*cuts.next().unwrap());
            let taken = encoder.push(&rest[..piece], &mut delta).unwrap();
            prop_assert!(taken > 0 && taken <= piece);
            rest = &rest[taken..];
        }
        encoder.finish(&mut delta).unwrap();
        prop_assert!(delta == whole);
    }
}

/// Windows and errors come in the same order, with every compressor.
#[test]
fn threads_do_not_change_the_delta() {
    let mut windows = 0;
    for number in 1..=300 {
        let mut case = Case::new(number, number % 10 == 0);
        case.options.window = 1 << 14;
        let alone = case.encode(10_007).map_err(|error| error.to_string());
        case.options.threads = 2;
        let beside = case.encode(10_007).map_err(|error| error.to_string());
        assert_eq!(alone, beside, "case {number}");
        windows += case.target.len() >> 14;
    }
    assert!(windows > 300);
}

/// A case of [`Case::of_outgrown_codes`] that xdelta3 writes and cannot read.
const OUTGROWN: u64 = 1;

fn options() -> EncodeOptions {
    let mut options = EncodeOptions::default();
    options.window = 1 << 14;
    options
}

fn some_bytes(seed: u64, len: usize) -> Vec<u8> {
    inputs::bytes(&mut Random::new(seed), len)
}

#[test]
fn empty_target_is_one_window() {
    let mut plain = EncodeOptions::default();
    plain.secondary = Secondary::None;
    let delta = encode(Some(b"source"), b"", &plain).unwrap();
    assert_eq!(delta, [0xd6, 0xc3, 0xc4, 0, 0, 4, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
}

/// Each call appends at most one; the file header comes with the first window.
#[test]
fn push_appends_one_window() {
    let target = some_bytes(7, 5 << 14);
    let mut encoder = Encoder::new(None::<&[u8]>, &options()).unwrap();
    let mut delta = Vec::new();
    assert_eq!(encoder.push(&target[..100], &mut delta).unwrap(), 100);
    assert!(delta.is_empty());
    let mut at = 100;
    let mut windows = 0;
    while at < target.len() {
        let before = delta.len();
        let taken = encoder.push(&target[at..], &mut delta).unwrap();
        at += taken;
        assert_eq!(at % (1 << 14), 0, "a push stops at the end of the window");
        assert!(delta.len() > before);
        windows += 1;
    }
    assert_eq!(windows, 5);
    assert!(delta.starts_with(&[0xd6, 0xc3, 0xc4, 0, 1, 2]));
    let before = delta.len();
    encoder.finish(&mut delta).unwrap();
    assert_eq!(delta.len(), before, "no empty window after a full one");
}

#[test]
fn output_is_appended() {
    let mut delta = b"mine".to_vec();
    let mut encoder = Encoder::new(None::<&[u8]>, &options()).unwrap();
    assert_eq!(encoder.push(b"", &mut delta).unwrap(), 0);
    assert_eq!(encoder.push(b"target", &mut delta).unwrap(), 6);
    encoder.finish(&mut delta).unwrap();
    assert!(delta.starts_with(b"mine\xd6\xc3\xc4"));
}

#[test]
fn encoder_is_send() {
    fn is_send<T: Send + 'static>() {}
    is_send::<Encoder<Vec<u8>>>();
    is_send::<EncodeError>();
}

/// Options that xdelta3 rejects or crashes on.
#[test]
fn invalid_options_are_named() {
    let rejected = |change: &dyn Fn(&mut EncodeOptions)| {
        let mut options = EncodeOptions::default();
        change(&mut options);
        encode(None, b"target", &options).unwrap_err().to_string()
    };
    assert_eq!(
        rejected(&|o| o.window = 16_383),
        "a window of 16383 bytes is outside 16384 to 16777216"
    );
    assert_eq!(
        rejected(&|o| o.window = 16_777_217),
        "a window of 16777217 bytes is outside 16384 to 16777216"
    );
    assert_eq!(
        rejected(&|o| o.source_window = 524_287),
        "a source window of 524287 bytes is outside 524288 to 2147483648"
    );
    assert_eq!(
        rejected(&|o| o.source_window = u64::MAX),
        "a source window of 18446744073709551615 bytes is outside 524288 to 2147483648"
    );
    assert_eq!(
        rejected(&|o| o.small_match_history = 3),
        "a small-match history of 3 is not a power of two"
    );
    for buffer in 1..=3 {
        assert_eq!(
            rejected(&|o| o.instruction_buffer = buffer),
            format!("an instruction buffer of {buffer} is too small: 0 (unlimited) or at least 4")
        );
    }
    let good = Level::BEST.profile();
    for bad in [
        MatcherProfile { large_look: 3, ..good },
        MatcherProfile { large_step: 0, ..good },
        MatcherProfile { small_look: 3, ..good },
        MatcherProfile { chain: 0, lazy_chain: 0, ..good },
        MatcherProfile { chain: 1, lazy_chain: 0, ..good },
        MatcherProfile { chain: 0, lazy_chain: 1, ..good },
    ] {
        assert!(rejected(&|o| o.matcher = Some(bad)).starts_with("no matcher works with"));
    }
    assert!(Level::new(10).is_none());
}

/// Sections that xdelta3 writes but cannot decode itself.
#[test]
fn undecodable_sections_are_named() {
    // FGK drops the second section of data, but keeps what it learned from it.
    let mut random = Random::new(8);
    let mut letters =
        |count: usize| -> Vec<u8> { (0..1 << 14).map(|_| random.below(count) as u8).collect() };
    let target = [letters(2), letters(256), letters(8)].concat();
    let mut options = options();
    options.level = Level::FASTEST;
    options.secondary = Secondary::Fgk;
    let rejected = encode(None, &target, &options).unwrap_err();
    let EncodeError::Undecodable { secondary: Secondary::Fgk, section: Section::Data } = rejected
    else {
        panic!("{rejected}")
    };
    assert_eq!(
        rejected.to_string(),
        "FGK as xdelta3 has it would make a data section that cannot be decoded"
    );
    assert!(encode(None, &target[..2 << 14], &options).is_ok());
    options.undecodable = true;
    let delta = encode(None, &target, &options).unwrap();
    assert!(decode(None, &delta, &DecodeOptions::default()).is_err());

    // One of several DJW codes is longer than 20 bits.
    let case = Case::of_outgrown_codes(OUTGROWN);
    let rejected = case.encode(usize::MAX).unwrap_err();
    assert!(matches!(
        rejected,
        EncodeError::Undecodable { secondary: Secondary::Djw(_), section: Section::Data }
    ));
}

/// The encoder works even if the looks of its matcher exceed the window.
#[test]
fn oversized_looks_find_nothing() {
    let mut options = options();
    let blind = MatcherProfile {
        large_look: u32::MAX,
        large_step: u32::MAX,
        small_look: u32::MAX,
        ..Level::BEST.profile()
    };
    options.matcher = Some(blind);
    let target = some_bytes(1, 100_000);
    assert!(encode(Some(&some_bytes(2, 100_000)), &target, &options).is_ok());
}

/// A source that fails or returns wrong lengths from the n-th read on.
struct Faulty {
    bytes: Vec<u8>,
    stated: Option<u64>,
    reads: AtomicUsize,
    good_reads: usize,
    fault: Fault,
}

#[derive(Clone, Copy)]
enum Fault {
    Error,
    Shrinks,
    ClaimsMoreThanAsked,
}

impl Source for Faulty {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if self.reads.fetch_add(1, Ordering::Relaxed) < self.good_reads {
            return self.bytes.read_at(offset, buf);
        }
        match self.fault {
            Fault::Error => Err(io::Error::other("the disk is gone")),
            Fault::Shrinks => self.bytes[..self.bytes.len() / 3].read_at(offset, buf),
            Fault::ClaimsMoreThanAsked => Ok(buf.len() + 1),
        }
    }

    fn len(&self) -> Option<u64> {
        self.stated
    }
}

/// Encodes against a source that fails at its n-th read. Returns the error, or `None` if the
/// encoder never read that often.
fn fail_at(good_reads: usize, fault: Fault, known: bool) -> Option<EncodeError> {
    let mut options = options();
    options.source_window = 1 << 19;
    let bytes = some_bytes(3, 3 << 19);
    let target = inputs::edited(&mut Random::new(4), &bytes);
    let stated = known.then_some(bytes.len() as u64);
    let source = Faulty { bytes, stated, reads: AtomicUsize::new(0), good_reads, fault };
    let mut encoder = match Encoder::new(Some(source), &options) {
        Ok(encoder) => encoder,
        Err(error) => return Some(error),
    };
    let mut delta = Vec::new();
    let mut rest = target.as_slice();
    while !rest.is_empty() {
        match encoder.push(rest, &mut delta) {
            Ok(taken) => rest = &rest[taken..],
            Err(error) => {
                let len = delta.len();
                assert!(matches!(encoder.push(rest, &mut delta), Err(EncodeError::Aborted)));
                assert!(matches!(encoder.finish(&mut delta), Err(EncodeError::Aborted)));
                assert_eq!(delta.len(), len, "nothing is written after an error");
                return Some(error);
            }
        }
    }
    encoder.finish(&mut delta).err()
}

/// The encoder returns the error whichever read fails.
#[test]
fn source_errors_end_the_delta() {
    for known in [true, false] {
        let mut failed = 0;
        while let Some(error) = fail_at(failed, Fault::Error, known) {
            assert!(matches!(error, EncodeError::Source(_)));
            assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the disk is gone");
            failed += 1;
        }
        assert!(failed > 30, "the source is read block by block: {failed}");
    }
}

#[test]
fn shrinking_source_is_an_error() {
    for good_reads in [0, 1, 5, 20] {
        let error = fail_at(good_reads, Fault::Shrinks, true).unwrap();
        let EncodeError::Source(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn faulty_source_causes_no_panic() {
    for good_reads in [0, 1, 5, 20] {
        for known in [true, false] {
            let _ = fail_at(good_reads, Fault::ClaimsMoreThanAsked, known);
        }
        let _ = fail_at(good_reads, Fault::Shrinks, false);
    }
}
