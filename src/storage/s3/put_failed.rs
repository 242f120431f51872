//! Why a call that stores something failed.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;

use crate::storage::{StorageError, StorageErrorKind};

use super::error::{Cause, Failed};

/// Why nothing was stored, as far as is known.
pub(super) enum PutFailed {
    /// The body itself failed.
    Body(std::io::Error),
    /// The store or the way to it failed.
    Store(Failed),
    /// The store's answer misses something.
    Answer(Cause),
}

impl PutFailed {
    pub(super) fn answer(what: &str) -> Self {
        Self::Answer(Cause::new(what))
    }

    /// Whether an upload is not known any more: it was completed or aborted.
    pub(super) fn is_no_such_upload(&self) -> bool {
        matches!(self, Self::Store(failed) if failed.is_no_such_upload())
    }

    /// With the call it happened in.
    pub(super) fn at(
        self,
        operation: &'static str,
        target: impl std::fmt::Display,
    ) -> StorageError {
        match self {
            Self::Store(failed) => failed.at(operation, target),
            Self::Body(error) => {
                StorageError::new(StorageErrorKind::Other, operation, target).because(error)
            }
            Self::Answer(cause) => {
                StorageError::new(StorageErrorKind::Other, operation, target).because(cause)
            }
        }
    }
}

impl From<Cause> for PutFailed {
    fn from(cause: Cause) -> Self {
        Self::Answer(cause)
    }
}

impl<E> From<SdkError<E, HttpResponse>> for PutFailed
where
    Failed: From<SdkError<E, HttpResponse>>,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        Self::Store(error.into())
    }
}
