//! The reference of a deltaspace: how it is made and how its verified bytes are had.

use super::error::ServiceError;
use super::input::Input;
use super::{DeltaService, locate::Found};
use crate::cache::CachedReference;
use crate::domain::metadata::ReferenceMetadata;
use crate::domain::{Deltaspace, ObjectName, Sha256Digest};
use crate::storage::{PutCondition, StorageErrorKind};

impl DeltaService {
    /// What stands where the reference of this deltaspace does.
    pub(super) async fn find_reference(&self, deltaspace: &Deltaspace) -> Result<Option<Found>, ServiceError> {
        Ok(Found::look(self.store(), deltaspace.reference()).await?)
    }

    /// Stores `file` as the reference of a deltaspace that has none; false when there is one by now.
    pub(super) async fn create_reference(
        &self,
        deltaspace: &Deltaspace,
        file: &Input,
        digest: Sha256Digest,
        source_name: &str,
    ) -> Result<bool, ServiceError> {
        let metadata = ReferenceMetadata {
            source_name: source_name.to_owned(),
            file_sha256: digest,
            created_at: Some(super::put::now()),
        };
        let attributes = super::put::attributes(metadata.write());
        let name = deltaspace.reference();
        let put = self.store.put(&name, file.body(digest), &attributes, &PutCondition::IfAbsent).await;
        match put {
            Ok(_) => Ok(true),
            Err(error) if error.kind == StorageErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes of the reference at `name`, verified to be those of `digest`.
    pub(super) async fn fetch_reference(
        &self,
        name: &ObjectName,
        digest: Sha256Digest,
    ) -> Result<CachedReference, ServiceError> {
        self.cached_reference(name, digest).await
    }
}
