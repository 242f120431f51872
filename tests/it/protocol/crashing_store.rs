//! A store on which the process aborts at a chosen call, with what the calls before it left behind.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, CopyOptions, Debris, ETag, ListPage, ListRequest, ListedBucket, ObjectBody, ObjectHead, ObjectStore,
    PutBody, PutOptions, StorageError,
};
use futures::StreamExt as _;

/// Names the call at which the process aborts, counted from 1: `3` before it is made, `3:during` when
/// half of the bytes it stores were sent, `3:after` when it has taken effect.
pub(crate) const CRASH_AT: &str = "DGTEST_CRASH_AT";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Before,
    During,
    After,
}

/// Wraps a store so that the process aborts where [`CRASH_AT`] says.
pub(crate) fn crashing(inner: Arc<dyn ObjectStore>) -> Arc<dyn ObjectStore> {
    let text = std::env::var(CRASH_AT).unwrap();
    let (number, moment) = match text.split_once(':') {
        None => (text.as_str(), Moment::Before),
        Some((number, "during")) => (number, Moment::During),
        Some((number, "after")) => (number, Moment::After),
        Some((_, other)) => panic!("{CRASH_AT} names an unknown moment: {other}"),
    };
    Arc::new(CrashingStore { inner, at: number.parse().unwrap(), moment, calls: AtomicU64::new(0) })
}

struct CrashingStore {
    inner: Arc<dyn ObjectStore>,
    at: u64,
    moment: Moment,
    calls: AtomicU64,
}

impl CrashingStore {
    /// Counts a call. Aborts before the chosen one, or returns when during it to do so.
    fn next(&self) -> Option<Moment> {
        let is_chosen = self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.at;
        if is_chosen && self.moment == Moment::Before {
            std::process::abort();
        }
        is_chosen.then_some(self.moment)
    }

    fn after<T>(&self, chosen: Option<Moment>, answer: T) -> T {
        if chosen == Some(Moment::After) {
            std::process::abort();
        }
        answer
    }
}

/// Returns a body that aborts the process after the first half of its bytes.
fn cut_in_half(body: &PutBody) -> PutBody {
    let (whole, half) = (body.clone(), body.len() / 2);
    PutBody::new(body.len(), move || {
        let mut left = half as usize;
        let pieces = whole.open().map(move |piece| {
            if left == 0 {
                std::process::abort();
            }
            let mut piece = piece?;
            piece.truncate(left);
            left -= piece.len();
            Ok(piece)
        });
        // A body of one piece is written when the next piece is requested.
        pieces.chain(futures::stream::once(async { std::process::abort() })).boxed()
    })
}

impl fmt::Debug for CrashingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrashingStore({:?}, {:?} call {})", self.inner, self.moment, self.at)
    }
}

#[async_trait::async_trait]
impl ObjectStore for CrashingStore {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.create_bucket(bucket).await)
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.delete_bucket(bucket).await)
    }

    async fn delete_bucket_holding(&self, bucket: &BucketName, expected: &[(Key, ETag)]) -> Result<(), StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.delete_bucket_holding(bucket, expected).await)
    }

    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.list_buckets().await)
    }

    async fn list(&self, bucket: &BucketName, request: &ListRequest) -> Result<ListPage, StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.list(bucket, request).await)
    }

    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.head(object).await)
    }

    async fn get(&self, object: &ObjectName, range: Option<Range<u64>>) -> Result<ObjectBody, StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.get(object, range).await)
    }

    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        let chosen = self.next();
        let body = if chosen == Some(Moment::During) { cut_in_half(&body) } else { body };
        self.after(chosen, self.inner.put(object, body, attributes, options).await)
    }

    async fn copy(&self, from: &ObjectName, to: &ObjectName, options: &CopyOptions) -> Result<ETag, StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.copy(from, to, options).await)
    }

    async fn debris(&self, bucket: &BucketName) -> Result<Vec<Debris>, StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.debris(bucket).await)
    }

    async fn set_aside(&self, bucket: &BucketName, debris: &Debris) -> Result<PathBuf, StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.set_aside(bucket, debris).await)
    }

    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.tags(object).await)
    }

    fn customer_key(&self) -> Option<String> {
        self.inner.customer_key()
    }

    fn conditions_are_atomic(&self) -> bool {
        self.inner.conditions_are_atomic()
    }

    fn tags_name_writes(&self) -> bool {
        self.inner.tags_name_writes()
    }

    async fn delete(&self, object: &ObjectName, if_match: Option<&ETag>) -> Result<(), StorageError> {
        let chosen = self.next();
        self.after(chosen, self.inner.delete(object, if_match).await)
    }

    async fn settle(&self) {
        self.inner.settle().await;
    }
}
