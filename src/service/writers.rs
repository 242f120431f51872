//! Writers that count, hash or cut the bytes of a file on their way.

use std::io::{self, Write};
use std::ops::Range;

use crate::domain::{BackgroundHasher, Sha256Digest};

/// A writer that counts and hashes the bytes it passes on.
pub(crate) struct HashingWriter<W> {
    to: W,
    hasher: BackgroundHasher,
    len: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, hasher: BackgroundHasher::default(), len: 0 }
    }

    /// Returns the number of bytes passed on.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the digest of the bytes passed on.
    pub(crate) fn digest(&mut self) -> Sha256Digest {
        self.hasher.so_far()
    }

    /// Returns the writer without flushing it.
    pub(crate) fn into_inner(self) -> W {
        self.to
    }

    /// Flushes the writer and returns it with the length and the digest of the bytes passed on.
    pub(crate) fn finish(mut self) -> io::Result<(W, u64, Sha256Digest)> {
        self.to.flush()?;
        Ok((self.to, self.len, self.hasher.finish()))
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        let written = bytes.get(..n).unwrap_or_default();
        self.hasher.update(written);
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A writer that accepts all bytes and passes on those in a range.
pub(crate) struct RangeWriter<W> {
    to: W,
    part: Range<u64>,
    at: u64,
    passed: u64,
}

impl<W> RangeWriter<W> {
    pub(crate) fn new(to: W, part: Range<u64>) -> Self {
        Self { to, part, at: 0, passed: 0 }
    }

    /// Returns the writer.
    pub(crate) fn into_inner(self) -> W {
        self.to
    }

    /// Returns the writer and the number of bytes passed on.
    pub(crate) fn finish(self) -> (W, u64) {
        (self.to, self.passed)
    }
}

impl<W: Write> Write for RangeWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let end = self.at + bytes.len() as u64;
        let within =
            |at: u64| usize::try_from(at.clamp(self.at, end) - self.at).unwrap_or(usize::MAX);
        let part = bytes.get(within(self.part.start)..within(self.part.end)).unwrap_or_default();
        self.to.write_all(part)?;
        self.passed += part.len() as u64;
        self.at = end;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
