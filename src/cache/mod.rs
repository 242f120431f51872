//! The port to a cache of references: content-addressed by SHA-256, sealed, verified before use,
//! read by position.

mod admin;
#[cfg(test)]
mod conformance;
mod counts;
mod folder;
mod key;
mod legacy;
mod memory;
mod no_cache;
mod origin;
mod sealed;
mod settings;

use std::fmt;
use std::io;
use std::sync::Arc;

use deltaglider_vcdiff::Source;

use crate::domain::{Sha256Digest, Sha256Hasher};

pub use admin::{CacheAdmin, Survey};
pub use counts::Counts;
pub use folder::{
    Cleared, FolderCache, Holdings, InsecureDir, InvalidEntry, Limits, OfProcesses, Verified,
};
pub use key::{CacheKey, KeyError};
pub use legacy::LegacyCache;
pub use memory::MemoryCache;
pub use no_cache::WorkingCopies;
pub(crate) use no_cache::WorkingCopy;
pub use sealed::CorruptChunk;
pub(crate) use sealed::{EncryptedTempFile, EncryptedTempSource};
pub use settings::{CacheSettings, SettingError};

/// A reference whose SHA-256 was verified, readable by position for as long as it is held. A read
/// that fails with a [`CorruptChunk`] inside says that the reference should be fetched again.
pub type CachedReference = Arc<dyn Source>;

/// Why a reference could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The bytes are not those of the digest asked for.
    #[error("SHA-256 mismatch: expected {expected}, got {actual}")]
    Mismatch {
        /// What the caller asked for.
        expected: Sha256Digest,
        /// What the bytes have.
        actual: Sha256Digest,
    },
    /// There are more or fewer bytes than was said beforehand.
    #[error("{expected} bytes were announced, {actual} came")]
    Length {
        /// What was said.
        expected: u64,
        /// How many there were.
        actual: u64,
    },
    /// The place the cache writes to failed.
    #[error("reference cache in {place}")]
    Io {
        /// A folder, or `memory`.
        place: String,
        /// The cause.
        source: io::Error,
    },
}

/// Takes the bytes of one reference; nothing can be read from it before they are complete and
/// verified.
///
/// Calls may block; they are made from threads that may.
pub trait ReferenceWriter: fmt::Debug + Send {
    /// Adds bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError>;

    /// Verifies the SHA-256 and hands out the reference; [`CacheError::Mismatch`] if it differs.
    fn publish(self: Box<Self>) -> Result<CachedReference, CacheError>;
}

/// Keeps references by content.
pub trait ReferenceCache: fmt::Debug + Send + Sync {
    /// The reference of this digest, if it is at hand. What is at hand but not sound is removed,
    /// counted, and not given.
    fn get(&self, digest: &Sha256Digest) -> Option<CachedReference>;

    /// Starts keeping the reference of this digest, of `len` bytes. One that is too large to be
    /// kept is readable all the same.
    fn begin(
        &self,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Box<dyn ReferenceWriter>, CacheError>;

    /// The part of this cache for what comes from the place `name` within the place of this part:
    /// an endpoint, a bucket of it.
    ///
    /// Parts share room, limits and counts, and see no entries of each other, not even of the same
    /// content: who may write one bucket must not read another one's references by naming their
    /// digests.
    fn within(&self, name: &str) -> Arc<dyn ReferenceCache>;

    /// What has happened so far.
    fn counts(&self) -> Counts;
}

/// What the bytes on their way into a cache have to be.
#[derive(Debug)]
struct ExpectedContent {
    digest: Sha256Digest,
    len: u64,
    hasher: Sha256Hasher,
    taken: u64,
}

impl ExpectedContent {
    fn new(digest: &Sha256Digest, len: u64) -> Self {
        Self { digest: *digest, len, hasher: Sha256Hasher::default(), taken: 0 }
    }

    /// Counts and hashes bytes; says whether they still fit.
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.hasher.update(bytes);
        self.taken += bytes.len() as u64;
        self.taken <= self.len
    }

    /// An error if they were others.
    fn check(&self) -> Result<(), CacheError> {
        let actual = self.hasher.clone().finish();
        if actual != self.digest {
            return Err(CacheError::Mismatch { expected: self.digest, actual });
        }
        if self.taken != self.len {
            return Err(CacheError::Length { expected: self.len, actual: self.taken });
        }
        Ok(())
    }
}
