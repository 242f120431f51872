//! Secondary compressors: what a window's sections may be packed with (RFC 3284, section 4.2, and xdelta3's identifiers).

pub(crate) mod lzma;
