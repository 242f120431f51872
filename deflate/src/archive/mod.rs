//! Archives as glue and deflate streams: gzip and zip, one level deep.
//!
//! A [`Scan`] proposes where streams may begin, in ascending order; the caller parses them and
//! reports where they end. Streams never overlap, and every byte that is in no stream is glue.
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

pub mod gzip;
mod scan;
mod zip;

pub use scan::{Format, Input, Scan, Start};
