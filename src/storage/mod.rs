//! The port to an object store, in the words of S3, and its adapters.
//!
//! An adapter is chosen in `wiring.rs` only. What every adapter must do is written down as the public suite in `conformance`.

mod acl;
mod attributes;
mod class;
pub mod conformance;
mod dir;
mod encryption;
mod error;
mod listing;
mod memory;
mod rules;
mod s3;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::domain::{BucketName, Key, ObjectName, Sha256Digest};

pub use acl::{AccessControlPolicy, BucketAcl, CannedAcl, Grant, Grantee, NoCannedAcl, Owner};
pub use attributes::{MAX_TAGS, MAX_USER_METADATA_BYTES};
pub use class::{NoStorageClass, StorageClass};
pub use dir::DirStore;
pub use encryption::{CustomerKey, Encryption, KmsKey, NoCustomerKey};
pub use error::{StorageError, StorageErrorKind};
pub use memory::MemoryStore;
pub use s3::{
    COPY_PART_SIZE, ConditionalWrites, MULTIPART_THRESHOLD, MinRate, PART_SIZE, Patience, Regions, S3Config,
    S3Credentials, S3Store, UnknownConditionalWrites,
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
    /// The class of storage; `None` for `STANDARD`.
    pub storage_class: Option<StorageClass>,
    /// Server-side encryption; in a put, `None` for what the bucket does by itself.
    pub encryption: Option<Encryption>,
    /// Tags. Only written: no head has them, [`ObjectStore::tags`] does.
    pub tags: BTreeMap<String, String>,
    /// Who else may read the object; `None` for nobody, as far as the bucket says nothing else. Only written: no head has it.
    pub acl: Option<CannedAcl>,
}

/// What HEAD says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes stored.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// The digest of the content, where the store itself computed it; `None` on S3. Never taken from
    /// user metadata.
    pub sha256: Option<Sha256Digest>,
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
    /// The attributes of the copy; those of the source, but for its ACL, if `None`.
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

/// Something in the store's own directories that is no object the store can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debris {
    /// Where it lies.
    pub path: PathBuf,
    /// The key of the object it is or hides, if there is one.
    pub key: Option<Key>,
    /// Why it is no object.
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

/// A multipart upload that was begun and neither completed nor aborted: its parts are stored, and are no object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenUpload {
    /// The object it was to become.
    pub object: ObjectName,
    /// What the store calls it.
    pub id: String,
    /// When it was begun, if the store tells.
    pub initiated: Option<SystemTime>,
}

/// A rule of a bucket's lifecycle that is in force and does something to current versions of objects without tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleRule {
    /// What its owner calls it.
    pub id: String,
    /// It concerns keys that start with this text.
    pub prefix: String,
    /// It concerns only objects of more bytes than this.
    pub larger_than: Option<u64>,
    /// It concerns only objects of fewer bytes than this.
    pub smaller_than: Option<u64>,
    /// What it does.
    pub action: LifecycleAction,
}

/// What a [`LifecycleRule`] does to objects when their time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleAction {
    /// Removes them.
    Expire,
    /// Moves them to this storage class.
    Transition(String),
}

impl LifecycleRule {
    /// Whether it concerns an object.
    pub fn concerns(&self, key: &Key, size: u64) -> bool {
        key.as_str().starts_with(&self.prefix)
            && self.larger_than.is_none_or(|bytes| size > bytes)
            && self.smaller_than.is_none_or(|bytes| size < bytes)
    }
}

/// What a presigned URL allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presigned {
    /// To read the object; the answer has this `Content-Disposition`, if any.
    Get(Option<String>),
    /// To write the object.
    Put,
}

