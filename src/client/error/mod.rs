//! Errors of the client, by what a caller can do about them.

mod summary;

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::domain::UriError;
use crate::service::ServiceError;
use crate::storage::{StorageError, StorageErrorKind};
use crate::wiring::WiringError;

pub use summary::{FileAction, FileEvent, Summary};

/// The class of an [`Error`], by what a caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no file of this name.
    NotFound,
    /// There is no bucket of this name.
    NoSuchBucket,
    /// The name has a file, or the bucket exists.
    AlreadyExists,
    /// A condition of the call does not hold.
    Precondition,
    /// The bucket has files, or references that deltas may need.
    NotEmpty,
    /// The file has none of the bytes asked for.
    InvalidRange,
    /// The credentials do not allow the call.
    PermissionDenied,
    /// The credentials are missing, wrong or expired: no call succeeds with them.
    Unauthenticated,
    /// The store asks for fewer requests: try again later.
    Throttled,
    /// Concurrent writers were faster: try again.
    Conflict,
    /// The bytes are not those of the file: a stored object is damaged, or a reference is missing.
    Corrupt,
    /// The object is in an archive and must be restored first.
    Archived,
    /// The object is encrypted with a customer's key that the client does not have.
    KeyNeeded,
    /// The object is under retention or a legal hold.
    Locked,
    /// The store's disk is full.
    NoSpace,
    /// An argument or a setting makes no sense.
    InvalidInput,
    /// The store, or the form in which the file is stored, does not support the call.
    Unsupported,
    /// A guard of the call prevented a deletion.
    Refused,
    /// A local file, directory or stream failed.
    Local,
    /// Some files of a call on many failed; see [`Error::summary`].
    Incomplete,
    /// Any other failure: the outcome of the call is unknown.
    Other,
}

/// A failed call of the client.
///
/// ```
/// # use deltaglider::{DeltaGlider, ErrorKind};
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
/// # dg.create_bucket("releases").await?;
/// let error = dg.head("s3://releases/absent.zip").await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert_eq!(error.object(), "s3://releases/absent.zip");
/// assert_eq!(error.to_string(), "cannot look up s3://releases/absent.zip: no such object");
/// # Ok(()) }
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    object: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    summary: Option<Summary>,
}

impl Error {
    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the object, bucket or path that the call was about.
    pub fn object(&self) -> &str {
        &self.0.object
    }

    /// Returns what can be done about the error, if that is known.
    pub fn hint(&self) -> Option<&'static str> {
        hint(self.0.kind)
    }

    /// Returns the summary of a call on many files of which some failed.
    pub fn summary(&self) -> Option<&Summary> {
        self.0.summary.as_ref()
    }

    /// Returns whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Throttled | ErrorKind::Conflict)
    }

    pub(super) fn new(
        kind: ErrorKind,
        operation: &'static str,
        object: impl fmt::Display,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let (object, source) = (object.to_string(), Some(source.into()));
        Self(Box::new(Inner { kind, operation, object, source, summary: None }))
    }

    /// Creates the error of a call on many files.
    pub(super) fn incomplete(
        operation: &'static str,
        object: impl fmt::Display,
        summary: Summary,
    ) -> Self {
        let (kind, object, source) = (ErrorKind::Incomplete, object.to_string(), None);
        Self(Box::new(Inner { kind, operation, object, source, summary: Some(summary) }))
    }

    /// Returns a constructor of the error of a service operation.
    pub(super) fn of<E: Into<ServiceError>>(
        operation: &'static str,
        object: impl fmt::Display,
    ) -> impl FnOnce(E) -> Self {
        let object = object.to_string();
        move |error| {
            let error = error.into();
            Self::new(kind(&error), operation, object, error)
        }
    }

    /// Creates the error for a text that names no object or bucket.
    pub(super) fn name(operation: &'static str, text: &str, source: UriError) -> Self {
        Self::new(ErrorKind::InvalidInput, operation, text, source)
    }
}

