#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod error;
mod format;
mod inspect;
mod limits;
mod rewrite;
mod secondary;
mod source;
mod stream;

pub use decode::{DecodeSummary, Decoder, decode};
pub use encode::{EncodeError, EncodeOptions, Encoder, Level, MatcherProfile, SizeOption, encode};
pub use error::{
    CodeTableFault, DecodeError, DecodeErrorKind, Feature, Field, HuffmanFault, Limit, LzmaFault, Part, Section,
    WholeFile,
};
pub use format::app_header::FileName;
pub use format::header::Header;
pub use format::window::{CopyWindow, SectionLengths};
pub use inspect::{CopyFrom, Inspection, Instruction, Operation, Window, WindowHeader, WindowHeaders, inspect};
pub use limits::{DecodeLimits, DecodeOptions};
pub use rewrite::{Merger, RecodeError, RecodeOptions, Recoder, merge, recode};
pub use secondary::{DjwLevel, Secondary};
pub use source::{FileSource, Source};
pub use stream::{DecodeReader, EncodeWriter, StreamError, decode_stream, encode_stream};
