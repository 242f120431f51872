//! Comparison of a file's bytes with stored checksums while they are read.

use std::io::{self, Write};

use crate::domain::Sha256Digest;
use crate::storage::{ChecksumComparison, ChecksumKind, StatedChecksum};

/// The checksum that the bytes of a file were compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// The SHA-256 stored with the file, or computed by the store; it matched.
    Sha256(Sha256Digest),
    /// A checksum that the store states, such as a tag that is the MD5; it matched.
    Stated(ChecksumKind),
    /// A checksum that the store states and that did not match, though two reads gave the same
    /// bytes: the store's tags are no MD5, or the object was damaged before the store sent it.
    ChecksumMismatch(ChecksumKind),
    /// No checksum: there is none, the object was read in part, or its content was not compressed
    /// again.
    Nothing,
}

impl Compared {
    /// Returns the SHA-256 of the file, if the bytes were compared with it.
    pub fn sha256(self) -> Option<Sha256Digest> {
        match self {
            Self::Sha256(digest) => Some(digest),
            _ => None,
        }
    }
}

/// The treatment of checksums that the store states of files without a SHA-256.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatedChecksums {
    /// Reads the object a second time if its checksum does not match. If both reads gave the same
    /// bytes, returns the file, and the report states the
    /// [contradiction](Compared::ChecksumMismatch).
    #[default]
    Compare,
    /// Fails if the checksum does not match.
    Require,
    /// Ignores the checksums.
    Ignore,
}

/// A writer that computes checksums of the bytes it passes on.
pub(crate) struct Comparing<W> {
    to: W,
    comparisons: Vec<ChecksumComparison>,
}

impl<W: Write> Comparing<W> {
    pub(crate) fn new(to: W, stated: &[StatedChecksum]) -> Self {
        Self { to, comparisons: stated.iter().map(StatedChecksum::comparison).collect() }
    }

    /// Returns the writer, and the first checksum, or as an error the first one that does not
    /// match.
    pub(crate) fn finish(self) -> (W, Result<Option<StatedChecksum>, StatedChecksum>) {
        let compared: Result<Vec<_>, _> =
            self.comparisons.into_iter().map(ChecksumComparison::finish).collect();
        (self.to, compared.map(|equal| equal.into_iter().next()))
    }
}

impl<W: Write> Write for Comparing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        let written = bytes.get(..n).unwrap_or_default();
        self.comparisons.iter_mut().for_each(|comparison| comparison.update(written));
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
