//! The port to an object store, in the words of S3, and its adapters.
//!
//! The port has three parts: objects ([`ObjectStore`]), buckets ([`BucketAdmin`]) and URLs
//! ([`Presign`]); a [`Store`] has them all, and a [`Layer`] is a store around another one.
//!
//! An adapter is chosen in `wiring.rs` only. What every adapter must do is written down as the
//! public suite in `conformance`.

mod acl;
mod attributes;
mod bucket_admin;
mod checksums;
mod class;
pub mod conformance;
mod dir;
mod encryption;
mod error;
mod layer;
mod listing;
mod memory;
mod presign;
mod s3;
mod s3_semantics;
mod stated_checksum;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::domain::{BucketName, Key, ObjectName, Sha256Digest};

pub use acl::{
    AccessControlPolicy, BucketAcl, CannedAcl, Grant, Grantee, Owner, ParseCannedAclError,
};
pub use attributes::{MAX_TAGS, MAX_USER_METADATA_BYTES};
pub use bucket_admin::{
    BucketAdmin, Debris, LifecycleAction, LifecycleRule, ListedBucket, OpenUpload,
};
pub use checksums::{ChecksumHasher, Checksums};
pub use class::{ParseStorageClassError, StorageClass};
pub use dir::DirStore;
pub use encryption::{CustomerKey, Encryption, KmsKey, ParseCustomerKeyError};
pub use error::{StorageError, StorageErrorKind};
pub use layer::{Call, Layer, Run};
pub use memory::MemoryStore;
pub use presign::{MAX_PRESIGNED, Presign, Presigned};
pub use s3::{
    AddressingStyle, COPY_PART_SIZE, ConditionalWrites, MULTIPART_THRESHOLD, MinRate,
    NoAddressingStyle, PART_SIZE, Patience, Regions, S3Config, S3Credentials, S3SettingError,
    S3Store, UnknownConditionalWrites,
};

pub use stated_checksum::{ChecksumComparison, ChecksumKind, StatedChecksum};

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
    /// The class of storage; `None` for `STANDARD`.
    pub storage_class: Option<StorageClass>,
    /// Server-side encryption; in a put, `None` for what the bucket does by itself.
    pub encryption: Option<Encryption>,
    /// Tags. Only written: no head has them, [`ObjectStore::tags`] does.
    pub tags: BTreeMap<String, String>,
    /// Who else may read the object; `None` for nobody, as far as the bucket says nothing else.
    /// Only written: no head has it.
    pub acl: Option<CannedAcl>,
}

/// What HEAD says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes stored.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// The digest of the content, where the store itself computed it; `None` on S3. Never taken
    /// from user metadata.
    pub sha256: Option<Sha256Digest>,
    /// Checksums of the whole content that the store states, none of them composed of those of
    /// parts.
    pub stated: Vec<StatedChecksum>,
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

/// Bytes to store: of known length, and readable again from the start so that a request can be
/// repeated; or a stream that is read once.
#[derive(Clone)]
pub struct PutBody {
    /// `None` of a stream that is read once.
    len: Option<u64>,
    /// The length that such a stream may have.
    expected: u64,
    checksums: Arc<OnceLock<Checksums>>,
    open: Arc<dyn Fn() -> ByteStream + Send + Sync>,
}

impl PutBody {
    /// A body of `len` bytes that `open` gives from the start each time it is called.
    ///
    /// A stream that ends with an error, or with fewer or more bytes than `len`, must leave nothing
    /// visible in the store.
    pub fn new(len: u64, open: impl Fn() -> ByteStream + Send + Sync + 'static) -> Self {
        Self { len: Some(len), expected: len, checksums: Arc::default(), open: Arc::new(open) }
    }

    /// A body held in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(bytes.len() as u64, move || {
            let bytes = bytes.clone();
            futures::stream::once(async move { Ok(bytes) }).boxed()
        })
    }

    /// The same body, whose checksums are known, or known as soon as they are computed.
    #[must_use]
    pub fn with_checksums(self, checksums: Arc<OnceLock<Checksums>>) -> Self {
        Self { checksums, ..self }
    }

    /// Returns the checksums; reads the bytes if they are not known yet.
    ///
    /// # Errors
    ///
    /// The bytes cannot be read, or are not as many as said. The checksums of a stream that is read
    /// once are never computed.
    pub async fn checksums(&self) -> io::Result<Checksums> {
        if let Some(known) = self.checksums.get() {
            return Ok(*known);
        }
        if self.len.is_none() {
            return Err(io::Error::other(
                "the checksums of a stream that is read once are not known",
            ));
        }
        let (mut hasher, mut read, mut stream) = (ChecksumHasher::default(), 0, self.open());
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            read += piece.len() as u64;
            hasher.update(&piece);
        }
        self.check_len(read)?;
        Ok(*self.checksums.get_or_init(|| hasher.finish()))
    }

    /// A body of unknown length that is read once. `expected` is a hint at its length, or 0.
    ///
    /// It is stored when the stream ends; one that ends with an error must leave nothing visible in
    /// the store.
    pub fn once(stream: ByteStream, expected: u64) -> Self {
        let stream = Arc::new(Mutex::new(Some(stream)));
        let open = move || match stream.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(stream) => stream,
            None => futures::stream::once(async {
                Err(io::Error::other("a stream cannot be read again"))
            })
            .boxed(),
        };
        Self { len: None, expected, checksums: Arc::default(), open: Arc::new(open) }
    }

    /// Length in bytes; `None` of a stream that is read once.
    pub fn known_len(&self) -> Option<u64> {
        self.len
    }

    /// Length in bytes; `u64::MAX` of a stream that is read once.
    pub fn len(&self) -> u64 {
        self.len.unwrap_or(u64::MAX)
    }

    /// A length that the body may have, to choose the size of parts by.
    pub fn expected_len(&self) -> u64 {
        self.expected
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == Some(0)
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
    /// `If-None-Match: *`: only when there is no such object; else
    /// [`StorageErrorKind::AlreadyExists`].
    IfAbsent,
    /// `If-Match`: only while the object has this tag; else [`StorageErrorKind::Precondition`]
    /// (also when it is gone).
    IfMatch(ETag),
}

