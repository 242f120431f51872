//! What a put did.

use crate::domain::{ObjectName, Sha256Digest};
use crate::service::error::ServiceError;
use crate::service::plan::DirectReason;
use crate::service::references::ReferenceWarning;
use crate::storage::StorageError;

/// How a file was stored.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredAs {
    /// As the reference of its deltaspace and a delta of itself.
    Reference,
    /// As a delta.
    Delta,
    /// As it is.
    Direct(DirectReason),
}

/// What does not keep a file from being stored, but should be known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutWarning {
    /// A reference is damaged, and no delta was made against it.
    #[error("no delta was made against it; `verify` shows which files need this reference")]
    Reference(#[source] ServiceError),
    /// The reference of what stood there before could not be removed.
    #[error(transparent)]
    ReferenceLeft(#[from] ReferenceWarning),
    /// The store states another checksum of what was copied.
    #[error("it was copied as the store sent it")]
    Contradicted(#[source] ServiceError),
    /// What stood there before could not be removed; the new content is served, since it is newer.
    #[error("the older {object} could not be removed")]
    OlderLeft {
        /// The older stored object.
        object: ObjectName,
        /// Why.
        source: StorageError,
    },
}

/// What a put did.
#[derive(Debug)]
pub struct PutReport {
    /// How the file was stored.
    pub stored_as: StoredAs,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that were added to the store: the delta, the file, or the file and its delta.
    pub stored: u64,
    /// SHA-256 of the file; `None` if the store copied an object that has none.
    pub sha256: Option<Sha256Digest>,
    /// What should be known.
    pub warnings: Vec<PutWarning>,
}
