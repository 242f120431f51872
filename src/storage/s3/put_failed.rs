//! Errors of calls that store something.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;

use crate::storage::{StorageError, StorageErrorKind};

use super::error::{Cause, Failed};

/// The reason why nothing was stored, as far as is known.
pub(super) enum PutFailed {
    /// The body failed.
    Body(std::io::Error),
    /// The store or the connection to it failed.
    Store(Failed),
    /// The store's answer lacks a required value.
    Answer(Cause),
}

impl PutFailed {
    pub(super) fn answer(what: &str) -> Self {
        Self::Answer(Cause::new(what))
    }

    /// Returns whether the upload no longer exists: it was completed or aborted.
    pub(super) fn is_no_such_upload(&self) -> bool {
        matches!(self, Self::Store(failed) if failed.is_no_such_upload())
    }

    /// Converts to an error of the call.
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
