//! Truncated deltas and deltas with flipped bits: they give an error or the right bytes, never
//! wrong ones and never a panic.

use deltaglider_vcdiff::inspect::inspect;
use deltaglider_vcdiff::{DecodeLimits, DecodeOptions, Decoder, decode};

use super::decoded;
use crate::support::decode_inputs::{FIXTURES, Random, fixture, input};

/// Returns the fixtures small enough to damage every bit.
fn small() -> impl Iterator<Item = (&'static str, &'static str, Vec<u8>)> {
    FIXTURES
        .iter()
        .map(|&(file, name, _)| (file, name, fixture(file)))
        .filter(|(_, _, delta)| delta.len() < 1100)
}

/// Every truncated delta is an error, unless it ends at the end of a window.
#[test]
fn truncation_is_detected() {
    for (file, name, delta) in small() {
        let pair = input(name, 1);
        let inspection = inspect(delta.as_slice(), &DecodeLimits::default()).unwrap();
        let mut ends: Vec<u64> =
            inspection.map(|window| window.unwrap().delta_offset()).skip(1).collect();
        ends.push(delta.len() as u64);
        // A plain file header is open-vcdiff's delta of an empty target.
        ends.extend((delta[4] == 0).then_some(5));
        for len in 0..=delta.len() {
            let mut decoder = Decoder::new(pair.source.as_deref(), &DecodeOptions::default());
            let mut out = Vec::new();
            let mut rest = &delta[..len];
            while !rest.is_empty() {
                let taken = decoder.push(rest, &mut out).unwrap();
                rest = &rest[taken..];
            }
            assert!(pair.target.starts_with(&out), "{file} cut at {len}");
            let summary = decoder.finish();
            assert_eq!(summary.is_ok(), ends.contains(&(len as u64)), "{file} cut at {len}");
            assert!(
                summary.is_err() || len == delta.len() || len == 5 || out.len() < pair.target.len()
            );
        }
    }
}

#[test]
fn bit_flips_are_detected() {
    for (file, name, delta) in small().filter(|(file, ..)| *file != "tiny-9-no-checksum") {
        let pair = input(name, 1);
        for bit in 0..delta.len() * 8 {
            let mut damaged = delta.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(target) = decoded(pair.source.as_deref(), &damaged) {
                assert!(target == pair.target, "{file} with bit {bit} flipped");
            }
        }
    }
}

/// Without a comparison of checksums the target may be wrong, but not longer than its limit.
#[test]
fn bit_flips_stay_within_limits() {
    let mut options = DecodeOptions::default();
    options.verify_checksum = false;
    options.limits.target = Some(1 << 20);
    for (_, name, delta) in small() {
        let pair = input(name, 1);
        for bit in 0..delta.len() * 8 {
            let mut damaged = delta.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(target) = decode(pair.source.as_deref(), &damaged, &options) {
                assert!(target.len() <= 1 << 20);
            }
        }
    }
}

/// In a window of a kilobyte several exchanged letters can leave the Adler-32 unchanged; no other
/// damage may pass.
#[test]
fn damaged_bytes_fail_checksum() {
    let mut random = Random::new(9);
    let mut other = 0;
    for (file, name, _) in FIXTURES.iter().filter(|(file, ..)| *file != "tiny-9-no-checksum") {
        let (pair, delta) = (input(name, 1), fixture(file));
        for _ in 0..if pair.target.len() < 100_000 { 300 } else { 10 } {
            let mut damaged = delta.clone();
            for _ in 0..1 + random.below(4) {
                let at = random.below(damaged.len());
                damaged[at] = random.next() as u8;
            }
            if let Ok(target) = decoded(pair.source.as_deref(), &damaged) {
                assert_eq!(
                    adler2::adler32_slice(&target),
                    adler2::adler32_slice(&pair.target),
                    "{file}"
                );
                other += usize::from(target != pair.target);
            }
        }
    }
    assert!(other < 10, "{other} of ten thousand");
}
