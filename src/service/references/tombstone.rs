//! How a content-addressed reference goes that nobody needs: marked first, removed a grace period
//! later.
//!
//! Nobody makes a delta against a marked reference, nor stores one in its place. Whoever chose it
//! before it was marked is done, or dead, when the grace period is over: then a listing shows every
//! delta that needs it, whatever the store makes of conditions, and whoever crashes in between.

use super::References;
use crate::domain::{Deltaspace, Sha256Digest};
use crate::service::error::ServiceError;
use crate::storage::{Attributes, PutBody, PutCondition};

impl References {
    /// Marks the content-addressed reference of `home` with this content as one that nobody needs.
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

    /// Takes the mark away.
    pub(crate) async fn remove_tombstone(
        &self,
        home: &Deltaspace,
        digest: &Sha256Digest,
    ) -> Result<(), ServiceError> {
        let mark = home.tombstone(digest).map_err(unnameable(home))?;
        Ok(self.store().delete(&mark, None).await?)
    }

    /// Removes a reference that was marked a grace period ago and that no delta needs by a listing
    /// made since. The mark goes last: should this end in the middle, nobody relies on what is
    /// left.
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
