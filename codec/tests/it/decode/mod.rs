//! The decoder and the inspection: the deltas they read and reject, and the effects a delta cannot
//! have on them.

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

/// Returns the target of a delta, or the kind of its fault, with the default limits.
fn decoded(source: Option<&[u8]>, delta: &[u8]) -> Result<Vec<u8>, DecodeErrorKind> {
    decode(source, delta, &DecodeOptions::default()).map_err(|error| *error.kind())
}
