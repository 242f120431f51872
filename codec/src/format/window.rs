//! The window header of RFC 3284, sections 4.2 and 4.3.

/// Window indicator: the copy window lies in the source.
pub(crate) const VCD_SOURCE: u8 = 1;
/// Window indicator: the copy window lies in the target already produced.
pub(crate) const VCD_TARGET: u8 = 2;
/// Window indicator: an Adler-32 of the target window follows the section lengths (an extension of xdelta3).
pub(crate) const VCD_ADLER32: u8 = 4;
/// Delta indicator: the data section is compressed.
pub(crate) const VCD_DATACOMP: u8 = 1;
/// Delta indicator: the instruction section is compressed.
pub(crate) const VCD_INSTCOMP: u8 = 2;
/// Delta indicator: the address section is compressed.
pub(crate) const VCD_ADDRCOMP: u8 = 4;

/// Largest target window xdelta3 3.0.11 writes or reads, in bytes.
pub(crate) const XDELTA_3_0_WINDOW: usize = 1 << 24;
/// Largest target window xdelta3 3.2.0 writes or reads, in bytes.
pub(crate) const XDELTA_3_2_WINDOW: usize = 1 << 26;
