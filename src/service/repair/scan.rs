//! What a bucket holds, as far as a repair needs to know: one listing, and a HEAD for each delta
//! and reference.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::domain::metadata::{DELTA_SUFFIX, Field, Kind};
use crate::domain::{
    Addressed, BucketName, Deltaspace, Key, ObjectName, Sha256Digest, deltaspace, escaped,
};
use crate::service::DeltaService;
use crate::service::error::ServiceError;
use crate::service::list::{Listed, ListedFile};
use crate::service::objects::StoredObject;

/// A reference that deltas need: where, and with what content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) key: Key,
    pub(super) digest: Sha256Digest,
}

/// A reference.
#[derive(Debug)]
pub(super) struct Reference {
    /// The content it should have, by its key or its metadata; `None` where that is damaged.
    pub(super) digest: Option<Sha256Digest>,
    pub(super) size: u64,
    pub(super) last_modified: SystemTime,
}

#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) deltas: u64,
    pub(super) references: BTreeMap<Key, Reference>,
    /// Sketches, with the content of their reference, and when they were made.
    pub(super) sketches: BTreeMap<Key, (Sha256Digest, SystemTime)>,
    /// Marks of references to be removed, with the content of their reference, and when they were
    /// made.
    pub(super) marks: BTreeMap<Key, (Sha256Digest, SystemTime)>,
    pub(super) needs: BTreeSet<Need>,
    /// Contents that some delta needs.
    pub(super) needed: BTreeSet<Sha256Digest>,
    /// Deltas of which nobody knows what they need, with the field they lack.
    pub(super) damaged: Vec<(Key, Option<Field>)>,
    /// Objects that the store cannot read and that may be deltas.
    pub(super) unreadable: Vec<Key>,
    /// Names with two objects, with the older one.
    pub(super) older: Vec<(Key, Key)>,
}

impl Scan {
    pub(super) async fn of(
        service: &DeltaService,
        bucket: &BucketName,
    ) -> Result<Self, ServiceError> {
        let mut scan = Self::default();
        let mut listing = service.list(bucket, "", None).afresh();
        while let Some(page) = listing.next().await? {
            for file in &page.files {
                scan.take(service, bucket, file).await?;
            }
            for older in &page.older {
                scan.take(service, bucket, older).await?;
                // What another tool left beside a file with an escaped key is not ours to remove.
                if escaped::is_needed(&older.key) {
                    continue;
                }
                scan.older.push((older.key.clone(), older.stored.key.clone()));
            }
        }
        Ok(scan)
    }

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
                self.needs.insert(Need { key: delta.ref_key.clone(), digest: delta.ref_sha256 });
            }
            // It may need any reference of its deltaspace.
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

    /// Takes what DeltaGlider keeps for itself.
    fn take_own(&mut self, bucket: &BucketName, file: &ListedFile, kind: Option<&Kind>) {
        let stored = &file.stored;
        let name = ObjectName::new(bucket.clone(), stored.key.clone());
        let digest = match Deltaspace::home_of(&name).addressed_at(&stored.key) {
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
                Some(Kind::Reference(metadata)) => Some(metadata.file_sha256),
                _ => None,
            },
        };
        let (size, last_modified) = (stored.size, stored.last_modified);
        self.references.insert(stored.key.clone(), Reference { digest, size, last_modified });
    }

    /// Whether no delta needs a reference of this content at this key, nor may need it.
    pub(super) fn is_unneeded(&self, name: &ObjectName, digest: &Sha256Digest) -> bool {
        let home = Deltaspace::home_of(name);
        !self.needed.contains(digest)
            && self.needs.iter().all(|need| need.key != name.key)
            && self.damaged.iter().all(|(delta, _)| !delta.as_str().starts_with(home.folder()))
            && self.unreadable.iter().all(|delta| !delta.as_str().starts_with(home.folder()))
    }

    /// Whether there is anything that might be removed as unneeded.
    pub(super) fn has_unneeded(&self) -> bool {
        let unneeded = |digest: &Sha256Digest| !self.needed.contains(digest);
        self.references.values().filter_map(|reference| reference.digest.as_ref()).any(unneeded)
            || !self.marks.is_empty()
            || self.sketches.values().map(|(digest, _)| digest).any(unneeded)
    }
}
