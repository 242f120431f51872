//! The result of a put.

use crate::domain::{ObjectName, Sha256Digest};
use crate::service::error::ServiceError;
use crate::service::plan::DirectReason;
use crate::service::references::ReferenceWarning;
use crate::storage::StorageError;

/// The form in which a file was stored.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredAs {
    /// A reference of its deltaspace and a delta of itself.
    Reference,
    /// A delta.
    Delta,
    /// The file as it is.
    Direct(DirectReason),
}

/// A problem that did not prevent a file from being stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutWarning {
    /// A reference is damaged, and no delta was made against it.
    #[error("no delta was made against it; `verify` shows which files need this reference")]
    Reference(#[source] ServiceError),
    /// The reference of the replaced object could not be deleted.
    #[error(transparent)]
    ReferenceLeft(#[from] ReferenceWarning),
    /// A copied object does not match the checksum that the store states.
    #[error("it was copied as the store sent it")]
    ChecksumMismatch(#[source] ServiceError),
    /// The replaced object could not be deleted; the new content is served, since it is newer.
    #[error("the older {object} could not be removed")]
    OlderLeft {
        /// The older stored object.
        object: ObjectName,
        /// The cause.
        source: StorageError,
    },
}

/// The result of a put.
#[derive(Debug)]
pub struct PutReport {
    /// The form in which the file was stored.
    pub stored_as: StoredAs,
    /// The size of the file in bytes.
    pub size: u64,
    /// Bytes added to the store: the delta, the file, or the file and its delta.
    pub stored: u64,
    /// SHA-256 of the file; `None` if the store copied an object that has none.
    pub sha256: Option<Sha256Digest>,
    /// Problems that did not prevent the put.
    pub warnings: Vec<PutWarning>,
}
