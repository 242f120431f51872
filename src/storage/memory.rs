//! A model store in memory with the exact semantics of S3: conditions are atomic, keys are in byte
//! order, pages hold 1000 entries.

mod content;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use md5::{Digest as _, Md5};

use content::{Content, ContentDigest, ContentHasher};

use crate::domain::{BucketName, Key, ObjectName, Sha256Digest, Sha256Hasher};

use super::listing::{SortedKeys, select};
use super::{
    Attributes, BucketAdmin, CopyOptions, ETag, ListPage, ListRequest, ListedBucket, ListedObject,
    ObjectBody, ObjectHead, ObjectStore, Presign, PutBody, PutCondition, PutOptions, StorageError,
    StorageErrorKind,
};

/// An object store in memory. Every call takes effect at one instant, unless the store has [loose
/// conditions](Self::with_loose_conditions). A tag identifies one write, unless the store has
/// [content tags](Self::with_content_tags).
pub struct MemoryStore {
    state: Mutex<State>,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    loose: bool,
    content_tags: bool,
    whole_seconds: bool,
}

#[derive(Clone, Default)]
struct State {
    buckets: BTreeMap<BucketName, Bucket>,
    latest: Option<SystemTime>,
    /// The number of writes to each object so far. A tag is derived from it, and so only from the
    /// history of that object.
    writes: BTreeMap<ObjectName, u64>,
}

#[derive(Clone)]
struct Bucket {
    created: SystemTime,
    objects: BTreeMap<Vec<u8>, Arc<Stored>>,
}

#[derive(Clone)]
struct Stored {
    head: ObjectHead,
    tags: BTreeMap<String, String>,
    content: Arc<Content>,
}

impl MemoryStore {
    /// Creates an empty store with the system's clock.
    pub fn new() -> Self {
        Self::with_clock(SystemTime::now)
    }

