//! Removes a bucket while other processes may store files in it.
//!
//! Some stores delete a bucket only if it holds exactly the listed objects, and so decide
//! atomically. Any other store deletes a bucket if it is empty, so the references must be deleted
//! first, and a delta stored at that moment may need one of them. They are held in a spool until
//! the bucket is deleted, and restored if it is not.

use std::io::{self, Write as _};
use std::sync::Arc;

use deltaglider_vcdiff::Source;

use super::bucket_kept::BucketKept;
use super::error::ServiceError;
use super::payload::Payload;
use super::{DeltaService, blocking};
use crate::domain::metadata::Kind;
use crate::domain::{Addressed, BucketName, Deltaspace, Key, ObjectName, deltaspace};
use crate::storage::{
    Attributes, ETag, ListedObject, PutCondition, StorageError, StorageErrorKind,
};

/// A deleted object, with what is needed to store it again.
struct Held {
    name: ObjectName,
    attributes: Attributes,
    at: u64,
    len: u64,
}

/// A part of a source.
struct Part {
    whole: Arc<dyn Source>,
    at: u64,
    len: u64,
}

impl Source for Part {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = buf.len().min(left);
        self.whole.read_at(self.at + offset, buf.get_mut(..len).unwrap_or_default())
    }

    fn len(&self) -> Option<u64> {
        Some(self.len)
    }
}

impl DeltaService {
    /// Removes a bucket without files. With `force`, deletes references that are left in it.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::NotEmpty`] if there is a file, or a delta whose file cannot be restored;
    /// [`ServiceError::BucketKept`] if there is anything else that a delta may need, or if a file
    /// was stored during the call.
    pub async fn remove_bucket(
        &self,
        bucket: &BucketName,
        force: bool,
    ) -> Result<(), ServiceError> {
        let own = self.own_objects(bucket).await?;
        let held: Vec<(Key, ETag)> =
            own.iter().map(|object| (object.key.clone(), object.etag.clone())).collect();
        match self.store().delete_bucket_holding(bucket, &held).await {
            Err(error) if error.kind == StorageErrorKind::Invalid => {}
            removed => return Ok(removed?),
        }
        let (rebuildable, kept): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|object| is_rebuildable(bucket, object));
        if !kept.is_empty() && !force {
            return Err(BucketKept::Left { bucket: bucket.clone(), left: kept.len() }.into());
        }
        let (bytes, held) = self.held(bucket, kept).await?;
        for object in &rebuildable {
            self.store().delete(&ObjectName::new(bucket.clone(), object.key.clone()), None).await?;
        }
        let removed = self.remove_held(bucket, &held).await;
        if removed.is_err() && !held.is_empty() {
            let restored = match self.restore_held(bucket, &bytes, held).await {
                // A retried request deleted the bucket before its answer was lost.
                Err(ServiceError::Storage(error))
                    if error.kind == StorageErrorKind::NoSuchBucket =>
                {
                    return Ok(());
                }
                restored => restored?,
            };
            if restored > 0 {
                return Err(BucketKept::Used { bucket: bucket.clone(), restored }.into());
            }
        }
        removed
    }

    /// Lists all objects of a bucket without files.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::NotEmpty`] if there is a file.
    async fn own_objects(&self, bucket: &BucketName) -> Result<Vec<ListedObject>, ServiceError> {
        let mut own = Vec::new();
        let mut listing = self.list(bucket, "", None).without_index();
        while let Some(page) = listing.next().await? {
            if page.files.iter().any(|file| file.is_shown()) {
                return Err(
                    StorageError::new(StorageErrorKind::NotEmpty, "DeleteBucket", bucket).into()
                );
            }
            own.extend(page.files.into_iter().chain(page.older).map(|file| file.stored));
        }
        Ok(own)
    }

    async fn remove_held(&self, bucket: &BucketName, held: &[Held]) -> Result<(), ServiceError> {
        for object in held {
            self.store().delete(&object.name, None).await?;
        }
        Ok(self.store().delete_bucket(bucket).await?)
    }

    /// Reads objects into one spool.
    async fn held(
        &self,
        bucket: &BucketName,
        objects: Vec<ListedObject>,
    ) -> Result<(Arc<dyn Source>, Vec<Held>), ServiceError> {
        let (mut spool, mut held) = (self.objects.spool(), Vec::new());
        for object in objects {
            let name = ObjectName::new(bucket.clone(), object.key);
            let body = match self.store().get(&name, None).await {
                Err(error) if error.kind == StorageErrorKind::NotFound => continue,
                body => body?,
            };
            let (at, what) = (spool.len(), name.to_string());
            let attributes = body.head.attributes;
            spool = blocking::feed(body.stream, move |incoming| {
                while let Some(piece) = incoming.next().map_err(ServiceError::local(&what))? {
                    spool.write_all(&piece).map_err(ServiceError::local(&what))?;
                }
                Ok::<_, ServiceError>(spool)
            })
            .await?;
            let len = spool.len() - at;
            if len != body.head.size {
                return Err(ServiceError::Length {
                    object: name,
                    expected: body.head.size,
                    actual: len,
                });
            }
            held.push(Held { name, attributes, at, len });
        }
        let bytes = spool.finish().map_err(ServiceError::local(bucket))?;
        Ok((Arc::new(bytes), held))
    }

    /// Restores the deleted objects that a delta in the bucket needs or may need, and returns their
    /// number.
    async fn restore_held(
        &self,
        bucket: &BucketName,
        bytes: &Arc<dyn Source>,
        held: Vec<Held>,
    ) -> Result<usize, ServiceError> {
        let (mut needed, mut unknown) = (Vec::new(), false);
        let mut listing = self.list(bucket, "", None).without_index();
        while let Some(page) = listing.next().await? {
            for file in page.files.iter().chain(&page.older) {
                match file.kind.as_deref() {
                    Some(Kind::Delta(delta)) => {
                        needed.push((delta.ref_key.clone(), delta.ref_sha256))
                    }
                    Some(Kind::Damaged(_)) => unknown = true,
                    _ => {}
                }
            }
        }
        let mut restored = 0;
        for Held { name, attributes, at, len } in held {
            let is_needed = |(key, digest): &(Key, _)| {
                let addressed = Deltaspace::of_reference(&name).addressed(digest);
                *key == name.key || addressed.is_ok_and(|addressed| addressed == name)
            };
            if !unknown && !needed.iter().any(is_needed) {
                continue;
            }
            tracing::warn!(
                reference = %name,
                "a delta was stored during the removal of the bucket; restoring its reference"
            );
            let body = Payload::of(
                &name.to_string(),
                len,
                Arc::new(Part { whole: bytes.clone(), at, len }),
            );
            let body = body.body(body.digest().await?);
            match self.store().put(&name, body, &attributes, &PutCondition::IfAbsent.into()).await {
                Err(error) if error.kind == StorageErrorKind::AlreadyExists => {}
                put => drop(put?),
            }
            restored += 1;
        }
        Ok(restored)
    }
}

/// Returns whether an object can be rebuilt: an index, statistics, or the sketch of a reference.
fn is_rebuildable(bucket: &BucketName, object: &ListedObject) -> bool {
    let name = ObjectName::new(bucket.clone(), object.key.clone());
    let addressed = Deltaspace::of_reference(&name).addressed_at(&object.key);
    deltaspace::is_derived(&object.key) || matches!(addressed, Some(Addressed::Sketch(_)))
}
