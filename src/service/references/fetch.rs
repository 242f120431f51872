//! Fetches the verified bytes of a reference from whichever of its keys has them.

use super::keyed_locks::KeyedLocks;
use super::{Content, Reference, References};
use crate::cache::{CacheError, CachedReference, ReferenceWriter, WorkingCopy};
use crate::domain::policy::{Compression, MAGIC_BYTES};
use crate::domain::{BucketName, Deltaspace, ObjectName, Sha256Digest};
use crate::service::blocking;
use crate::service::error::{ServiceError, chain};
use crate::storage::{ETag, Encryption, StorageErrorKind};

/// The result of fetching a reference to make a delta against it.
pub(crate) enum Fetched {
    /// The bytes of the reference.
    Ready(Content),
    /// The reference was deleted or replaced since it was found.
    Gone,
    /// The reference is compressed: other tools would decompress it first.
    Packed,
    /// The reference is encrypted with another customer's key than the one at hand, or without one.
    OtherKey,
    /// The reference has other bytes than its metadata states.
    Damaged(ServiceError),
}

/// The fetches of this process to its cache, by bucket and content: operations that start together
/// wait for the first one's.
pub(super) type Fetches = KeyedLocks<(BucketName, Sha256Digest)>;

/// The lifetime of fetched bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    /// As long as the cache keeps them.
    InCache,
    /// As long as the value exists.
    WhileHeld,
}

impl References {
    /// Fetches the bytes of a reference that was found, if a delta can be made against them.
    pub(crate) async fn usable(&self, base: &Reference) -> Result<Fetched, ServiceError> {
        if let Some(key) = self.store().customer_key() {
            let looked = self.store().head(&base.name).await.map(|head| head.attributes.encryption);
            match looked {
                Ok(encryption)
                    if encryption.as_ref().and_then(Encryption::customer_key_md5) == Some(&key) => {
                }
                Err(error) if error.is_absent() => return Ok(Fetched::Gone),
                Err(error) if error.kind != StorageErrorKind::KeyNeeded => return Err(error.into()),
                _ => return Ok(Fetched::OtherKey),
            }
        }
        // The bytes at a content-addressed key are checked by their SHA-256 alone, and some stores
        // list other tags than they answer.
        let etag = (!base.is_addressed()).then_some(&base.etag);
        let mut content = match self.fetch(&base.name, &base.digest, etag).await {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(Fetched::Gone),
            Err(error) if error.is_absent() => return Ok(Fetched::Gone),
            Err(ServiceError::Storage(error)) if error.kind == StorageErrorKind::KeyNeeded => {
                return Ok(Fetched::OtherKey);
            }
            Err(error @ ServiceError::ReferenceDamaged { .. }) => {
                return Ok(Fetched::Damaged(error));
            }
            Err(error) => return Err(error),
        };
        loop {
            match packed(content.source()).await.map_err(ServiceError::local(&base.name)) {
                Ok(Some(_)) => return Ok(Fetched::Packed),
                Ok(None) => return Ok(Fetched::Ready(content)),
                Err(error) => content = self.refetch(&content, error).await?,
            }
        }
    }

    /// Fetches the reference named `named`: from that key or, if it is absent or has other bytes,
    /// from the content-addressed key, then from the classic key.
    pub(crate) async fn fetch_for(
        &self,
        named: &ObjectName,
        digest: Sha256Digest,
        keep: Keep,
    ) -> Result<Content, ServiceError> {
        let home = Deltaspace::of_reference(named);
        let alternatives = [home.addressed(&digest).ok(), home.classic().ok()];
        let mut names = vec![named.clone()];
        names.extend(alternatives.into_iter().flatten().filter(|name| name != named));
        let mut failure = None;
        for name in &names {
            let fetched = match keep {
                Keep::InCache => self.fetch(name, &digest, None).await,
                Keep::WhileHeld => self.working_copy(name, &digest, None).await,
            };
            let error = match fetched {
                Ok(Some(reference)) => {
                    if name != named {
                        tracing::warn!(
                            %named, %name,
                            "the reference was read from its other key; `repair` restores it"
                        );
                    }
                    return Ok(reference);
                }
                // This cannot happen without a tag to compare.
                Ok(None) => continue,
                Err(error) => error,
            };
            let worth = |error: &ServiceError| match error {
                error if error.is_absent() => 0,
                ServiceError::ReferenceDamaged { .. } => 1,
                _ => 2,
            };
            // A failed request must not be reported as absence; on a tie the error of the first key
            // tried counts.
            if failure.as_ref().is_none_or(|other| worth(&error) > worth(other)) {
                failure = Some(error);
            }
        }
        Err(failure.unwrap_or_else(|| ServiceError::absent(named)))
    }

