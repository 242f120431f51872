//! Plain data and pure rules: nothing here reads a clock, a disk or a network.

pub mod deltaspace;
mod digest;
pub mod endpoint;
mod key;
pub mod metadata;
pub mod policy;
mod uri;

pub use deltaspace::Deltaspace;
pub use digest::{DigestError, Sha256Digest, Sha256Hasher};
pub use endpoint::{Endpoint, EndpointError};
pub use key::{BucketName, Key, MAX_KEY_BYTES, NameError, ObjectName};
pub use uri::{S3Uri, UriError};
