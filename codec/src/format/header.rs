//! The file header of RFC 3284, section 4.1.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::format::varint;

/// `VCD` with the high bits set, and version 0.
pub(crate) const MAGIC: [u8; 4] = [0xd6, 0xc3, 0xc4, VERSION];
/// The version of RFC 3284 and xdelta3.
pub(crate) const VERSION: u8 = 0;
/// The version open-vcdiff writes for its own format: the checksum precedes the sections, which may
/// be interleaved in one.
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
/// The position of the compressor's id in a header that has one: after the magic and the indicator.
pub(crate) const SECONDARY_AT: usize = MAGIC.len() + 1;

/// The file header of a delta.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The version: 0, or `S` for the format of open-vcdiff.
    pub version: u8,
    /// The secondary compressor: 1 DJW, 2 LZMA, 16 FGK.
    pub secondary: Option<u8>,
    /// The application-defined code table as stored: the sizes of both caches, then a delta of the
    /// default table.
    pub code_table: Option<Vec<u8>>,
    /// The application header; xdelta3 puts file names there.
    pub application: Option<Vec<u8>>,
}

impl Header {
    /// Returns the header of a delta with the default code table.
    pub(crate) fn new(secondary: Option<u8>, application: Option<Vec<u8>>) -> Self {
        Self { version: VERSION, secondary, code_table: None, application }
    }

    /// Appends the header to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let [magic @ .., _] = MAGIC;
        let bit = |has: bool, bit: u8| if has { bit } else { 0 };
        out.extend_from_slice(&magic);
        out.push(self.version);
        out.push(
            bit(self.secondary.is_some(), VCD_SECONDARY)
                | bit(self.code_table.is_some(), VCD_CODETABLE)
                | bit(self.application.is_some(), VCD_APPHEADER),
        );
        out.extend(self.secondary);
        for bytes in [&self.code_table, &self.application].into_iter().flatten() {
            varint::write(bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
    }
}
