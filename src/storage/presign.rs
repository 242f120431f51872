//! Presigned URLs, which work without credentials of the store.

use std::fmt;
use std::time::Duration;

use super::{StorageError, StorageErrorKind};
use crate::domain::ObjectName;

/// The request that a presigned URL allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presigned {
    /// Reads the object; the answer has this `Content-Disposition`, if any.
    Get(Option<String>),
    /// Writes the object.
    Put,
}

/// The maximum lifetime of a presigned URL (S3 User Guide, "Download and upload objects with
/// presigned URLs").
pub const MAX_PRESIGNED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The part of a store that creates presigned URLs.
#[async_trait::async_trait]
pub trait Presign: fmt::Debug + Send + Sync {
    /// Creates a URL that allows its holder one request for one object until it expires, without
    /// credentials. The lifetime is at most [`MAX_PRESIGNED`]. Sends no request to the store.
    /// [`StorageErrorKind::Invalid`] if the store does not support such URLs.
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
