//! A buffer that sources are read into.

use crate::error::{DecodeErrorKind, Fault};

/// The alignment of the bytes. Some processors copy from a page three times as slowly to a place a
/// few bytes behind the start of another page, which is where large allocations begin.
const ALIGNMENT: usize = 64;

/// A buffer that grows as needed and is never cleared.
#[derive(Default)]
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    /// The index of the first aligned byte.
    start: usize,
}

impl ReadBuffer {
    /// Returns the first `len` bytes for reading into them.
    pub(super) fn first_mut(&mut self, len: usize) -> Result<&mut [u8], Fault> {
        if self.bytes.len().saturating_sub(self.start) < len {
            let size = len.saturating_add(ALIGNMENT);
            let mut bytes = Vec::new();
            let asked = || DecodeErrorKind::OutOfMemory { asked: size as u64 };
            bytes.try_reserve_exact(size).map_err(|_| asked())?;
            bytes.resize(size, 0);
            self.start = bytes.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
            self.bytes = bytes;
        }
        let end = self.start.saturating_add(len);
        Ok(self.bytes.get_mut(self.start..end).unwrap_or_default())
    }

    /// Returns the bytes from `from` to `to`; none if `from` is behind `to`.
    #[inline]
    pub(super) fn get(&self, from: usize, to: usize) -> &[u8] {
        let (from, to) = (self.start.saturating_add(from), self.start.saturating_add(to));
        self.bytes.get(from..to).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_aligned() {
        let mut buffer = ReadBuffer::default();
        for len in [1, 100, 4096, 1 << 16, 1 << 18, 5] {
            let bytes = buffer.first_mut(len).unwrap();
            assert_eq!((bytes.len(), bytes.as_ptr().align_offset(ALIGNMENT)), (len, 0));
            bytes.fill(7);
            assert_eq!(buffer.get(0, len), vec![7; len]);
        }
        assert!(buffer.get(3, 2).is_empty());
    }
}