    /// Creates an empty store whose objects are dated by `clock`. If the clock goes back, the
    /// store's time stays where it is.
    pub fn with_clock(clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::default(),
            clock: Arc::new(clock),
            loose: false,
            content_tags: false,
            whole_seconds: false,
        }
    }

    /// Makes conditions non-atomic, as on S3 stores that only honour them for sequential requests:
    /// the condition is checked first, the write happens later, and other tasks run in between.
    /// Several concurrent writers may succeed.
    #[must_use]
    pub fn with_loose_conditions(self) -> Self {
        Self { loose: true, ..self }
    }

    /// Makes tags those of S3: the MD5 of the content, which recurs with it. As on S3,
    /// [`PutOptions::newer_than`] is ignored and no bucket is deleted together with its objects.
    #[must_use]
    pub fn with_content_tags(self) -> Self {
        Self { content_tags: true, ..self }
    }

    /// Keeps times in whole seconds, as S3 does.
    #[must_use]
    pub fn with_whole_seconds(self) -> Self {
        Self { whole_seconds: true, ..self }
    }

    /// Stores an object as [`put`](ObjectStore::put) does, with this tag: S3 derives the tag of an
    /// upload from the tags of its parts.
    pub async fn put_tagged(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
        tag: ETag,
    ) -> Result<ETag, StorageError> {
        self.store_content(object, (body, ContentHasher::Tag(tag)), attributes, options).await
    }

    async fn store_content(
        &self,
        object: &ObjectName,
        (body, hasher): (PutBody, ContentHasher),
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        const OPERATION: &str = "PutObject";
        attributes.check(OPERATION, object)?;
        self.state().bucket(&object.bucket, OPERATION)?;
        let content = Content::read(&body, hasher).await.map_err(|cause| {
            StorageError::new(StorageErrorKind::Other, OPERATION, object).because(cause)
        })?;
        let PutOptions { condition, newer_than } = options;
        if self.loose {
            self.state().check(object, condition, OPERATION)?;
            tokio::task::yield_now().await;
        }
        let now = (self.clock)();
        let mut state = self.state();
        if !self.loose {
            state.check(object, condition, OPERATION)?;
        }
        state.bucket(&object.bucket, OPERATION)?;
        let (etag, last_modified) = self.stamp(&mut state, object, &content, now, *newer_than);
        let head = ObjectHead {
            size: content.len,
            etag: etag.clone(),
            sha256: content.digest.sha256(),
            stated: content.digest.stated(),
            last_modified,
            attributes: attributes.told(),
        };
        let objects = &mut state.bucket(&object.bucket, OPERATION)?.objects;
        let stored = Stored { head, tags: attributes.tags.clone(), content: Arc::new(content) };
        objects.insert(object.key.as_str().as_bytes().to_vec(), Arc::new(stored));
        Ok(etag)
    }

    /// Returns the tag and the time of a write of `object`.
    fn stamp(
        &self,
        state: &mut State,
        object: &ObjectName,
        content: &Content,
        now: SystemTime,
        newer_than: Option<SystemTime>,
    ) -> (ETag, SystemTime) {
        let mut time = state.tick(now);
        if self.whole_seconds {
            time = whole_seconds(time);
        }
        let sha256 = match &content.digest {
            ContentDigest::Sha256(digest) => digest,
            ContentDigest::Md5(md5) => {
                return (ETag(md5.iter().map(|byte| format!("{byte:02x}")).collect()), time);
            }
            ContentDigest::Tag(tag) => return (tag.clone(), time),
        };
        if let Some(replaced) = newer_than {
            time = time.max(replaced + Duration::from_nanos(1));
        }
        let in_place = state
            .buckets
            .get(&object.bucket)
            .and_then(|bucket| bucket.objects.get(object.key.as_str().as_bytes()));
        if let Some(replaced) = in_place {
            time = time.max(replaced.head.last_modified + Duration::from_nanos(1));
        }
        state.tick(time);
        let writes = state.writes.entry(object.clone()).or_default();
        *writes += 1;
        let write = format!("{sha256} {writes} {object}");
        (ETag(Sha256Digest::of(write.as_bytes()).to_string()), time)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the maps half changed: every change is one insert or remove.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stored(
        &self,
        object: &ObjectName,
        operation: &'static str,
    ) -> Result<Arc<Stored>, StorageError> {
        let mut state = self.state();
        let objects = &state.bucket(&object.bucket, operation)?.objects;
        let absent = || StorageError::new(StorageErrorKind::NotFound, operation, object);
        objects.get(object.key.as_str().as_bytes()).cloned().ok_or_else(absent)
    }
}

/// Creates an independent store with the same content and the same clock.
impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        Self { state: Mutex::new(self.state().clone()), clock: self.clock.clone(), ..*self }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore")
    }
}

impl State {
    fn bucket(
        &mut self,
        bucket: &BucketName,
        operation: &'static str,
    ) -> Result<&mut Bucket, StorageError> {
        let absent = || StorageError::new(StorageErrorKind::NoSuchBucket, operation, bucket);
        self.buckets.get_mut(bucket).ok_or_else(absent)
    }

    /// Checks the condition of a write now; the bucket must exist.
    fn check(
        &mut self,
        object: &ObjectName,
        condition: &PutCondition,
        operation: &'static str,
    ) -> Result<(), StorageError> {
        let objects = &self.bucket(&object.bucket, operation)?.objects;
        let current = objects.get(object.key.as_str().as_bytes()).map(|stored| &stored.head.etag);
        condition.check(current).map_err(|kind| StorageError::new(kind, operation, object))
    }

    fn tick(&mut self, now: SystemTime) -> SystemTime {
        *self.latest.insert(self.latest.map_or(now, |latest| latest.max(now)))
    }
}

impl SortedKeys for &BTreeMap<Vec<u8>, Arc<Stored>> {
    type Error = Infallible;

