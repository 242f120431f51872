//! Server-side encryption of objects and its keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Server-side encryption of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// With keys of the store (`AES256`).
    Aes256,
    /// With a key of the key management service (`aws:kms`).
    Kms(KmsKey),
    /// In two layers, with a key of the key management service (`aws:kms:dsse`).
    KmsDsse(KmsKey),
    /// With a key of the customer (SSE-C), which the store does not keep. A store that was [created
    /// with the key](super::ObjectStore::customer_key) sends it with every request.
    Customer {
        /// The MD5 of the key in base64, by which stores identify keys.
        key_md5: String,
    },
}

/// A key of the key management service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KmsKey {
    /// The id, alias or ARN; `None` for the account's default key for S3.
    pub id: Option<String>,
    /// Enables an S3 Bucket Key, an intermediate key of the bucket.
    pub bucket_key: bool,
}

impl Encryption {
    /// Returns the encryption with S3's name `algorithm`; `None` for an unknown name.
    pub fn named(algorithm: &str, key: KmsKey) -> Option<Self> {
        match algorithm {
            "AES256" => Some(Self::Aes256),
            "aws:kms" => Some(Self::Kms(key)),
            "aws:kms:dsse" => Some(Self::KmsDsse(key)),
            _ => None,
        }
    }

    /// Returns S3's name of the algorithm; `None` for a key of the customer.
    pub fn algorithm(&self) -> Option<&'static str> {
        match self {
            Self::Aes256 => Some("AES256"),
            Self::Kms(_) => Some("aws:kms"),
            Self::KmsDsse(_) => Some("aws:kms:dsse"),
            Self::Customer { .. } => None,
        }
    }

    /// Returns the key of the key management service.
    pub fn kms_key(&self) -> Option<&KmsKey> {
        match self {
            Self::Kms(key) | Self::KmsDsse(key) => Some(key),
            Self::Aes256 | Self::Customer { .. } => None,
        }
    }

    /// Returns the MD5, in base64, of the customer's key.
    pub fn customer_key_md5(&self) -> Option<&str> {
        match self {
            Self::Customer { key_md5 } => Some(key_md5),
            _ => None,
        }
    }
}

/// A key of the customer (SSE-C): 32 bytes, which are never shown. The bytes stay in one heap
/// allocation, so that moving the value leaves no copy.
#[derive(Clone)]
pub struct CustomerKey(Box<Zeroizing<[u8; 32]>>);

/// The error for bytes of another length than [`CustomerKey::LEN`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a customer's key has 32 bytes, not {0}")]
pub struct ParseCustomerKeyError(usize);

impl CustomerKey {
    /// The length of a key, in bytes.
    pub const LEN: usize = 32;

    /// Creates a key from 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, ParseCustomerKeyError> {
        let mut key = Box::<Zeroizing<[u8; 32]>>::default();
        if bytes.len() != key.len() {
            return Err(ParseCustomerKeyError(bytes.len()));
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// Returns the key in base64, as requests carry it.
    pub(super) fn base64(&self) -> String {
        BASE64.encode(&self.0[..])
    }

    /// Returns the MD5 of the key in base64, by which stores identify keys.
    pub fn md5(&self) -> String {
        BASE64.encode(Md5::digest(&self.0[..]))
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_have_their_s3_names() {
        let key = KmsKey { id: Some("alias/k".to_owned()), bucket_key: true };
        for name in ["AES256", "aws:kms", "aws:kms:dsse"] {
            assert_eq!(Encryption::named(name, key.clone()).unwrap().algorithm(), Some(name));
        }
        assert_eq!(Encryption::named("aws:kms", key.clone()).unwrap().kms_key(), Some(&key));
        assert_eq!(Encryption::named("rot13", key), None);
    }

    #[test]
    fn customer_key_is_never_shown() {
        let key = CustomerKey::new(b"0123456789abcdef0123456789ABCDEF").unwrap();
        assert_eq!(key.base64(), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlBQkNERUY=");
        // Computed by `printf … | openssl md5 -binary | base64`.
        assert_eq!(key.md5(), "V5euSAsQOO0sIBHETfEa4w==");
        assert_eq!(format!("{key:?}"), "CustomerKey(..)");
        assert_eq!(
            CustomerKey::new(b"short").unwrap_err().to_string(),
            "a customer's key has 32 bytes, not 5"
        );
    }
}
