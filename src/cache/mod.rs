//! The port to a cache of references: content-addressed by SHA-256, verified before use, read by position.

mod unlinked;

use std::fmt;
use std::io;
use std::sync::Arc;

use deltaglider_vcdiff::Source;

use crate::domain::Sha256Digest;

pub use unlinked::UnlinkedCache;

/// A reference whose SHA-256 was verified, readable by position for as long as it is held.
pub type CachedReference = Arc<dyn Source>;

/// Why a reference could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The bytes are not those of the digest asked for.
    #[error("SHA-256 mismatch: expected {expected}, got {actual}")]
    Mismatch {
        /// What the caller asked for.
        expected: Sha256Digest,
        /// What the bytes have.
        actual: Sha256Digest,
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

/// Takes the bytes of one reference; nothing can be read from it before they are complete and verified.
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
    /// The reference of this digest, if it is at hand.
    fn get(&self, digest: &Sha256Digest) -> Option<CachedReference>;

    /// Starts keeping the reference of this digest.
    fn begin(&self, digest: &Sha256Digest, len: u64) -> Result<Box<dyn ReferenceWriter>, CacheError>;
}
