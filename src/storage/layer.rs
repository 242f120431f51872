//! Stores that wrap other stores.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;

use super::{
    AccessControlPolicy, Attributes, BucketAcl, BucketAdmin, CopyOptions, Debris, ETag,
    LifecycleRule, ListPage, ListRequest, ListedBucket, ObjectBody, ObjectHead, ObjectStore,
    OpenUpload, Presign, Presigned, PutBody, PutOptions, StorageError, Store,
};
use crate::domain::{BucketName, Key, ObjectName};

/// A call to a store.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The operation by its S3 name, such as `PutObject`.
    pub operation: &'static str,
    /// The target: an object, a bucket, or the whole store. For a copy, the source.
    pub target: &'a (dyn fmt::Display + Send + Sync),
    /// The key of the target; for a listing, the prefix. Empty for a bucket or the whole store.
    pub key: &'a str,
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.target)
    }
}

impl<'a> Call<'a> {
    /// Creates a call whose target is an object.
    pub fn of(operation: &'static str, object: &'a ObjectName) -> Self {
        Self { operation, target: object, key: object.key.as_str() }
    }

    fn about(operation: &'static str, target: &'a (dyn fmt::Display + Send + Sync)) -> Self {
        Self { operation, target, key: "" }
    }
}

/// A call that has not been made yet. Each run makes it once.
pub type Run<'a, T> = &'a (dyn Fn() -> BoxFuture<'a, Result<T, StorageError>> + Send + Sync);

/// A store that forwards every call to another one and runs code around it.
///
/// Every layer is a [`Store`]. A layer implements [`around`](Self::around), or single calls.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use deltaglider::storage::{Call, Layer, MemoryStore, Run, StorageError, Store};
///
/// /// Counts calls.
/// #[derive(Debug)]
/// struct Counting(Arc<dyn Store>, AtomicU64);
///
/// #[async_trait::async_trait]
/// impl Layer for Counting {
///     fn inner(&self) -> &dyn Store {
///         &*self.0
///     }
///
///     async fn around<'a, T: Send + 'a>(
///         &'a self,
///         _: Call<'a>,
///         run: Run<'a, T>,
///     ) -> Result<T, StorageError> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         run().await
///     }
/// }
///
/// let store: Arc<dyn Store> = Arc::new(Counting(Arc::new(MemoryStore::new()), AtomicU64::new(0)));
/// # let _ = store;
/// ```
#[async_trait::async_trait]
pub trait Layer: fmt::Debug + Send + Sync {
    /// Returns the store that receives the calls.
    fn inner(&self) -> &dyn Store;

    /// Makes a call.
    async fn around<'a, T: Send + 'a>(
        &'a self,
        _call: Call<'a>,
        run: Run<'a, T>,
    ) -> Result<T, StorageError> {
        run().await
    }

    /// Makes the call [`ObjectStore::get`].
    async fn get<'a>(
        &'a self,
        object: &'a ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        self.around(Call::of("GetObject", object), &|| self.inner().get(object, range.clone()))
            .await
    }

    /// Makes the call [`ObjectStore::put`].
    async fn put<'a>(
        &'a self,
        object: &'a ObjectName,
        body: PutBody,
        attributes: &'a Attributes,
        options: &'a PutOptions,
    ) -> Result<ETag, StorageError> {
        let put = || self.inner().put(object, body.clone(), attributes, options);
        self.around(Call::of("PutObject", object), &put).await
    }

    /// Makes the call [`ObjectStore::copy`].
    async fn copy<'a>(
        &'a self,
        from: &'a ObjectName,
        to: &'a ObjectName,
        options: &'a CopyOptions,
    ) -> Result<ETag, StorageError> {
        self.around(Call::of("CopyObject", from), &|| self.inner().copy(from, to, options)).await
    }

    /// Makes the call [`Presign::presign`].
    async fn presign<'a>(
        &'a self,
        object: &'a ObjectName,
        allowed: &'a Presigned,
        expires_in: Duration,
    ) -> Result<String, StorageError> {
        let presign = || self.inner().presign(object, allowed, expires_in);
        self.around(Call::of("Presign", object), &presign).await
    }
}

#[async_trait::async_trait]
impl<L: Layer> ObjectStore for L {
    async fn list(
        &self,
        bucket: &BucketName,
        request: &ListRequest,
    ) -> Result<ListPage, StorageError> {
        let call = Call { operation: "ListObjectsV2", target: bucket, key: &request.prefix };
        self.around(call, &|| self.inner().list(bucket, request)).await
    }

