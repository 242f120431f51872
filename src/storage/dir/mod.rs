//! The embedded store: buckets in a directory on disk, for one machine and any number of processes.
//!
//! `docs/embedded-store.md` describes the format and its reasons.

mod bucket;
mod fsync;
mod io_error;
mod leaf;
mod name;
mod record;
mod root;
mod split;
mod temporaries;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::StreamExt as _;

use crate::domain::{BucketName, Key, ObjectName};

use super::{
    Attributes, BucketAdmin, ByteStream, CopyOptions, Debris, ETag, Encryption, ListPage,
    ListRequest, ListedBucket, ObjectBody, ObjectHead, ObjectStore, Presign, PutBody, PutCondition,
    PutOptions, StorageError, StorageErrorKind, s3_semantics,
};
use bucket::Bucket;
use io_error::Fault;
use record::{Draft, Reader};
use root::{Clock, Root};

/// The number of bytes of a body that are written at once. File I/O happens on other threads, and
/// each switch of threads costs time.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// An object store in a directory. Clones share it, as do all processes that open it.
#[derive(Clone)]
pub struct DirStore {
    root: Arc<Root>,
}

impl DirStore {
    /// Opens the store at `path`. An absent or empty directory is a store without buckets; the
    /// first bucket creates it on disk. Rejects anything else that is not a store of a known
    /// format.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Self::open_with_clock(path, SystemTime::now)
    }

    /// Opens the store at `path` like [`open`](Self::open); `clock` dates its objects.
    pub fn open_with_clock(
        path: &Path,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, StorageError> {
        let root = Root::open(path, Clock::new(clock))
            .map_err(|fault| fault.of("OpenStore", path.display()))?;
        Ok(Self { root: Arc::new(root) })
    }

    /// Runs `work` on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        operation: &'static str,
        target: &(impl fmt::Display + Sync),
        work: impl FnOnce(&Root) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StorageError> {
        let root = self.root.clone();
        let done = tokio::task::spawn_blocking(move || work(&root)).await;
        let done = done.unwrap_or_else(|error| Err(Fault::because(StorageErrorKind::Other, error)));
        done.map_err(|fault| fault.of(operation, target))
    }
}

/// A draft and the pieces that are still to be written to it.
struct Filled {
    draft: Draft,
    pending: Vec<Bytes>,
    /// The number of bytes that the stream returned.
    read: u64,
}

impl DirStore {
    /// Writes a body to a draft. Stops reading a body that turns out to be longer than `len`.
    async fn fill(
        &self,
        operation: &'static str,
        object: &ObjectName,
        mut draft: Draft,
        mut body: ByteStream,
        len: u64,
    ) -> Result<Filled, StorageError> {
        let (mut read, mut pending, mut waiting) = (0, Vec::new(), 0);
        while let Some(piece) = body.next().await {
            let broken = |error| {
                StorageError::new(StorageErrorKind::Other, operation, object).because(error)
            };
            let piece: Bytes = piece.map_err(broken)?;
            read += piece.len() as u64;
            if read > len {
                break;
            }
            waiting += piece.len();
            pending.push(piece);
            if waiting >= WRITTEN_AT_ONCE {
                let pieces = std::mem::take(&mut pending);
                waiting = 0;
                draft = self
                    .run(operation, object, move |_| draft.append(&pieces).map(|()| draft))
                    .await?;
            }
        }
        Ok(Filled { draft, pending, read })
    }

    /// Writes the rest of a draft, makes it durable and renames it to its final path.
    async fn commit(
        &self,
        operation: &'static str,
        object: &ObjectName,
        filled: Filled,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        let (ObjectName { bucket, key }, options) = (object.clone(), options.clone());
        let Filled { mut draft, pending, .. } = filled;
        let commit = move |root: &Root| {
            draft.append(&pending)?;
            let sealed = draft.seal(root.now(), options.newer_than)?;
            Bucket::named(root, &bucket)?.commit(root, key.as_str(), sealed, &options.condition)
        };
        self.run(operation, object, commit).await
    }

    async fn copy_record(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        options: &CopyOptions,
    ) -> Result<ETag, StorageError> {
        const OPERATION: &str = "CopyObject";
        s3_semantics::check_copy(from, to, options)?;
        let (ObjectName { bucket, key }, if_match) = (from.clone(), options.if_match.clone());
        let open = move |root: &Root| {
            let record = Bucket::named(root, &bucket)?.open(key.as_str())?;
            if if_match.is_some_and(|wanted| wanted != record.head.etag) {
                return Err(StorageErrorKind::Precondition.into());
            }
            record.check_len()?;
            Ok(record)
        };
        let record = self.run(OPERATION, from, open).await?;
        let len = record.head.size;
        let of_source =
            || Attributes { tags: record.tags.clone(), ..record.head.attributes.clone() };
        let own = options.attributes.clone().unwrap_or_else(of_source);
        let ObjectName { bucket, key } = to.clone();
        let begin = move |root: &Root| {
            Bucket::named(root, &bucket)?.must_exist()?;
            Draft::new(root.temporaries()?, key.as_str(), &own)
        };
        let draft = self.run(OPERATION, to, begin).await?;
        // The reader returns all of the source, verified, or an error.
        let filled = self.fill(OPERATION, from, draft, stream(record.reader(0..len)), len).await?;
        let options = PutOptions { newer_than: options.newer_than, ..PutOptions::default() };
        self.commit(OPERATION, to, filled, &options).await
    }
}

/// Rejects attributes that cannot be stored.
fn check(
    attributes: &Attributes,
    operation: &'static str,
    object: &ObjectName,
) -> Result<(), StorageError> {
    if let Some(Encryption::Customer { .. }) = attributes.encryption {
        let refused = StorageError::new(StorageErrorKind::Invalid, operation, object);
        return Err(refused
            .because("the embedded store encrypts nothing: it does not accept a customer's key"));
    }
    attributes.check(operation, object)
}

