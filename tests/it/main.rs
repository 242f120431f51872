//! Integration tests of the package, in one program: each further one links the whole AWS SDK.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed step of a test ends it"
)]

mod cache;
mod circles;
mod cli;
mod client;
mod compat;
mod layering;
mod protocol;
mod scripted_store;
mod store;
mod support;
