//! Deletion of a content-addressed reference that no delta needs: tombstoned first, deleted a grace
//! period later.
//!
//! No delta is made against a tombstoned reference, and none is stored in its place. A process that
//! chose the reference before has finished or died when the grace period is over. Then a listing
//! shows every delta that needs it, whatever the store's conditions guarantee and whichever process
//! crashes in between.

use super::References;
use crate::domain::{Deltaspace, Sha256Digest};
use crate::service::error::ServiceError;
use crate::storage::{Attributes, PutBody, PutCondition};

impl References {
    /// Adds the tombstone of the content-addressed reference of `home` with this content.
    pub(crate) async fn add_tombstone(
        &self,
        home: &Deltaspace,
        digest: &Sha256Digest,
    ) -> Result<(), ServiceError> {
        let mark = home.tombstone(digest).map_err(unnameable(home))?;
        let body = PutBody::from_bytes(Vec::new());
        self.store().put(&mark, body, &Attributes::default(), &PutCondition::None.into()).await?;
        Ok(())
    }

    /// Deletes the tombstone.
    pub(crate) async fn remove_tombstone(
        &self,
        home: &Deltaspace,
        digest: &Sha256Digest,
    ) -> Result<(), ServiceError> {
        let mark = home.tombstone(digest).map_err(unnameable(home))?;
        Ok(self.store().delete(&mark, None).await?)
    }

    /// Deletes a reference that was tombstoned a grace period ago and that no delta needs by a
    /// listing made since. The tombstone is deleted last, so that no delta relies on what an
    /// interruption leaves.
    pub(crate) async fn remove_tombstoned(
        &self,
        home: &Deltaspace,
        digest: &Sha256Digest,
    ) -> Result<(), ServiceError> {
        for name in [home.addressed(digest), home.sketch(digest), home.tombstone(digest)] {
            self.store().delete(&name.map_err(unnameable(home))?, None).await?;
        }
        Ok(())
    }
}

fn unnameable(home: &Deltaspace) -> impl Fn(crate::domain::NameError) -> ServiceError {
    move |source| ServiceError::Name { object: home.to_string(), source }
}
