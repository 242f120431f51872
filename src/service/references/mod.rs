//! References: their two kinds of key, and their lookup, creation, restoration and deletion beside
//! concurrent writers.
//!
//! docs/decisions.md, "References", shows why no reference is lost.

mod content;
mod create;
mod creation_lock;
mod family;
mod fetch;
mod keyed_locks;
mod rank;
mod remove;
mod tombstone;
mod unpack;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::ServiceError;
use super::objects::{Objects, StoredObject};
use crate::cache::ReferenceCache;
use crate::domain::metadata::Kind;
use crate::domain::packing::{RefPacking, StoredForm};
use crate::domain::{Addressed, BucketName, Deltaspace, ObjectName, Sha256Digest};
use crate::storage::{
    Attributes, ETag, Encryption, ListedObject, ObjectHead, StorageErrorKind, Store,
};

pub(crate) use content::Content;
pub(crate) use create::NewReference;
pub(crate) use creation_lock::CreationLocks;
pub(crate) use family::{Relative, RelativeKind};
pub(crate) use fetch::{Fetched, Keep};
pub use remove::ReferenceWarning;

/// The references of a store, through the cache.
#[derive(Debug, Clone)]
pub(crate) struct References {
    objects: Objects,
    cache: Arc<dyn ReferenceCache>,
    sketches: Arc<rank::Sketches>,
    creation: Arc<CreationLocks>,
    fetches: Arc<fetch::Fetches>,
    packings: Arc<fetch::Packings>,
}

/// A reference that deltas can be made against.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) name: ObjectName,
    /// SHA-256 of the stored bytes.
    pub(crate) digest: Sha256Digest,
    /// The packing, if the object was looked at; a listing does not show it.
    pub(crate) packing: Option<RefPacking>,
    /// Bytes stored.
    pub(crate) size: u64,
    /// The time of its last write, by the store's clock.
    pub(crate) last_modified: std::time::SystemTime,
    pub(crate) etag: ETag,
    /// The encryption of the stored object, if known.
    pub(crate) encryption: Option<Encryption>,
}

/// The references of a deltaspace.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceSet {
    pub(crate) deltaspace: Deltaspace,
    /// The key of the classic reference is taken, by a reference or by another object.
    pub(crate) classic_taken: bool,
    /// The object at that key needs a customer's key that is not at hand.
    pub(crate) other_key: bool,
    /// The references, one of each content.
    pub(crate) members: Vec<Reference>,
    /// The digests of references whose sketch is stored.
    sketched: BTreeSet<Sha256Digest>,
    /// The digests whose content-addressed reference is tombstoned: no new delta may use it.
    tombstoned: BTreeSet<Sha256Digest>,
}

impl References {
    pub(crate) fn new(objects: Objects, cache: Arc<dyn ReferenceCache>) -> Self {
        Self {
            objects,
            cache,
            sketches: Arc::default(),
            creation: Arc::default(),
            fetches: Arc::default(),
            packings: Arc::default(),
        }
    }

    /// Returns the same references with other clocks or stores.
    pub(crate) fn with_objects(self, objects: Objects) -> Self {
        Self { objects, ..self }
    }

    /// Returns the same references with another cache.
    pub(crate) fn with_cache(self, cache: Arc<dyn ReferenceCache>) -> Self {
        Self { cache, ..self }
    }

    /// Returns the objects of the store.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Returns the locks for the creation of references in this process.
    pub(crate) fn creation(&self) -> &CreationLocks {
        &self.creation
    }

    fn store(&self) -> &dyn Store {
        &**self.objects.store()
    }

    /// Returns the references that a delta of `object` may use: those under its own prefix or, if
    /// it has none, those under the prefix that its versions share. A new reference belongs to the
    /// returned deltaspace.
    pub(crate) async fn references_for(
        &self,
        object: &ObjectName,
        chosen: Option<&str>,
    ) -> Result<ReferenceSet, ServiceError> {
        let unusable = |source| ServiceError::Deltaspace { object: object.clone(), source };
        if let Some(folder) = chosen {
            return self.references_of(Deltaspace::chosen(object, folder).map_err(unusable)?).await;
        }
        let own = Deltaspace::of(object);
        let Some(shared) = own.shared() else { return self.references_of(own).await };
        let (own, shared) =
            futures::try_join!(self.references_of(own), self.references_of(shared))?;
        Ok(if own.members.is_empty() { shared } else { own })
    }

