//! The vocabulary both directions share: RFC 3284 sections 2, 4 and 5.

pub(crate) mod address;
pub(crate) mod header;
pub(crate) mod instruction;
pub(crate) mod varint;
pub(crate) mod window;
