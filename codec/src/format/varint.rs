//! Integers of RFC 3284, section 2: base 128, most significant group first, high bit set on all but
//! the last byte.

/// The length of the longest encoding of a 64-bit integer, in bytes.
pub(crate) const MAX_LEN: usize = 10;

/// Appends `value` without padding.
pub(crate) fn write(value: u64, out: &mut Vec<u8>) {
    let mut groups = [0u8; MAX_LEN];
    let mut at = MAX_LEN;
    let mut rest = value;
    let mut more = 0u8;
    loop {
        at = at.saturating_sub(1);
        if let Some(group) = groups.get_mut(at) {
            *group = (rest & 0x7f) as u8 | more;
        }
        more = 0x80;
        rest >>= 7;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(groups.get(at..).unwrap_or_default());
}

/// Returns the number of bytes [`write`] appends.
pub(crate) fn len(value: u64) -> usize {
    let bits = u64::BITS.saturating_sub(value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// An integer read from the front of a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The value and the number of bytes it took.
    Value(u64, usize),
    /// The slice ends inside the integer.
    Incomplete,
    /// More bits than the type holds.
    Overflow,
}

/// Parses an integer of at most `bits` (32 or 64) bits. Padding (`80 80 01`) is valid as long as no
/// set bit is shifted out.
pub(crate) fn read(input: &[u8], bits: u32) -> Parsed {
    let top = bits.saturating_sub(7);
    let mut value = 0u64;
    for (index, &byte) in input.iter().enumerate() {
        if value >> top != 0 {
            return Parsed::Overflow;
        }
        value = (value << 7) | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Parsed::Value(value, index.saturating_add(1));
        }
    }
    Parsed::Incomplete
}

/// More bits than the type holds, or more padding than the type has bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow;

/// Parses an integer as [`read`] does and returns its value and length; `None` when the slice ends
/// inside the integer. Padding is valid only up to [`MAX_LEN`]: endless padding would never become
/// an integer.
pub(crate) fn read_bounded(input: &[u8], bits: u32) -> Result<Option<(u64, usize)>, Overflow> {
    let longest = input.get(..MAX_LEN);
    match read(longest.unwrap_or(input), bits) {
        Parsed::Value(value, len) => Ok(Some((value, len))),
        Parsed::Incomplete if longest.is_none() => Ok(None),
        Parsed::Incomplete | Parsed::Overflow => Err(Overflow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3284_example_round_trips() {
        let mut out = Vec::new();
        write(123_456_789, &mut out);
        assert_eq!(out, [0xba, 0xef, 0x9a, 0x15]);
        assert_eq!(read(&out, 32), Parsed::Value(123_456_789, 4));
    }

    /// Every power of two and its neighbours, with the length that `len` returns.
    #[test]
    fn integers_round_trip() {
        for shift in 0..64 {
            for value in [(1u64 << shift) - 1, 1 << shift, (1 << shift) + 1] {
                let mut out = Vec::new();
                write(value, &mut out);
                assert_eq!(out.len(), len(value));
                assert_eq!(read(&out, 64), Parsed::Value(value, out.len()));
                assert_eq!(read(&out[..out.len() - 1], 64), Parsed::Incomplete);
            }
        }
        let mut out = Vec::new();
        write(u64::MAX, &mut out);
        assert_eq!(read(&out, 64), Parsed::Value(u64::MAX, MAX_LEN));
    }

    /// Padding alone is no overflow.
    #[test]
    fn excess_bits_overflow() {
        let mut out = Vec::new();
        write(u64::from(u32::MAX) + 1, &mut out);
        assert_eq!(read(&out, 32), Parsed::Overflow);
        assert_eq!(read(&[0x80, 0x80, 0x80, 0x10], 32), Parsed::Value(16, 4));
        assert_eq!(read(&[0xff; 20], 64), Parsed::Overflow);
    }

    #[test]
    fn endless_padding_overflows() {
        assert_eq!(read_bounded(&[0x80; 9], 64), Ok(None));
        assert_eq!(read_bounded(&[0x80; 10], 64), Err(Overflow));
        assert_eq!(
            read_bounded(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 5], 32),
            Ok(Some((5, 10)))
        );
    }
}
