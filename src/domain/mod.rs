//! Domain types and pure functions: no module reads a clock, a disk or a network.

mod access_point;
mod background_hasher;
mod byte_range;
mod compression;
pub mod deltaspace;
mod digest;
pub mod endpoint;
pub mod escaped;
mod family;
mod file_status;
mod key;
pub mod metadata;
pub mod packing;
pub mod paths;
pub mod policy;
mod sketch;
mod timestamp;
mod total;
mod uri;
pub mod user_metadata;

pub use background_hasher::BackgroundHasher;
pub use byte_range::{ByteRange, ParseByteRangeError};
pub use compression::{Compression, MAGIC_BYTES};
pub use deltaspace::{Addressed, Deltaspace, DeltaspaceError};
pub use digest::{DigestError, Sha256Digest, Sha256Hasher};
pub use endpoint::{Endpoint, EndpointError};
pub use family::Family;
pub use file_status::FileStatus;
pub use key::{BucketName, Key, MAX_KEY_BYTES, NameError, ObjectName};
pub(crate) use sketch::PrintFinder;
pub use sketch::{MAX_SKETCH_BYTES, Sketch, Sketcher};
pub use timestamp::Timestamp;
pub use total::Total;
pub use uri::{S3Uri, UriError};
pub use user_metadata::UserMetadataError;
