//! Why the disk failed an operation. What was asked for, and of which object, is known and added by
//! the caller.

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

    /// The file is not what this store once wrote there.
    pub(super) fn damaged(path: &Path, why: impl fmt::Display) -> Self {
        Self::because(StorageErrorKind::Damaged, format!("{} is damaged: {why}", path.display()))
    }

    /// The bucket is not what this store made of it.
    pub(super) fn broken(path: &Path, why: impl fmt::Display) -> Self {
        Self::because(StorageErrorKind::Other, format!("{} is damaged: {why}", path.display()))
    }

    /// Why, in words.
    pub(super) fn why(&self) -> String {
        self.cause.as_ref().map_or_else(|| format!("{:?}", self.kind), ToString::to_string)
    }

    /// Gives an I/O error the path it lacks.
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

/// A file that is not found is never "no such object" by itself: only who looked in the right place
/// can say that.
fn class(error: &io::Error) -> StorageErrorKind {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::StorageFull | Io::QuotaExceeded => StorageErrorKind::NoSpace,
        Io::PermissionDenied | Io::ReadOnlyFilesystem => StorageErrorKind::Denied,
        Io::InvalidFilename => StorageErrorKind::Invalid,
        _ => StorageErrorKind::Other,
    }
}
