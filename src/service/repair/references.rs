//! Checks the references that deltas need, and restores those that are missing or damaged.

use std::collections::BTreeMap;

use super::scan::{Need, Scan};
use super::{Defect, Files, Outcome, Repair};
use crate::domain::metadata::{DeltaMetadata, Kind};
use crate::domain::packing::StoredForm;
use crate::domain::{Deltaspace, Key, ObjectName, Sha256Digest, deltaspace};
use crate::service::error::ServiceError;
use crate::service::list::Listed;
use crate::service::objects::{StoredObject, Variants};
use crate::service::payload::Payload;
use crate::service::references::NewReference;
use crate::storage::{Attributes, PutCondition, StorageErrorKind};

/// The defect of a reference that deltas need.
enum State {
    Missing,
    Differs(Sha256Digest),
}

impl Repair<'_> {
    /// Reads every reference that a delta names, and restores those that are missing or differ.
    pub(super) async fn needed_references(&mut self, scan: &Scan) -> Result<(), ServiceError> {
        let mut contents: BTreeMap<Key, Option<Sha256Digest>> = BTreeMap::new();
        let mut troubled = BTreeMap::new();
        for need in &scan.needs {
            let content = match contents.get(&need.key) {
                Some(content) => *content,
                None => {
                    let content =
                        match self.service.objects.content_of(&self.object(&need.key)).await {
                            Ok(content) => content,
                            // An unreadable reference is not known to be missing.
                            Err(error) => {
                                self.report.unseen.push(error);
                                continue;
                            }
                        };
                    *contents.entry(need.key.clone()).or_insert(content)
                }
            };
            match content {
                Some(actual) if actual == need.digest => {}
                Some(actual) => drop(troubled.insert(need.clone(), State::Differs(actual))),
                None => drop(troubled.insert(need.clone(), State::Missing)),
            }
        }
        if troubled.is_empty() {
            return Ok(());
        }
        let mut files = self.files_of(&troubled.keys().cloned().collect::<Vec<_>>()).await?;
        for (need, state) in troubled {
            // Without files, the last of them was deleted in the meantime, and the reference with
            // it.
            let Some(files) = files.remove(&need) else { continue };
            self.troubled(scan, &need, &state, files).await?;
        }
        Ok(())
    }

    /// Restores a reference that is missing or differs, and records the result.
    async fn troubled(
        &mut self,
        scan: &Scan,
        need: &Need,
        state: &State,
        files: Vec<ObjectName>,
    ) -> Result<(), ServiceError> {
        let Need { key, digest } = need;
        let reference = self.object(key);
        let trouble = match state {
            State::Missing => {
                Defect::ReferenceMissing { reference, digest: *digest, files: files.clone() }
            }
            State::Differs(actual) => {
                let actual = *actual;
                Defect::ReferenceDiffers {
                    reference,
                    digest: *digest,
                    actual,
                    files: files.clone(),
                }
            }
        };
        let placement = self.placement(need, &files).await?;
        let relies_on_copy = match state {
            State::Missing => !placement.classic,
            State::Differs(_) => {
                placement.residents.is_empty() || !self.service.store().conditions_are_atomic()
            }
        };
        if relies_on_copy && self.has_copy(need).await? {
            // Nothing else may be written; our readers use the content-addressed copy.
            return Ok(());
        }
        let recovered = match self.bytes_of(scan, need).await {
            Ok(Some(recovered)) => recovered,
            Ok(None) => {
                let lost = "its content is nowhere in this bucket: restore it from a backup or \
                            an older version of it";
                self.report.record(trouble, Outcome::Unfixable(lost));
                return Ok(());
            }
            // A possible source could not be examined, so it is not known to be lost.
            Err(error) => {
                self.report.record(trouble, Outcome::Left(error));
                return Ok(());
            }
        };
        let own_claim = scan.references.get(key).and_then(|reference| reference.digest);
        let reference = self.object(key);
        let this = &*self;
        let fix = async {
            let mut needs_copy = !placement.residents.is_empty();
            for file in &placement.strays {
                needs_copy |= !this.name_own_reference(scan, need, file, &recovered).await?;
            }
            let bytes = &recovered.bytes;
            match state {
                State::Missing if placement.classic => {
                    this.put_in_place(&reference, &recovered.form, bytes).await?
                }
                State::Differs(_) if placement.classic && own_claim == Some(*digest) => {
                    this.replace_rotten(&reference, &recovered.form, bytes).await?;
                }
                _ if !needs_copy => {}
                _ => {
                    let home = Deltaspace::of_reference(&reference);
                    let form = &recovered.form;
                    let addressed = this.put_addressed(&home, form, bytes, key.base_name()).await?;
                    // The key holds another reference or another object, so the deltas are changed
                    // to name the copy.
                    let renamed = matches!(state, State::Differs(_)) && addressed != reference;
                    for file in placement.residents.iter().filter(|_| renamed) {
                        this.name_reference(file, need, &addressed).await?;
                    }
                }
            }
            Ok(Outcome::Fixed)
        };
        let outcome = this.outcome(fix).await;
        self.report.record(trouble, outcome);
        Ok(())
    }

    /// Returns whether the content-addressed copy exists and is intact.
    async fn has_copy(&self, need: &Need) -> Result<bool, ServiceError> {
        let home = Deltaspace::of_reference(&self.object(&need.key));
        let Ok(copy) = home.addressed(&need.digest) else { return Ok(false) };
        Ok(copy.key != need.key
            && self.service.objects.content_of(&copy).await? == Some(need.digest))
    }

    /// Returns the files that need these references.
    async fn files_of(&self, needs: &[Need]) -> Result<Files, ServiceError> {
        let mut files = Files::new();
        let mut listing = self.service.list(self.bucket, "", None).without_index();
        while let Some(page) = listing.next().await? {
            for file in
                page.files.iter().chain(&page.older).filter(|file| file.listed == Listed::Delta)
            {
                let Some(Kind::Delta(delta)) = file.kind.as_deref() else { continue };
                let need = Need { key: delta.ref_key.clone(), digest: delta.ref_sha256 };
                if needs.contains(&need) {
                    files.entry(need).or_default().push(self.object(&file.key));
                }
            }
        }
        Ok(files)
    }
}

