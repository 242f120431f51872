//! Secondary compressors of the three sections.

mod decode;
mod lzma;

pub(crate) use decode::SectionDecoder;
