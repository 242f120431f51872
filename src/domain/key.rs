//! Names of buckets and objects.

use std::fmt;

use super::access_point;

/// The maximum length of a key, in bytes of UTF-8 (Amazon S3 User Guide, "Object key naming
/// guidelines").
pub const MAX_KEY_BYTES: usize = 1024;

/// The name of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(String);

/// The reason why a name is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Neither 3 to 63 allowed characters, nor such a name behind a tenant, nor an access point.
    #[error(
        "bucket name {0:?} is not 3 to 63 of a-z, 0-9, '.', '-' and '_' \
         with a letter or digit first and last, nor `tenant:bucket`, \
         nor the ARN of an access point in one region"
    )]
    Bucket(String),
    /// The key is longer than [`MAX_KEY_BYTES`]: its length in bytes.
    #[error("the key has {0} bytes; S3 keys have at most {MAX_KEY_BYTES}")]
    KeyTooLong(usize),
    /// The key is empty.
    #[error("the key is empty")]
    EmptyKey,
}

impl BucketName {
    /// Validates the name of a bucket.
    ///
    /// Valid are 3 to 63 characters (including upper case and `_`, as in old buckets), of which the
    /// first and last are alphanumeric; such a name behind a tenant of Ceph and a colon; and the
    /// ARN of an access point.
    pub fn new(name: impl Into<String>) -> Result<Self, NameError> {
        let name = name.into();
        let is_of_tenant = || {
            name.split_once(':').is_some_and(|(tenant, name)| is_tenant(tenant) && is_plain(name))
        };
        let is_access_point =
            || access_point::split(&name).is_some_and(|(_, rest)| rest.is_empty());
        let is_valid = is_plain(&name) || is_of_tenant() || is_access_point();
        if is_valid { Ok(Self(name)) } else { Err(NameError::Bucket(name)) }
    }

    /// Returns whether the name is the ARN of an access point.
    pub fn is_access_point(&self) -> bool {
        access_point::split(&self.0).is_some()
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(name: &str) -> bool {
    let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|&c| inner(c))
        && !name.contains("..")
}

/// Returns whether a text can be the name of a tenant (Ceph, "RGW multi-tenancy").
fn is_tenant(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of an object: 1 to [`MAX_KEY_BYTES`] bytes of UTF-8, otherwise arbitrary: `//`, `..` and
/// a trailing `/` are taken literally.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Validates the length of a key.
    pub fn new(key: impl Into<String>) -> Result<Self, NameError> {
        let key = key.into();
        match key.len() {
            0 => Err(NameError::EmptyKey),
            1..=MAX_KEY_BYTES => Ok(Self(key)),
            len => Err(NameError::KeyTooLong(len)),
        }
    }

    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key up to and including the last `/`; empty at the root of the bucket.
    pub fn folder(&self) -> &str {
        self.0
            .rsplit_once('/')
            .map_or("", |(folder, _)| self.0.get(..=folder.len()).unwrap_or_default())
    }

    /// Returns the part after the last `/`.
    pub fn base_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.as_str(), |(_, name)| name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an object: bucket and key, displayed as `s3://bucket/key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    /// The bucket.
    pub bucket: BucketName,
    /// The key in it.
    pub key: Key,
}

impl ObjectName {
    /// Creates a name from a bucket and a key.
    pub fn new(bucket: BucketName, key: Key) -> Self {
        Self { bucket, key }
    }

    /// Returns the name of another key in the same bucket.
    pub fn sibling(&self, key: Key) -> Self {
        Self { bucket: self.bucket.clone(), key }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_splits_at_last_slash() {
        let key = |text: &str| Key::new(text).unwrap();
        assert_eq!((key("a/b/c.zip").folder(), key("a/b/c.zip").base_name()), ("a/b/", "c.zip"));
        assert_eq!((key("c.zip").folder(), key("c.zip").base_name()), ("", "c.zip"));
        assert_eq!((key("a//b").folder(), key("a//b").base_name()), ("a//", "b"));
        assert_eq!((key("dir/").folder(), key("dir/").base_name()), ("dir/", ""));
    }

    #[test]
    fn key_length_is_limited() {
        assert!(Key::new("k".repeat(1024)).is_ok());
        assert_eq!(Key::new("é".repeat(513)), Err(NameError::KeyTooLong(1026)));
        assert_eq!(Key::new(""), Err(NameError::EmptyKey));
    }

    #[test]
    fn unsafe_bucket_name_is_rejected() {
        for name in ["..", "a", "a/b", "../x", "-ab", "a..b", ".abc", "a b c", ""] {
            assert!(BucketName::new(name).is_err(), "{name:?}");
        }
        for name in ["abc", "my.bucket-1", "Old_Bucket"] {
            assert!(BucketName::new(name).is_ok(), "{name:?}");
        }
    }
}