    /// Fetches the bytes at one key through the cache; returns `None` if the object's tag is not
    /// `etag`. If the cache cannot be written, fetches them again for this operation alone.
    async fn fetch(
        &self,
        name: &ObjectName,
        digest: &Sha256Digest,
        etag: Option<&ETag>,
    ) -> Result<Option<Content>, ServiceError> {
        let cache = self.cache.within(name.bucket.as_str());
        let lock = self.fetches.of((name.bucket.clone(), *digest));
        let first = match lock.clone().try_lock_owned() {
            Ok(first) => Some(first),
            Err(_) => {
                // Not held any longer: if the other fetch failed, the waiting ones run at once.
                drop(lock.lock().await);
                None
            }
        };
        if let Some(reference) = cache.get(digest) {
            tracing::debug!(reference = %name, "the reference is in the cache");
            return Ok(Some(Content::new(name, digest, Keep::InCache, reference)));
        }
        let fetched = self.fetch_into(name, etag, |len| cache.begin(digest, len)).await;
        drop(first);
        match fetched {
            Err(ServiceError::Cache(error @ CacheError::Io { .. })) => {
                let error = chain(&error);
                tracing::warn!(
                    %error,
                    "the reference could not be cached; fetching it for this operation alone"
                );
                self.working_copy(name, digest, etag).await
            }
            fetched => {
                Ok(fetched?.map(|reference| Content::new(name, digest, Keep::InCache, reference)))
            }
        }
    }

    /// Fetches the bytes at one key outside the cache.
    async fn working_copy(
        &self,
        name: &ObjectName,
        digest: &Sha256Digest,
        etag: Option<&ETag>,
    ) -> Result<Option<Content>, ServiceError> {
        let folder = self.objects.spool_dir();
        let fetched = self
            .fetch_into(name, etag, |len| Ok(Box::new(WorkingCopy::begin(folder, digest, len)?)))
            .await?;
        Ok(fetched.map(|reference| Content::new(name, digest, Keep::WhileHeld, reference)))
    }

    async fn fetch_into(
        &self,
        name: &ObjectName,
        etag: Option<&ETag>,
        begin: impl FnOnce(u64) -> Result<Box<dyn ReferenceWriter>, CacheError>,
    ) -> Result<Option<CachedReference>, ServiceError> {
        let body = self.store().get(name, None).await?;
        if etag.is_some_and(|etag| *etag != body.head.etag) {
            return Ok(None);
        }
        tracing::debug!(reference = %name, size = body.head.size, "fetch the reference");
        let mut writer = begin(body.head.size)?;
        let what = name.to_string();
        let fetched = blocking::feed(body.stream, move |incoming| {
            while let Some(piece) = incoming.next().map_err(ServiceError::local(&what))? {
                writer.write(&piece)?;
            }
            writer.publish().map_err(ServiceError::from)
        })
        .await;
        match fetched {
            Err(ServiceError::Cache(CacheError::Mismatch { expected, actual })) => {
                Err(ServiceError::ReferenceDamaged { reference: name.clone(), expected, actual })
            }
            fetched => fetched.map(Some),
        }
    }
}

async fn packed(reference: CachedReference) -> std::io::Result<Option<Compression>> {
    blocking::run(move |_| {
        let mut beginning = [0; MAGIC_BYTES];
        let n = reference.read_at(0, &mut beginning)?;
        Ok(Compression::of(beginning.get(..n).unwrap_or_default()))
    })
    .await
}
