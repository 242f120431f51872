//! Removing a file: every object of its name.

use std::collections::BTreeSet;
use std::time::SystemTime;

use super::DeltaService;
use super::error::ServiceError;
use super::head::Head;
use super::list::ListedFile;
use super::objects::{Objects, StoredObject, Variants};
use super::references::{ReferenceWarning, References};
use crate::domain::metadata::Kind;
use crate::domain::{BucketName, ObjectName, escaped};
use crate::storage::{ETag, StorageErrorKind};

/// What a delete removed.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Deletion {
    /// The objects of the name that were removed, the one that was served last.
    pub removed: Vec<ObjectName>,
    /// References that were removed, since no other delta needs them.
    pub references: Vec<ObjectName>,
    /// References that should have been removed and could not be.
    pub warnings: Vec<ReferenceWarning>,
}

/// What became of the source of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It was removed.
    Removed,
    /// It was replaced at the same time, and stays.
    Replaced,
    /// It stays: its name has an older object too, which cannot be removed safely on this store.
    HasOlder,
}

/// What became of a file that a listing showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedRemoval {
    /// It was removed.
    Removed,
    /// It was stored again since it was listed, and stays.
    Replaced,
}

/// The write of an object that a listing showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedWrite {
    /// Its tag.
    pub tag: ETag,
    /// Its time.
    pub modified: SystemTime,
}

/// What a deletion looked at.
struct Looked {
    /// The objects of the name with their tags, the one that is served last.
    objects: Vec<(ObjectName, ETag)>,
    references: BTreeSet<ObjectName>,
    /// The time of the object that is served.
    modified: Option<SystemTime>,
}

impl DeltaService {
    /// The objects that [`delete`](Self::delete) would remove; an error when there is no file of
    /// this name.
    pub async fn deletion_of(&self, object: &ObjectName) -> Result<Vec<ObjectName>, ServiceError> {
        let looked = look_before_delete(&self.objects, object).await?;
        Ok(looked.objects.into_iter().map(|(name, _)| name).collect())
    }

    /// Removes a file, whatever has been stored under its name meanwhile, and, if no other delta
    /// needs it any more, its reference.
    ///
    /// Older objects of the name go first: if this fails in the middle, no older content comes back
    /// to light. What becomes of the reference does not change that the file is gone.
    pub async fn delete(&self, object: &ObjectName) -> Result<Deletion, ServiceError> {
        let Looked { objects, references, .. } = look_before_delete(&self.objects, object).await?;
        let mut deletion = Deletion::default();
        for (name, _) in objects {
            tracing::debug!(object = %name, "delete");
            self.store().delete(&name, None).await?;
            deletion.removed.push(name);
        }
        remove_unreferenced(&self.references, references, &mut deletion).await;
        Ok(deletion)
    }

    /// Removes a file that was moved, if it still is the one that `seen` is of.
    pub async fn delete_moved(
        &self,
        object: &ObjectName,
        seen: &Head,
    ) -> Result<Moved, ServiceError> {
        let places = Variants::look_for_file(self.store(), object).await?;
        let variants = places.newest_first(self.store(), object).await?;
        let Some((served, older)) = variants.split_first() else { return Ok(Moved::Removed) };
        if served.name != seen.stored || served.head.etag != seen.etag {
            return Ok(Moved::Replaced);
        }
        if !older.is_empty() && !self.objects.removal_is_exact() {
            // Its content may be stored again at any time, under the same tag.
            return Ok(Moved::HasOlder);
        }
        for found in older.iter().chain([served]) {
            if !delete_seen(&self.objects, &found.name, &found.head.etag).await? {
                return Ok(Moved::Replaced);
            }
        }
        for found in variants {
            if let Kind::Delta(delta) = &found.kind {
                let reference = object.sibling(delta.ref_key.clone());
                // The file was moved; `repair` finds what is left.
                if let Err(error) = self.references.remove_if_unreferenced(&reference).await {
                    tracing::warn!(%reference, error = super::chain(&error), "the reference could not be removed");
                }
            }
        }
        Ok(Moved::Removed)
    }

    /// Removes a file of which a listing showed this write; `None` if it was replaced since, and
    /// stays.
    pub async fn delete_listed(
        &self,
        object: &ObjectName,
        listed: &ListedWrite,
    ) -> Result<Option<Deletion>, ServiceError> {
        let Some((removed, references)) = delete_objects(&self.objects, object, listed).await?
        else {
            return Ok(None);
        };
        let mut deletion = Deletion { removed, ..Deletion::default() };
        remove_unreferenced(&self.references, references, &mut deletion).await;
        Ok(Some(deletion))
    }

    /// Removes every file whose name starts with `prefix`, a plain string, and then the references
    /// that no other delta needs.
    ///
    /// Calls `report` with each file and what became of it; an error that it returns stops the
    /// removal. A file that cannot be removed, or that was replaced since it was listed, does not.
    pub async fn delete_all<E: From<ServiceError>>(
        &self,
        bucket: &BucketName,
        prefix: &str,
        mut report: impl FnMut(&ObjectName, Result<ListedRemoval, ServiceError>) -> Result<(), E>,
    ) -> Result<Deletion, E> {
        // What is removed is looked at, whatever keys and indexes say.
        let mut listing = self.list(bucket, prefix, None).undecided();
        let (mut deletion, mut named) = (Deletion::default(), BTreeSet::new());
        // What another tool left at the name of a file with an escaped key: it is the file of the
        // name when that one is gone.
        let mut left = Vec::new();
        loop {
            let files = match listing.next().await? {
                Some(page) => {
                    left.extend(
                        page.older.into_iter().filter(|file| escaped::is_needed(&file.key)),
                    );
                    page.files
                }
                None if left.is_empty() => break,
                None => std::mem::take(&mut left),
            };
            for file in files.iter().filter(|file| file.is_shown()) {
                let (object, outcome) = delete_listed_file(&self.objects, bucket, file).await;
                let outcome = match outcome {
                    // Somebody else was faster.
                    Err(error) if error.is_absent() => continue,
                    Err(ServiceError::IsReference(_)) if file.is_escaped() => continue,
                    Err(error) => Err(error),
                    Ok(None) => Ok(ListedRemoval::Replaced),
                    Ok(Some((removed, references))) => {
                        deletion.removed.extend(removed);
                        named.extend(references);
                        Ok(ListedRemoval::Removed)
                    }
                };
                report(&object, outcome)?;
            }
        }
        remove_unreferenced(&self.references, named, &mut deletion).await;
        Ok(deletion)
    }
}