impl fmt::Debug for DirStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirStore").field(&self.root.path()).finish()
    }
}

#[async_trait::async_trait]
impl ObjectStore for DirStore {
    async fn list(
        &self,
        bucket: &BucketName,
        request: &ListRequest,
    ) -> Result<ListPage, StorageError> {
        let (name, request) = (bucket.clone(), request.clone());
        self.run("ListObjectsV2", bucket, move |root| Bucket::named(root, &name)?.page(&request))
            .await
    }

    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError> {
        let ObjectName { bucket, key } = object.clone();
        let head = move |root: &Root| {
            let record = Bucket::named(root, &bucket)?.open(key.as_str())?;
            record.check_len()?;
            Ok(record.head)
        };
        self.run("HeadObject", object, head).await
    }

    async fn get(
        &self,
        object: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        let ObjectName { bucket, key } = object.clone();
        let open = move |root: &Root| {
            let record = Bucket::named(root, &bucket)?.open(key.as_str())?;
            record.check_len()?;
            let range = s3_semantics::within(range, record.head.size)?;
            let head = record.head.clone();
            Ok(ObjectBody { head, stream: stream(record.reader(range)) })
        };
        self.run("GetObject", object, open).await
    }

    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        const OPERATION: &str = "PutObject";
        check(attributes, OPERATION, object)?;
        let (ObjectName { bucket, key }, own) = (object.clone(), attributes.clone());
        let create = options.condition == PutCondition::IfAbsent;
        let begin = move |root: &Root| {
            let bucket = Bucket::named(root, &bucket)?;
            bucket.must_exist()?;
            // Only avoids a useless write: the check that counts is made when the object gets its
            // name.
            if create {
                match bucket.open(key.as_str()) {
                    Ok(_) => return Err(StorageErrorKind::AlreadyExists.into()),
                    Err(fault) if fault.kind == StorageErrorKind::Damaged => {
                        return Err(StorageErrorKind::AlreadyExists.into());
                    }
                    Err(fault) if fault.kind == StorageErrorKind::NotFound => {}
                    Err(fault) => return Err(fault),
                }
            }
            Draft::new(root.temporaries()?, key.as_str(), &own)
        };
        let draft = self.run(OPERATION, object, begin).await?;
        let broken = |error: std::io::Error| {
            StorageError::new(StorageErrorKind::Other, OPERATION, object).because(error)
        };
        let filled = self.fill(OPERATION, object, draft, body.open(), body.len()).await?;
        body.check_len(filled.read).map_err(broken)?;
        self.commit(OPERATION, object, filled, options).await
    }

    async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        options: &CopyOptions,
    ) -> Result<ETag, StorageError> {
        if let Some(attributes) = &options.attributes {
            check(attributes, "CopyObject", to)?;
        }
        self.copy_record(from, to, options).await
    }

    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError> {
        let ObjectName { bucket, key } = object.clone();
        let tags = move |root: &Root| Ok(Bucket::named(root, &bucket)?.open(key.as_str())?.tags);
        self.run("GetObjectTagging", object, tags).await
    }

    fn conditions_are_atomic(&self) -> bool {
        true
    }

    fn tags_name_writes(&self) -> bool {
        true
    }

    async fn delete(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageError> {
        let (ObjectName { bucket, key }, if_match) = (object.clone(), if_match.cloned());
        let delete = move |root: &Root| {
            Bucket::named(root, &bucket)?.delete(root, key.as_str(), if_match.as_ref())
        };
        self.run("DeleteObject", object, delete).await
    }
}

#[async_trait::async_trait]
impl BucketAdmin for DirStore {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        let name = bucket.clone();
        self.run("CreateBucket", bucket, move |root| Bucket::create(root, &name)).await
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        let name = bucket.clone();
        self.run("DeleteBucket", bucket, move |root| Bucket::named(root, &name)?.remove(root)).await
    }

    async fn delete_bucket_holding(
        &self,
        bucket: &BucketName,
        expected: &[(Key, ETag)],
    ) -> Result<(), StorageError> {
        let (name, expected) = (bucket.clone(), expected.to_vec());
        let delete = move |root: &Root| Bucket::named(root, &name)?.remove_holding(root, &expected);
        self.run("DeleteBucket", bucket, delete).await
    }

    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        let target = self.root.path().display().to_string();
        // An absent store has no `buckets` either, but a directory that is not a store must be
        // rejected.
        self.run("ListBuckets", &target, |root| root.exists().and_then(|_| Bucket::list(root)))
            .await
    }

    async fn debris(&self, bucket: &BucketName) -> Result<Vec<Debris>, StorageError> {
        let name = bucket.clone();
        self.run("ListDebris", bucket, move |root| Bucket::named(root, &name)?.debris()).await
    }

    async fn set_aside(
        &self,
        bucket: &BucketName,
        debris: &Debris,
    ) -> Result<PathBuf, StorageError> {
        let (name, debris) = (bucket.clone(), debris.clone());
        let set_aside = move |root: &Root| Bucket::named(root, &name)?.set_aside(root, &debris);
        self.run("SetAside", bucket, set_aside).await
    }
}

impl Presign for DirStore {}

/// Returns the pieces of a reader, each read on a thread that may block.
fn stream(reader: Reader) -> ByteStream {
    let pieces = futures::stream::try_unfold(reader, |mut reader| async {
        let read = tokio::task::spawn_blocking(move || {
            reader.next().map(|piece| piece.map(|piece| (piece, reader)))
        });
        read.await.map_err(std::io::Error::other)?
    });
    pieces.boxed()
}
