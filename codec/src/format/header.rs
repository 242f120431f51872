//! The file header of RFC 3284, section 4.1.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::{CodeTableFault, DecodeErrorKind, Field, Limit};
use crate::format::code_table::STORED_LEN;
use crate::format::fields::{Fields, Stop};
use crate::format::varint;
use crate::format::window::WindowHeader;
use crate::limits::DecodeLimits;

/// `VCD` with the high bits set, and version 0.
const MAGIC: [u8; 4] = [0xd6, 0xc3, 0xc4, VERSION];
/// The version of RFC 3284 and xdelta3.
pub(crate) const VERSION: u8 = 0;
/// The version open-vcdiff writes for its own format: checksums in front of the sections, all three of which may be one.
pub(crate) const VERSION_SDCH: u8 = b'S';
/// Header indicator: a secondary compressor id follows.
const VCD_SECONDARY: u8 = 1;
/// Header indicator: an application-defined code table follows.
const VCD_CODETABLE: u8 = 2;
/// Header indicator: an application header follows (an extension of xdelta3).
const VCD_APPHEADER: u8 = 4;
/// Secondary compressor: Huffman codes per section (`-S djw`).
pub(crate) const SECONDARY_DJW: u8 = 1;
/// Secondary compressor: LZMA (`-S lzma`).
pub(crate) const SECONDARY_LZMA: u8 = 2;
/// Secondary compressor: adaptive Huffman (`-S fgk`).
pub(crate) const SECONDARY_FGK: u8 = 16;
/// The position of the compressor's id in a header that has one: behind the magic and the indicator.
pub(crate) const SECONDARY_AT: usize = MAGIC.len() + 1;

/// The sizes of both address caches, which precede the delta of a code table.
const CACHE_SIZES: usize = 2;

/// The file header of a delta.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The version: 0, or `S` for the format of open-vcdiff.
    pub version: u8,
    /// The secondary compressor: 1 DJW, 2 LZMA, 16 FGK.
    pub secondary: Option<u8>,
    /// The application-defined code table as stored: sizes of both caches, then a delta of the default table.
    pub code_table: Option<Vec<u8>>,
    /// The application header; xdelta3 puts file names there.
    pub application: Option<Vec<u8>>,
}

impl Header {
    /// Returns the header of a delta with the default code table.
    pub(crate) fn new(secondary: Option<u8>, application: Option<Vec<u8>>) -> Self {
        Self { version: VERSION, secondary, code_table: None, application }
    }

    /// Reads a file header and returns it with its length in bytes.
    pub(crate) fn parse(bytes: &[u8], limits: &DecodeLimits) -> Result<(Self, usize), Stop> {
        let mut fields = Fields::new(bytes);
        Self::read(&mut fields, limits).map(|header| (header, fields.at)).map_err(|stop| stop.at(fields.field))
    }

    fn read(fields: &mut Fields<'_>, limits: &DecodeLimits) -> Result<Self, Stop> {
        let [magic @ .., _] = MAGIC;
        for byte in magic {
            if fields.byte()? != byte {
                return Err(DecodeErrorKind::NotVcdiff.into());
            }
        }
        let version = fields.byte()?;
        if version != VERSION && version != VERSION_SDCH {
            return Err(DecodeErrorKind::Version(version).into());
        }
        let indicator = fields.byte()?;
        if indicator & !(VCD_SECONDARY | VCD_CODETABLE | VCD_APPHEADER) != 0 {
            return Err(DecodeErrorKind::HeaderIndicator(indicator).into());
        }
        let secondary = if indicator & VCD_SECONDARY != 0 { Some(fields.byte()?) } else { None };
        let code_table = if indicator & VCD_CODETABLE != 0 {
            let len = match table_without_length(fields.rest(), limits)? {
                Some(len) => len,
                None => fields.integer(Field::CodeTable, u32::BITS)?,
            };
            Limit::CodeTable.check(len, limits.code_table)?;
            Some(fields.take(len as usize)?.to_vec())
        } else {
            None
        };
        let application = if indicator & VCD_APPHEADER != 0 {
            let len = fields.integer(Field::ApplicationHeader, u32::BITS)?;
            Limit::ApplicationHeader.check(len, limits.application_header)?;
            Some(fields.take(len as usize)?.to_vec())
        } else {
            None
        };
        Ok(Self { version, secondary, code_table, application })
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

/// Returns the length of a code table that is stored without it, as open-vcdiff does: the table's own delta begins behind the sizes
/// of both caches, where RFC 3284 has one byte more before it. It ends with the window that completes the table.
fn table_without_length(bytes: &[u8], limits: &DecodeLimits) -> Result<Option<u64>, Stop> {
    let [magic @ .., _] = MAGIC;
    let begun = bytes.get(CACHE_SIZES..).unwrap_or_default();
    let begun = begun.get(..magic.len()).unwrap_or(begun);
    if !magic.starts_with(begun) {
        return Ok(None);
    }
    if begun != magic {
        return Err(Stop::More);
    }
    let invalid = |stop| match stop {
        Stop::More => Stop::More,
        Stop::Fault(_) => DecodeErrorKind::CodeTable(CodeTableFault::Delta).into(),
    };
    let mut own = limits.clone();
    own.code_table = 0;
    let (header, len) = Header::parse(bytes.get(CACHE_SIZES..).unwrap_or_default(), &own).map_err(invalid)?;
    let (mut len, mut produced) = ((len as u64).saturating_add(CACHE_SIZES as u64), 0u64);
    while produced < STORED_LEN as u64 {
        Limit::CodeTable.check(len, limits.code_table)?;
        let rest = bytes.get(len as usize..).ok_or(Stop::More)?;
        let window = WindowHeader::parse(rest, &header, produced, &own).map_err(invalid)?;
        len = len.saturating_add(window.len as u64).saturating_add(window.fields.sections.total());
        produced = produced.saturating_add(window.fields.target_len);
    }
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_headers_are_read_back() {
        for version in [VERSION, VERSION_SDCH] {
            for secondary in [None, Some(SECONDARY_LZMA)] {
                for code_table in [None, Some(vec![7; 3])] {
                    for application in [None, Some(Vec::new()), Some(vec![9; 200])] {
                        let header = Header { version, secondary, code_table: code_table.clone(), application };
                        let mut out = Vec::new();
                        header.write(&mut out);
                        let limits = DecodeLimits::default();
                        assert_eq!(Header::parse(&out, &limits).unwrap(), (header, out.len()));
                        assert!(matches!(Header::parse(&out[..out.len() - 1], &limits), Err(Stop::More)));
                    }
                }
            }
        }
    }
}
