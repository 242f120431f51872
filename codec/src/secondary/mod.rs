//! Secondary compressors of a window's sections (RFC 3284, section 4.2, and xdelta3's identifiers).

mod bits;
mod decode;
mod djw;
mod encode;
mod fgk;
mod lzma;

pub(crate) use decode::SectionDecoder;
pub use encode::{DjwLevel, Secondary};
pub(crate) use encode::{SectionEncoder, Undecodable};
