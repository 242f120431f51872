//! The interface to an object store, in S3's terms, and its implementations.
//!
//! The interface has three parts: objects ([`ObjectStore`]), buckets ([`BucketAdmin`]) and URLs
//! ([`Presign`]). A [`Store`] has all three, and a [`Layer`] is a store that wraps another one.
//!
//! Only `wiring.rs` chooses an implementation. The public test suite in `conformance` specifies the
//! behaviour of all implementations.

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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};

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
    AddressingStyle, COPY_PART_SIZE, ConditionalWrites, CredentialsProvider, MULTIPART_THRESHOLD,
    MinRate, NoAddressingStyle, PART_SIZE, Patience, ProviderError, Regions, S3Config,
    S3Credentials, S3SettingError, S3Store, UnknownConditionalWrites,
};

pub use stated_checksum::{ChecksumComparison, ChecksumKind, StatedChecksum};

/// A stream of bytes in pieces of at most a few MiB.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// The entity tag of a stored object, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Headers, metadata and other properties that are stored with the bytes of an object.
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
    /// The storage class; `None` for `STANDARD`.
    pub storage_class: Option<StorageClass>,
    /// The server-side encryption; in a put, `None` selects the default of the bucket.
    pub encryption: Option<Encryption>,
    /// The tags. Write-only: a head has none, [`ObjectStore::tags`] returns them.
    pub tags: BTreeMap<String, String>,
    /// The canned ACL; `None` grants nothing beyond what the bucket grants. Write-only: a head has
    /// none.
    pub acl: Option<CannedAcl>,
}

/// The result of a HEAD request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// The size of the object in bytes.
    pub size: u64,
    /// The entity tag.
    pub etag: ETag,
    /// The digest of the content, if the store itself computed it; `None` on S3. Never taken from
    /// user metadata.
    pub sha256: Option<Sha256Digest>,
    /// The checksums of the whole content that the store reports, without those composed of
    /// checksums of parts.
    pub stated: Vec<StatedChecksum>,
    /// The time of the last write by the store's clock; stores keep whole seconds or milliseconds.
    pub last_modified: SystemTime,
    /// The headers and user metadata.
    pub attributes: Attributes,
}

/// An object's head and its bytes (all, or the requested range).
pub struct ObjectBody {
    /// The head of the whole object, also for a range.
    pub head: ObjectHead,
    /// The bytes. A premature end is an error in the stream, never a short success.
    pub stream: ByteStream,
}

impl fmt::Debug for ObjectBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectBody").field("head", &self.head).finish_non_exhaustive()
    }
}

/// A body to store: either of known length and readable again from the start, so that a request can
/// be repeated, or a stream that is read once.
#[derive(Clone)]
pub struct PutBody {
    /// The length in bytes; `None` for a stream that is read once.
    len: Option<u64>,
    /// The expected length in bytes, a hint.
    expected: u64,
    checksums: Arc<OnceLock<Checksums>>,
    open: Arc<dyn Fn() -> ByteStream + Send + Sync>,
}

impl PutBody {
    /// Creates a body of `len` bytes; `open` returns them from the start each time it is called.
    ///
    /// If a stream ends with an error, or with fewer or more bytes than `len`, the store must not
    /// show any of them.
    pub fn new(len: u64, open: impl Fn() -> ByteStream + Send + Sync + 'static) -> Self {
        Self { len: Some(len), expected: len, checksums: Arc::default(), open: Arc::new(open) }
    }

    /// Creates a body that is held in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(bytes.len() as u64, move || {
            let bytes = bytes.clone();
            futures::stream::once(async move { Ok(bytes) }).boxed()
        })
    }

    /// Attaches checksums that are known already, or known as soon as they are computed.
    #[must_use]
    pub fn with_checksums(self, checksums: Arc<OnceLock<Checksums>>) -> Self {
        Self { checksums, ..self }
    }

    /// Returns the checksums; reads the bytes if they are not known yet.
    ///
    /// # Errors
    ///
    /// Fails if the bytes cannot be read or their number differs from the declared length. The
    /// checksums of a stream that is read once are never computed.
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

    /// Returns the same body; `seen` is called with the number of bytes of each piece that is read
    /// for the first time.
    #[must_use]
    pub fn inspected(self, seen: impl Fn(u64) + Send + Sync + 'static) -> Self {
        let (inner, seen) = (self.open, Arc::new(seen));
        let furthest = Arc::new(AtomicU64::new(0));
        let open = move || {
            let (seen, furthest, mut at) = (seen.clone(), furthest.clone(), 0);
            let inspect = move |piece: &Bytes| {
                at += piece.len() as u64;
                let before = furthest.fetch_max(at, Ordering::Relaxed);
                if at > before {
                    seen(at - before);
                }
            };
            inner().inspect_ok(inspect).boxed()
        };
        Self { open: Arc::new(open), ..self }
    }

    /// Creates a body of unknown length that is read once. `expected` is a hint at its length in
    /// bytes, or 0.
    ///
    /// The object is stored when the stream ends. If it ends with an error, the store must not show
    /// any of the bytes.
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

    /// Returns the length in bytes; `None` for a stream that is read once.
    pub fn known_len(&self) -> Option<u64> {
        self.len
    }

    /// Returns the length in bytes; `u64::MAX` for a stream that is read once.
    pub fn len(&self) -> u64 {
        self.len.unwrap_or(u64::MAX)
    }

    /// Returns the expected length in bytes, by which the part size is chosen.
    pub fn expected_len(&self) -> u64 {
        self.expected
    }

    /// Returns whether the body is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == Some(0)
    }

    /// Opens the bytes from the start.
    pub fn open(&self) -> ByteStream {
        (self.open)()
    }
}

