//! An inventory of a bucket for a repair: one listing, and a HEAD request for each delta and
//! reference.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::domain::metadata::{DELTA_SUFFIX, Field, Kind};
use crate::domain::packing::RefPacking;
use crate::domain::{
    Addressed, BucketName, Deltaspace, Key, ObjectName, Sha256Digest, deltaspace, escaped,
};
use crate::service::DeltaService;
use crate::service::error::ServiceError;
use crate::service::list::{Listed, ListedFile};
use crate::service::objects::StoredObject;

/// A reference that deltas need: its key and its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) key: Key,
    pub(super) digest: Sha256Digest,
}

/// A reference found in the bucket.
#[derive(Debug)]
pub(super) struct Reference {
    /// The SHA-256 it should have, by its key or its metadata; `None` if that is damaged.
    pub(super) digest: Option<Sha256Digest>,
    pub(super) size: u64,
    pub(super) last_modified: SystemTime,
}

/// The inventory of a bucket.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) deltas: u64,
    pub(super) references: BTreeMap<Key, Reference>,
    /// Sketches, with the SHA-256 of their reference and the time of writing.
    pub(super) sketches: BTreeMap<Key, (Sha256Digest, SystemTime)>,
    /// Tombstones, with the SHA-256 of their reference and the time of writing.
    pub(super) marks: BTreeMap<Key, (Sha256Digest, SystemTime)>,
    pub(super) needs: BTreeSet<Need>,
    /// The SHA-256 of every reference that a delta needs.
    pub(super) needed: BTreeSet<Sha256Digest>,
    /// The packings that deltas and references state, by the SHA-256 of the stored bytes.
    pub(super) packings: BTreeMap<Sha256Digest, RefPacking>,
    /// Deltas with damaged metadata, whose references are unknown, with the field they lack.
    pub(super) damaged: Vec<(Key, Option<Field>)>,
    /// Unreadable objects that may be deltas.
    pub(super) unreadable: Vec<Key>,
    /// Names with two variants, with the key of the older one.
    pub(super) older: Vec<(Key, Key)>,
}

impl Scan {
    /// Lists a bucket.
    pub(super) async fn of(
        service: &DeltaService,
        bucket: &BucketName,
    ) -> Result<Self, ServiceError> {
        let mut scan = Self::default();
        let mut listing = service.list(bucket, "", None).without_index();
        while let Some(page) = listing.next().await? {
            for file in &page.files {
                scan.take(service, bucket, file).await?;
            }
            for older in &page.older {
                scan.take(service, bucket, older).await?;
                // An object that another tool stored beside a file with an escaped key is not ours
                // to delete.
                if escaped::is_needed(&older.key) {
                    continue;
                }
                scan.older.push((older.key.clone(), older.stored.key.clone()));
            }
        }
        Ok(scan)
    }

    /// Records a listed object.
    async fn take(
        &mut self,
        service: &DeltaService,
        bucket: &BucketName,
        file: &ListedFile,
    ) -> Result<(), ServiceError> {
        let key = &file.stored.key;
        match (&file.listed, file.kind.as_deref()) {
            (Listed::Delta, Some(Kind::Delta(delta))) => {
                self.deltas = self.deltas.saturating_add(1);
                self.needed.insert(delta.ref_sha256);
                self.packings.extend(delta.ref_packing.map(|packing| (delta.ref_sha256, packing)));
                self.needs.insert(Need { key: delta.ref_key.clone(), digest: delta.ref_sha256 });
            }
            // The object may need any reference of its deltaspace.
            (Listed::Unreadable, _) if key == &file.key && key.as_str().ends_with(DELTA_SUFFIX) => {
                self.unreadable.push(key.clone());
            }
            (Listed::Damaged(field), _) => self.damaged.push((key.clone(), Some(*field))),
            (Listed::Reference | Listed::Internal, kind) => self.take_own(bucket, file, kind),
            (Listed::Plain, Some(kind)) if key.as_str().ends_with(DELTA_SUFFIX) => {
                let name = ObjectName::new(bucket.clone(), key.clone());
                if *kind == Kind::Passthrough
                    && let Some(found) = StoredObject::look(service.store(), name).await?
                    && found.is_delta_without_metadata(service.store()).await?
                {
                    self.damaged.push((key.clone(), None));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Records an internal object.
    fn take_own(&mut self, bucket: &BucketName, file: &ListedFile, kind: Option<&Kind>) {
        let stored = &file.stored;
        let name = ObjectName::new(bucket.clone(), stored.key.clone());
        let digest = match Deltaspace::of_reference(&name).addressed_at(&stored.key) {
            Some(Addressed::Reference(digest)) => Some(digest),
            Some(Addressed::Sketch(digest)) => {
                self.sketches.insert(stored.key.clone(), (digest, stored.last_modified));
                return;
            }
            Some(Addressed::Tombstone(digest)) => {
                self.marks.insert(stored.key.clone(), (digest, stored.last_modified));
                return;
            }
            None if deltaspace::is_internal(&stored.key) => return,
            None => match kind {
                Some(Kind::Reference(metadata)) => {
                    let digest = metadata.file_sha256;
                    self.packings.extend(metadata.packing.map(|packing| (digest, packing)));
                    Some(digest)
                }
                _ => None,
            },
        };
        let (size, last_modified) = (stored.size, stored.last_modified);
        self.references.insert(stored.key.clone(), Reference { digest, size, last_modified });
    }

    /// Returns whether no delta needs, or may need, a reference with this content or at this key.
    pub(super) fn is_unneeded(&self, name: &ObjectName, digest: &Sha256Digest) -> bool {
        let home = Deltaspace::of_reference(name);
        !self.needed.contains(digest)
            && self.needs.iter().all(|need| need.key != name.key)
            && self.damaged.iter().all(|(delta, _)| !delta.as_str().starts_with(home.folder()))
            && self.unreadable.iter().all(|delta| !delta.as_str().starts_with(home.folder()))
    }

    /// Returns whether any object might be deleted as unneeded.
    pub(super) fn has_unneeded(&self) -> bool {
        let unneeded = |digest: &Sha256Digest| !self.needed.contains(digest);
        self.references.values().filter_map(|reference| reference.digest.as_ref()).any(unneeded)
            || !self.marks.is_empty()
            || self.sketches.values().map(|(digest, _)| digest).any(unneeded)
    }
}