    fn first_from(&mut self, from: &[u8]) -> Result<Option<String>, Infallible> {
        let mut rest = self.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        Ok(rest.next().map(|(key, _)| String::from_utf8_lossy(key).into_owned()))
    }
}

#[async_trait::async_trait]
impl ObjectStore for MemoryStore {
    async fn list(
        &self,
        bucket: &BucketName,
        request: &ListRequest,
    ) -> Result<ListPage, StorageError> {
        let mut state = self.state();
        let objects = &state.bucket(bucket, "ListObjectsV2")?.objects;
        let Ok(selection) = select(&mut &*objects, request);
        let listed = |key: String| {
            let head = &objects.get(key.as_bytes())?.head;
            Some(ListedObject {
                key: Key::new(key).ok()?,
                size: head.size,
                etag: head.etag.clone(),
                last_modified: head.last_modified,
            })
        };
        Ok(ListPage {
            objects: selection.keys.into_iter().filter_map(listed).collect(),
            damaged: Vec::new(),
            common_prefixes: selection.common_prefixes,
            continuation: selection.continuation,
        })
    }

    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError> {
        Ok(self.stored(object, "HeadObject")?.head.clone())
    }

    async fn get(
        &self,
        object: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        let stored = self.stored(object, "GetObject")?;
        let head = stored.head.clone();
        let range = super::s3_semantics::within(range, head.size)
            .map_err(|kind| StorageError::new(kind, "GetObject", object))?;
        Ok(ObjectBody { head, stream: stored.content.stream(range) })
    }

    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        let hasher = match self.content_tags {
            true => ContentHasher::Md5(Md5::new()),
            false => ContentHasher::Sha256(Sha256Hasher::default()),
        };
        self.store_content(object, (body, hasher), attributes, options).await
    }

    async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        options: &CopyOptions,
    ) -> Result<ETag, StorageError> {
        const OPERATION: &str = "CopyObject";
        super::s3_semantics::check_copy(from, to, options)?;
        if let Some(attributes) = &options.attributes {
            attributes.check(OPERATION, to)?;
        }
        let now = (self.clock)();
        let mut state = self.state();
        let source = state
            .bucket(&from.bucket, OPERATION)?
            .objects
            .get(from.key.as_str().as_bytes())
            .cloned();
        let source =
            source.ok_or_else(|| StorageError::new(StorageErrorKind::NotFound, OPERATION, from))?;
        let mut copy = Stored::clone(&source);
        if options.if_match.as_ref().is_some_and(|wanted| *wanted != copy.head.etag) {
            return Err(StorageError::new(StorageErrorKind::Precondition, OPERATION, from));
        }
        state.bucket(&to.bucket, OPERATION)?;
        if let Some(attributes) = &options.attributes {
            copy.head.attributes = attributes.told();
            copy.tags = attributes.tags.clone();
        }
        let (etag, time) = self.stamp(&mut state, to, &copy.content, now, options.newer_than);
        (copy.head.etag, copy.head.last_modified) = (etag.clone(), time);
        state
            .bucket(&to.bucket, OPERATION)?
            .objects
            .insert(to.key.as_str().as_bytes().to_vec(), Arc::new(copy));
        Ok(etag)
    }

    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError> {
        Ok(self.stored(object, "GetObjectTagging")?.tags.clone())
    }

    fn conditions_are_atomic(&self) -> bool {
        !self.loose
    }

    fn tags_name_writes(&self) -> bool {
        !self.content_tags
    }

    async fn delete(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageError> {
        const OPERATION: &str = "DeleteObject";
        let condition = if_match.cloned().map_or(PutCondition::None, PutCondition::IfMatch);
        if self.loose {
            self.state().check(object, &condition, OPERATION)?;
            tokio::task::yield_now().await;
        }
        let mut state = self.state();
        if !self.loose {
            state.check(object, &condition, OPERATION)?;
        }
        state.bucket(&object.bucket, OPERATION)?.objects.remove(object.key.as_str().as_bytes());
        Ok(())
    }
}