    async fn head(&self, object: &ObjectName) -> Result<ObjectHead, StorageError> {
        self.around(Call::of("HeadObject", object), &|| self.inner().head(object)).await
    }

    async fn get(
        &self,
        object: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        Layer::get(self, object, range).await
    }

    async fn put(
        &self,
        object: &ObjectName,
        body: PutBody,
        attributes: &Attributes,
        options: &PutOptions,
    ) -> Result<ETag, StorageError> {
        Layer::put(self, object, body, attributes, options).await
    }

    async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        options: &CopyOptions,
    ) -> Result<ETag, StorageError> {
        Layer::copy(self, from, to, options).await
    }

    async fn tags(&self, object: &ObjectName) -> Result<BTreeMap<String, String>, StorageError> {
        self.around(Call::of("GetObjectTagging", object), &|| self.inner().tags(object)).await
    }

    fn customer_key(&self) -> Option<String> {
        self.inner().customer_key()
    }

    fn conditions_are_atomic(&self) -> bool {
        self.inner().conditions_are_atomic()
    }

    fn tags_name_writes(&self) -> bool {
        self.inner().tags_name_writes()
    }

    async fn delete(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageError> {
        self.around(Call::of("DeleteObject", object), &|| self.inner().delete(object, if_match))
            .await
    }

    async fn settle(&self) {
        self.inner().settle().await;
    }
}

#[async_trait::async_trait]
impl<L: Layer> BucketAdmin for L {
    async fn create_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        self.around(Call::about("CreateBucket", bucket), &|| self.inner().create_bucket(bucket))
            .await
    }

    async fn delete_bucket(&self, bucket: &BucketName) -> Result<(), StorageError> {
        self.around(Call::about("DeleteBucket", bucket), &|| self.inner().delete_bucket(bucket))
            .await
    }

    async fn delete_bucket_holding(
        &self,
        bucket: &BucketName,
        expected: &[(Key, ETag)],
    ) -> Result<(), StorageError> {
        let delete = || self.inner().delete_bucket_holding(bucket, expected);
        self.around(Call::about("DeleteBucket", bucket), &delete).await
    }

    async fn list_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        self.around(Call::about("ListBuckets", &"the store"), &|| self.inner().list_buckets()).await
    }

    async fn debris(&self, bucket: &BucketName) -> Result<Vec<Debris>, StorageError> {
        self.around(Call::about("ListDebris", bucket), &|| self.inner().debris(bucket)).await
    }

    async fn set_aside(
        &self,
        bucket: &BucketName,
        debris: &Debris,
    ) -> Result<PathBuf, StorageError> {
        self.around(Call::about("SetAside", bucket), &|| self.inner().set_aside(bucket, debris))
            .await
    }

    async fn list_uploads(&self, bucket: &BucketName) -> Result<Vec<OpenUpload>, StorageError> {
        self.around(Call::about("ListMultipartUploads", bucket), &|| {
            self.inner().list_uploads(bucket)
        })
        .await
    }

    async fn abort_upload(&self, upload: &OpenUpload) -> Result<(), StorageError> {
        self.around(Call::of("AbortMultipartUpload", &upload.object), &|| {
            self.inner().abort_upload(upload)
        })
        .await
    }

    async fn lifecycle(&self, bucket: &BucketName) -> Result<Vec<LifecycleRule>, StorageError> {
        let call = Call::about("GetBucketLifecycleConfiguration", bucket);
        self.around(call, &|| self.inner().lifecycle(bucket)).await
    }

    async fn bucket_acl(&self, bucket: &BucketName) -> Result<AccessControlPolicy, StorageError> {
        self.around(Call::about("GetBucketAcl", bucket), &|| self.inner().bucket_acl(bucket)).await
    }

    async fn set_bucket_acl(
        &self,
        bucket: &BucketName,
        acl: &BucketAcl,
    ) -> Result<(), StorageError> {
        self.around(Call::about("PutBucketAcl", bucket), &|| {
            self.inner().set_bucket_acl(bucket, acl)
        })
        .await
    }
}

#[async_trait::async_trait]
impl<L: Layer> Presign for L {
    async fn presign(
        &self,
        object: &ObjectName,
        allowed: &Presigned,
        expires_in: Duration,
    ) -> Result<String, StorageError> {
        Layer::presign(self, object, allowed, expires_in).await
    }
}
