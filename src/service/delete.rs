//! Removing a file: every object of its name.

use std::collections::BTreeSet;

use super::DeltaService;
use super::error::ServiceError;
use super::head::Head;
use super::locate::{Found, Places};
use super::reference::ReferenceWarning;
use crate::domain::metadata::Kind;
use crate::domain::{BucketName, ObjectName};
use crate::storage::{StorageError, StorageErrorKind};

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

impl DeltaService {
    /// The objects that [`delete`](Self::delete) would remove; an error when there is no file of this name.
    pub async fn deletion_of(&self, object: &ObjectName) -> Result<Vec<ObjectName>, ServiceError> {
        Ok(self.look_before_delete(object).await?.0)
    }

    async fn look_before_delete(
        &self,
        object: &ObjectName,
    ) -> Result<(Vec<ObjectName>, BTreeSet<ObjectName>), ServiceError> {
        let places = Places::look_to_delete(self.store(), object).await?;
        // A delta that lost its metadata can be removed by its own key.
        let variants = match places.variants(self.store(), object).await {
            Ok(variants) => variants,
            Err(ServiceError::LostMetadata(name)) if name == *object => return Ok((vec![name], BTreeSet::new())),
            // So can an object that cannot be read.
            Err(_) if places.plain.as_ref().is_some_and(|found| found.is_unreadable) => {
                return Ok((vec![object.clone()], BTreeSet::new()));
            }
            Err(error) => return Err(error),
        };
        let references = variants.iter().filter_map(|found| match &found.kind {
            Kind::Delta(delta) => Some(object.sibling(delta.ref_key.clone())),
            _ => None,
        });
        Ok((variants.iter().rev().map(|found| found.name.clone()).collect(), references.collect()))
    }

    /// Removes a file and, if no other delta needs it any more, its reference.
    ///
    /// Older objects of the name go first: if this fails in the middle, no older content comes back to light. What becomes of the
    /// reference does not change that the file is gone.
    pub async fn delete(&self, object: &ObjectName) -> Result<Deletion, ServiceError> {
        let (removed, named) = self.delete_objects(object).await?;
        let mut deletion = Deletion { removed, ..Deletion::default() };
        self.release_all(named, &mut deletion).await;
        Ok(deletion)
    }

    /// Removes a file that was moved; false when it is not the one that `seen` is of any more, and stays.
    pub async fn delete_moved(&self, object: &ObjectName, seen: &Head) -> Result<bool, ServiceError> {
        let places = Places::look_for_file(self.store(), object).await?;
        let variants = places.variants(self.store(), object).await?;
        let Some((served, older)) = variants.split_first() else { return Ok(true) };
        if served.name != seen.stored || served.head.etag != seen.etag {
            return Ok(false);
        }
        for older in older {
            self.store.delete(&older.name, None).await?;
        }
        let if_match = self.store.conditions_are_atomic().then_some(&seen.etag);
        match self.store.delete(&served.name, if_match).await {
            Err(error) if error.is_absent() => {}
            // Gone after a removal that was sent again, its answer lost; replaced if something is there.
            Err(error) if error.kind == StorageErrorKind::Precondition => {
                if Found::look(self.store(), served.name.clone()).await?.is_some() {
                    return Ok(false);
                }
            }
            deleted => deleted?,
        }
        for found in variants {
            if let Kind::Delta(delta) = &found.kind {
                self.release(&object.sibling(delta.ref_key.clone())).await?;
            }
        }
        Ok(true)
    }

    async fn delete_objects(
        &self,
        object: &ObjectName,
    ) -> Result<(Vec<ObjectName>, BTreeSet<ObjectName>), ServiceError> {
        let (removed, named) = self.look_before_delete(object).await?;
        for name in &removed {
            tracing::debug!(object = %name, "delete");
            self.store.delete(name, None).await?;
        }
        Ok((removed, named))
    }

    async fn release_all(&self, references: BTreeSet<ObjectName>, deletion: &mut Deletion) {
        for reference in references {
            match self.release(&reference).await {
                Ok(removed) => deletion.references.extend(removed),
                Err(error) => deletion.warnings.push(ReferenceWarning { reference, source: Box::new(error) }),
            }
        }
    }

    /// Removes every file whose name starts with `prefix`, a plain string, and then the references that no other delta needs.
    ///
    /// `told` hears of each file; what it returns stops the rest if it is an error. One that cannot be removed does not.
    pub async fn delete_all<E: From<ServiceError>>(
        &self,
        bucket: &BucketName,
        prefix: &str,
        mut told: impl FnMut(&ObjectName, Result<(), ServiceError>) -> Result<(), E>,
    ) -> Result<Deletion, E> {
        let mut listing = self.list(bucket, prefix, None);
        let (mut deletion, mut named) = (Deletion::default(), BTreeSet::new());
        while let Some(page) = listing.next().await? {
            for file in page.files.iter().filter(|file| file.is_shown()) {
                let object = ObjectName::new(bucket.clone(), file.key.clone());
                let outcome = match self.delete_objects(&object).await {
                    // Somebody else was faster.
                    Err(error) if error.is_absent() => continue,
                    Err(error) => Err(error),
                    Ok((removed, references)) => {
                        deletion.removed.extend(removed);
                        named.extend(references);
                        Ok(())
                    }
                };
                told(&object, outcome)?;
            }
        }
        self.release_all(named, &mut deletion).await;
        Ok(deletion)
    }

    /// Removes what DeltaGlider keeps for itself in a bucket without files, so that the bucket can go.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::NotEmpty`] when there is a file, or a delta none can be had from.
    pub async fn clear_without_files(&self, bucket: &BucketName) -> Result<(), ServiceError> {
        let mut own = Vec::new();
        let mut listing = self.list(bucket, "", None);
        while let Some(page) = listing.next().await? {
            if page.files.iter().any(|file| file.is_shown()) {
                return Err(StorageError::new(StorageErrorKind::NotEmpty, "DeleteBucket", bucket).into());
            }
            own.extend(page.files.into_iter().chain(page.older).map(|file| file.stored.key));
        }
        for key in own {
            self.store.delete(&ObjectName::new(bucket.clone(), key), None).await?;
        }
        Ok(())
    }
}
