//! Deletes a file: every stored object of its name.

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

/// The result of a delete.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Deletion {
    /// The deleted objects of the name, the one that was served last.
    pub removed: Vec<ObjectName>,
    /// The deleted references, which no other delta needs.
    pub references: Vec<ObjectName>,
    /// References that no delta needs and that could not be deleted.
    pub warnings: Vec<ReferenceWarning>,
}

/// The result of deleting the source of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// The source was deleted.
    Removed,
    /// The source was replaced during the move, and stays.
    Replaced,
    /// The source stays: its name also has an older object, which cannot be deleted safely on this
    /// store.
    HasOlder,
}

/// The result of deleting a listed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedRemoval {
    /// The file was deleted.
    Removed,
    /// The file was stored again after the listing, and stays.
    Replaced,
}

/// One write of an object, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedWrite {
    /// The tag of the object.
    pub tag: ETag,
    /// The time of the write.
    pub modified: SystemTime,
}

/// The objects of a name, as found before a deletion.
struct Looked {
    /// The objects of the name with their tags, the one that is served last.
    objects: Vec<(ObjectName, ETag)>,
    references: BTreeSet<ObjectName>,
    /// The write time of the object that is served.
    modified: Option<SystemTime>,
}

impl DeltaService {
    /// Returns the objects that [`delete`](Self::delete) would delete.
    ///
    /// # Errors
    ///
    /// There is no file of this name.
    pub async fn deletion_of(&self, object: &ObjectName) -> Result<Vec<ObjectName>, ServiceError> {
        let looked = look_before_delete(&self.objects, object).await?;
        Ok(looked.objects.into_iter().map(|(name, _)| name).collect())
    }

    /// Deletes a file, including any version stored under its name during the call, and its
    /// reference if no other delta needs it.
    ///
    /// Older objects of the name are deleted first, so a failure in the middle never exposes older
    /// content. A failure to delete the reference does not fail the call.
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

    /// Deletes the source of a move, if it still is the file described by `seen`.
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
                // The file is moved already; `repair` finds a reference that is left.
                if let Err(error) = self.references.remove_if_unreferenced(&reference).await {
                    tracing::warn!(
                        %reference, error = super::chain(&error),
                        "the reference could not be removed"
                    );
                }
            }
        }
        Ok(Moved::Removed)
    }

    /// Deletes a file if its current object is still the listed write. Returns `None` if it was
    /// replaced since; it stays then.
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

    /// Deletes every file whose name starts with `prefix`, a plain string, and then the references
    /// that no other delta needs.
    ///
    /// Calls `report` with each file and the result; an error that it returns stops the deletion. A
    /// file that cannot be deleted, or that was replaced since it was listed, does not stop it.
    pub async fn delete_all<E: From<ServiceError>>(
        &self,
        bucket: &BucketName,
        prefix: &str,
        mut report: impl FnMut(&ObjectName, Result<ListedRemoval, ServiceError>) -> Result<(), E>,
    ) -> Result<Deletion, E> {
        // Each file is looked at before it is deleted, whatever its key or the index states.
        let mut listing = self.list(bucket, prefix, None).unresolved();
        let (mut deletion, mut named) = (Deletion::default(), BTreeSet::new());
        // Objects that another tool left at the name of a file with an escaped key: each becomes
        // the file of the name once the escaped one is deleted.
        let mut left = Vec::new();
        // Plain objects named as a delta whose name has a newer delta. The listing shows that one
        // too, unless it was stored since, and its deletion deletes both.
        let mut older = Vec::new();
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
                    // A concurrent writer deleted it first.
                    Err(error) if error.is_absent() => continue,
                    Err(ServiceError::IsReference(_)) if file.is_escaped() => continue,
                    Err(error) => Err(error),
                    Ok(None) if object.key == file.stored.key && object.key != file.key => {
                        older.push(object);
                        continue;
                    }
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
        for object in older.iter().filter(|object| !deletion.removed.contains(object)) {
            report(object, Ok(ListedRemoval::Replaced))?;
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
    // A delta without metadata can be deleted by its own key.
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
        // So can an unreadable object.
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

/// Deletes an object that was seen with this tag; returns false if it was replaced.
async fn delete_seen(
    objects: &Objects,
    name: &ObjectName,
    tag: &ETag,
) -> Result<bool, ServiceError> {
    tracing::debug!(object = %name, "delete");
    match objects.store().delete(name, Some(tag)).await {
        Err(error) if error.kind == StorageErrorKind::NotFound => Ok(true),
        // A retried request may have deleted it before its answer was lost: then there is no
        // object. If there is one, it is a newer one.
        Err(error) if error.kind == StorageErrorKind::Precondition => {
            Ok(StoredObject::look(objects.store().as_ref(), name.clone()).await?.is_none())
        }
        deleted => Ok(deleted.map(|()| true)?),
    }
}

/// Deletes the objects of a listed name; returns `None` if it was replaced since the listing.
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

/// Deletes a listed file: under the name shown, else under its own key.
async fn delete_listed_file(
    objects: &Objects,
    bucket: &BucketName,
    file: &ListedFile,
) -> (ObjectName, Result<Option<(Vec<ObjectName>, BTreeSet<ObjectName>)>, ServiceError>) {
    let object = ObjectName::new(bucket.clone(), file.key.clone());
    let listed = ListedWrite { tag: file.stored.etag.clone(), modified: file.stored.last_modified };
    match delete_objects(objects, &object, &listed).await {
        Err(error) if !file.is_resolved() && error.is_no_file() => {
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

/// Returns whether the name was written again since it was listed.
fn was_replaced(
    listed: &ListedWrite,
    modified: SystemTime,
    objects: &[(ObjectName, ETag)],
) -> bool {
    let since = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (listed_at, is_at) = (since(listed.modified), since(modified));
    // Some stores list times with a fraction and answer HEAD requests in whole seconds.
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
