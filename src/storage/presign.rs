//! URLs that work without keys of the store.

use std::fmt;
use std::time::Duration;

use super::{StorageError, StorageErrorKind};
use crate::domain::ObjectName;

/// What a presigned URL allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presigned {
    /// To read the object; the answer has this `Content-Disposition`, if any.
    Get(Option<String>),
    /// To write the object.
    Put,
}

/// The longest a presigned URL lasts (S3 User Guide, "Download and upload objects with presigned
/// URLs").
pub const MAX_PRESIGNED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The part of a store that makes URLs.
#[async_trait::async_trait]
pub trait Presign: fmt::Debug + Send + Sync {
    /// A URL that lets who has it do one thing to one object until it expires, without keys of the
    /// store; at most [`MAX_PRESIGNED`]. Nothing is asked of the store.
    /// [`StorageErrorKind::Invalid`] where there are no such URLs.
    async fn presign(
        &self,
        object: &ObjectName,
        _allowed: &Presigned,
        _expires_in: Duration,
    ) -> Result<String, StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "Presign", object);
        Err(refused.because("this store has no URLs"))
    }
}
