//! Errors of storage calls, classified by what the caller can do.

use std::error::Error;
use std::fmt;

/// The class of a failure, by what the caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// The store reported that the bucket does not exist.
    NoSuchBucket,
    /// The store reported that the object does not exist in an existing bucket.
    NotFound,
    /// `If-None-Match: *` failed, or a bucket with that name exists.
    AlreadyExists,
    /// `If-Match` failed.
    Precondition,
    /// The bucket still holds objects.
    NotEmpty,
    /// The range starts at or after the end of the object.
    InvalidRange,
    /// The object exists but cannot be read because its stored record is damaged.
    Damaged,
    /// The request is not allowed.
    Denied,
    /// The credentials are missing, wrong or expired: no request succeeds with them.
    Credentials,
    /// The object is in an archive: it must be restored before it can be read or copied.
    Archived,
    /// The object is encrypted with a customer's key, and another key or none was sent.
    KeyNeeded,
    /// The object is under retention or a legal hold: it cannot be deleted or replaced before that
    /// ends.
    Locked,
    /// The store asks for fewer requests.
    Throttled,
    /// The store does not accept the request itself (too large, bad name, metadata too large).
    Invalid,
    /// The store does not support this condition on this call; nothing was done.
    ConditionUnsupported,
    /// The store's disk is full.
    NoSpace,
    /// Any other failure: the outcome of the call is unknown.
    Other,
}

/// A failed call to an object store.
#[derive(Debug)]
pub struct StorageError {
    /// The class of the failure.
    pub kind: StorageErrorKind,
    /// The operation: `GetObject`, `PutObject`, …
    pub operation: &'static str,
    /// The target: a bucket, `s3://bucket/key` or endpoint.
    pub target: String,
    /// The cause; never contains a credential or a signed URL.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StorageError {
    /// Creates an error without a cause.
    pub fn new(kind: StorageErrorKind, operation: &'static str, target: impl fmt::Display) -> Self {
        Self { kind, operation, target: target.to_string(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns whether the store reported that the object or its bucket does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(self.kind, StorageErrorKind::NotFound | StorageErrorKind::NoSuchBucket)
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            StorageErrorKind::NoSuchBucket => "no such bucket (404)",
            StorageErrorKind::NotFound => "no such object (404)",
            StorageErrorKind::AlreadyExists => "exists already",
            StorageErrorKind::Precondition => "changed by a concurrent writer (412)",
            StorageErrorKind::NotEmpty => "the bucket is not empty",
            StorageErrorKind::InvalidRange => "the range lies outside the object (416)",
            StorageErrorKind::Damaged => "the stored object is damaged",
            StorageErrorKind::Denied => "access denied",
            StorageErrorKind::Credentials => "the credentials cannot be used",
            StorageErrorKind::Archived => "archived, to be restored first",
            StorageErrorKind::KeyNeeded => {
                "encrypted with a customer's key, and another or none was given"
            }
            StorageErrorKind::Locked => "locked against removal",
            StorageErrorKind::Throttled => "the store asks to slow down (503)",
            StorageErrorKind::Invalid => "the store does not take this request",
            StorageErrorKind::ConditionUnsupported => "the store does not support this condition",
            StorageErrorKind::NoSpace => "the store's disk is full",
            StorageErrorKind::Other => "the store failed",
        };
        write!(f, "{} {}: {what}", self.operation, self.target)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
