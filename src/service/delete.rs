//! Removing a file: every object of its name.

use super::DeltaService;
use super::error::ServiceError;
use super::locate::Places;
use crate::domain::ObjectName;

/// What a delete removed.
#[derive(Debug, Clone)]
pub struct Deletion {
    /// The objects that were removed, the one that was served last.
    pub removed: Vec<ObjectName>,
}

impl DeltaService {
    /// What [`delete`](Self::delete) would remove; an error when there is no file of this name.
    pub async fn deletion_of(&self, object: &ObjectName) -> Result<Deletion, ServiceError> {
        let places = Places::look(self.store(), object).await?;
        // A delta that lost its metadata can be removed by its own key.
        let mut removed: Vec<ObjectName> = match places.variants(self.store(), object).await {
            Ok(variants) => variants.into_iter().map(|found| found.name.clone()).collect(),
            Err(ServiceError::LostMetadata(name)) if name == *object => vec![name],
            Err(error) => return Err(error),
        };
        removed.reverse();
        Ok(Deletion { removed })
    }

    /// Removes a file. The reference of its deltaspace stays, since other deltas may need it.
    ///
    /// Older objects of the name go first: if this fails in the middle, no older content comes back to light.
    pub async fn delete(&self, object: &ObjectName) -> Result<Deletion, ServiceError> {
        let deletion = self.deletion_of(object).await?;
        for name in &deletion.removed {
            tracing::debug!(object = %name, "delete");
            self.store.delete(name, None).await?;
        }
        Ok(deletion)
    }
}
