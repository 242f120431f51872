//! References: their two homes, how they are found, made, put back and removed while others do the same.
//!
//! docs/DESIGN.md, "References", argues why nothing is lost on the way.

mod choose;
mod family;
mod fetch;
mod keep;
mod mended;
mod remove;

use std::collections::BTreeSet;

use super::DeltaService;
use super::error::ServiceError;
use super::locate::Found;
use crate::domain::metadata::Kind;
use crate::domain::{Addressed, BucketName, Deltaspace, ObjectName, Sha256Digest};
use crate::storage::{ETag, ListRequest, ListedObject};

pub(crate) use choose::Sketches;
pub(crate) use fetch::{Keep, Usable};
pub use remove::ReferenceWarning;

/// A reference that deltas can be made against.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) name: ObjectName,
    pub(crate) digest: Sha256Digest,
    pub(crate) size: u64,
    /// When it was stored, by the store's clock.
    pub(crate) last_modified: std::time::SystemTime,
    pub(crate) etag: ETag,
}

/// The references of a deltaspace.
#[derive(Debug, Clone)]
pub(crate) struct Bases {
    pub(crate) deltaspace: Deltaspace,
    /// Something stands where the classic reference would: the reference, or what is none.
    pub(crate) classic_taken: bool,
    /// One of each content.
    pub(crate) bases: Vec<Base>,
    /// References whose sketch is in the store.
    sketched: BTreeSet<Sha256Digest>,
}

impl DeltaService {
    /// The references that a delta of `object` may be made against: of its folder or, if that has none, of the one that its
    /// versions share. A new reference belongs into the deltaspace that is returned.
    pub(crate) async fn bases_for(&self, object: &ObjectName, chosen: Option<&str>) -> Result<Bases, ServiceError> {
        let unusable = |source| ServiceError::Deltaspace { object: object.clone(), source };
        if let Some(folder) = chosen {
            return self.bases_of(Deltaspace::chosen(object, folder).map_err(unusable)?).await;
        }
        let own = Deltaspace::of(object);
        let Some(shared) = own.shared() else { return self.bases_of(own).await };
        let (own, shared) = futures::try_join!(self.bases_of(own), self.bases_of(shared))?;
        Ok(if own.bases.is_empty() { shared } else { own })
    }

    /// Every reference of one folder.
    pub(crate) async fn bases_of(&self, deltaspace: Deltaspace) -> Result<Bases, ServiceError> {
        let named = |source| ServiceError::Name { object: deltaspace.to_string(), source };
        let classic = deltaspace.classic().map_err(named)?;
        let prefix = deltaspace.references_prefix();
        let classic = async { Ok(Found::look(self.store(), classic).await?) };
        let (classic, listed) = futures::try_join!(classic, self.list_all(deltaspace.bucket(), &prefix))?;
        let classic_taken = classic.is_some();
        let mut bases: Vec<Base> = classic.and_then(Base::classic).into_iter().collect();
        let mut sketched = BTreeSet::new();
        for object in listed {
            match deltaspace.addressed_at(&object.key) {
                Some(Addressed::Sketch(digest)) => {
                    sketched.insert(digest);
                }
                Some(Addressed::Reference(digest)) if bases.iter().all(|base| base.digest != digest) => {
                    bases.push(Base::addressed(deltaspace.bucket(), digest, object));
                }
                Some(Addressed::Reference(_)) | None => {}
            }
        }
        Ok(Bases { deltaspace, classic_taken, bases, sketched })
    }

    /// All keys that start with `prefix`.
    async fn list_all(&self, bucket: &BucketName, prefix: &str) -> Result<Vec<ListedObject>, ServiceError> {
        let mut request = ListRequest { prefix: prefix.to_owned(), ..ListRequest::default() };
        let mut listed = Vec::new();
        loop {
            let page = self.store().list(bucket, &request).await?;
            listed.extend(page.objects);
            match page.continuation {
                Some(continuation) => request.continuation = Some(continuation),
                None => return Ok(listed),
            }
        }
    }
}

impl Base {
    fn classic(found: Found) -> Option<Self> {
        let Kind::Reference(metadata) = found.kind else { return None };
        let (size, last_modified) = (found.head.size, found.head.last_modified);
        Some(Self { name: found.name, digest: metadata.file_sha256, size, last_modified, etag: found.head.etag })
    }

    fn addressed(bucket: &BucketName, digest: Sha256Digest, object: ListedObject) -> Self {
        let name = ObjectName::new(bucket.clone(), object.key);
        Self { name, digest, size: object.size, last_modified: object.last_modified, etag: object.etag }
    }

    /// Its home.
    pub(crate) fn deltaspace(&self) -> Deltaspace {
        Deltaspace::home_of(&self.name)
    }

    /// Whether its key says what its content is.
    pub(crate) fn is_addressed(&self) -> bool {
        matches!(self.deltaspace().addressed_at(&self.name.key), Some(Addressed::Reference(_)))
    }
}
