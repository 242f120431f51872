//! The port to an object store, in the words of S3, and its adapters.
//!
//! An adapter is chosen in `wiring.rs` only. What every adapter must do is written down as the public suite in `conformance`.

mod attributes;
pub mod conformance;
mod dir;
mod error;
mod listing;
mod memory;
mod rules;
mod s3;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::domain::{BucketName, Key, ObjectName};

pub use attributes::MAX_USER_METADATA_BYTES;
pub use dir::DirStore;
pub use error::{StorageError, StorageErrorKind};
pub use memory::MemoryStore;
pub use s3::{
    COPY_PART_SIZE, ConditionalWrites, MULTIPART_THRESHOLD, PART_SIZE, S3Config, S3Credentials, S3Store,
    UnknownConditionalWrites,
};

/// Bytes on their way, in pieces of at most a few MiB.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// The entity tag of a stored object, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is kept beside the bytes of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// User metadata (`x-amz-meta-…` without the prefix); names are lower case.
    pub metadata: BTreeMap<String, String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, as text.
    pub expires: Option<String>,
}

/// What HEAD says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes stored.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was last written, by the store's clock; stores keep whole seconds or milliseconds.
    pub last_modified: SystemTime,
    /// Headers and user metadata.
    pub attributes: Attributes,
}

/// An object's head and its bytes (all, or the range asked for).
pub struct ObjectBody {
    /// The head of the whole object, also when a range was asked for.
    pub head: ObjectHead,
    /// The bytes. An early end is an error in the stream, never a short success.
    pub stream: ByteStream,
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBody").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Bytes to store: of known length, and readable again from the start so that a request can be repeated.
#[derive(Clone)]
pub struct PutBody {
    len: u64,
    open: Arc<dyn Fn() -> ByteStream + Send + Sync>,
}

impl PutBody {
    /// A body of `len` bytes that `open` gives from the start each time it is called.
    ///
    /// A stream that ends with an error, or with fewer or more bytes than `len`, must leave nothing visible in the store.
    pub fn new(len: u64, open: impl Fn() -> ByteStream + Send + Sync + 'static) -> Self {
        Self { len, open: Arc::new(open) }
    }

    /// A body held in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(bytes.len() as u64, move || {
            let bytes = bytes.clone();
            futures::stream::once(async move { Ok(bytes) }).boxed()
        })
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes from the start.
    pub fn open(&self) -> ByteStream {
        (self.open)()
    }
}

impl fmt::Debug for PutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutBody").field("len", &self.len).finish_non_exhaustive()
    }
}

/// When a PUT may take effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PutCondition {
    /// Always.
    #[default]
    None,
    /// `If-None-Match: *`: only when there is no such object; else [`StorageErrorKind::AlreadyExists`].
    IfAbsent,
    /// `If-Match`: only while the object has this tag; else [`StorageErrorKind::Precondition`] (also when it is gone).
    IfMatch(ETag),
}

/// Which keys to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that start with this text (a plain string comparison).
    pub prefix: String,
    /// Keys with this text after the prefix are rolled up into one common prefix, which ends with it.
    pub delimiter: Option<String>,
    /// Only keys (and common prefixes) after this text in UTF-8 byte order. A common prefix that `start_after` starts
    /// with, or equals, is not listed again.
    pub start_after: Option<String>,
    /// Where the previous page said the next one starts; takes precedence over `start_after`.
    pub continuation: Option<String>,
    /// Most keys and common prefixes in one page, 1 to 1000; 1000 when absent.
    pub max_keys: Option<u16>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: Key,
    /// Bytes stored.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// When it was last written.
    pub last_modified: SystemTime,
}

/// One page of a listing, in UTF-8 byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects.
    pub objects: Vec<ListedObject>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// What to ask for next; `None` on the last page. Opaque.
    pub continuation: Option<String>,
}

/// A bucket in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBucket {
    /// Its name.
    pub name: BucketName,
    /// When it was made, if the store tells.
    pub created: Option<SystemTime>,
}

/// An object store in the words of S3.
///
/// Every method is cancel-safe in the sense that dropping its future leaves either the whole effect or none.
/// "Absent" ([`StorageErrorKind::NotFound`]) is only said when the store said so.
#[async_trait::async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Makes a bucket; [`StorageErrorKind::AlreadyExists`] when there is one of that name.
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError>;

    /// Removes an empty bucket; [`StorageErrorKind::NotEmpty`] when it holds an object.
    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError>;

    /// All buckets of the caller, by name.
    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError>;

    /// One page of keys.
    async fn list(&self, bucket: &BucketName, request: &ListRequest) -> Result<ListPage, StorageError>;

    /// What is known of an object without its bytes.
    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError>;

    /// An object's bytes; `range` in bytes, cut at the object's end ([`StorageErrorKind::InvalidRange`] when it starts
    /// at or after it). The bytes are of one version of the object, whatever is written meanwhile.
    async fn get(&self, object: &ObjectName, range: Option<Range<u64>>) -> Result<ObjectBody, StorageError>;

    /// Stores an object, whole or not at all, and gives its tag.
    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<ETag, StorageError>;

    /// Copies an object, headers and user metadata included, inside the store; gives the tag of the copy. With `if_match`,
    /// only while the source has that tag, else [`StorageErrorKind::Precondition`]; [`StorageErrorKind::NotFound`] when
    /// there is no source. What stood at `to` is replaced.
    ///
    /// The bytes and attributes are of one version of the source. An object is not copied onto itself:
    /// [`StorageErrorKind::Invalid`], as S3 answers.
    async fn copy(&self, from: &ObjectName, to: &ObjectName, if_match: Option<&ETag>) -> Result<ETag, StorageError>;

    /// Whether conditions of [`put`](Self::put) hold among racing writers. A store may answer 412 one request after the
    /// other and still let several racers win.
    fn conditions_are_atomic(&self) -> bool;

    /// Removes an object; success when there was none (as S3 answers). With `if_match`, only while it has that tag;
    /// else [`StorageErrorKind::Precondition`].
    async fn delete(&self, object: &ObjectName, if_match: Option<&ETag>) -> Result<(), StorageError>;

    /// Waits until what was begun by futures that were dropped has been taken back, for a process about to end.
    async fn settle(&self) {}
}
