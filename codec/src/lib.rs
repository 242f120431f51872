//! VCDIFF (RFC 3284), bit-compatible with xdelta3 3.0.11, in safe Rust.
#![forbid(unsafe_code)]

mod encode;
mod format;
mod secondary;
mod source;

pub use encode::{EncodeError, EncodeOptions, Encoder, Level, MatcherProfile, Secondary, SizeOption, encode};
pub use source::{FileSource, Source};
