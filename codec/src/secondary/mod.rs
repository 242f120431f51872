//! Secondary compressors: what a window's sections may be packed with (RFC 3284, section 4.2, and xdelta3's identifiers).

mod decode;
pub(crate) mod lzma;

pub(crate) use decode::SectionDecoder;
