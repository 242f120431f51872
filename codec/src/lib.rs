#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as deltaglider_vcdiff;

mod append;
pub mod decode;
pub mod encode;
mod error;
mod format;
pub mod inspect;
mod limits;
pub mod rewrite;
mod secondary;
mod setters;
mod source;
mod stream;
/// The generated cases of the integration tests, which name this crate from outside.
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking
mod support;

pub use decode::{
    DecodeError, DecodeErrorKind, DecodeLimits, DecodeOptions, DecodeReader, DecodeWriter, Decoder,
    Limit, decode, decode_stream,
};
pub use encode::{
    EncodeError, EncodeOptions, EncodeReader, EncodeWriter, Encoder, Level, Secondary, encode,
    encode_stream,
};
pub use source::{FileSource, SeekSource, Source};
pub use stream::StreamError;
