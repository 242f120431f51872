//! Compares the matcher with the naive one on generated input, byte for byte.

use super::naive::compare;
use crate::encode::EncodeOptions;
use crate::support::case::{Case, Lent, MaybePiped};
use crate::support::inputs;
use crate::support::random::Random;
use crate::{Level, Source};

fn compare_case(number: u64, large: bool) -> usize {
    let case = Case::new(number, large);
    let piped = || MaybePiped {
        bytes: case.source.as_deref().unwrap_or_default(),
        piped: case.source_piped,
    };
    let (copied, lent) = (piped(), Lent(piped()));
    let mut bytes = 0;
    for source in [&copied as &dyn Source, &lent] {
        let source = case.source.as_ref().map(|_| source);
        match compare(&case.options, source, &case.target) {
            Ok(len) => bytes += len,
            Err(difference) => panic!("case {number}, large {large}: {difference}"),
        }
    }
    bytes
}

/// `DGTEST_COMPARISONS` cases from `DGTEST_SEED` on, a fifth of them with long sources.
#[test]
fn generated_cases_match() {
    let number = |name, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u64>().expect("a number"))
    };
    let (first, count) = (number("DGTEST_SEED", 1) << 32, number("DGTEST_COMPARISONS", 150));
    let bytes: usize = (first..first + count).map(|it| compare_case(it, it % 5 == 0)).sum();
    assert!(bytes > 0);
}

/// Long stretches that match nothing, where positions are passed over, between matches of all
/// kinds, at every level.
#[test]
fn sparse_matches_match() {
    let random = &mut Random::new(5);
    let noise = |random: &mut Random, len: usize| -> Vec<u8> {
        (0..len).map(|_| random.next() as u8).collect()
    };
    for round in 0..8 {
        let old = noise(random, 40_000);
        let mut new = Vec::new();
        while new.len() < 60_000 {
            let gap = random.length(3000);
            new.extend(noise(random, gap));
            let len = random.length(60);
            match random.below(4) {
                0 => new.extend(std::iter::repeat_n(7, len)),
                1 => new.extend_from_within(new.len().saturating_sub(len)..),
                _ => {
                    let at = random.below(old.len() - len);
                    new.extend_from_slice(&old[at..at + len]);
                }
            }
        }
        for level in 0..=9 {
            let options = EncodeOptions::at_level(Level::new(level).unwrap());
            if let Err(difference) = compare(&options, Some(&old), &new) {
                panic!("round {round}, level {level}: {difference}");
            }
        }
    }
}

/// Text repeats itself at every distance: chains, lazy matches and short batches.
#[test]
fn repetitive_text_matches() {
    let random = &mut Random::new(6);
    for round in 0..4 {
        let old = inputs::bytes(random, 50_000);
        let new = inputs::edited(random, &old);
        for level in 0..=9 {
            let mut options = EncodeOptions::at_level(Level::new(level).unwrap());
            options.small_match_history = 1 << random.within(4, 18);
            if let Err(difference) = compare(&options, Some(&old), &new) {
                panic!("round {round}, level {level}: {difference}");
            }
        }
    }
}
