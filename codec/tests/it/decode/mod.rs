//! The decoder and the inspection: what they read, what they refuse, and what a delta cannot make
//! them do.

mod damage;
mod fixtures;
mod inspection;
mod limits;
mod naive;
mod properties;
mod refusals;
mod rfc;
mod source_reads;
mod vectors;

use deltaglider_vcdiff::{DecodeErrorKind, DecodeOptions, decode};

/// The target of a delta or what is wrong with it, with the default limits.
fn decoded(source: Option<&[u8]>, delta: &[u8]) -> Result<Vec<u8>, DecodeErrorKind> {
    decode(source, delta, &DecodeOptions::default()).map_err(|error| *error.kind())
}
