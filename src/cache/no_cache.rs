//! No cache: an unnamed, sealed copy for the current operation, nothing kept beyond it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::counts::{Counters, Counts};
use super::sealed::EncryptedTempFile;
use super::{CacheError, CachedReference, ExpectedContent, ReferenceCache, ReferenceWriter};
use crate::domain::Sha256Digest;

/// Keeps each reference in a sealed, unnamed temporary file for as long as it is held.
#[derive(Debug, Clone)]
pub struct WorkingCopies {
    folder: PathBuf,
    counters: Arc<Counters>,
}

impl WorkingCopies {
    /// Creates the temporary files in the directory `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, counters: Arc::default() }
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
