//! Fetches the verified bytes of a reference from whichever of its keys has them.

use dashmap::DashMap;

use super::keyed_locks::KeyedLocks;
use super::unpack::Packed;
use super::{Content, Reference, References};
use crate::cache::{CacheError, CachedReference, ReferenceWriter, WorkingCopy};
use crate::domain::metadata::Kind;
use crate::domain::packing::{RefPacking, StoredForm};
use crate::domain::{BucketName, Compression, Deltaspace, MAGIC_BYTES, ObjectName, Sha256Digest};
use crate::service::blocking;
use crate::service::error::{ServiceError, chain};
use crate::service::payload::Payload;
use crate::service::recompress::Rule;
use crate::storage::{ETag, Encryption, StorageErrorKind};

/// The result of fetching a reference to make a delta against it.
pub(crate) enum Fetched {
    /// The bytes of the reference.
    Ready(Content),
    /// The reference was deleted or replaced since it was found.
    Gone,
    /// The reference is a compressed file, which other tools would decompress first, or packed by
    /// an unknown rule, so that it could not be restored.
    Packed,
    /// The reference is encrypted with another customer's key than the one at hand, or without one.
    OtherKey,
    /// The reference has other bytes than its metadata states.
    Damaged(ServiceError),
}

/// The fetches of this process to its cache, by bucket and content: operations that start together
/// wait for the first one's.
pub(super) type Fetches = KeyedLocks<(BucketName, Sha256Digest)>;

/// The packings of content-addressed references that this process has seen.
pub(super) type Packings = DashMap<ObjectName, Option<RefPacking>>;

/// The result of a look at a reference before it is fetched.
enum Looked {
    At(Option<RefPacking>),
    Gone,
    OtherKey,
}

/// The lifetime of fetched bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Keep {
    /// As long as the cache keeps them.
    InCache,
    /// As long as the value exists.
    WhileHeld,
}

