//! Stores many versions of large files in S3-compatible object storage at about the cost of one.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod cache;
#[doc(hidden)]
pub mod cli;
pub mod domain;
pub mod service;
pub mod storage;
pub mod wiring;
