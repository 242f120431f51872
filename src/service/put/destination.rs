//! The name that a put writes to, and the competition with concurrent writers of it.

use std::time::Duration;

use super::PutOptions;
use crate::domain::{ObjectName, Timestamp, deltaspace};
use crate::service::clock::timestamp;
use crate::service::error::ServiceError;
use crate::service::objects::{Objects, StoredObject, Variants};
use crate::storage::{ETag, StorageError, StorageErrorKind};

/// The time for which a put competes with concurrent writers of the same name, or of the references
/// of its deltaspace.
pub(crate) const MAX_CONTENTION: Duration = Duration::from_secs(5 * 60);

/// The name that a put writes to.
#[derive(Debug)]
pub(crate) struct Destination {
    objects: Objects,
    pub(crate) object: ObjectName,
    /// The objects stored under the name at the last look.
    pub(crate) places: Variants,
    /// The put fails if the name has a file.
    if_absent: bool,
    /// The time of the first race lost to a concurrent writer.
    contended_since: Option<Duration>,
}

impl Destination {
    /// Looks up the objects stored under the name.
    ///
    /// # Errors
    ///
    /// [`ServiceError::DestinationDenied`] if permission to look is denied and the put needs to
    /// look, or the name may be the key of another file's delta; [`ServiceError::Occupied`] if the
    /// put would overwrite such a delta; [`StorageErrorKind::AlreadyExists`] if the name has a file
    /// and must have none.
    pub(crate) async fn look(
        objects: &Objects,
        object: &ObjectName,
        options: &PutOptions,
    ) -> Result<Self, ServiceError> {
        let places = match Variants::look_to_write(objects.store().as_ref(), object).await {
            // Without a look, the new object is served since it is the newest. But the key may hold
            // the delta of another file.
            Err(ServiceError::Storage(error)) if error.kind == StorageErrorKind::Denied => {
                let needs_look = options.delta || options.if_absent;
                if needs_look || deltaspace::file_of(&object.key).is_some() {
                    return Err(ServiceError::DestinationDenied(object.clone(), error));
                }
                Variants::unseen()
            }
            places => places?,
        };
        reject_occupied(objects, object, &places).await?;
        let if_absent = options.if_absent;
        reject_present(object, &places, if_absent)?;
        Ok(Self {
            objects: objects.clone(),
            object: object.clone(),
            places,
            if_absent,
            contended_since: None,
        })
    }

    /// Looks up the name again after a concurrent writer was faster.
    pub(crate) async fn look_again(&mut self) -> Result<(), ServiceError> {
        self.places = Variants::look_to_write(self.objects.store().as_ref(), &self.object).await?;
        reject_occupied(&self.objects, &self.object, &self.places).await?;
        reject_present(&self.object, &self.places, self.if_absent)
    }

    /// Returns whether a put took effect; false if a concurrent writer was faster and there is time
    /// for another attempt.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NameContended`] after [`MAX_CONTENTION`], or the error of the put.
    pub(crate) fn took_effect(
        &mut self,
        put: Result<ETag, StorageError>,
    ) -> Result<bool, ServiceError> {
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

/// Fails if storing the file would overwrite the delta of another file.
pub(crate) async fn reject_occupied(
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

/// Fails if the name has a file and must have none. A file of another tool at the key of the delta
/// is none.
fn reject_present(
    object: &ObjectName,
    places: &Variants,
    if_absent: bool,
) -> Result<(), ServiceError> {
    let delta = places.delta.as_ref().filter(|found| found.is_delta());
    if if_absent && (places.plain.is_some() || delta.is_some()) {
        return Err(StorageError::new(StorageErrorKind::AlreadyExists, "PutObject", object).into());
    }
    Ok(())
}

/// Returns whether a put failed because a concurrent writer was faster.
pub(crate) fn is_lost_race(kind: StorageErrorKind) -> bool {
    matches!(
        kind,
        StorageErrorKind::AlreadyExists
            | StorageErrorKind::NotFound
            | StorageErrorKind::Precondition
    )
}

/// Returns the present time, or a time just after the creation time of `older` if that is later: if
/// the store dates both objects the same, the one created later is served.
pub(crate) fn after(older: Option<&StoredObject>) -> Timestamp {
    let next = older
        .and_then(StoredObject::created_at)
        .map(|at| at.saturating_add(Duration::from_micros(1)));
    next.map_or_else(timestamp, |next| next.max(timestamp()))
}