impl References {
    /// Fetches the content of a reference that was found, if a delta can be made against it.
    pub(crate) async fn usable(&self, base: &Reference) -> Result<Fetched, ServiceError> {
        let packing = match self.look(base).await? {
            Looked::At(packing) => packing,
            Looked::Gone => return Ok(Fetched::Gone),
            Looked::OtherKey => return Ok(Fetched::OtherKey),
        };
        if packing.is_some_and(|packing| Rule::by(&packing).is_none()) {
            return Ok(Fetched::Packed);
        }
        let form = StoredForm { digest: base.digest, packing };
        // The bytes at a content-addressed key are checked by their SHA-256 alone, and some stores
        // list other tags than they answer.
        let etag = (!base.is_addressed()).then_some(&base.etag);
        let mut content = match self.fetch(&base.name, &form, etag).await {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(Fetched::Gone),
            Err(error) if error.is_absent() => return Ok(Fetched::Gone),
            Err(ServiceError::Storage(error)) if error.kind == StorageErrorKind::KeyNeeded => {
                return Ok(Fetched::OtherKey);
            }
            Err(error @ (ServiceError::ReferenceDamaged { .. } | ServiceError::Unpack { .. })) => {
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

    /// Returns the packing of a reference, unless a customer's key hides its content. A listing
    /// shows no packing, so one HEAD request is needed, once in this process.
    async fn look(&self, base: &Reference) -> Result<Looked, ServiceError> {
        let key = self.store().customer_key();
        let known = match base.is_addressed() {
            true => self.packings.get(&base.name).map(|packing| *packing),
            false => Some(base.packing),
        };
        if let (None, Some(packing)) = (&key, known) {
            return Ok(Looked::At(packing));
        }
        let head = match self.store().head(&base.name).await {
            Ok(head) => head,
            Err(error) if error.is_absent() => return Ok(Looked::Gone),
            Err(error) if error.kind == StorageErrorKind::KeyNeeded => return Ok(Looked::OtherKey),
            // Its bytes decide.
            Err(error) if error.kind == StorageErrorKind::Damaged => return Ok(Looked::At(None)),
            Err(error) => return Err(error.into()),
        };
        let encryption = head.attributes.encryption.as_ref();
        if key.is_some() && encryption.and_then(Encryption::customer_key_md5) != key.as_deref() {
            return Ok(Looked::OtherKey);
        }
        let packing = match Kind::of(&base.name.key, &head.attributes.metadata) {
            Kind::Reference(metadata) => metadata.packing,
            _ => None,
        };
        if base.is_addressed() {
            self.packings.insert(base.name.clone(), packing);
        }
        Ok(Looked::At(packing))
    }

    /// Fetches the stored bytes of the reference named `named`, from any of its keys.
    pub(crate) async fn fetch_stored(
        &self,
        named: &ObjectName,
        digest: &Sha256Digest,
    ) -> Result<Payload, ServiceError> {
        let form = StoredForm::plain(*digest);
        Ok(self.fetch_for(named, &form, Keep::WhileHeld).await?.to_payload())
    }

    /// Fetches the content of the reference named `named`: from that key or, if it is absent or has
    /// other bytes, from the content-addressed key, then from the classic key.
    pub(crate) async fn fetch_for(
        &self,
        named: &ObjectName,
        form: &StoredForm,
        keep: Keep,
    ) -> Result<Content, ServiceError> {
        let home = Deltaspace::of_reference(named);
        let alternatives = [home.addressed(&form.digest).ok(), home.classic().ok()];
        let mut names = vec![named.clone()];
        names.extend(alternatives.into_iter().flatten().filter(|name| name != named));
        let mut failure = None;
        for name in &names {
            let fetched = match keep {
                Keep::InCache => self.fetch(name, form, None).await,
                Keep::WhileHeld => self.working_copy(name, form, None).await,
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

    /// Fetches the content of the object at one key through the cache; returns `None` if the
    /// object's tag is not `etag`. If the cache cannot be written, fetches it again for this
    /// operation alone.
    async fn fetch(
        &self,
        name: &ObjectName,
        form: &StoredForm,
        etag: Option<&ETag>,
    ) -> Result<Option<Content>, ServiceError> {
        let (cache, digest) = (self.cache.within(name.bucket.as_str()), form.content_digest());
        let lock = self.fetches.of((name.bucket.clone(), digest));
        let first = match lock.clone().try_lock_owned() {
            Ok(first) => Some(first),
            Err(_) => {
                // Not held any longer: if the other fetch failed, the waiting ones run at once.
                drop(lock.lock().await);
                None
            }
        };
        if let Some(reference) = cache.get(&digest) {
            tracing::debug!(reference = %name, "the reference is in the cache");
            return Ok(Some(Content::new(name, form, Keep::InCache, reference)));
        }
        let fetched = self.fetch_into(name, form, etag, |len| cache.begin(&digest, len)).await;
        drop(first);
        match fetched {
            Err(ServiceError::Cache(error @ CacheError::Io { .. })) => {
                let error = chain(&error);
                tracing::warn!(
                    %error,
                    "the reference could not be cached; fetching it for this operation alone"
                );
                self.working_copy(name, form, etag).await
            }
            fetched => {
                Ok(fetched?.map(|reference| Content::new(name, form, Keep::InCache, reference)))
            }
        }
    }

    /// Fetches the content of the object at one key outside the cache.
    async fn working_copy(
        &self,
        name: &ObjectName,
        form: &StoredForm,
        etag: Option<&ETag>,
    ) -> Result<Option<Content>, ServiceError> {
        let (folder, digest) = (self.objects.spool_dir(), form.content_digest());
        let fetched = self
            .fetch_into(name, form, etag, |len| {
                Ok(Box::new(WorkingCopy::begin(folder, &digest, len)?))
            })
            .await?;
        Ok(fetched.map(|reference| Content::new(name, form, Keep::WhileHeld, reference)))
    }

    async fn fetch_into(
        &self,
        name: &ObjectName,
        form: &StoredForm,
        etag: Option<&ETag>,
        begin: impl FnOnce(u64) -> Result<Box<dyn ReferenceWriter>, CacheError>,
    ) -> Result<Option<CachedReference>, ServiceError> {
        let body = self.store().get(name, None).await?;
        if etag.is_some_and(|etag| *etag != body.head.etag) {
            return Ok(None);
        }
        tracing::debug!(reference = %name, size = body.head.size, "fetch the reference");
        let len = form.packing.map_or(body.head.size, |packing| packing.content_size);
        let mut writer = begin(len)?;
        let (what, StoredForm { digest, packing }) = (name.clone(), *form);
        let fetched = blocking::feed(body.stream, move |incoming| {
            if let Some(packing) = packing {
                return Packed { name: &what, digest, packing }.unpack(incoming, writer);
            }
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
