//! The bytes of a reference, verified, from whichever of its keys has them.

use super::{Content, Reference, References};
use crate::cache::{CacheError, CachedReference, ReferenceWriter, WorkingCopy};
use crate::domain::policy::{Compression, MAGIC_BYTES};
use crate::domain::{Deltaspace, ObjectName, Sha256Digest};
use crate::service::blocking;
use crate::service::error::{ServiceError, chain};
use crate::storage::{ETag, Encryption, StorageErrorKind};

/// Whether a delta can be made against a reference.
pub(crate) enum Fetched {
    /// Yes; its bytes.
    Ready(Content),
    /// It was removed or replaced since it was found.
    Gone,
    /// No: other tools unpack it.
    Packed,
    /// No: it is encrypted with another customer's key than the one at hand, or without one.
    OtherKey,
    /// No: its bytes are not those it should have.
    Damaged(ServiceError),
}

/// For how long fetched bytes are at hand.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    /// As the cache does.
    InCache,
    /// No longer than somebody holds them.
    WhileHeld,
}

impl References {
    /// The bytes of a reference that was found, if a delta can be made against them.
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
        // What is at a content-addressed key is right by its SHA-256 alone, and some stores list
        // other tags than they answer.
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

    /// The bytes of the reference at `named`: of what stands there or, if that is absent or
    /// something else, of the content-addressed copy, or of the classic reference where a copy is
    /// named.
    pub(crate) async fn fetch_for(
        &self,
        named: &ObjectName,
        digest: Sha256Digest,
        keep: Keep,
    ) -> Result<Content, ServiceError> {
        let home = Deltaspace::home_of(named);
        let others = [home.addressed(&digest).ok(), home.classic().ok()];
        let mut names = vec![named.clone()];
        names.extend(others.into_iter().flatten().filter(|name| name != named));
        let mut failure = None;
        for name in &names {
            let fetched = match keep {
                Keep::InCache => self.fetch(name, &digest, None).await,
                Keep::WhileHeld => self.working_copy(name, &digest, None).await,
            };
            let error = match fetched {
                Ok(Some(reference)) => {
                    if name != named {
                        tracing::warn!(%named, %name, "the reference was taken from its other key; `repair` puts it back");
                    }
                    return Ok(reference);
                }
                // Without a tag, nothing is no match.
                Ok(None) => continue,
                Err(error) => error,
            };
            let worth = |error: &ServiceError| match error {
                error if error.is_absent() => 0,
                ServiceError::ReferenceDamaged { .. } => 1,
                _ => 2,
            };
            // What could not be found out must not be told as absence; what the named key says
            // counts before the rest.
            if failure.as_ref().is_none_or(|other| worth(&error) > worth(other)) {
                failure = Some(error);
            }
        }
        Err(failure.unwrap_or_else(|| ServiceError::absent(named)))
    }

    /// The bytes at one key, verified, through the cache; `None` if there is another version of it
    /// than the one of `etag`. A cache that cannot be written to costs a second look at the store.
    async fn fetch(
        &self,
        name: &ObjectName,
        digest: &Sha256Digest,
        etag: Option<&ETag>,
    ) -> Result<Option<Content>, ServiceError> {
        let cache = self.cache.within(name.bucket.as_str());
        if let Some(reference) = cache.get(digest) {
            tracing::debug!(reference = %name, "the reference is in the cache");
            return Ok(Some(Content::new(name, digest, Keep::InCache, reference)));
        }
        match self.fetch_into(name, etag, |len| cache.begin(digest, len)).await {
            Err(ServiceError::Cache(error @ CacheError::Io { .. })) => {
                let error = chain(&error);
                tracing::warn!(%error, "the reference could not be cached; it is fetched for this operation alone");
                self.working_copy(name, digest, etag).await
            }
            fetched => {
                Ok(fetched?.map(|reference| Content::new(name, digest, Keep::InCache, reference)))
            }
        }
    }

    /// The same outside the cache.
    async fn working_copy(
        &self,
        name: &ObjectName,
        digest: &Sha256Digest,
        etag: Option<&ETag>,
    ) -> Result<Option<Content>, ServiceError> {
        let folder = self.objects.spool_folder();
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
