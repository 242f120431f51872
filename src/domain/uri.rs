//! URIs of the form `s3://bucket/key`.

use std::fmt;
use std::str::FromStr;

use super::access_point;
use super::key::{BucketName, Key, NameError, ObjectName};

/// A bucket and a possibly empty path, which the command takes as a key or a prefix. Nothing is
/// decoded: `%20` and `+` are taken literally.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct S3Uri {
    /// The bucket.
    pub bucket: BucketName,
    /// The text after the first `/` behind the bucket, as typed.
    pub path: String,
}

/// The reason why a text is not an S3 URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// The text does not begin with `s3://`.
    #[error("{0:?} is not an S3 URI; they look like s3://bucket/key")]
    Scheme(String),
    /// The bucket or key is invalid.
    #[error("{uri:?}: {source}")]
    Name {
        /// The text.
        uri: String,
        /// The reason.
        source: NameError,
    },
}

impl S3Uri {
    /// Returns whether `text` is meant as an S3 URI, valid or not.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("s3://")
    }

    /// Returns the object of this name.
    ///
    /// # Errors
    ///
    /// Fails if the path is empty or too long.
    pub fn object(&self) -> Result<ObjectName, UriError> {
        let named = |source| UriError::Name { uri: self.to_string(), source };
        Ok(ObjectName::new(self.bucket.clone(), Key::new(self.path.clone()).map_err(named)?))
    }
}

impl FromStr for S3Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let rest = text.strip_prefix("s3://").ok_or_else(|| UriError::Scheme(text.to_owned()))?;
        let (bucket, path) = match access_point::split(rest) {
            Some((point, path)) => (point, path.strip_prefix('/').unwrap_or_default()),
            None => rest.split_once('/').unwrap_or((rest, "")),
        };
        let named = |source| UriError::Name { uri: text.to_owned(), source };
        let bucket = BucketName::new(bucket).map_err(named)?;
        if path.len() > super::key::MAX_KEY_BYTES {
            return Err(named(NameError::KeyTooLong(path.len())));
        }
        Ok(Self { bucket, path: path.to_owned() })
    }
}

impl fmt::Display for S3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_taken_as_typed() {
        let uri: S3Uri = "s3://bucket/a//b%20c+/../d/".parse().unwrap();
        assert_eq!(uri.path, "a//b%20c+/../d/");
        assert_eq!(uri.to_string(), "s3://bucket/a//b%20c+/../d/");
        assert_eq!("s3://bucket".parse::<S3Uri>().unwrap().path, "");
    }

    #[test]
    fn access_point_replaces_bucket() {
        let arn = "arn:aws:s3:us-west-2:123456789012:accesspoint/point";
        let uri: S3Uri = format!("s3://{arn}/a/b:c").parse().unwrap();
        assert_eq!((uri.bucket.as_str(), &*uri.path), (arn, "a/b:c"));
        assert_eq!(uri.to_string(), format!("s3://{arn}/a/b:c"));
        let uri: S3Uri = format!("s3://{arn}").parse().unwrap();
        assert_eq!((uri.bucket.as_str(), &*uri.path), (arn, ""));
        let uri: S3Uri = "s3://tenant_1:bucket/key".parse().unwrap();
        assert_eq!((uri.bucket.as_str(), &*uri.path), ("tenant_1:bucket", "key"));
    }

    #[test]
    fn invalid_uri_is_quoted() {
        for text in [
            "bucket/key",
            "s3:/bucket",
            "s3://",
            "s3:///key",
            "s3://a/key",
            "S3://bucket/key",
            "s3://:bucket/k",
            "s3://a:b:bucket/k",
            "s3://arn:aws:s3:::bucket/k",
        ] {
            let error = text.parse::<S3Uri>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }
}
