//! Errors of operations on the disk. The caller adds the operation and the object.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;

use crate::storage::{StorageError, StorageErrorKind};

#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: StorageErrorKind,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    pub(super) fn because(
        kind: StorageErrorKind,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, cause: Some(cause.into()) }
    }

    /// Creates the error for a file that is not what this store wrote.
    pub(super) fn damaged(path: &Path, why: impl fmt::Display) -> Self {
        Self::because(StorageErrorKind::Damaged, format!("{} is damaged: {why}", path.display()))
    }

    /// Creates the error for a bucket that is not as this store left it.
    pub(super) fn broken(path: &Path, why: impl fmt::Display) -> Self {
        Self::because(StorageErrorKind::Other, format!("{} is damaged: {why}", path.display()))
    }

    /// Returns the reason as text.
    pub(super) fn why(&self) -> String {
        self.cause.as_ref().map_or_else(|| format!("{:?}", self.kind), ToString::to_string)
    }

    /// Adds a path to an I/O error, which lacks it.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::because(class(&error), format!("{}: {error}", path.display()))
    }

    pub(super) fn of(self, operation: &'static str, target: impl fmt::Display) -> StorageError {
        let error = StorageError::new(self.kind, operation, target);
        match self.cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    }
}

impl From<StorageErrorKind> for Fault {
    fn from(kind: StorageErrorKind) -> Self {
        Self { kind, cause: None }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::because(class(&error), error)
    }
}

/// Classifies an I/O error. A file that is not found is never "no such object" by itself: only the
/// caller knows whether it looked in the right place.
fn class(error: &io::Error) -> StorageErrorKind {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => StorageErrorKind::NoSpace,
        Io::PermissionDenied | Io::ReadOnlyFilesystem => StorageErrorKind::Denied,
        Io::InvalidFilename => StorageErrorKind::Invalid,
        _ => StorageErrorKind::Other,
    }
}
