//! Whatever another writer stores as metadata, index, sketch, mark or statistics: no operation panics or hangs, and no file of
//! a folder that he may not write to is lost. `DGTEST_HOSTILE_CASES` says how many buckets are made (12).
//!
//! A fuzz target can call `property::hostile_bucket` as it is: it uses the public interface of the library and nothing of the tests.

mod forgery;
mod property;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[test]
fn hostile_objects_lose_no_file() {
    let cases = std::env::var("DGTEST_HOSTILE_CASES").map_or(12, |cases| cases.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let inputs = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..600),
        // Small numbers choose what nearly is right.
        proptest::collection::vec(0..4u8, 0..600),
    ];
    runner
        .run(&inputs, |input| {
            property::hostile_bucket(&input);
            Ok(())
        })
        .unwrap();
}
