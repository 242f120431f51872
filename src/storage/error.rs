//! What a caller can do about a failed storage call.

use std::error::Error;
use std::fmt;

/// Classes of failure, by what the caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// The store said that there is no such bucket.
    NoSuchBucket,
    /// The store said that there is no such object in an existing bucket.
    NotFound,
    /// `If-None-Match: *` failed, or a bucket of that name exists.
    AlreadyExists,
    /// `If-Match` failed.
    Precondition,
    /// The bucket still holds objects.
    NotEmpty,
    /// The range starts at or after the end of the object.
    InvalidRange,
    /// The object is stored and cannot be read, since what the store keeps of it is damaged.
    Damaged,
    /// Not allowed.
    Denied,
    /// There are no credentials, or they are wrong or have expired: no request succeeds with them.
    Credentials,
    /// The object is in an archive: it must be restored before it can be read or copied.
    Archived,
    /// The object is encrypted with a key of the customer's, and another or none was sent.
    KeyNeeded,
    /// The object is under retention or a legal hold: it cannot be removed or replaced before that
    /// ends.
    Locked,
    /// The store asks for fewer requests.
    Throttled,
    /// The request itself is one the store does not take (too large, bad name, metadata too large).
    Invalid,
    /// The store has no such condition on this call, and nothing was done.
    ConditionUnsupported,
    /// The store's disk is full.
    NoSpace,
    /// Anything else: the outcome of the call is unknown.
    Other,
}

/// A failed call to an object store.
#[derive(Debug)]
pub struct StorageError {
    /// What the caller can do.
    pub kind: StorageErrorKind,
    /// What was asked for: `GetObject`, `PutObject`, …
    pub operation: &'static str,
    /// The bucket, `s3://bucket/key` or endpoint it was asked of.
    pub target: String,
    /// The cause; never contains a credential or a signed URL.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl StorageError {
    /// Without a cause.
    pub fn new(kind: StorageErrorKind, operation: &'static str, target: impl fmt::Display) -> Self {
        Self { kind, operation, target: target.to_string(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the store said that the object, or its bucket, does not exist.
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
            StorageErrorKind::Precondition => "changed meanwhile (412)",
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