/// How an object is put.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// When the put may take effect.
    pub condition: PutCondition,
    /// The `LastModified` of what the put replaces, possibly at another key. A store that sets its
    /// own times dates the object after it; S3 ignores it.
    pub newer_than: Option<SystemTime>,
}

impl From<PutCondition> for PutOptions {
    fn from(condition: PutCondition) -> Self {
        Self { condition, newer_than: None }
    }
}

/// How an object is copied inside the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// The tag that the source must have; any if `None`.
    pub if_match: Option<ETag>,
    /// The attributes of the copy; those of the source, but for its ACL, if `None`. With
    /// attributes, an object can be copied onto itself.
    pub attributes: Option<Attributes>,
    /// As in [`PutOptions::newer_than`].
    pub newer_than: Option<SystemTime>,
}

impl From<&ETag> for CopyOptions {
    fn from(if_match: &ETag) -> Self {
        Self { if_match: Some(if_match.clone()), ..Self::default() }
    }
}

/// Which keys to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that start with this text (a plain string comparison).
    pub prefix: String,
    /// Keys with this text after the prefix are rolled up into one common prefix, which ends with
    /// it.
    pub delimiter: Option<String>,
    /// Only keys (and common prefixes) after this text in UTF-8 byte order. A common prefix that
    /// `start_after` starts with, or equals, is not listed again.
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

/// An object in a listing that cannot be read, since what the store keeps of it is damaged. Its
/// size, time and metadata are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedObject {
    /// Its key.
    pub key: Key,
    /// A tag of the damaged object, for `If-Match`.
    pub etag: ETag,
    /// Why it cannot be read.
    pub why: String,
}

/// One page of a listing, in UTF-8 byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects.
    pub objects: Vec<ListedObject>,
    /// Objects that cannot be read; they count as entries of the page.
    pub damaged: Vec<DamagedObject>,
    /// Common prefixes.
    pub common_prefixes: Vec<String>,
    /// What to ask for next; `None` on the last page. Opaque.
    pub continuation: Option<String>,
}

/// An object store in the words of S3.
///
/// Every method is cancel-safe in the sense that dropping its future leaves either the whole effect
/// or none. "Absent" ([`StorageErrorKind::NotFound`]) is only said when the store said so.
#[async_trait::async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// One page of keys.
    async fn list(
        &self,
        bucket: &BucketName,
        request: &ListRequest,
    ) -> Result<ListPage, StorageError>;

    /// What is known of an object without its bytes.
    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError>;

    /// An object's bytes; `range` in bytes, cut at the object's end
    /// ([`StorageErrorKind::InvalidRange`] when it starts at or after it). The bytes are of one
    /// version of the object, whatever is written meanwhile.
    async fn get(
        &self,
        object: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError>;

    /// Stores an object, whole or not at all, and gives its tag.
    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError>;

    /// Copies an object inside the store, replaces what is stored at `to`, and returns the tag of
    /// the copy.
    ///
    /// The bytes and attributes are of one version of the source.
    ///
    /// # Errors
    /// [`StorageErrorKind::Precondition`] if the source has another tag than
    /// [`CopyOptions::if_match`], [`StorageErrorKind::NotFound`] if there is no source, and
    /// [`StorageErrorKind::Invalid`] for a copy onto itself that changes no attributes, as S3
    /// answers.
    async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        options: &CopyOptions,
    ) -> Result<ETag, StorageError>;

    /// The tags of an object.
    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError>;

    /// MD5 in base64 of the customer's key that every object is written with and read by, if this
    /// store was made with one.
    fn customer_key(&self) -> Option<String> {
        None
    }

    /// Whether conditions of [`put`](Self::put) hold among racing writers. A store may answer 412
    /// one request after the other and still let several racers win.
    fn conditions_are_atomic(&self) -> bool;

    /// Returns whether an entity tag names one write of an object. Where it is false, a tag names a
    /// content (S3), and `If-Match` holds again when an older content is stored again.
    fn tags_name_writes(&self) -> bool;

    /// Removes an object; success when there was none (as S3 answers). With `if_match`, only while
    /// it has that tag; else [`StorageErrorKind::Precondition`].
    async fn delete(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageError>;

    /// Waits until what was begun by futures that were dropped has been taken back, for a process
    /// about to end.
    async fn settle(&self) {}
}

/// All that a store does. Every type that has the three parts is one.
pub trait Store: ObjectStore + BucketAdmin + Presign {}

impl<S: ObjectStore + BucketAdmin + Presign + ?Sized> Store for S {}
