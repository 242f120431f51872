//! The files of a folder, in a bucket or on a disk, under the names they have from the folder on.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::Passed;
use crate::domain::{BucketName, Key, ObjectName, Sha256Digest, paths};
use crate::service::error::ServiceError;
use crate::storage::ETag;

/// Where files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folder {
    /// On a disk.
    Local(PathBuf),
    /// In a bucket, below a prefix that is empty or ends with `/`.
    InBucket(BucketName, String),
}

impl Folder {
    /// A folder in a bucket; `v1` is what is in `v1/`.
    pub fn in_bucket(bucket: &BucketName, path: &str) -> Self {
        Self::InBucket(bucket.clone(), paths::folder(path))
    }

    /// The object of this name in the folder.
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

/// A file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its name from the folder on, with `/` between the parts.
    pub(super) relative: String,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    /// When a file was last changed in any way, its time included; of an object the same as
    /// `modified`.
    pub(super) changed: SystemTime,
    /// Whether there is another file, of the name that the delta of this one would have.
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
    /// The object that is served for it.
    pub(super) stored: ObjectName,
    /// The tag of that object.
    pub(super) tag: ETag,
    /// Whether its tag is that of the file.
    pub(super) plain: bool,
    /// Of the file, where the listing knew it.
    pub(super) digest: Option<Sha256Digest>,
    /// Whether the stored object is how this file is stored; else it may be a file of its own,
    /// called as a delta would be.
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

/// What there is in a folder.
#[derive(Debug)]
pub(super) enum Seen {
    File(Entry),
    /// An empty object that stands for a folder.
    Marker(String),
    /// What may be a file of this name, and is listed as something else.
    Undecided(String, ObjectName),
    /// Something of this path and name that no file is made of.
    Passed(PathBuf, String, Passed),
    /// Something of this name that is there and cannot be read, nor what is below it.
    Unread(String, ServiceError),
    /// The same, and a filter leaves it out.
    Hidden(String),
    /// A file, or the mark of a directory, that cannot be on a disk beside the second.
    Shadowed(String, String),
    Failed(String, ServiceError),
}
