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

fn noise(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len).map(|_| random.next() as u8).collect()
}

/// Long stretches that match nothing, where positions are passed over, between matches of all
/// kinds, at every level.
#[test]
fn sparse_matches_match() {
    let random = &mut Random::new(5);
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

/// The smallest source window in bytes. Its tables are so small that most slots are in use.
const SOURCE_WINDOW: usize = 1 << 19;

/// Pieces of the same few phrases: a candidate is too short beside a longer match, and long enough
/// later, after others that were passed over.
#[test]
fn rejected_candidates_are_tried_again() {
    let random = &mut Random::new(7);
    let phrases: Vec<Vec<u8>> = (0..40).map(|_| noise(random, 24)).collect();
    let pieces = |random: &mut Random, len: usize, gap: usize| {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let phrase = random.pick(&phrases);
            let from = random.below(14);
            bytes.extend_from_slice(&phrase[from..random.within(from + 10, 24)]);
            let gap = random.below(gap);
            bytes.extend(noise(random, gap));
        }
        bytes
    };
    for round in 0..6 {
        let old = [pieces(random, 20_000, 4), noise(random, SOURCE_WINDOW - 30_000)].concat();
        let new = pieces(random, 100_000, 60);
        for level in [1, 3, 6, 9] {
            let mut options = EncodeOptions::at_level(Level::new(level).unwrap());
            options.source_window = SOURCE_WINDOW as u64;
            if let Err(difference) = compare(&options, Some(&old), &new) {
                panic!("round {round}, level {level}: {difference}");
            }
        }
    }
}

/// The index moves on in the middle of a scan, and the next bytes match what it has just indexed.
#[test]
fn index_moves_on_within_a_batch() {
    let random = &mut Random::new(8);
    let block = SOURCE_WINDOW / 32;
    let old = noise(random, 4 * SOURCE_WINDOW);
    let mut new = noise(random, 3 * SOURCE_WINDOW);
    for boundary in (0..new.len() - block).step_by(block) {
        let indexed = boundary + SOURCE_WINDOW / 2 + block + random.below(block - 50);
        let at = boundary + random.below(30);
        let len = random.within(20, 40);
        new[at..at + len].copy_from_slice(&old[indexed..indexed + len]);
    }
    for level in [1, 3, 6, 9] {
        let mut options = EncodeOptions::at_level(Level::new(level).unwrap());
        options.source_window = SOURCE_WINDOW as u64;
        if let Err(difference) = compare(&options, Some(&old), &new) {
            panic!("level {level}: {difference}");
        }
    }
}
