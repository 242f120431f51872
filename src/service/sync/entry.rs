//! Entries of a folder (a local directory or a bucket prefix), named by their path relative to it.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::SkipReason;
use crate::domain::{BucketName, Key, ObjectName, Sha256Digest, paths};
use crate::service::error::ServiceError;
use crate::storage::ETag;

/// A source or a destination of a sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// A local directory.
    Local(PathBuf),
    /// A prefix in a bucket; the prefix is empty or ends with `/`.
    InBucket(BucketName, String),
}

impl Folder {
    /// Returns the folder of a prefix in a bucket; `v1` is completed to `v1/`.
    pub fn in_bucket(bucket: &BucketName, path: &str) -> Self {
        Self::InBucket(bucket.clone(), paths::folder(path))
    }

    /// Returns the name of the object with this relative name.
    pub(super) fn object(&self, relative: &str) -> Result<ObjectName, ServiceError> {
        let (bucket, prefix) = match self {
            Self::InBucket(bucket, prefix) => (bucket, prefix),
            Self::Local(path) => return Err(ServiceError::NotInAStore(path.join(relative))),
        };
        let key = format!("{prefix}{relative}");
        let named = |source| ServiceError::Name { object: format!("s3://{bucket}/{key}"), source };
        Ok(ObjectName::new(bucket.clone(), Key::new(key.as_str()).map_err(named)?))
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::InBucket(bucket, prefix) => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// A file of a folder.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its path relative to the folder, with `/` as the separator.
    pub(super) relative: String,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    /// The last change of a local file, attributes included (ctime); of an object the same as
    /// `modified`.
    pub(super) changed: SystemTime,
    /// True if another file has the name that the delta of this one would have.
    pub(super) has_namesake: bool,
    pub(super) at: At,
}

#[derive(Debug, Clone)]
pub(super) enum At {
    File(PathBuf),
    Object(Box<Object>),
}

#[derive(Debug, Clone)]
pub(super) struct Object {
    pub(super) name: ObjectName,
    /// The stored object that is served for it.
    pub(super) stored: ObjectName,
    /// The ETag of the stored object.
    pub(super) tag: ETag,
    /// True if the ETag is that of the file, not of a delta.
    pub(super) plain: bool,
    /// The SHA-256 of the file, if the listing has it.
    pub(super) digest: Option<Sha256Digest>,
    /// True if the kind of the stored object is certain; otherwise it may be a file of its own with
    /// the name of a delta.
    pub(super) decided: bool,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::File(path) => write!(f, "{}", path.display()),
            At::Object(object) => object.name.fmt(f),
        }
    }
}

/// An item found in a folder.
#[derive(Debug)]
pub(super) enum Seen {
    File(Entry),
    /// An empty object that represents a directory.
    Marker(String),
    /// An object that may be a file of this name, and is listed as something else.
    Undecided(String, ObjectName),
    /// A path with its relative name that is skipped, with the reason.
    Skip(PathBuf, String, SkipReason),
    /// An existing path that cannot be read, nor can anything below it.
    Unread(String, ServiceError),
    /// An unreadable path that the filter excludes.
    Hidden(String),
    /// A file or a directory marker that cannot exist on a disk beside the second name.
    Shadowed(String, String),
    Failed(String, ServiceError),
}
