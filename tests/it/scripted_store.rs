//! A store whose calls are noted, and where somebody else does something just before a chosen one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, CopyOptions, ETag, ListPage, ListRequest, ListedBucket, ObjectBody, ObjectHead, ObjectStore, PutBody,
    PutOptions, StorageError,
};
use futures::future::BoxFuture;

/// Says from the calls so far and the next one whether this is the moment. A call is told as `put a.zip`.
type Moment = dyn Fn(&[String], &str) -> bool + Send + Sync;

/// A store as an operation sees it while somebody else is at work.
pub(crate) struct ScriptedStore {
    inner: Arc<dyn ObjectStore>,
    calls: Mutex<Vec<String>>,
    moment: Box<Moment>,
    act: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl ScriptedStore {
    /// Nothing happens meanwhile; calls are noted.
    pub(crate) fn nothing(inner: &Arc<impl ObjectStore + 'static>) -> Arc<Self> {
        Self::at(inner, |_, _| false, async {})
    }

    /// `act` happens once, before the first call for which `moment` holds.
    pub(crate) fn at(
        inner: &Arc<impl ObjectStore + 'static>,
        moment: impl Fn(&[String], &str) -> bool + Send + Sync + 'static,
        act: impl Future<Output = ()> + Send + 'static,
    ) -> Arc<Self> {
        let (calls, act) = (Mutex::default(), Mutex::new(Some(Box::pin(act) as BoxFuture<'static, ()>)));
        Arc::new(Self { inner: inner.clone(), calls, moment: Box::new(moment), act })
    }

    /// Whether it has happened.
    pub(crate) fn happened(&self) -> bool {
        self.act.lock().unwrap().is_none()
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    async fn note(&self, call: &str, target: impl fmt::Display) {
        let call = format!("{call} {target}");
        let act = {
            let mut calls = self.calls.lock().unwrap();
            let act = if (self.moment)(&calls, &call) { self.act.lock().unwrap().take() } else { None };
            calls.push(call);
            act
        };
        if let Some(act) = act {
            act.await;
        }
    }
}

impl fmt::Debug for ScriptedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedStore")
    }
}

#[async_trait::async_trait]
impl ObjectStore for ScriptedStore {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        self.inner.create_bucket(bucket).await
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        self.inner.delete_bucket(bucket).await
    }

    async fn delete_bucket_holding(&self, bucket: &BucketName, expected: &[(Key, ETag)]) -> Result<(), StorageError> {
        self.note("delete_bucket", bucket).await;
        self.inner.delete_bucket_holding(bucket, expected).await
    }

    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        self.inner.list_buckets().await
    }

    async fn list(&self, bucket: &BucketName, request: &ListRequest) -> Result<ListPage, StorageError> {
        self.note("list", &request.prefix).await;
        self.inner.list(bucket, request).await
    }

    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError> {
        self.note("head", &object.key).await;
        self.inner.head(object).await
    }

    async fn get(&self, object: &ObjectName, range: Option<Range<u64>>) -> Result<ObjectBody, StorageError> {
        self.note("get", &object.key).await;
        self.inner.get(object, range).await
    }

    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        self.note("put", &object.key).await;
        self.inner.put(object, body, attributes, options).await
    }

    async fn copy(&self, from: &ObjectName, to: &ObjectName, options: &CopyOptions) -> Result<ETag, StorageError> {
        self.note("copy", &from.key).await;
        self.inner.copy(from, to, options).await
    }

    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError> {
        self.inner.tags(object).await
    }

    fn conditions_are_atomic(&self) -> bool {
        self.inner.conditions_are_atomic()
    }

    fn tags_name_writes(&self) -> bool {
        self.inner.tags_name_writes()
    }

    async fn delete(&self, object: &ObjectName, if_match: Option<&ETag>) -> Result<(), StorageError> {
        self.note("delete", &object.key).await;
        self.inner.delete(object, if_match).await
    }
}
