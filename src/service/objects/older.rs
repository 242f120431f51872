//! Deletion of the older of the two objects of a name, without deleting a newer file.
//!
//! Where an entity tag identifies one write, `If-Match` alone protects anything stored later. Where
//! a tag identifies content, the condition holds again once the same content is stored again. There
//! a put deletes an older object only if it is older than the new one by [`MIN_AGE_TO_DELETE`], and
//! only within half of that time after the new object was sent. So the request takes effect before
//! any other put may delete the new object, and one of the two stays.

use std::time::Duration;

use super::Objects;
use super::lookup::{StoredObject, Variants};
use crate::domain::ObjectName;
use crate::domain::metadata::Kind;
use crate::service::clock::until;
use crate::storage::{StorageError, StorageErrorKind};

/// The minimum time between the older and the new object for a deletion, where a tag identifies
/// content.
///
/// One half is for the decision. During the other half a request already sent can still take
/// effect: it is valid for 15 minutes, by a clock that may be wrong by another 15.
pub(crate) const MIN_AGE_TO_DELETE: Duration = Duration::from_secs(60 * 60);

/// The older object was rewritten and is served, so the new one must be stored again.
#[derive(Debug)]
pub(crate) struct Overtaken;

impl Objects {
    /// Returns whether `If-Match` protects everything stored after the lookup from a deletion.
    pub(crate) fn removal_is_exact(&self) -> bool {
        self.store.tags_name_writes() && self.store.conditions_are_atomic()
    }

    /// Returns whether the plain object of a name is too young to be deleted. If so, no delta is
    /// stored beside it: the plain object is overwritten instead, which is always safe, and readers
    /// that try the plain key first see no stale file.
    pub(crate) fn is_too_young_to_remove(&self, places: &Variants) -> bool {
        let is_young = |found: &StoredObject| {
            let age = self.clock.now().duration_since(found.head.last_modified);
            age.unwrap_or_default() < MIN_AGE_TO_DELETE
        };
        !self.removal_is_exact() && places.file().is_some_and(is_young)
    }

    /// Returns whether a delta may be rewritten against another reference. The rewrite gets a later
    /// time, so a plain object that replaces it concurrently must be able to delete it: it must not
    /// be too young for that.
    pub(crate) fn may_rewrite(&self, found: &StoredObject) -> bool {
        let age = self.clock.now().duration_since(found.head.last_modified).unwrap_or_default();
        self.removal_is_exact() || age >= 2 * MIN_AGE_TO_DELETE
    }

    /// Stores an object again; returns `None` if too much time has passed since the lookup at
    /// `begun`.
    pub(crate) async fn rewrite<T>(
        &self,
        begun: Duration,
        put: impl Future<Output = T>,
    ) -> Option<T> {
        match self.removal_is_exact() {
            true => Some(put.await),
            false => until(&*self.clock, begun + MIN_AGE_TO_DELETE / 2, put).await,
        }
    }

    /// Deletes the older object of a name. `begun` is when the new object at `stored` was sent.
    ///
    /// Returns the store's error if the older object stays because of one.
    ///
    /// # Errors
    ///
    /// [`Overtaken`] if the older object was rewritten and is served.
    pub(crate) async fn remove_older(
        &self,
        older: &StoredObject,
        stored: &ObjectName,
        begun: Duration,
    ) -> Result<Option<StorageError>, Overtaken> {
        tracing::debug!(object = %older.name, "remove the older object of the name");
        let removed = match self.removal_is_exact() {
            true => self.remove_version(older).await.map(Ok),
            false => self.remove_old(older, stored, begun).await,
        };
        match removed {
            Err(error) if !error.is_absent() && error.kind != StorageErrorKind::Precondition => {
                Ok(Some(error))
            }
            Ok(Err(overtaken)) => Err(overtaken),
            _ => Ok(None),
        }
    }

    /// Deletes an object where tags identify writes. A delta of the same file that was rewritten
    /// since the lookup is deleted too, since it has a later time than the new object.
    pub(crate) async fn remove_version(&self, older: &StoredObject) -> Result<(), StorageError> {
        let mut tag = older.head.etag.clone();
        loop {
            match self.store.delete(&older.name, Some(&tag)).await {
                Err(error) if error.kind == StorageErrorKind::Precondition => {
                    match StoredObject::look(self.store.as_ref(), older.name.clone()).await? {
                        Some(found) if found.is_rebased(older) => tag = found.head.etag,
                        Some(_) => return Err(error),
                        // A retried request met its own effect.
                        None => return Ok(()),
                    }
                }
                deleted => return deleted,
            }
        }
    }

    /// Deletes an object that is old enough where tags identify content; leaves any other.
    async fn remove_old(
        &self,
        older: &StoredObject,
        stored: &ObjectName,
        begun: Duration,
    ) -> Result<Result<(), Overtaken>, StorageError> {
        let removal = async {
            loop {
                let (old, new) =
                    futures::try_join!(self.store.head(&older.name), self.store.head(stored))?;
                let (old, new) = (
                    StoredObject::new(older.name.clone(), old),
                    StoredObject::new(stored.clone(), new),
                );
                let is_still = old.head.etag == older.head.etag
                    && old.head.last_modified == older.head.last_modified;
                if !is_still && old.is_rebased(older) && old.newer_of_name(&new).is_gt() {
                    return Ok(Err(Overtaken));
                }
                let age = new
                    .head
                    .last_modified
                    .duration_since(old.head.last_modified)
                    .unwrap_or_default();
                if !is_still || age < MIN_AGE_TO_DELETE {
                    tracing::debug!(
                        object = %older.name,
                        "the older object stays: it is too young to be removed safely"
                    );
                    return Ok(Ok(()));
                }
                match self.store.delete(&older.name, Some(&older.head.etag)).await {
                    Err(error) if error.kind == StorageErrorKind::Precondition => {}
                    deleted => return deleted.map(Ok),
                }
            }
        };
        until(&*self.clock, begun + MIN_AGE_TO_DELETE / 2, removal).await.unwrap_or(Ok(Ok(())))
    }
}

impl StoredObject {
    /// Returns whether this is the same write of the same file as `other`, as a delta against
    /// another reference.
    fn is_rebased(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Delta(this), Kind::Delta(other)) => {
                this.file_sha256 == other.file_sha256
                    && this.created_at.is_some()
                    && this.created_at == other.created_at
            }
            _ => false,
        }
    }
}
