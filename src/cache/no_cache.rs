//! No cache: a sealed copy without a name for the operation that asked, nothing kept beyond it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::counts::{Counters, Counts};
use super::sealed::EncryptedTempFile;
use super::{CacheError, CachedReference, ExpectedContent, ReferenceCache, ReferenceWriter};
use crate::domain::Sha256Digest;

/// Keeps each reference in a sealed file without a name in a folder for temporaries, for as long as
/// it is held.
#[derive(Debug, Clone)]
pub struct WorkingCopies {
    folder: PathBuf,
    counters: Arc<Counters>,
}

impl WorkingCopies {
    /// Uses `folder` for its files.
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

/// One reference that is kept for its operation only.
#[derive(Debug)]
pub(crate) struct WorkingCopy {
    folder: PathBuf,
    scratch: EncryptedTempFile,
    claim: ExpectedContent,
}

impl WorkingCopy {
    /// Its file is made in `folder`.
    pub(crate) fn begin(
        folder: &Path,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Self, CacheError> {
        let scratch = EncryptedTempFile::new(folder).map_err(failed(folder))?;
        Ok(Self { folder: folder.to_owned(), scratch, claim: ExpectedContent::new(digest, len) })
    }
}

fn failed(folder: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |source| CacheError::Io { place: folder.display().to_string(), source }
}

impl ReferenceWriter for WorkingCopy {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if self.claim.take(bytes) {
            self.scratch.write_all(bytes).map_err(failed(&self.folder))?;
        }
        Ok(())
    }

    fn publish(self: Box<Self>) -> Result<CachedReference, CacheError> {
        self.claim.check()?;
        Ok(Arc::new(self.scratch.finish().map_err(failed(&self.folder))?))
    }
}
