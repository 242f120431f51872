//! Plain data and pure rules: nothing here reads a clock, a disk or a network.

mod digest;
mod key;
mod uri;

pub use digest::{Sha256Digest, Sha256Hasher};
pub use key::{BucketName, Key, MAX_KEY_BYTES, NameError, ObjectName};
pub use uri::{S3Uri, UriError};