async fn look_before_delete(
    objects: &Objects,
    object: &ObjectName,
) -> Result<Looked, ServiceError> {
    let places = Variants::look_to_delete(objects.store().as_ref(), object).await?;
    // A delta that lost its metadata can be removed by its own key.
    let variants = match places.newest_first(objects.store().as_ref(), object).await {
        Ok(variants) => variants,
        Err(ServiceError::LostMetadata(name)) if name == *object => {
            let objects = places
                .plain
                .iter()
                .map(|found| (found.name.clone(), found.head.etag.clone()))
                .collect();
            return Ok(Looked { objects, references: BTreeSet::new(), modified: None });
        }
        // So can an object that cannot be read.
        Err(_) if places.plain.as_ref().is_some_and(|found| found.is_unreadable) => {
            let objects = places
                .plain
                .iter()
                .map(|found| (found.name.clone(), found.head.etag.clone()))
                .collect();
            return Ok(Looked { objects, references: BTreeSet::new(), modified: None });
        }
        Err(error) => return Err(error),
    };
    let references = variants.iter().filter_map(|found| match &found.kind {
        Kind::Delta(delta) => Some(object.sibling(delta.ref_key.clone())),
        _ => None,
    });
    let references = references.collect();
    let objects =
        variants.iter().rev().map(|found| (found.name.clone(), found.head.etag.clone())).collect();
    let modified = variants.first().map(|found| found.head.last_modified);
    Ok(Looked { objects, references, modified })
}

/// Removes an object that was seen with this tag; false if it was replaced.
async fn delete_seen(
    objects: &Objects,
    name: &ObjectName,
    tag: &ETag,
) -> Result<bool, ServiceError> {
    tracing::debug!(object = %name, "delete");
    match objects.store().delete(name, Some(tag)).await {
        Err(error) if error.kind == StorageErrorKind::NotFound => Ok(true),
        // Gone after a removal that was sent again, its answer lost; replaced if something is
        // there.
        Err(error) if error.kind == StorageErrorKind::Precondition => {
            Ok(StoredObject::look(objects.store().as_ref(), name.clone()).await?.is_none())
        }
        deleted => Ok(deleted.map(|()| true)?),
    }
}

/// Removes the objects of a name, one of which a listing showed; `None` if it was replaced since.
async fn delete_objects(
    objects: &Objects,
    object: &ObjectName,
    listed: &ListedWrite,
) -> Result<Option<(Vec<ObjectName>, BTreeSet<ObjectName>)>, ServiceError> {
    let looked = look_before_delete(objects, object).await?;
    if looked.modified.is_some_and(|modified| was_replaced(listed, modified, &looked.objects)) {
        return Ok(None);
    }
    let mut removed = Vec::new();
    for (name, tag) in looked.objects {
        if !delete_seen(objects, &name, &tag).await? {
            return Ok(None);
        }
        removed.push(name);
    }
    Ok(Some((removed, looked.references)))
}

/// Removes what a listing showed, as the file that it is.
async fn delete_listed_file(
    objects: &Objects,
    bucket: &BucketName,
    file: &ListedFile,
) -> (ObjectName, Result<Option<(Vec<ObjectName>, BTreeSet<ObjectName>)>, ServiceError>) {
    let object = ObjectName::new(bucket.clone(), file.key.clone());
    let listed = ListedWrite { tag: file.stored.etag.clone(), modified: file.stored.last_modified };
    match delete_objects(objects, &object, &listed).await {
        Err(error) if !file.is_decided() && error.is_no_file() => {
            let own = ObjectName::new(bucket.clone(), file.stored.key.clone());
            let outcome = delete_objects(objects, &own, &listed).await;
            (own, outcome)
        }
        outcome => (object, outcome),
    }
}

async fn remove_unreferenced(
    references: &References,
    named: BTreeSet<ObjectName>,
    deletion: &mut Deletion,
) {
    for reference in named {
        match references.remove_if_unreferenced(&reference).await {
            Ok(removed) => deletion.references.extend(removed),
            Err(error) => {
                deletion.warnings.push(ReferenceWarning { reference, source: Box::new(error) })
            }
        }
    }
}

/// Whether what is served now, with this time, is another write than the one that was listed.
fn was_replaced(
    listed: &ListedWrite,
    modified: SystemTime,
    objects: &[(ObjectName, ETag)],
) -> bool {
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (listed_at, is_at) = (since(listed.modified), since(modified));
    // Some stores list finer times than they answer: those answer whole seconds.
    let other_time = if is_at.subsec_nanos() == 0 {
        is_at.as_secs() != listed_at.as_secs()
    } else {
        is_at != listed_at
    };
    // Some stores list no tags, or answer weak ones.
    let plain = |tag: &ETag| tag.0.trim_start_matches("W/").trim_matches('"').to_owned();
    let other_tag = !listed.tag.0.is_empty()
        && !objects.iter().any(|(_, tag)| plain(tag) == plain(&listed.tag));
    other_time || other_tag
}
