//! An end of a sync: a local directory, or a prefix in a bucket.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::location::Location;
use crate::domain::S3Uri;
use crate::service::Folder;

/// A local directory or a prefix in a bucket. A text that begins with `s3://` is a prefix, any
/// other one a path.
///
/// ```
/// use deltaglider::Place;
///
/// assert!(matches!(Place::from("s3://releases/app/"), Place::Store(_)));
/// assert!(matches!(Place::from("build/app"), Place::Local(_)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A local directory.
    Local(PathBuf),
    /// A prefix in a bucket, which is completed by a `/`.
    Store(Location),
}

impl Place {
    pub(super) fn folder(&self, operation: &'static str) -> Result<Folder, Error> {
        Ok(match self {
            Self::Local(path) => Folder::Local(path.clone()),
            Self::Store(location) => {
                let uri = location.prefix(operation)?;
                Folder::in_bucket(&uri.bucket, &uri.path)
            }
        })
    }
}

impl From<&str> for Place {
    fn from(text: &str) -> Self {
        match S3Uri::is_meant(text) {
            true => Self::Store(text.into()),
            false => Self::Local(text.into()),
        }
    }
}

impl From<String> for Place {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Self {
        Self::Local(path.to_owned())
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self::Local(path)
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        Self::Store(location)
    }
}
