//! Where the bytes of a file go: counted and hashed on their way.

use std::io::{self, Write};
use std::ops::Range;

use crate::domain::{Sha256Digest, Sha256Hasher};

/// A writer that knows what it was given.
pub(crate) struct HashingWriter<W> {
    to: W,
    hasher: Sha256Hasher,
    len: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, hasher: Sha256Hasher::default(), len: 0 }
    }

    /// Bytes that went to the writer.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Returns the digest of the bytes that went to the writer.
    pub(crate) fn digest(&self) -> Sha256Digest {
        self.hasher.clone().finish()
    }

    /// Returns the writer without flushing it.
    pub(crate) fn into_inner(self) -> W {
        self.to
    }

    /// The writer, and length and digest of what went to it.
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

/// A writer that takes everything and passes on a part of it.
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

    /// The writer, and how many bytes went to it.
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
