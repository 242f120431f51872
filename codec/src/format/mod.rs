//! The vocabulary both directions share, parsed and written side by side: RFC 3284, and what
//! xdelta3 and open-vcdiff add.

pub(crate) mod address;
pub(crate) mod app_header;
pub(crate) mod code_table;
pub(crate) mod fields;
pub(crate) mod header;
pub(crate) mod instruction;
mod read_header;
pub(crate) mod varint;
pub(crate) mod window;
