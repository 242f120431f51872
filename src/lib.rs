//! Stores many versions of large files in S3-compatible object storage at about the cost of one.
#![cfg_attr(not(test), warn(clippy::disallowed_methods, clippy::disallowed_types))]

pub mod cache;
#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod domain;
pub mod service;
pub mod storage;
pub mod wiring;

pub use client::{
    Body, Builder, Cache, DeltaGlider, Error, ErrorKind, FileStream, Info, ListItem, Location,
    Phase, Place, Progress, Stored, Summary,
};

/// The programs of the guide, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/from-python-sdk.md")]
struct FromPythonSdk;
