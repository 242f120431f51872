//! Names of objects, prefixes and buckets, as a caller writes them.

use super::error::{Error, ErrorKind};
use crate::domain::{BucketName, ObjectName, S3Uri, UriError};

/// An object, a prefix or a bucket: a text such as `s3://bucket/key`, or a name that was parsed
/// already. A text that is no URI is reported by the call that uses it.
///
/// ```
/// use deltaglider::Location;
///
/// let location = Location::from("s3://releases/app/1.0.zip");
/// assert_eq!(location.to_string(), "s3://releases/app/1.0.zip");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    text: String,
    uri: Result<S3Uri, UriError>,
}

impl Location {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the object of this name.
    pub(super) fn object(&self, operation: &'static str) -> Result<ObjectName, Error> {
        let object = self.uri.clone().and_then(|uri| uri.object());
        object.map_err(|error| Error::name(operation, &self.text, error))
    }

    /// Returns the bucket and the prefix of this name.
    pub(super) fn prefix(&self, operation: &'static str) -> Result<S3Uri, Error> {
        self.uri.clone().map_err(|error| Error::name(operation, &self.text, error))
    }

    /// Returns the bucket of this name, which may stand alone.
    pub(super) fn bucket(&self, operation: &'static str) -> Result<BucketName, Error> {
        match &self.uri {
            Ok(uri) if uri.path.is_empty() => Ok(uri.bucket.clone()),
            Ok(_) => {
                let why = "a bucket is named without a key";
                Err(Error::new(ErrorKind::InvalidInput, operation, &self.text, why))
            }
            Err(UriError::Scheme(text)) => BucketName::new(text.as_str())
                .map_err(|error| Error::new(ErrorKind::InvalidInput, operation, &self.text, error)),
            Err(error) => Err(Error::name(operation, &self.text, error.clone())),
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Location {
    fn from(text: String) -> Self {
        let uri = text.parse();
        Self { text, uri }
    }
}

impl From<&str> for Location {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<&String> for Location {
    fn from(text: &String) -> Self {
        text.clone().into()
    }
}

impl From<S3Uri> for Location {
    fn from(uri: S3Uri) -> Self {
        Self { text: uri.to_string(), uri: Ok(uri) }
    }
}

impl From<&ObjectName> for Location {
    fn from(object: &ObjectName) -> Self {
        S3Uri { bucket: object.bucket.clone(), path: object.key.to_string() }.into()
    }
}

impl From<ObjectName> for Location {
    fn from(object: ObjectName) -> Self {
        (&object).into()
    }
}

impl From<&BucketName> for Location {
    fn from(bucket: &BucketName) -> Self {
        S3Uri { bucket: bucket.clone(), path: String::new() }.into()
    }
}
