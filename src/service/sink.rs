//! Where the bytes of a file go: counted and hashed on their way.

use std::io::{self, Write};

use crate::domain::{Sha256Digest, Sha256Hasher};

/// A writer that knows what it was given.
pub(crate) struct Sink<W> {
    to: W,
    hasher: Sha256Hasher,
    len: u64,
}

impl<W: Write> Sink<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, hasher: Sha256Hasher::default(), len: 0 }
    }

    /// The writer, and length and digest of what went to it.
    pub(crate) fn finish(mut self) -> io::Result<(W, u64, Sha256Digest)> {
        self.to.flush()?;
        Ok((self.to, self.len, self.hasher.finish()))
    }
}

impl<W: Write> Write for Sink<W> {
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
