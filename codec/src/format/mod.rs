//! The file format, parsed and written side by side: RFC 3284 and the extensions of xdelta3 and
//! open-vcdiff.

pub(crate) mod address;
pub(crate) mod app_header;
pub(crate) mod code_table;
pub(crate) mod fields;
pub(crate) mod header;
pub(crate) mod instruction;
mod read_header;
pub(crate) mod varint;
pub(crate) mod window;