impl fmt::Debug for PutBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutBody").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The condition under which a PUT takes effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PutCondition {
    /// No condition.
    #[default]
    None,
    /// `If-None-Match: *`: only if the object does not exist; otherwise
    /// [`StorageErrorKind::AlreadyExists`].
    IfAbsent,
    /// `If-Match`: only while the object has this tag; otherwise, also if the object was deleted,
    /// [`StorageErrorKind::Precondition`].
    IfMatch(ETag),
}

/// Options of a put.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// The condition under which the put takes effect.
    pub condition: PutCondition,
    /// The `LastModified` of the object that the put replaces, possibly at another key. A store
    /// that sets its own times dates the new object later; S3 ignores it.
    pub newer_than: Option<SystemTime>,
}

impl From<PutCondition> for PutOptions {
    fn from(condition: PutCondition) -> Self {
        Self { condition, newer_than: None }
    }
}

/// Options of a copy inside the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// The tag that the source must have; `None` for any.
    pub if_match: Option<ETag>,
    /// The attributes of the copy; `None` keeps those of the source, except its ACL. With
    /// attributes, an object can be copied onto itself.
    pub attributes: Option<Attributes>,
    /// The same as [`PutOptions::newer_than`].
    pub newer_than: Option<SystemTime>,
}

impl From<&ETag> for CopyOptions {
    fn from(if_match: &ETag) -> Self {
        Self { if_match: Some(if_match.clone()), ..Self::default() }
    }
}

/// Parameters of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Selects the keys that start with this text (a plain string comparison).
    pub prefix: String,
    /// Keys with this text after the prefix are grouped into one common prefix, which ends with it.
    pub delimiter: Option<String>,
    /// Selects the keys and common prefixes after this text in UTF-8 byte order. A common prefix
    /// that `start_after` starts with, or equals, is not listed.
    pub start_after: Option<String>,
    /// The continuation of the previous page; takes precedence over `start_after`.
    pub continuation: Option<String>,
    /// The maximum number of keys and common prefixes in a page, 1 to 1000; `None` for 1000.
    pub max_keys: Option<u16>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The key.
    pub key: Key,
    /// The size in bytes.
    pub size: u64,
    /// The entity tag.
    pub etag: ETag,
    /// The time of the last write.
    pub last_modified: SystemTime,
}

/// A listed object that cannot be read because its stored record is damaged. Its size, time and
/// metadata are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedObject {
    /// The key.
    pub key: Key,
    /// A tag of the damaged object, usable in `If-Match`.
    pub etag: ETag,
    /// The reason why the object cannot be read.
    pub why: String,
}

/// One page of a listing, in UTF-8 byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The readable objects.
    pub objects: Vec<ListedObject>,
    /// The damaged objects; they count as entries of the page.
    pub damaged: Vec<DamagedObject>,
    /// The common prefixes.
    pub common_prefixes: Vec<String>,
    /// The opaque continuation of the next page; `None` on the last page.
    pub continuation: Option<String>,
}

/// An object store in S3's terms.
///
/// Every method is cancel-safe in the sense that dropping its future leaves either the whole effect
/// or none. [`StorageErrorKind::NotFound`] is returned only if the store itself reported it.
#[async_trait::async_trait]
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Returns one page of keys.
    async fn list(
        &self,
        bucket: &BucketName,
        request: &ListRequest,
    ) -> Result<ListPage, StorageError>;

    /// Returns the head of an object.
    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError>;

    /// Returns an object's bytes. `range` is in bytes and clamped to the object's end
    /// ([`StorageErrorKind::InvalidRange`] if it starts at or after it). The bytes are of one
    /// version of the object, even if it is written during the read.
    async fn get(
        &self,
        object: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError>;

    /// Stores an object atomically and returns its tag.
    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError>;

    /// Copies an object inside the store, replaces the object at `to`, and returns the tag of the
    /// copy.
    ///
    /// The bytes and attributes are of one version of the source.
    ///
    /// # Errors
    /// [`StorageErrorKind::Precondition`] if the source has another tag than
    /// [`CopyOptions::if_match`], [`StorageErrorKind::NotFound`] if the source does not exist, and
    /// [`StorageErrorKind::Invalid`] for a copy onto itself that changes no attributes, as on S3.
    async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        options: &CopyOptions,
    ) -> Result<ETag, StorageError>;

    /// Returns the tags of an object.
    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError>;

    /// Returns the MD5, in base64, of the customer's key with which this store encrypts and reads
    /// every object; `None` if it was created without one.
    fn customer_key(&self) -> Option<String> {
        None
    }

    /// Returns whether the conditions of [`put`](Self::put) hold among concurrent writers. A store
    /// may answer 412 to sequential requests and still let several concurrent ones succeed.
    fn conditions_are_atomic(&self) -> bool;

    /// Returns whether an entity tag identifies one write of an object. If not, it identifies the
    /// content (S3), and `If-Match` holds again when an older content is stored again.
    fn tags_name_writes(&self) -> bool;

    /// Deletes an object; succeeds if it does not exist (as on S3). With `if_match`, only while the
    /// object has that tag; otherwise [`StorageErrorKind::Precondition`].
    async fn delete(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageError>;

    /// Waits until the work that dropped futures had begun is undone; for use before the process
    /// ends.
    async fn settle(&self) {}
}

/// A complete object store; implemented for every type that has the three parts.
pub trait Store: ObjectStore + BucketAdmin + Presign {}

impl<S: ObjectStore + BucketAdmin + Presign + ?Sized> Store for S {}
