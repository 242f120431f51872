#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

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
