//! How the store encrypts an object, and with whose key.

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
    /// By keys of the store (`AES256`).
    Aes256,
    /// By a key of the key management service (`aws:kms`).
    Kms(KmsKey),
    /// By two of its layers (`aws:kms:dsse`).
    KmsDsse(KmsKey),
    /// By a key of the customer's, which the store does not keep. It is sent with every request by
    /// a store that was [made with it](super::ObjectStore::customer_key).
    Customer {
        /// MD5 of the key in base64, by which stores tell keys apart.
        key_md5: String,
    },
}

/// A key of the key management service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KmsKey {
    /// Id, alias or ARN; `None` for the account's own key for S3.
    pub id: Option<String>,
    /// Whether a key of the bucket stands between it and the object.
    pub bucket_key: bool,
}

impl Encryption {
    /// By the name S3 has for an algorithm; `None` for one this program does not know.
    pub fn named(algorithm: &str, key: KmsKey) -> Option<Self> {
        match algorithm {
            "AES256" => Some(Self::Aes256),
            "aws:kms" => Some(Self::Kms(key)),
            "aws:kms:dsse" => Some(Self::KmsDsse(key)),
            _ => None,
        }
    }

    /// The name S3 has for the algorithm, when the store or its key management has the key.
    pub fn algorithm(&self) -> Option<&'static str> {
        match self {
            Self::Aes256 => Some("AES256"),
            Self::Kms(_) => Some("aws:kms"),
            Self::KmsDsse(_) => Some("aws:kms:dsse"),
            Self::Customer { .. } => None,
        }
    }

    /// The key of the key management service.
    pub fn kms_key(&self) -> Option<&KmsKey> {
        match self {
            Self::Kms(key) | Self::KmsDsse(key) => Some(key),
            Self::Aes256 | Self::Customer { .. } => None,
        }
    }

    /// Which key of the customer's it is.
    pub fn customer_key_md5(&self) -> Option<&str> {
        match self {
            Self::Customer { key_md5 } => Some(key_md5),
            _ => None,
        }
    }
}

/// A key of the customer's (SSE-C): 32 bytes, which are never shown. In one place of the heap, so
/// that moving it leaves no copy.
#[derive(Clone)]
pub struct CustomerKey(Box<Zeroizing<[u8; 32]>>);

/// Bytes that are no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a customer's key has 32 bytes, not {0}")]
pub struct ParseCustomerKeyError(usize);

impl CustomerKey {
    /// The length of a key, in bytes.
    pub const LEN: usize = 32;

    /// Takes 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, ParseCustomerKeyError> {
        let mut key = Box::<Zeroizing<[u8; 32]>>::default();
        if bytes.len() != key.len() {
            return Err(ParseCustomerKeyError(bytes.len()));
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// The key as requests carry it.
    pub(super) fn base64(&self) -> String {
        BASE64.encode(&self.0[..])
    }

    /// Its MD5 in base64, by which stores tell keys apart.
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
    fn an_algorithm_is_named_as_s3_names_it() {
        let key = KmsKey { id: Some("alias/k".to_owned()), bucket_key: true };
        for name in ["AES256", "aws:kms", "aws:kms:dsse"] {
            assert_eq!(Encryption::named(name, key.clone()).unwrap().algorithm(), Some(name));
        }
        assert_eq!(Encryption::named("aws:kms", key.clone()).unwrap().kms_key(), Some(&key));
        assert_eq!(Encryption::named("rot13", key), None);
    }

    #[test]
    fn a_customers_key_has_32_bytes_and_is_never_shown() {
        let key = CustomerKey::new(b"0123456789abcdef0123456789ABCDEF").unwrap();
        assert_eq!(key.base64(), "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlBQkNERUY=");
        // By `printf … | openssl md5 -binary | base64`.
        assert_eq!(key.md5(), "V5euSAsQOO0sIBHETfEa4w==");
        assert_eq!(format!("{key:?}"), "CustomerKey(..)");
        assert_eq!(
            CustomerKey::new(b"short").unwrap_err().to_string(),
            "a customer's key has 32 bytes, not 5"
        );
    }
}
