//! References: their two homes, how they are found, made, put back and removed while others do the
//! same.
//!
//! docs/decisions.md, "References", argues why nothing is lost on the way.

mod content;
mod create;
mod creation_lock;
mod family;
mod fetch;
mod rank;
mod remove;
mod tombstone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::ServiceError;
use super::objects::{Objects, StoredObject};
use crate::cache::ReferenceCache;
use crate::domain::metadata::Kind;
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
}

/// A reference that deltas can be made against.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub(crate) name: ObjectName,
    pub(crate) digest: Sha256Digest,
    pub(crate) size: u64,
    /// When it was stored, by the store's clock.
    pub(crate) last_modified: std::time::SystemTime,
    pub(crate) etag: ETag,
    /// How the store encrypts it, as far as is known.
    pub(crate) encryption: Option<Encryption>,
}

/// The references of a deltaspace.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceSet {
    pub(crate) deltaspace: Deltaspace,
    /// Something stands where the classic reference would: the reference, or what is none.
    pub(crate) classic_taken: bool,
    /// What stands there needs a customer's key that is not at hand.
    pub(crate) other_key: bool,
    /// One of each content.
    pub(crate) members: Vec<Reference>,
    /// References whose sketch is in the store.
    sketched: BTreeSet<Sha256Digest>,
    /// Contents whose content-addressed reference is to be removed: no delta may be made against it
    /// any more.
    condemned: BTreeSet<Sha256Digest>,
}

impl References {
    pub(crate) fn new(objects: Objects, cache: Arc<dyn ReferenceCache>) -> Self {
        Self { objects, cache, sketches: Arc::default(), creation: Arc::default() }
    }

    /// Returns the same references with other clocks or stores.
    pub(crate) fn with_objects(self, objects: Objects) -> Self {
        Self { objects, ..self }
    }

    /// Returns the objects that they are among.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Returns who makes references in this process.
    pub(crate) fn creation(&self) -> &CreationLocks {
        &self.creation
    }

    fn store(&self) -> &dyn Store {
        &**self.objects.store()
    }

    /// The references that a delta of `object` may be made against: of its folder or, if that has
    /// none, of the one that its versions share. A new reference belongs into the deltaspace that
    /// is returned.
    pub(crate) async fn bases_for(
        &self,
        object: &ObjectName,
        chosen: Option<&str>,
    ) -> Result<ReferenceSet, ServiceError> {
        let unusable = |source| ServiceError::Deltaspace { object: object.clone(), source };
        if let Some(folder) = chosen {
            return self.bases_of(Deltaspace::chosen(object, folder).map_err(unusable)?).await;
        }
        let own = Deltaspace::of(object);
        let Some(shared) = own.shared() else { return self.bases_of(own).await };
        let (own, shared) = futures::try_join!(self.bases_of(own), self.bases_of(shared))?;
        Ok(if own.members.is_empty() { shared } else { own })
    }

    /// Every reference of one folder.
    pub(crate) async fn bases_of(
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
        let (mut sketched, mut condemned) = (BTreeSet::new(), BTreeSet::new());
        let mut addressed = Vec::new();
        for object in listed {
            match deltaspace.addressed_at(&object.key) {
                Some(Addressed::Sketch(digest)) => {
                    sketched.insert(digest);
                }
                Some(Addressed::Tombstone(digest)) => {
                    condemned.insert(digest);
                }
                Some(Addressed::Reference(digest)) => {
                    addressed.push(Reference::addressed(deltaspace.bucket(), digest, object));
                }
                None => {}
            }
        }
        addressed.retain(|base| {
            !condemned.contains(&base.digest) && members.iter().all(|b| b.digest != base.digest)
        });
        members.extend(addressed);
        Ok(ReferenceSet { deltaspace, classic_taken, other_key, members, sketched, condemned })
    }
}

/// The type of what nobody gave one, as the Python tool writes every object.
pub(crate) const OCTET_STREAM: &str = "application/octet-stream";

/// Of a reference: of what its first file has it takes the encryption alone. Tags or a time to
/// expire would remove it by a rule, an ACL would publish it, and another class than that of all
/// would freeze or charge what every other version needs.
fn attributes_of(
    metadata: BTreeMap<String, String>,
    encryption: Option<&Encryption>,
) -> Attributes {
    let content_type = Some(OCTET_STREAM.to_owned());
    Attributes { metadata, content_type, encryption: encryption.cloned(), ..Attributes::default() }
}

impl ReferenceSet {
    /// Whether the content-addressed reference of this content is about to be removed, and none can
    /// be stored in its place.
    pub(crate) fn is_tombstoned(&self, digest: &Sha256Digest) -> bool {
        self.condemned.contains(digest)
    }
}

impl Reference {
    fn classic(found: StoredObject) -> Option<Self> {
        let Kind::Reference(metadata) = found.kind else { return None };
        let ObjectHead { size, etag, last_modified, attributes, .. } = found.head;
        let (name, encryption) = (found.name, attributes.encryption);
        Some(Self { name, digest: metadata.file_sha256, size, last_modified, etag, encryption })
    }

    fn addressed(bucket: &BucketName, digest: Sha256Digest, object: ListedObject) -> Self {
        let name = ObjectName::new(bucket.clone(), object.key.clone());
        let ListedObject { size, etag, last_modified, .. } = object;
        Self { name, digest, size, last_modified, etag, encryption: None }
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
