//! No cache: a copy for the current operation, in its memory or in an unnamed, sealed file, and
//! nothing kept beyond it.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use deltaglider_vcdiff::Source;

use super::byte_budget::{ByteBudget, Reservation};
use super::counts::{Counters, Counts};
use super::sealed::EncryptedTempFile;
use super::{CacheError, CachedReference, ExpectedContent, ReferenceCache, ReferenceWriter};
use crate::domain::Sha256Digest;

/// Keeps each reference for as long as it is held: in a sealed, unnamed temporary file or, within a
/// limit, in memory.
#[derive(Debug, Clone)]
pub struct WorkingCopies {
    folder: PathBuf,
    memory: Arc<ByteBudget>,
    counters: Arc<Counters>,
}

impl WorkingCopies {
    /// Creates the temporary files in the directory `folder`, and keeps nothing in memory.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, memory: Arc::new(ByteBudget::new(0)), counters: Arc::default() }
    }

    /// Keeps references in memory, as they are, while they have at most `bytes` in all. The encoder
    /// and the decoder read them there without a copy.
    #[must_use]
    pub fn with_memory(self, bytes: u64) -> Self {
        Self { memory: Arc::new(ByteBudget::new(bytes)), ..self }
    }
}

impl ReferenceCache for WorkingCopies {
    fn get(&self, _digest: &Sha256Digest) -> Option<CachedReference> {
        self.counters.misses.add_one();
        None
    }

    fn begin(
        &self,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Box<dyn ReferenceWriter>, CacheError> {
        if let Some(reservation) = Reservation::take(&self.memory, len)
            && let Some(writer) = InMemory::begin(reservation, digest, len)
        {
            return Ok(Box::new(writer));
        }
        Ok(Box::new(WorkingCopy::begin(&self.folder, digest, len)?))
    }

    fn within(&self, _name: &str) -> Arc<dyn ReferenceCache> {
        Arc::new(self.clone())
    }

    fn counts(&self) -> Counts {
        self.counters.read()
    }
}

/// A writer of a reference that is kept only for its operation.
#[derive(Debug)]
pub(crate) struct WorkingCopy {
    folder: PathBuf,
    file: EncryptedTempFile,
    claim: ExpectedContent,
}

impl WorkingCopy {
    /// Creates the temporary file in the directory `folder`.
    pub(crate) fn begin(
        folder: &Path,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Self, CacheError> {
        let file = EncryptedTempFile::new(folder).map_err(failed(folder))?;
        Ok(Self { folder: folder.to_owned(), file, claim: ExpectedContent::new(digest, len) })
    }
}

fn failed(folder: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |source| CacheError::Io { place: folder.display().to_string(), source }
}

impl ReferenceWriter for WorkingCopy {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if self.claim.take(bytes) {
            self.file.write_all(bytes).map_err(failed(&self.folder))?;
        }
        Ok(())
    }

    fn publish(mut self: Box<Self>) -> Result<CachedReference, CacheError> {
        self.claim.check()?;
        Ok(Arc::new(self.file.finish().map_err(failed(&self.folder))?))
    }
}

/// A writer of a reference into memory.
struct InMemory {
    held: Held,
    claim: ExpectedContent,
}

impl InMemory {
    /// Allocates the memory; `None` if there is too little.
    fn begin(reservation: Reservation, digest: &Sha256Digest, len: u64) -> Option<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(usize::try_from(len).ok()?).ok()?;
        let held = Held { bytes, _reservation: reservation };
        Some(Self { held, claim: ExpectedContent::new(digest, len) })
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InMemory").field("claim", &self.claim).finish_non_exhaustive()
    }
}

impl ReferenceWriter for InMemory {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if self.claim.take(bytes) {
            self.held.bytes.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn publish(mut self: Box<Self>) -> Result<CachedReference, CacheError> {
        self.claim.check()?;
        Ok(Arc::new(self.held))
    }
}

/// A reference in memory.
struct Held {
    bytes: Vec<u8>,
    _reservation: Reservation,
}

impl Source for Held {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        Source::len(&self.bytes)
    }

    fn bytes(&self) -> Option<&[u8]> {
        Some(&self.bytes)
    }
}