impl From<WiringError> for Error {
    fn from(error: WiringError) -> Self {
        const OPERATION: &str = "open";
        let object = "the store";
        match error {
            WiringError::Storage(error) => Self::of(OPERATION, object)(error),
            WiringError::Cache(error) => Self::of(OPERATION, "the cache")(error),
            error => Self::new(ErrorKind::InvalidInput, OPERATION, object, error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NoSuchBucket => io::ErrorKind::NotFound,
            ErrorKind::AlreadyExists => io::ErrorKind::AlreadyExists,
            ErrorKind::PermissionDenied | ErrorKind::Unauthenticated => {
                io::ErrorKind::PermissionDenied
            }
            ErrorKind::Corrupt => io::ErrorKind::InvalidData,
            ErrorKind::InvalidInput | ErrorKind::InvalidRange => io::ErrorKind::InvalidInput,
            ErrorKind::Unsupported => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, operation, object, summary, .. } = &*self.0;
        write!(f, "cannot {operation} {object}: ")?;
        match summary {
            Some(summary) => write!(f, "{} files failed", summary.failures.len()),
            None => f.write_str(described(*kind)),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, operation, object, source, .. } = &*self.0;
        let mut shown = f.debug_struct("Error");
        shown.field("kind", kind).field("operation", operation).field("object", object);
        shown.field("source", source).finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

fn described(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "no such object",
        ErrorKind::NoSuchBucket => "no such bucket",
        ErrorKind::AlreadyExists => "it exists already",
        ErrorKind::Precondition => "a condition does not hold",
        ErrorKind::NotEmpty => "the bucket is not empty",
        ErrorKind::InvalidRange => "the range lies outside the file",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::Unauthenticated => "the credentials cannot be used",
        ErrorKind::Throttled => "the store asks to slow down",
        ErrorKind::Conflict => "concurrent writers were faster",
        ErrorKind::Corrupt => "the stored file is damaged",
        ErrorKind::Archived => "it is archived",
        ErrorKind::KeyNeeded => "it is encrypted with another customer's key",
        ErrorKind::Locked => "it is locked against removal",
        ErrorKind::NoSpace => "the store's disk is full",
        ErrorKind::InvalidInput => "invalid argument",
        ErrorKind::Unsupported => "not supported",
        ErrorKind::Refused => "a guard prevents it",
        ErrorKind::Local => "a local file or stream failed",
        ErrorKind::Incomplete => "some files failed",
        ErrorKind::Other => "the call failed",
    }
}

fn hint(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::NoSuchBucket => "create the bucket, or list the buckets of the store",
        ErrorKind::PermissionDenied => "check the permissions of the credentials",
        ErrorKind::Unauthenticated => "check the credentials, the profile and the clock",
        ErrorKind::Throttled | ErrorKind::Conflict => "try again later",
        ErrorKind::Corrupt => "`repair` names what is damaged or missing",
        ErrorKind::Archived => "restore the object from its archive and try again",
        ErrorKind::KeyNeeded => "build the client with the customer's key",
        ErrorKind::Locked => "wait until the retention ends or the legal hold is lifted",
        ErrorKind::NoSpace => "free space on the disk of the store",
        _ => return None,
    })
}

/// Returns the class of an error of the service.
fn kind(error: &ServiceError) -> ErrorKind {
    use ServiceError as E;
    match error {
        E::Storage(error) => storage_kind(error),
        E::Name { .. }
        | E::Deltaspace { .. }
        | E::UserMetadata { .. }
        | E::MetadataTooLarge { .. }
        | E::EscapedTooLong { .. }
        | E::CopyOntoItself(_)
        | E::Nested { .. }
        | E::NotInAStore(_)
        | E::NotUtf8(_)
        | E::NoPath { .. }
        | E::Occupied { .. }
        | E::IsDelta { .. }
        | E::IsReference(_) => ErrorKind::InvalidInput,
        E::DestinationDenied(..) => ErrorKind::PermissionDenied,
        E::Changed(_)
        | E::Contended(_)
        | E::NameContended(_)
        | E::Inconsistent(_)
        | E::Unstable { .. } => ErrorKind::Conflict,
        E::CopyMismatch { .. }
        | E::LostMetadata(_)
        | E::Metadata { .. }
        | E::Mismatch { .. }
        | E::Damaged { .. }
        | E::ChecksumMismatch { .. }
        | E::Length { .. }
        | E::ReferenceMissing { .. }
        | E::ReferenceDamaged { .. }
        | E::Decode { .. }
        | E::Unpack { .. } => ErrorKind::Corrupt,
        E::StoredAsDelta(_)
        | E::NeedsConditionalWrites
        | E::Recompression { .. }
        | E::CannotPack(_)
        | E::Repack { .. } => ErrorKind::Unsupported,
        E::SourceEmpty { .. } | E::SourceIncomplete { .. } | E::TooManyRemovals { .. } => {
            ErrorKind::Refused
        }
        E::BucketKept(_) => ErrorKind::NotEmpty,
        E::Local { .. }
        | E::Output(_)
        | E::NotAFile(_)
        | E::IsDirectory(_)
        | E::NotADirectory { .. }
        | E::NotDeletable { .. }
        | E::NotRestored { .. }
        | E::AlsoDirectory { .. }
        | E::LeftAside(_)
        | E::Cache(_) => ErrorKind::Local,
        E::Encode { .. } | E::RoundTrip(_) => ErrorKind::Other,
    }
}

fn storage_kind(error: &StorageError) -> ErrorKind {
    match error.kind {
        StorageErrorKind::NoSuchBucket => ErrorKind::NoSuchBucket,
        StorageErrorKind::NotFound => ErrorKind::NotFound,
        StorageErrorKind::AlreadyExists => ErrorKind::AlreadyExists,
        StorageErrorKind::Precondition => ErrorKind::Precondition,
        StorageErrorKind::NotEmpty => ErrorKind::NotEmpty,
        StorageErrorKind::InvalidRange => ErrorKind::InvalidRange,
        StorageErrorKind::Damaged => ErrorKind::Corrupt,
        StorageErrorKind::Denied => ErrorKind::PermissionDenied,
        StorageErrorKind::Credentials => ErrorKind::Unauthenticated,
        StorageErrorKind::Archived => ErrorKind::Archived,
        StorageErrorKind::KeyNeeded => ErrorKind::KeyNeeded,
        StorageErrorKind::Locked => ErrorKind::Locked,
        StorageErrorKind::Throttled => ErrorKind::Throttled,
        StorageErrorKind::Invalid => ErrorKind::InvalidInput,
        StorageErrorKind::ConditionUnsupported => ErrorKind::Unsupported,
        StorageErrorKind::NoSpace => ErrorKind::NoSpace,
        StorageErrorKind::Other => ErrorKind::Other,
    }
}
