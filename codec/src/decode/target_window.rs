//! The target window that is being produced, and its checksum.

use simd_adler32::Adler32;

use crate::append::append;
use crate::error::{DecodeErrorKind, Fault};

/// The number of bytes added to the checksum at a time, while they are in the cache of a core.
const PIECE: usize = 1 << 16;
/// The length in bytes up to which a copy costs no call: most copies of a re-sorted table are that
/// short.
const SHORT: usize = 32;

/// A target window at the end of the output.
pub(super) struct TargetWindow<'a> {
    out: &'a mut Vec<u8>,
    /// The index in `out` where the window begins.
    start: usize,
    /// The checksum of the window up to an index in `out`, if it is computed.
    checksum: Option<Adler32>,
    summed: usize,
}

impl<'a> TargetWindow<'a> {
    /// Reserves memory for a window of `len` bytes after those in `out`; `checksum` is the
    /// checksum of no bytes.
    pub(super) fn new(
        out: &'a mut Vec<u8>,
        len: u64,
        checksum: Option<u32>,
    ) -> Result<Self, Fault> {
        out.try_reserve(len as usize).map_err(|_| DecodeErrorKind::OutOfMemory { asked: len })?;
        let start = out.len();
        let checksum = checksum.map(Adler32::from_checksum);
        Ok(Self { out, start, checksum, summed: start })
    }

    /// Appends bytes.
    #[inline]
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if bytes.len() > PIECE {
            return self.extend_in_pieces(bytes);
        }
        append(self.out, bytes);
        self.keep_up();
    }

    fn extend_in_pieces(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            append(self.out, piece);
            self.keep_up();
        }
    }

    /// Appends the first `len` bytes of `bytes`, which has at least as many.
    #[inline]
    pub(super) fn extend_from_start(&mut self, bytes: &[u8], len: usize) {
        match bytes.first_chunk::<SHORT>() {
            // Appends more for a moment, except at the end of the reserved memory.
            Some(bytes) if len <= SHORT && self.has_spare(SHORT) => {
                let end = self.out.len().saturating_add(len);
                self.out.extend_from_slice(bytes);
                self.out.truncate(end);
                self.keep_up();
            }
            _ => self.extend(bytes.get(..len).unwrap_or_default()),
        }
    }

    #[inline]
    fn has_spare(&self, len: usize) -> bool {
        self.out.capacity().wrapping_sub(self.out.len()) >= len
    }

    /// Appends `len` equal bytes.
    #[inline]
    pub(super) fn fill(&mut self, byte: u8, len: usize) {
        self.out.resize(self.out.len().saturating_add(len), byte);
        self.keep_up();
    }

    /// Appends `len` bytes from a position in the window on, see [`repeat_output`].
    ///
    /// [`repeat_output`]: Self::repeat_output
    #[inline]
    pub(super) fn repeat(&mut self, position: u64, len: usize) {
        self.repeat_output(self.start.saturating_add(position as usize), len);
    }

    /// Appends `len` bytes from an index in the output on. These may be bytes it appends itself:
    /// then the pattern between the index and the end repeats.
    #[inline]
    pub(super) fn repeat_output(&mut self, from: usize, len: usize) {
        repeat(self.out, from, len);
        self.keep_up();
    }

    /// Returns the checksum of the window.
    pub(super) fn checksum(mut self) -> Option<u32> {
        self.sum();
        Some(self.checksum?.finish())
    }

    /// Adds bytes to the checksum once they are enough for a piece.
    #[inline]
    fn keep_up(&mut self) {
        if self.out.len().wrapping_sub(self.summed) >= PIECE {
            self.sum();
        }
    }

    fn sum(&mut self) {
        if let Some(checksum) = &mut self.checksum {
            checksum.write(self.out.get(self.summed..).unwrap_or_default());
        }
        self.summed = self.out.len();
    }
}

fn repeat(out: &mut Vec<u8>, from: usize, len: usize) {
    let mut left = len;
    while left > 0 {
        // Each round doubles the bytes that can be copied at once, since the pattern continues
        // where it was appended.
        let round = left.min(out.len().saturating_sub(from));
        if round == 0 {
            break;
        }
        out.extend_from_within(from..from.saturating_add(round));
        left = left.saturating_sub(round);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn repeat_equals_bytewise_copy() {
        for pattern in 1..20usize {
            for size in 0..100 {
                let start: Vec<u8> = (0..30).collect();
                let mut fast = start.clone();
                repeat(&mut fast, 30 - pattern, size);
                let mut slow = start;
                for from in 30 - pattern..30 - pattern + size {
                    slow.push(slow[from]);
                }
                assert_eq!(fast, slow, "pattern {pattern}, size {size}");
            }
        }
    }

    /// However the window was appended, short of a piece or in several.
    #[test]
    fn checksum_covers_window() {
        let bytes: Vec<u8> =
            (0..3 * PIECE as u32 + 5).map(|n| (n.wrapping_mul(n) / 7) as u8).collect();
        for len in [0, 1, 31, 33, PIECE - 1, PIECE, PIECE + 1, bytes.len()] {
            let mut out = b"before".to_vec();
            let mut window = TargetWindow::new(&mut out, 1, Some(1)).unwrap();
            window.extend(&bytes[..len]);
            window.extend_from_start(&bytes, len.min(7));
            window.fill(7, len);
            window.repeat(1, len);
            let checksum = window.checksum();
            assert_eq!(checksum, Some(adler2::adler32_slice(&out[6..])), "{len} bytes");
            assert_eq!(out.len(), 6 + 3 * len + len.min(7));
        }
    }

    #[test]
    fn short_copies_do_not_reallocate() {
        let mut out = Vec::new();
        let mut window = TargetWindow::new(&mut out, 100, None).unwrap();
        for _ in 0..100 {
            window.extend_from_start(&[5; SHORT], 1);
        }
        assert_eq!(window.checksum(), None);
        assert_eq!((out.len(), out.capacity()), (100, 100));
    }
}
