//! Removing a file: every object of its name.

use std::collections::BTreeSet;

use super::DeltaService;
use super::error::ServiceError;
use super::locate::Places;
use super::reference::ReferenceWarning;
use crate::domain::ObjectName;
use crate::domain::metadata::Kind;

/// What a delete removed.
#[derive(Debug)]
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
        let places = Places::look_for_file(self.store(), object).await?;
        // A delta that lost its metadata can be removed by its own key.
        let variants = match places.variants(self.store(), object).await {
            Ok(variants) => variants,
            Err(ServiceError::LostMetadata(name)) if name == *object => return Ok((vec![name], BTreeSet::new())),
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
        let (removed, named) = self.look_before_delete(object).await?;
        for name in &removed {
            tracing::debug!(object = %name, "delete");
            self.store.delete(name, None).await?;
        }
        let mut deletion = Deletion { removed, references: Vec::new(), warnings: Vec::new() };
        for reference in named {
            match self.release(&reference).await {
                Ok(removed) => deletion.references.extend(removed),
                Err(error) => deletion.warnings.push(ReferenceWarning { reference, source: Box::new(error) }),
            }
        }
        Ok(deletion)
    }
}
