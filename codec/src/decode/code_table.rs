//! Decodes application-defined code tables (RFC 3284, section 7), which are deltas themselves.

use super::decode;
use crate::error::{CodeTableFault, DecodeErrorKind, Fault};
use crate::format::code_table::{Codes, STORED_LEN};
use crate::format::header::Header;
use crate::limits::DecodeOptions;

/// Returns the codes for a file header: its own table or the default one.
pub(crate) fn codes(header: &Header) -> Result<Codes, Fault> {
    let Some(stored) = &header.code_table else { return Ok(Codes::default()) };
    read(stored).map_err(|fault| DecodeErrorKind::CodeTable(fault).into())
}

fn read(stored: &[u8]) -> Result<Codes, CodeTableFault> {
    let [near, same, delta @ ..] = stored else { return Err(CodeTableFault::Short) };
    let mut options = DecodeOptions::default();
    // A table is a delta of the default one, never of another application-defined one.
    options.limits.code_table = 0;
    options.limits.window = STORED_LEN as u64;
    options.limits.target = Some(STORED_LEN as u64);
    options.limits.sections = (STORED_LEN as u64).saturating_mul(2);
    // Rejects wrong cache sizes before the delta is decoded.
    Codes::modes(*near, *same)?;
    let default = Codes::default().write();
    let columns = decode(Some(&default), delta, &options).map_err(|_| CodeTableFault::Delta)?;
    Codes::parse(*near, *same, &columns)
}
