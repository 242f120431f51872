//! No operation panics or hangs, and no file of a folder closed to an attacker is lost, whatever
//! that attacker stores as metadata, index, sketch, tombstone or statistics. `DGTEST_HOSTILE_CASES`
//! is the number of buckets (12 by default).
//!
//! The fuzz target `hostile_bucket` calls the same property. Inputs it found are replayed from
//! `tests/data/hostile_bucket/`.

mod forgery;
mod property;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn fuzzed_buckets_lose_no_file() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/hostile_bucket");
    let inputs: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty());
    for input in inputs {
        property::hostile_bucket(&std::fs::read(input).unwrap());
    }
}

#[test]
fn hostile_objects_lose_no_file() {
    let cases = std::env::var("DGTEST_HOSTILE_CASES").map_or(12, |cases| cases.parse().unwrap());
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let inputs = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..600),
        // Small numbers choose nearly valid values.
        proptest::collection::vec(0..4u8, 0..600),
    ];
    runner
        .run(&inputs, |input| {
            property::hostile_bucket(&input);
            Ok(())
        })
        .unwrap();
}
