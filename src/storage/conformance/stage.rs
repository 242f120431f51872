//! The bucket of a check, and the calls that all checks use.

use std::fmt;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use crate::domain::{BucketName, Key, ObjectName};
use crate::storage::{
    Attributes, ETag, ListPage, ListRequest, PutBody, PutCondition, StorageError, StorageErrorKind,
    Store,
};

use super::{Capabilities, Failure, Outcome};

/// The number of concurrent requests when many objects are needed.
const AT_ONCE: usize = 16;

/// A store, a fresh bucket in it, and the store's capabilities.
pub(super) struct Stage<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) bucket: BucketName,
    pub(super) capabilities: &'a Capabilities,
}

impl<'a> Stage<'a> {
    /// Creates the bucket; first deletes the remains of an interrupted run.
    pub(super) async fn set(
        store: &'a dyn Store,
        name: &str,
        capabilities: &'a Capabilities,
    ) -> Result<Self, Failure> {
        let stage = Self {
            store,
            bucket: BucketName::new(format!("dg-{}", name.replace('_', "-")))?,
            capabilities,
        };
        match store.create_bucket(&stage.bucket).await {
            Err(error) if error.kind == StorageErrorKind::AlreadyExists => {
                stage.clear().await?;
                store.create_bucket(&stage.bucket).await?;
            }
            made => made?,
        }
        Ok(stage)
    }

    /// Deletes the bucket and all objects in it.
    pub(super) async fn clear(&self) -> Outcome {
        let objects = match self.list_all(&ListRequest::default()).await {
            Err(error) if error.kind == StorageErrorKind::NoSuchBucket => return Ok(()),
            listed => listed?.0,
        };
        let removed = objects.into_iter().map(|key| async move {
            let object = self.object(&key)?;
            self.store.delete(&object, None).await?;
            Ok::<_, Failure>(())
        });
        futures::stream::iter(removed).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(self.store.delete_bucket(&self.bucket).await?)
    }

    pub(super) fn object(&self, key: &str) -> Result<ObjectName, Failure> {
        Ok(ObjectName::new(self.bucket.clone(), Key::new(key)?))
    }

    pub(super) async fn put(&self, key: &str, content: impl Into<Bytes>) -> Result<ETag, Failure> {
        Ok(self.put_if(key, content, &PutCondition::None).await??)
    }

    pub(super) async fn put_if(
        &self,
        key: &str,
        content: impl Into<Bytes>,
        condition: &PutCondition,
    ) -> Result<Result<ETag, StorageError>, Failure> {
        let body = PutBody::from_bytes(content);
        Ok(self
            .store
            .put(&self.object(key)?, body, &Attributes::default(), &condition.clone().into())
            .await)
    }

    /// Puts an object of a few bytes at each key.
    pub(super) async fn put_all<S: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = S>,
    ) -> Outcome {
        let keys: Vec<String> = keys.into_iter().map(|key| key.as_ref().to_owned()).collect();
        let puts = keys.into_iter().map(|key| async move {
            let put = self.put(&key, key.clone()).await;
            put.map(|_| ()).map_err(|failure| Failure(format!("{key:?}: {failure}")))
        });
        futures::stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Returns the content of an object.
    pub(super) async fn read(&self, key: &str) -> Result<Vec<u8>, Failure> {
        let body = self.store.get(&self.object(key)?, None).await?;
        let content: Vec<u8> = body.stream.map_ok(|piece| piece.to_vec()).try_concat().await?;
        super::same(
            "the size in the head and the bytes read",
            body.head.size,
            content.len() as u64,
        )?;
        Ok(content)
    }

    /// Returns the keys and common prefixes of all pages, each in the listed order.
    pub(super) async fn list_all(
        &self,
        request: &ListRequest,
    ) -> Result<(Vec<String>, Vec<String>), StorageError> {
        let mut all = (Vec::new(), Vec::new());
        let mut request = request.clone();
        loop {
            let page = self.store.list(&self.bucket, &request).await?;
            let (keys, common_prefixes) = entries(&page);
            all.0.extend(keys);
            all.1.extend(common_prefixes);
            match page.continuation {
                Some(continuation) if request.continuation.as_ref() != Some(&continuation) => {
                    request.continuation = Some(continuation);
                }
                Some(_) => {
                    let stuck =
                        StorageError::new(StorageErrorKind::Other, "ListObjectsV2", &self.bucket);
                    return Err(stuck.because("the same continuation was given twice"));
                }
                None => return Ok(all),
            }
        }
    }

    /// Requires that a listing of all pages returns exactly these, in this order.
    pub(super) async fn lists(
        &self,
        request: &ListRequest,
        keys: &[&str],
        common_prefixes: &[&str],
    ) -> Outcome {
        let (got_keys, got_prefixes) = self.list_all(request).await?;
        super::same(
            &format!("keys of {request:?}"),
            got_keys,
            keys.iter().map(|key| (*key).to_owned()).collect(),
        )?;
        let expected = common_prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        super::same(&format!("common prefixes of {request:?}"), got_prefixes, expected)
    }
}

/// Returns the keys and common prefixes of a page.
pub(super) fn entries(page: &ListPage) -> (Vec<String>, Vec<String>) {
    (
        page.objects.iter().map(|object| object.key.as_str().to_owned()).collect(),
        page.common_prefixes.clone(),
    )
}

/// Requires an error of this kind.
pub(super) fn refused<T: fmt::Debug>(
    what: &str,
    result: Result<T, StorageError>,
    kind: StorageErrorKind,
) -> Outcome {
    match result {
        Ok(done) => Err(Failure(format!("{what}: got {done:?}, expected {kind:?}"))),
        Err(error) if error.kind == kind => Ok(()),
        Err(error) => {
            let got = error.kind;
            Err(Failure(format!(
                "{what}: got {got:?} ({}), expected {kind:?}",
                Failure::from(error)
            )))
        }
    }
}
