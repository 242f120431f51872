//! Integration tests of the crate, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

#[path = "../support/mod.rs"]
mod support;

mod archive;
mod fuzz_corpus;
mod limits;
mod round_trip;
mod rules;
