//! Caches of references: content-addressed by SHA-256, sealed, verified before use and readable by
//! position.

mod admin;
mod byte_budget;
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
use std::sync::atomic::{AtomicU64, Ordering};

use deltaglider_vcdiff::Source;

use crate::domain::{BackgroundHasher, Sha256Digest};

pub use admin::{CacheAdmin, Survey};
pub use counts::Counts;
pub use folder::{
    Cleared, FolderCache, Holdings, InsecureDir, InvalidEntry, Limits, ProcessCaches, Verified,
};
pub use key::{CacheKey, KeyError};
pub use legacy::LegacyCache;
pub use memory::MemoryCache;
pub use no_cache::WorkingCopies;
pub(crate) use no_cache::WorkingCopy;
pub use sealed::CorruptChunk;
pub(crate) use sealed::{EncryptedTempFile, EncryptedTempSource};
pub use settings::{CacheSettings, SettingError};

/// A reference whose SHA-256 was verified, readable by position for as long as it is held. If a
/// read fails with a [`CorruptChunk`] inside, the reference should be fetched again.
pub type CachedReference = Arc<dyn Source>;

/// The reason why a reference could not be cached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The bytes are not those of the digest asked for.
    #[error("SHA-256 mismatch: expected {expected}, got {actual}")]
    Mismatch {
        /// The digest that the caller asked for.
        expected: Sha256Digest,
        /// The digest of the bytes.
        actual: Sha256Digest,
    },
    /// There are more or fewer bytes than announced.
    #[error("length mismatch: expected {expected} bytes, got {actual}")]
    Length {
        /// The announced number of bytes.
        expected: u64,
        /// The actual number of bytes.
        actual: u64,
    },
    /// The medium that the cache reads and writes failed.
    #[error("reference cache in {place}")]
    Io {
        /// The path of a directory, or `memory`.
        place: String,
        /// The cause.
        source: io::Error,
    },
}

/// A writer of one reference, which is readable only when it is complete and verified.
///
/// Calls may block; make them from threads that may block.
pub trait ReferenceWriter: fmt::Debug + Send {
    /// Adds bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError>;

    /// Verifies the SHA-256 and the length, and returns the reference.
    ///
    /// # Errors
    ///
    /// [`CacheError::Mismatch`] or [`CacheError::Length`] if the bytes are not those announced.
    fn publish(self: Box<Self>) -> Result<CachedReference, CacheError>;
}

/// A cache of references, by content.
pub trait ReferenceCache: fmt::Debug + Send + Sync {
    /// Returns the reference of this digest if it is cached. An invalid entry is deleted and
    /// counted, never returned.
    fn get(&self, digest: &Sha256Digest) -> Option<CachedReference>;

    /// Begins to cache the reference of this digest, of `len` bytes. One that is too large for the
    /// cache is readable nevertheless while it is held.
    fn begin(
        &self,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Box<dyn ReferenceWriter>, CacheError>;

    /// Returns the part of this cache for the origin `name` within this part's origin: an endpoint,
    /// or a bucket of it.
    ///
    /// Parts share storage, limits and counts, but no entries, not even of the same content:
    /// whoever may write one bucket must not read another bucket's references by naming their
    /// digests.
    fn within(&self, name: &str) -> Arc<dyn ReferenceCache>;

    /// Returns the event counts so far.
    fn counts(&self) -> Counts;
}

/// The digest and length that incoming bytes must have, and those received so far.
#[derive(Debug)]
struct ExpectedContent {
    digest: Sha256Digest,
    len: u64,
    hasher: BackgroundHasher,
    taken: u64,
}

impl ExpectedContent {
    fn new(digest: &Sha256Digest, len: u64) -> Self {
        Self { digest: *digest, len, hasher: BackgroundHasher::default(), taken: 0 }
    }

    /// Counts and hashes bytes; returns whether their number is still within the expected length.
    fn take(&mut self, bytes: &[u8]) -> bool {
        self.hasher.update(bytes);
        self.taken += bytes.len() as u64;
        self.taken <= self.len
    }

    /// Fails unless the bytes have the expected digest and length.
    fn check(&mut self) -> Result<(), CacheError> {
        let actual = self.hasher.so_far();
        if actual != self.digest {
            return Err(CacheError::Mismatch { expected: self.digest, actual });
        }
        if self.taken != self.len {
            return Err(CacheError::Length { expected: self.len, actual: self.taken });
        }
        Ok(())
    }
}
