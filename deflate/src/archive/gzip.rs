//! The gzip format (RFC 1952).
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// The maximum length of a header that is recognised.
pub const MAX_HEADER: usize = 1 << 16;
/// The number of bytes after the stream of a member.
pub const TRAILER: u64 = 8;

const FIXED_PART: usize = 10;
const HAS_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// Returns the length of the member header at the start of `bytes`; `None` if there is none, or it
/// is longer than [`MAX_HEADER`].
///
/// ```
/// use deltaglider_deflate::archive::gzip::header_len;
///
/// assert_eq!(header_len(b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0..."), Some(15));
/// assert_eq!(header_len(b"\x1f\x8b\x07"), None);
/// ```
pub fn header_len(bytes: &[u8]) -> Option<usize> {
    let bytes = bytes.get(..bytes.len().min(MAX_HEADER))?;
    let (start, rest) = bytes.split_at_checked(FIXED_PART)?;
    let [0x1f, 0x8b, 8, flags, ..] = *start else { return None };
    if flags & RESERVED != 0 {
        return None;
    }
    let mut rest = rest;
    if flags & HAS_EXTRA != 0 {
        let (len, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(*len))..)?;
    }
    for field in [HAS_NAME, HAS_COMMENT] {
        if flags & field != 0 {
            let end = rest.iter().position(|&byte| byte == 0)?;
            rest = rest.get(end.checked_add(1)?..)?;
        }
    }
    if flags & HAS_CRC != 0 {
        rest = rest.get(2..)?;
    }
    bytes.len().checked_sub(rest.len())
}