impl Repair<'_> {
    /// Stores a missing reference at the key that deltas name.
    async fn put_in_place(
        &self,
        name: &ObjectName,
        form: &StoredForm,
        bytes: &Payload,
    ) -> Result<(), ServiceError> {
        let source_name = name.key.base_name();
        let addressed =
            self.put_addressed(&Deltaspace::of_reference(name), form, bytes, source_name).await?;
        if *name != addressed && self.service.store().conditions_are_atomic() {
            // If another writer stores one there first, readers use the copy.
            let new = NewReference::at(name, bytes, form, None);
            self.service.references.put_reference(new, PutCondition::IfAbsent).await?;
        }
        Ok(())
    }

    /// Stores a reference at its content-addressed key in a folder, unless it is there and intact.
    /// Returns that key.
    pub(super) async fn put_addressed(
        &self,
        home: &Deltaspace,
        form: &StoredForm,
        bytes: &Payload,
        source_name: &str,
    ) -> Result<ObjectName, ServiceError> {
        let unnameable = |source| ServiceError::Name { object: home.to_string(), source };
        let addressed = home.addressed(&form.digest).map_err(unnameable)?;
        self.service.references.remove_tombstone(home, &form.digest).await?;
        if self.service.objects.content_of(&addressed).await? != Some(form.digest) {
            let source_name = source_name.to_owned();
            let new =
                NewReference { source_name, ..NewReference::at(&addressed, bytes, form, None) };
            self.service.references.put_reference(new, PutCondition::None).await?;
        }
        Ok(addressed)
    }

    /// Replaces a reference whose bytes do not match its own metadata.
    async fn replace_rotten(
        &self,
        name: &ObjectName,
        form: &StoredForm,
        bytes: &Payload,
    ) -> Result<(), ServiceError> {
        let home = Deltaspace::of_reference(name);
        let addressed = self.put_addressed(&home, form, bytes, name.key.base_name()).await?;
        let Some(found) = StoredObject::look(self.service.store(), name.clone()).await? else {
            return Ok(());
        };
        if *name == addressed || !self.service.store().conditions_are_atomic() {
            return Ok(());
        }
        let encryption = found.head.attributes.encryption;
        let condition = PutCondition::IfMatch(found.head.etag);
        let new = NewReference::at(name, bytes, form, encryption.as_ref());
        self.service.references.put_reference(new, condition).await?;
        Ok(())
    }

    /// Changes a delta to name another reference of the same content, with its bytes unchanged.
    /// Returns false if it could not be written.
    pub(super) async fn name_reference(
        &self,
        file: &ObjectName,
        need: &Need,
        reference: &ObjectName,
    ) -> Result<bool, ServiceError> {
        let named = |source| ServiceError::Name { object: file.to_string(), source };
        let stored = deltaspace::delta_of(file).map_err(named)?;
        // A rewritten older variant would become the newer one; and without atomic conditions, a
        // file that is being replaced could reappear.
        let begun = self.service.objects.clock().running();
        let variants = Variants::look(self.service.store(), file).await?;
        if variants.newest_first(self.service.store(), file).await?.len() != 1
            || !self.service.store().conditions_are_atomic()
        {
            return Ok(false);
        }
        let body = match self.service.store().get(&stored, None).await {
            Err(error) if error.is_absent() => return Ok(true),
            body => body?,
        };
        let found = StoredObject::new(stored.clone(), body.head.clone());
        let Kind::Delta(delta) = &found.kind else { return Ok(true) };
        if delta.ref_key != need.key || delta.ref_sha256 != need.digest {
            return Ok(true);
        }
        if !self.service.objects.may_rewrite(&found) {
            return Ok(false);
        }
        let bytes = self.service.objects.read(&stored, body).await?;
        let mut attributes =
            Attributes { tags: self.service.store().tags(&stored).await?, ..found.head.attributes };
        DeltaMetadata::name_reference(&mut attributes.metadata, &reference.key);
        let (condition, body) =
            (PutCondition::IfMatch(found.head.etag), bytes.body(bytes.digest().await?));
        let options = condition.into();
        let put = self.service.store().put(&stored, body, &attributes, &options);
        let Some(put) = self.service.objects.rewrite(begun, put).await else { return Ok(false) };
        match put {
            // The delta there now may need the same change.
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::Precondition => {
                Ok(false)
            }
            put => Ok(put.map(|_| true)?),
        }
    }
}