/// The longest a presigned URL lasts (S3 User Guide, "Download and upload objects with presigned URLs").
pub const MAX_PRESIGNED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

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

    /// Deletes a bucket together with its objects if it holds exactly these (key and tag), decided
    /// and done as one step. The order of `expected` does not matter.
    ///
    /// # Errors
    /// [`StorageErrorKind::NotEmpty`] if the bucket holds anything else or less; nothing is deleted
    /// then. [`StorageErrorKind::Invalid`] if the store has no such operation.
    async fn delete_bucket_holding(&self, bucket: &BucketName, _expected: &[(Key, ETag)]) -> Result<(), StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "DeleteBucket", bucket);
        Err(refused.because("this store cannot delete a bucket together with its objects"))
    }

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
        options: &PutOptions,
    ) -> Result<ETag, StorageError>;

    /// Copies an object inside the store, replaces what is stored at `to`, and returns the tag of the copy.
    ///
    /// The bytes and attributes are of one version of the source.
    ///
    /// # Errors
    /// [`StorageErrorKind::Precondition`] if the source has another tag than [`CopyOptions::if_match`],
    /// [`StorageErrorKind::NotFound`] if there is no source, and [`StorageErrorKind::Invalid`] for a copy
    /// onto itself, as S3 answers.
    async fn copy(&self, from: &ObjectName, to: &ObjectName, options: &CopyOptions) -> Result<ETag, StorageError>;

    /// The tags of an object.
    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError>;

    /// MD5 in base64 of the customer's key that every object is written with and read by, if this store was made with one.
    fn customer_key(&self) -> Option<String> {
        None
    }

    /// Whether conditions of [`put`](Self::put) hold among racing writers. A store may answer 412 one request after the
    /// other and still let several racers win.
    fn conditions_are_atomic(&self) -> bool;

    /// Returns whether an entity tag names one write of an object. Where it is false, a tag names a
    /// content (S3), and `If-Match` holds again when an older content is stored again.
    fn tags_name_writes(&self) -> bool;

    /// Removes an object; success when there was none (as S3 answers). With `if_match`, only while it has that tag;
    /// else [`StorageErrorKind::Precondition`].
    async fn delete(&self, object: &ObjectName, if_match: Option<&ETag>) -> Result<(), StorageError>;

    /// Returns what lies in a bucket's directories and is no object; nothing where there are none.
    async fn debris(&self, _bucket: &BucketName) -> Result<Vec<Debris>, StorageError> {
        Ok(Vec::new())
    }

    /// Moves debris out of the bucket, if it is still debris, and returns where it lies now. Nothing
    /// is deleted.
    ///
    /// # Errors
    /// [`StorageErrorKind::NotFound`] if it is debris no longer.
    async fn set_aside(&self, bucket: &BucketName, _debris: &Debris) -> Result<PathBuf, StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "SetAside", bucket);
        Err(refused.because("this store has no directories"))
    }

    /// The multipart uploads of a bucket that are open; none where the store has no such thing.
    async fn list_uploads(&self, _bucket: &BucketName) -> Result<Vec<OpenUpload>, StorageError> {
        Ok(Vec::new())
    }

    /// Gives up a multipart upload; success when it is over already.
    async fn abort_upload(&self, _upload: &OpenUpload) -> Result<(), StorageError> {
        Ok(())
    }

    /// The rules of a bucket's lifecycle; none where the store has no such thing.
    async fn lifecycle(&self, _bucket: &BucketName) -> Result<Vec<LifecycleRule>, StorageError> {
        Ok(Vec::new())
    }

    /// A URL that lets who has it do one thing to one object until it expires, without keys of the store; at most [`MAX_PRESIGNED`].
    /// Nothing is asked of the store. [`StorageErrorKind::Invalid`] where there are no such URLs.
    async fn presign(
        &self,
        object: &ObjectName,
        _allowed: &Presigned,
        _expires_in: Duration,
    ) -> Result<String, StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "Presign", object);
        Err(refused.because("this store has no URLs"))
    }

    /// Who may do what with a bucket. [`StorageErrorKind::Invalid`] where there is no such thing.
    async fn bucket_acl(&self, bucket: &BucketName) -> Result<AccessControlPolicy, StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "GetBucketAcl", bucket);
        Err(refused.because("this store has no access control lists"))
    }

    /// Says who may do what with a bucket. [`StorageErrorKind::Invalid`] where there is no such thing.
    async fn set_bucket_acl(&self, bucket: &BucketName, _acl: &BucketAcl) -> Result<(), StorageError> {
        let refused = StorageError::new(StorageErrorKind::Invalid, "PutBucketAcl", bucket);
        Err(refused.because("this store has no access control lists"))
    }

    /// Waits until what was begun by futures that were dropped has been taken back, for a process about to end.
    async fn settle(&self) {}
}