    /// Returns all references of one deltaspace.
    pub(crate) async fn references_of(
        &self,
        deltaspace: Deltaspace,
    ) -> Result<ReferenceSet, ServiceError> {
        let named = |source| ServiceError::Name { object: deltaspace.to_string(), source };
        let classic = deltaspace.classic().map_err(named)?;
        let prefix = deltaspace.references_prefix();
        let classic = async {
            match StoredObject::look(self.store(), classic).await {
                Err(error)
                    if matches!(
                        error.kind,
                        StorageErrorKind::KeyNeeded | StorageErrorKind::Damaged
                    ) =>
                {
                    Ok((None, true))
                }
                looked => Ok((looked?, false)),
            }
        };
        let ((classic, other_key), listed) =
            futures::try_join!(classic, self.objects.list_all(deltaspace.bucket(), &prefix))?;
        let classic_taken = classic.is_some() || other_key;
        let mut members: Vec<Reference> =
            classic.and_then(Reference::classic).into_iter().collect();
        let (mut sketched, mut tombstoned) = (BTreeSet::new(), BTreeSet::new());
        let mut addressed = Vec::new();
        for object in listed {
            match deltaspace.addressed_at(&object.key) {
                Some(Addressed::Sketch(digest)) => {
                    sketched.insert(digest);
                }
                Some(Addressed::Tombstone(digest)) => {
                    tombstoned.insert(digest);
                }
                Some(Addressed::Reference(digest)) => {
                    addressed.push(Reference::addressed(deltaspace.bucket(), digest, object));
                }
                None => {}
            }
        }
        addressed.retain(|base| {
            !tombstoned.contains(&base.digest) && members.iter().all(|b| b.digest != base.digest)
        });
        members.extend(addressed);
        Ok(ReferenceSet { deltaspace, classic_taken, other_key, members, sketched, tombstoned })
    }
}

/// The content type of objects without one, as the Python tool writes them.
pub(crate) const OCTET_STREAM: &str = "application/octet-stream";

/// Returns the attributes of a reference: of the attributes of its first file it keeps the
/// encryption alone. Tags or an expiry time could delete it by a rule, an ACL could publish it, and
/// another storage class could archive what every other version needs or add charges for it.
fn attributes_of(
    metadata: BTreeMap<String, String>,
    encryption: Option<&Encryption>,
) -> Attributes {
    let content_type = Some(OCTET_STREAM.to_owned());
    Attributes { metadata, content_type, encryption: encryption.cloned(), ..Attributes::default() }
}

impl ReferenceSet {
    /// Returns whether the content-addressed reference of this content is about to be deleted, so
    /// that none can be stored in its place.
    pub(crate) fn is_tombstoned(&self, digest: &Sha256Digest) -> bool {
        self.tombstoned.contains(digest)
    }
}

impl Reference {
    fn classic(found: StoredObject) -> Option<Self> {
        let Kind::Reference(metadata) = found.kind else { return None };
        let ObjectHead { size, etag, last_modified, attributes, .. } = found.head;
        let (name, encryption) = (found.name, attributes.encryption);
        let (digest, packing) = (metadata.file_sha256, metadata.packing);
        Some(Self { name, digest, packing, size, last_modified, etag, encryption })
    }

    fn addressed(bucket: &BucketName, digest: Sha256Digest, object: ListedObject) -> Self {
        let name = ObjectName::new(bucket.clone(), object.key.clone());
        let ListedObject { size, etag, last_modified, .. } = object;
        Self { name, digest, packing: None, size, last_modified, etag, encryption: None }
    }

    /// Returns the deltaspace that the reference belongs to.
    pub(crate) fn deltaspace(&self) -> Deltaspace {
        Deltaspace::of_reference(&self.name)
    }

    /// Returns the form of the stored bytes.
    pub(crate) fn form(&self) -> StoredForm {
        StoredForm { digest: self.digest, packing: self.packing }
    }

    /// Returns whether its key is derived from the digest of its bytes.
    pub(crate) fn is_addressed(&self) -> bool {
        matches!(self.deltaspace().addressed_at(&self.name.key), Some(Addressed::Reference(_)))
    }
}
