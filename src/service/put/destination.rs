//! The name that is written to, and the competition with concurrent writers of it.

use std::time::Duration;

use crate::domain::{ObjectName, Timestamp, deltaspace};
use crate::service::clock::timestamp;
use crate::service::error::ServiceError;
use crate::service::objects::{Objects, StoredObject, Variants};
use crate::storage::{ETag, StorageError, StorageErrorKind};

/// How long a put competes with concurrent writers of the same name, or of the references of its
/// folder.
pub(crate) const MAX_CONTENTION: Duration = Duration::from_secs(5 * 60);

/// A name that is written to.
#[derive(Debug)]
pub(crate) struct Destination {
    objects: Objects,
    pub(crate) object: ObjectName,
    /// What was stored under the name when it was last looked at.
    pub(crate) places: Variants,
    /// When the first race with another writer was lost.
    contended_since: Option<Duration>,
}

impl Destination {
    /// Looks at what is stored under the name.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Unseen`] if that is denied and `needs_look`, or a file could replace the
    /// delta of another one; [`ServiceError::Occupied`] if it would.
    pub(crate) async fn look(
        objects: &Objects,
        object: &ObjectName,
        needs_look: bool,
    ) -> Result<Self, ServiceError> {
        let places = match Variants::look_to_write(objects.store().as_ref(), object).await {
            // A newer object is served whatever else has its name. But a key may be that of the
            // delta of another file.
            Err(ServiceError::Storage(error)) if error.kind == StorageErrorKind::Denied => {
                if needs_look || deltaspace::file_of(&object.key).is_some() {
                    return Err(ServiceError::Unseen(object.clone(), error));
                }
                Variants::unseen()
            }
            places => places?,
        };
        refuse_occupied(objects, object, &places).await?;
        Ok(Self { objects: objects.clone(), object: object.clone(), places, contended_since: None })
    }

    /// Looks again at a name that another writer was faster to write to.
    pub(crate) async fn look_again(&mut self) -> Result<(), ServiceError> {
        self.places = Variants::look_to_write(self.objects.store().as_ref(), &self.object).await?;
        refuse_occupied(&self.objects, &self.object, &self.places).await
    }

    /// Returns whether a put took effect; false if another writer was faster and there is time to
    /// try again.
    pub(crate) fn is_won(&mut self, put: Result<ETag, StorageError>) -> Result<bool, ServiceError> {
        match put {
            Err(error) if is_lost_race(error.kind) => {
                let now = self.objects.clock().running();
                if now >= *self.contended_since.get_or_insert(now) + MAX_CONTENTION {
                    return Err(ServiceError::NameContended(self.object.clone()));
                }
                tracing::debug!(object = %self.object, "another writer was faster");
                Ok(false)
            }
            put => Ok(put.map(|_| true)?),
        }
    }
}

/// Fails if a file would replace the delta of another one, whose key it may have.
pub(crate) async fn refuse_occupied(
    objects: &Objects,
    object: &ObjectName,
    places: &Variants,
) -> Result<(), ServiceError> {
    let (Some(found), Some(file)) = (&places.plain, deltaspace::file_of(&object.key)) else {
        return Ok(());
    };
    if found.is_delta() || found.is_delta_without_metadata(objects.store().as_ref()).await? {
        return Err(ServiceError::Occupied { object: object.clone(), file: object.sibling(file) });
    }
    Ok(())
}

/// Returns whether a put failed since another writer was faster.
pub(crate) fn is_lost_race(kind: StorageErrorKind) -> bool {
    matches!(
        kind,
        StorageErrorKind::AlreadyExists
            | StorageErrorKind::NotFound
            | StorageErrorKind::Precondition
    )
}

/// Now, but never before what is stored under the name was made by the clock of its writer: where
/// the store dates both the same, the later one is served.
pub(crate) fn after(older: Option<&StoredObject>) -> Timestamp {
    let next = older
        .and_then(StoredObject::created_at)
        .map(|at| at.saturating_add(Duration::from_micros(1)));
    next.map_or_else(timestamp, |next| next.max(timestamp()))
}
