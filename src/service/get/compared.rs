//! What the bytes of a file are compared with while they are read.

use std::io::{self, Write};

use crate::domain::Sha256Digest;
use crate::storage::{ChecksumComparison, ChecksumKind, StatedChecksum};

/// What the bytes of a file were compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// With the SHA-256 that is stored beside the file, or that the store itself computed.
    Sha256(Sha256Digest),
    /// With a checksum that the store states of the object, such as a tag that is the MD5.
    Stated(ChecksumKind),
    /// With a checksum that the store states and that is another one, though the object was read
    /// twice and gave the same bytes: the store's tags are no MD5, or the object was damaged before
    /// the store sent it.
    Contradicted(ChecksumKind),
    /// With nothing: there is no checksum, the object was read in part, or its content was not
    /// packed again.
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

/// What a get does with checksums that the store states of files without a SHA-256.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatedChecksums {
    /// Reads the object a second time if it has another one. The file is given back if both reads
    /// gave the same bytes; the report says that the checksum
    /// [contradicts](Compared::Contradicted).
    #[default]
    Compare,
    /// Fails if it has another one.
    Require,
    /// Ignores them.
    Ignore,
}

/// A writer that compares what it passes on.
pub(crate) struct Comparing<W> {
    to: W,
    comparisons: Vec<ChecksumComparison>,
}

impl<W: Write> Comparing<W> {
    pub(crate) fn new(to: W, stated: &[StatedChecksum]) -> Self {
        Self { to, comparisons: stated.iter().map(StatedChecksum::comparison).collect() }
    }

    /// Returns the writer, and the first checksum, or as an error the first one that the bytes do
    /// not have.
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
