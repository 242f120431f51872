//! Parses the file header, with code tables in both stored forms.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::{CodeTableFault, DecodeErrorKind, Field, Limit};
use crate::format::code_table::STORED_LEN;
use crate::format::fields::{Fields, Stop};
use crate::format::header::{
    Header, MAGIC, VCD_APPHEADER, VCD_CODETABLE, VCD_SECONDARY, VERSION, VERSION_SDCH,
};
use crate::format::window::WindowHeader;
use crate::limits::DecodeLimits;

/// The sizes of both address caches, which precede the delta of a code table.
const CACHE_SIZES: usize = 2;

impl Header {
    /// Parses a file header and returns it with its length in bytes.
    pub(crate) fn parse(bytes: &[u8], limits: &DecodeLimits) -> Result<(Self, usize), Stop> {
        let mut fields = Fields::new(bytes);
        Self::read(&mut fields, limits)
            .map(|header| (header, fields.at))
            .map_err(|stop| stop.at(fields.field))
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
}

/// Returns the length of a code table that is stored without a length field, as open-vcdiff does:
/// the table's own delta begins right after the sizes of both caches, where RFC 3284 has one byte
/// more before it. It ends with the window that completes the table.
fn table_without_length(bytes: &[u8], limits: &DecodeLimits) -> Result<Option<u64>, Stop> {
    if limits.code_table == 0 {
        // No table is allowed. The delta of a table may not have one either, or tables would nest
        // without end.
        return Ok(None);
    }
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
    let (header, len) =
        Header::parse(bytes.get(CACHE_SIZES..).unwrap_or_default(), &own).map_err(invalid)?;
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
    use crate::format::header::SECONDARY_LZMA;

    #[test]
    fn written_headers_are_read_back() {
        for version in [VERSION, VERSION_SDCH] {
            for secondary in [None, Some(SECONDARY_LZMA)] {
                for code_table in [None, Some(vec![7; 3])] {
                    for application in [None, Some(Vec::new()), Some(vec![9; 200])] {
                        let header = Header {
                            version,
                            secondary,
                            code_table: code_table.clone(),
                            application,
                        };
                        let mut out = Vec::new();
                        header.write(&mut out);
                        let limits = DecodeLimits::default();
                        assert_eq!(Header::parse(&out, &limits).unwrap(), (header, out.len()));
                        assert!(matches!(
                            Header::parse(&out[..out.len() - 1], &limits),
                            Err(Stop::More)
                        ));
                    }
                }
            }
        }
    }
    #[test]
    fn nested_code_tables_fail() {
        let level = [&MAGIC[..], &[VCD_CODETABLE, 4, 3]].concat();
        let bytes = level.repeat(100_000);
        assert!(matches!(Header::parse(&bytes, &DecodeLimits::default()), Err(Stop::Fault(_))));
    }
}
