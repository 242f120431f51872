//! Packed references: the form in which a reference is stored, and the choice of it.

use std::fmt;
use std::str::FromStr;

use super::compression::Compression;
use super::digest::Sha256Digest;
use super::key::ObjectName;

/// The form of a packed reference, which is stored compressed.
///
/// As a field: `<form>/<rule> <SHA-256 of the content> <bytes of the content>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefPacking {
    /// The compression.
    pub form: Compression,
    /// The number of the rule by which the same content is always packed to the same bytes.
    pub rule: u32,
    /// SHA-256 of the content.
    pub content_sha256: Sha256Digest,
    /// Size of the content in bytes.
    pub content_size: u64,
}

impl RefPacking {
    /// Parses a field; `None` unless it has a known form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (form, rule) = words.next()?.split_once('/')?;
        let packing = Self {
            form: [Compression::Gzip, Compression::Xz]
                .into_iter()
                .find(|known| known.to_string() == form)?,
            rule: rule.parse().ok()?,
            content_sha256: words.next()?.parse().ok()?,
            content_size: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(packing)
    }

    /// Returns the share of the content's size that is stored, for a reference of `stored` bytes.
    pub fn stored_share(&self, stored: u64) -> f64 {
        (stored as f64 / self.content_size.max(1) as f64).min(1.0)
    }
}

impl fmt::Display for RefPacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { form, rule, content_sha256, content_size } = self;
        write!(f, "{form}/{rule} {content_sha256} {content_size}")
    }
}

/// The bytes of a reference as they are stored, and what they are of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredForm {
    /// SHA-256 of the stored bytes: the identity of the reference.
    pub digest: Sha256Digest,
    /// The packing; `None` if the stored bytes are the content.
    pub packing: Option<RefPacking>,
}

impl StoredForm {
    /// Returns the form of stored bytes that are the content.
    pub fn plain(digest: Sha256Digest) -> Self {
        Self { digest, packing: None }
    }

    /// Returns SHA-256 of the content.
    pub fn content_digest(&self) -> Sha256Digest {
        self.packing.map_or(self.digest, |packing| packing.content_sha256)
    }
}

/// The compression that new references are stored with, where it saves at least a tenth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ReferencePacking {
    /// The form that every host can unpack: gzip.
    #[default]
    Auto,
    /// References are stored as they are.
    None,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
}

impl ReferencePacking {
    /// Returns the compression, if any.
    pub fn form(self) -> Option<Compression> {
        match self {
            Self::Auto | Self::Gzip => Some(Compression::Gzip),
            Self::Xz => Some(Compression::Xz),
            Self::None => None,
        }
    }
}

impl FromStr for ReferencePacking {
    type Err = PackingError;

    fn from_str(text: &str) -> Result<Self, PackingError> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "xz" => Ok(Self::Xz),
            other => Err(PackingError::Unknown(other.to_owned())),
        }
    }
}

/// The reason why a text is not a choice of packings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackingError {
    /// The packing is not known.
    #[error("{0:?} is not a packing of references; expected auto, none, gzip or xz")]
    Unknown(String),
    /// The prefix is not one of a bucket.
    #[error("{0:?} is not the prefix of a bucket, such as s3://bucket/prefix/")]
    Prefix(String),
}

/// The packing of new references, which may differ by prefix: `auto,s3://bucket/prefix/=none`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackingChoice {
    default: ReferencePacking,
    /// The beginnings of URIs, each with the packing of the objects below it.
    prefixes: Vec<(String, ReferencePacking)>,
}

impl PackingChoice {
    /// Returns the same packing for all objects.
    pub fn all(default: ReferencePacking) -> Self {
        Self { default, prefixes: Vec::new() }
    }

    /// Returns the packing for an object: that of its longest prefix.
    pub fn of(&self, object: &ObjectName) -> ReferencePacking {
        let uri = object.to_string();
        let named = self.prefixes.iter().filter(|(prefix, _)| uri.starts_with(prefix.as_str()));
        named.max_by_key(|(prefix, _)| prefix.len()).map_or(self.default, |(_, packing)| *packing)
    }
}

impl FromStr for PackingChoice {
    type Err = PackingError;

    fn from_str(text: &str) -> Result<Self, PackingError> {
        let mut choice = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            match item.rsplit_once('=') {
                None => choice.default = item.parse()?,
                Some((prefix, packing)) => {
                    let bucket = prefix.strip_prefix("s3://").unwrap_or_default();
                    if bucket.is_empty() || bucket.starts_with('/') {
                        return Err(PackingError::Prefix(prefix.to_owned()));
                    }
                    // A bucket's name alone must not stand for other buckets that begin with it.
                    let end = if bucket.contains('/') { "" } else { "/" };
                    choice.prefixes.push((format!("{prefix}{end}"), packing.parse()?));
                }
            }
        }
        Ok(choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::S3Uri;

    #[test]
    fn longest_prefix_decides() {
        let choice: PackingChoice =
            "xz, s3://bkt=none,s3://bkt/logs/=gzip,s3://bkt/logs/=raw=auto".parse().unwrap();
        for (uri, packing) in [
            ("s3://other/x", ReferencePacking::Xz),
            ("s3://bkt/x", ReferencePacking::None),
            ("s3://bkts/x", ReferencePacking::Xz),
            ("s3://bkt/logs/x", ReferencePacking::Gzip),
            ("s3://bkt/logs/=raw/x", ReferencePacking::Auto),
        ] {
            let object = uri.parse::<S3Uri>().unwrap().object().unwrap();
            assert_eq!(choice.of(&object), packing, "{uri}");
        }
        assert_eq!("".parse(), Ok(PackingChoice::all(ReferencePacking::Auto)));
    }

    #[test]
    fn unknown_packing_is_refused() {
        for text in ["zstd", "gzip,zip", "s3://b/=", "b/x=gzip", "s3:///x=gzip", "=gzip"] {
            assert!(text.parse::<PackingChoice>().is_err(), "{text}");
        }
    }
}
