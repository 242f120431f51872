//! Chooses the keys at which a repair may write the content of a reference: metadata may name any
//! key, and few keys are those of references.
//!
//! The classic key is written only for deltas in its folder or below, and never where a file of
//! that name could appear. For any other delta, the content goes to the content-addressed key of
//! the folder it names, which can hold nothing else, unless the delta can name a reference of its
//! own deltaspace instead.

use std::collections::BTreeMap;

use super::Repair;
use super::scan::{Need, Scan};
use crate::domain::packing::StoredForm;
use crate::domain::{Deltaspace, Key, ObjectName, deltaspace};
use crate::service::error::ServiceError;
use crate::service::objects::StoredObject;
use crate::service::payload::Payload;

/// The permitted ways to restore the reference of files.
pub(super) struct Placement {
    /// True if the key they name may be written: it is the classic key of a folder that contains a
    /// file, and the store's conditional writes are atomic.
    pub(super) classic: bool,
    /// The files in the folder of the key they name, or below.
    pub(super) residents: Vec<ObjectName>,
    /// The files elsewhere.
    pub(super) strays: Vec<ObjectName>,
}

/// The verified bytes of a reference.
pub(super) struct Recovered {
    /// The bytes to store.
    pub(super) bytes: Payload,
    pub(super) form: StoredForm,
    /// The object it was read from.
    pub(super) origin: ObjectName,
}

impl Repair<'_> {
    /// Determines where the reference of these files may be written.
    pub(super) async fn placement(
        &self,
        need: &Need,
        files: &[ObjectName],
    ) -> Result<Placement, ServiceError> {
        let reference = self.object(&need.key);
        let home = Deltaspace::of_reference(&reference);
        let (residents, strays): (Vec<_>, Vec<_>) =
            files.iter().cloned().partition(|file| file.key.folder().starts_with(home.folder()));
        let is_classic = home.classic().is_ok_and(|classic| classic == reference)
            && !deltaspace::is_internal(&need.key);
        let may_be_written =
            is_classic && !residents.is_empty() && self.service.store().conditions_are_atomic();
        let classic = may_be_written && self.has_no_delta(&reference).await?;
        Ok(Placement { classic, residents, strays })
    }

    /// Returns whether no object has the key that the delta of a file named like this reference
    /// would have.
    async fn has_no_delta(&self, reference: &ObjectName) -> Result<bool, ServiceError> {
        // A name too long for the suffix has no delta.
        let Ok(delta) = deltaspace::delta_of(reference) else { return Ok(true) };
        Ok(StoredObject::look(self.service.store(), delta).await?.is_none())
    }

    /// Changes a file that names a reference elsewhere to name one of its own deltaspace or of a
    /// folder above. Returns false if it still needs the one it names. Content from elsewhere is
    /// not copied for it: a writer could obtain content by knowing only its digest.
    pub(super) async fn name_own_reference(
        &self,
        scan: &Scan,
        need: &Need,
        file: &ObjectName,
        recovered: &Recovered,
    ) -> Result<bool, ServiceError> {
        if !self.service.store().conditions_are_atomic() {
            return Ok(false);
        }
        let is_above = |name: &ObjectName| {
            file.key.folder().starts_with(Deltaspace::of_reference(name).folder())
        };
        let claiming =
            scan.references.iter().filter(|(_, reference)| reference.digest == Some(need.digest));
        let above = claiming.map(|(key, _)| self.object(key)).filter(is_above);
        // The longest folder is the nearest one.
        let nearest: BTreeMap<(usize, Key), ObjectName> = above
            .map(|name| ((Deltaspace::of_reference(&name).folder().len(), name.key.clone()), name))
            .collect();
        for name in nearest.into_values().rev() {
            if self.service.objects.content_of(&name).await? == Some(need.digest) {
                let home = Deltaspace::of_reference(&name);
                self.service.references.remove_tombstone(&home, &need.digest).await?;
                return self.name_reference(file, need, &name).await;
            }
        }
        if !is_above(&recovered.origin) {
            return Ok(false);
        }
        let own = Deltaspace::of(file);
        let own = self
            .put_addressed(&own, &recovered.form, &recovered.bytes, need.key.base_name())
            .await?;
        self.name_reference(file, need, &own).await
    }
}
