//! Integration tests of the codec, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

#[path = "../support/mod.rs"]
mod support;

mod decode;
mod encode;
mod examples;
mod fuzz_corpus;
mod golden;
mod identical;
mod lent_source;
mod live_decode;
mod live_rewrite;
mod live_xdelta3;
mod rewrite;
mod stream;
