//! Numbers of seven bits a byte, the low ones first.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::RebuildError;

/// Appends a number.
pub(crate) fn put(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// A reader of fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, RebuildError> {
        let (&byte, rest) = self.0.split_first().ok_or(RebuildError::Truncated)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, RebuildError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return Err(RebuildError::Overflow);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RebuildError::Overflow)
    }

    pub(crate) fn size(&mut self) -> Result<usize, RebuildError> {
        usize::try_from(self.number()?).map_err(|_| RebuildError::Overflow)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], RebuildError> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(RebuildError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for value in [0, 1, 127, 128, 300, 1 << 35, u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            assert_eq!(Fields(&bytes).number(), Ok(value));
        }
        assert_eq!(Fields(&[0xff; 10]).number(), Err(RebuildError::Overflow));
        assert_eq!(Fields(&[0x80]).number(), Err(RebuildError::Truncated));
    }
}