#[async_trait::async_trait]
impl BucketAdmin for MemoryStore {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        let now = (self.clock)();
        let mut state = self.state();
        if state.buckets.contains_key(bucket) {
            return Err(StorageError::new(StorageErrorKind::AlreadyExists, "CreateBucket", bucket));
        }
        let created = state.tick(now);
        state.buckets.insert(bucket.clone(), Bucket { created, objects: BTreeMap::new() });
        Ok(())
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        let mut state = self.state();
        if !state.bucket(bucket, "DeleteBucket")?.objects.is_empty() {
            return Err(StorageError::new(StorageErrorKind::NotEmpty, "DeleteBucket", bucket));
        }
        state.buckets.remove(bucket);
        Ok(())
    }

    async fn delete_bucket_holding(
        &self,
        bucket: &BucketName,
        expected: &[(Key, ETag)],
    ) -> Result<(), StorageError> {
        const OPERATION: &str = "DeleteBucket";
        if self.content_tags {
            let refused = StorageError::new(StorageErrorKind::Invalid, OPERATION, bucket);
            return Err(
                refused.because("this store cannot delete a bucket together with its objects")
            );
        }
        let mut state = self.state();
        let objects = &state.bucket(bucket, OPERATION)?.objects;
        let held = objects.iter().map(|(key, stored)| (key.as_slice(), &stored.head.etag));
        let named = expected.iter().map(|(key, etag)| (key.as_str().as_bytes(), etag));
        if held.collect::<BTreeMap<_, _>>() != named.collect::<BTreeMap<_, _>>() {
            return Err(StorageError::new(StorageErrorKind::NotEmpty, OPERATION, bucket));
        }
        state.buckets.remove(bucket);
        Ok(())
    }

    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        let listed = |(name, bucket): (&BucketName, &Bucket)| ListedBucket {
            name: name.clone(),
            created: Some(bucket.created),
        };
        Ok(self.state().buckets.iter().map(listed).collect())
    }
}

impl Presign for MemoryStore {}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[tokio::test]
    async fn clone_is_independent() {
        let (store, bucket) = (MemoryStore::new(), BucketName::new("bucket").unwrap());
        store.create_bucket(&bucket).await.unwrap();
        let object = |key: &str| ObjectName::new(bucket.clone(), Key::new(key).unwrap());
        let put = async |store: &MemoryStore, key: &str| {
            let body = PutBody::from_bytes(key.to_owned());
            store
                .put(&object(key), body, &Attributes::default(), &PutCondition::None.into())
                .await
                .unwrap();
        };
        put(&store, "both").await;
        let clone = store.clone();
        put(&clone, "clone").await;
        put(&store, "store").await;
        clone.delete(&object("both"), None).await.unwrap();
        for (store, keys) in [(store, ["both", "store"].as_slice()), (clone, &["clone"])] {
            let page = store.list(&bucket, &ListRequest::default()).await.unwrap();
            assert_eq!(
                page.objects.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(),
                keys
            );
        }
    }

    #[tokio::test]
    async fn store_time_never_goes_back() {
        let seconds = Arc::new(AtomicU64::new(100));
        let shown = seconds.clone();
        let store = MemoryStore::with_clock(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::Relaxed))
        });
        let bucket = BucketName::new("bucket").unwrap();
        store.create_bucket(&bucket).await.unwrap();
        let object = ObjectName::new(bucket, Key::new("k").unwrap());
        let mut dates = Vec::new();
        for at in [200, 150, 300] {
            seconds.store(at, Ordering::Relaxed);
            let body = PutBody::from_bytes("x");
            store
                .put(&object, body, &Attributes::default(), &PutCondition::None.into())
                .await
                .unwrap();
            let date = store.head(&object).await.unwrap().last_modified;
            dates.push(date.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
        }
        assert_eq!(dates, [200, 200, 300]);
    }
}
