//! The file header of RFC 3284, section 4.1.

/// `VCD` with the high bits set, and version 0.
pub(crate) const MAGIC: [u8; 4] = [0xd6, 0xc3, 0xc4, 0x00];
/// The version open-vcdiff writes for its own format: checksums in front of the sections, all three of which may be one.
pub(crate) const VERSION_SDCH: u8 = b'S';
/// Header indicator: a secondary compressor id follows.
pub(crate) const VCD_SECONDARY: u8 = 1;
/// Header indicator: an application-defined code table follows.
pub(crate) const VCD_CODETABLE: u8 = 2;
/// Header indicator: an application header follows (an extension of xdelta3).
pub(crate) const VCD_APPHEADER: u8 = 4;
/// Secondary compressor: Huffman codes per section (`-S djw`).
pub(crate) const SECONDARY_DJW: u8 = 1;
/// Secondary compressor: LZMA (`-S lzma`).
pub(crate) const SECONDARY_LZMA: u8 = 2;
/// Secondary compressor: adaptive Huffman (`-S fgk`).
pub(crate) const SECONDARY_FGK: u8 = 16;
