//! Copies a file inside the store: a delta stays a delta if its reference serves the copy, or can
//! be copied with it.

use super::DeltaService;
use super::error::ServiceError;
use super::get::{Compared, StatedChecksums};
use super::objects::{StoredObject, Variants, whole};
use super::plan::DirectReason;
use super::put::{
    MAX_CONTENTION, PutOptions, PutReport, PutWarning, StoredAs, after, is_lost_race, name_facts,
    reject_occupied, remove_older_delta, remove_older_plain,
};
use super::references::Reference;
use crate::domain::metadata::{DeltaMetadata, Kind};
use crate::domain::packing::StoredForm;
use crate::domain::{Deltaspace, FileStatus, ObjectName, deltaspace};
use crate::storage::{Attributes, CopyOptions, MAX_USER_METADATA_BYTES, StorageErrorKind};

impl DeltaService {
    /// Copies a file to another name, in the same bucket or another one of the store.
    ///
    /// Headers, metadata, class, encryption and tags are those of the source. Without `delta`, the
    /// copy is stored as it is.
    ///
    /// A delta is copied as a delta if its reference is under a prefix of the copy, or is one of
    /// the references there. If there are none, the reference is copied too. Any other file that
    /// may be kept as a delta is read and put; a file that may not is copied by the store.
    pub async fn copy(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        delta: bool,
    ) -> Result<PutReport, ServiceError> {
        self.copy_comparing(from, to, delta, StatedChecksums::default()).await
    }

    /// Copies a file as [`copy`](Self::copy) does; `stated` applies to a source that is read.
    pub async fn copy_comparing(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        delta: bool,
        stated: StatedChecksums,
    ) -> Result<PutReport, ServiceError> {
        if from == to {
            return Err(ServiceError::CopyOntoItself(to.clone()));
        }
        whole(to)?;
        let copy =
            Copy { service: self.clone(), from: from.clone(), to: to.clone(), delta, stated };
        let begun = self.objects.clock().running();
        loop {
            if let Some(report) = copy.attempt().await? {
                return Ok(report);
            }
            if self.objects.clock().running() >= begun + MAX_CONTENTION {
                return Err(ServiceError::Changed(from.to_string()));
            }
        }
    }
}

/// A copy under way.
struct Copy {
    service: DeltaService,
    from: ObjectName,
    to: ObjectName,
    /// The copy may be a delta.
    delta: bool,
    stated: StatedChecksums,
}

impl Copy {
    /// Makes one attempt; returns `None` if the source was replaced during it.
    async fn attempt(&self) -> Result<Option<PutReport>, ServiceError> {
        let Self { service, from, to, .. } = self;
        let (store, objects) = (service.store(), &service.objects);
        let source = Variants::look_for_file(store, from).await?;
        let served = source.newest_first(store, from).await?.first().map(|&found| found.clone());
        let Some(served) = served else { return Err(ServiceError::absent(from)) };
        let places = Variants::look_to_write(store, to).await?;
        reject_occupied(objects, to, &places).await?;
        let allowed =
            name_facts(objects, &service.settings.policy, to, self.delta, &places).delta_allowed();
        match (&served.kind, allowed) {
            (Kind::Damaged(field), _) => {
                Err(ServiceError::Metadata { object: served.name.clone(), field: *field })
            }
            (Kind::Delta(metadata), Ok(())) => match self.reference(&served, metadata).await? {
                Some(base) => {
                    // A listing does not show the packing.
                    let packing = base.packing.or(metadata.ref_packing);
                    self.copy_delta(&served, &Reference { packing, ..base }, &places).await
                }
                None => self.copy_content(&served).await,
            },
            (Kind::Delta(_), Err(_)) | (_, Ok(())) => self.copy_content(&served).await,
            // A copy made by the store states the creation time of its source. Where the delta of
            // its name may stay, that delta could be taken for the newer object within the same
            // second.
            (_, Err(_))
                if places.delta.as_ref().is_some_and(StoredObject::is_delta)
                    && !objects.removal_is_exact()
                    // A copy has no condition, and another file's delta may be stored at this key.
                    || deltaspace::file_of(&to.key).is_some() =>
            {
                self.copy_content(&served).await
            }
            (_, Err(reason)) => self.copy_direct(&served, &places, reason).await,
        }
    }

    /// Returns the reference that a copy of the delta can name; `None` if the file is better stored
    /// anew.
    async fn reference(
        &self,
        served: &StoredObject,
        delta: &DeltaMetadata,
    ) -> Result<Option<Reference>, ServiceError> {
        let (references, to) = (&self.service.references, &self.to);
        let digest = delta.ref_sha256;
        let named = served.name.sibling(delta.ref_key.clone());
        let home = Deltaspace::of_reference(&named);
        if to.bucket == served.name.bucket && to.key.folder().starts_with(home.folder()) {
            let set = references.references_of(home).await?;
            return Ok(set.members.into_iter().find(|base| base.digest == digest));
        }
        let set = references
            .references_for(to, self.service.settings.policy.deltaspace.as_deref())
            .await?;
        if let Some(base) = set.members.iter().find(|base| base.digest == digest) {
            return Ok(Some(base.clone()));
        }
        if !set.members.is_empty() || set.is_tombstoned(&digest) {
            return Ok(None);
        }
        // A copied delta is decoded against the stored bytes of its reference or their content, so
        // the copy of the reference has the same ones.
        let source = StoredObject::look(self.service.store(), named.clone()).await;
        let packing = match source.map(|source| source.map(|source| source.kind)) {
            Ok(Some(Kind::Reference(metadata))) if metadata.file_sha256 == digest => {
                metadata.packing
            }
            _ => delta.ref_packing,
        };
        let form = StoredForm { digest, packing };
        let bytes = references.fetch_stored(&named, &digest).await?;
        let encryption = served.head.attributes.encryption.as_ref();
        let source_name = named.key.base_name();
        let created = references
            .create_reference(&set, (&bytes, &form), None, source_name, encryption)
            .await?;
        if let Some(base) = &created {
            let objects = &self.service.objects;
            if !objects.has_bytes(&base.name, &base.etag, &bytes, digest).await? {
                return Err(ServiceError::CopyMismatch { of: named, copy: base.name.clone() });
            }
        }
        Ok(created)
    }

    async fn copy_delta(
        &self,
        served: &StoredObject,
        base: &Reference,
        places: &Variants,
    ) -> Result<Option<PutReport>, ServiceError> {
        let (store, objects, to) = (self.service.store(), &self.service.objects, &self.to);
        let name = |source| ServiceError::Name { object: to.to_string(), source };
        let stored = deltaspace::delta_of(to).map_err(name)?;
        let body = match store.get(&served.name, None).await {
            Err(error) if error.kind == StorageErrorKind::NotFound => return Ok(None),
            body => body?,
        };
        if body.head.etag != served.head.etag {
            return Ok(None);
        }
        let found = StoredObject::new(served.name.clone(), body.head.clone());
        let Kind::Delta(delta) = found.kind else { return Ok(None) };
        let bytes = objects.read(&served.name, body).await?;
        if bytes.len() != delta.delta_size {
            let (object, expected, actual) = (served.name.clone(), delta.delta_size, bytes.len());
            return Err(ServiceError::Length { object, expected, actual });
        }
        let digest = bytes.digest().await?;
        if !objects.has_bytes(&served.name, &served.head.etag, &bytes, digest).await? {
            return Ok(None);
        }
        let metadata = DeltaMetadata {
            original_name: to.key.base_name().to_owned(),
            created_at: Some(after(places.plain.as_ref())),
            ref_key: base.name.key.clone(),
            ..delta
        };
        let tags = store.tags(&served.name).await?;
        let mut attributes = Attributes { tags, ..found.head.attributes };
        metadata.write_over(&mut attributes.metadata);
        if attributes.user_metadata_bytes() > MAX_USER_METADATA_BYTES {
            FileStatus::remove(&mut attributes.metadata);
        }
        tracing::debug!(from = %served.name, %stored, reference = %base.name, "copy the delta");
        let (options, begun) =
            (places.put_options(places.delta.as_ref()), objects.clock().running());
        let tag = match store.put(&stored, bytes.body(digest), &attributes, &options).await {
            Err(error) if is_lost_race(error.kind) => return Ok(None),
            put => put?,
        };
        if !objects.has_bytes(&stored, &tag, &bytes, digest).await? {
            return Err(ServiceError::CopyMismatch { of: served.name.clone(), copy: stored });
        }
        self.service
            .references
            .ensure_exists_for_copy(base, attributes.encryption.as_ref())
            .await?;
        let warnings =
            remove_older_plain(objects, places, &stored, begun).await.into_iter().collect();
        let (size, stored, sha256) = (metadata.file_size, bytes.len(), metadata.file_sha256);
        Ok(Some(PutReport {
            stored_as: StoredAs::Delta,
            size,
            stored,
            sha256: Some(sha256),
            warnings,
        }))
    }

    /// Lets the store copy an object that is not a delta, with its headers and metadata.
    async fn copy_direct(
        &self,
        served: &StoredObject,
        places: &Variants,
        reason: DirectReason,
    ) -> Result<Option<PutReport>, ServiceError> {
        let service = &self.service;
        tracing::debug!(from = %served.name, to = %self.to, "the store copies the object");
        let to = &whole(&self.to)?;
        let begun = service.objects.clock().running();
        let options =
            CopyOptions { newer_than: places.newest(), ..CopyOptions::from(&served.head.etag) };
        let tag = match service.store().copy(&served.name, to, &options).await {
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::Precondition => {
                return Ok(None);
            }
            copied => copied?,
        };
        service.objects.check_copy(served, to, &tag).await?;
        let Ok(warning) = remove_older_delta(&service.references, places, to, begun).await else {
            return Ok(None);
        };
        let warnings = warning.into_iter().collect();
        let sha256 = match &served.kind {
            Kind::Direct(direct) => Some(direct.file_sha256),
            _ => None,
        };
        let (size, stored_as) = (served.head.size, StoredAs::Direct(reason));
        Ok(Some(PutReport { stored_as, size, stored: size, sha256, warnings }))
    }

    /// Reads the file and puts it; returns `None` if it was replaced and the content read may not
    /// match the metadata at hand.
    async fn copy_content(&self, served: &StoredObject) -> Result<Option<PutReport>, ServiceError> {
        let (service, from) = (&self.service, &self.from);
        let tags = service.store().tags(&served.name).await?;
        let attributes = Attributes { tags, ..served.user_attributes() };
        let source = (served.kind == Kind::Passthrough).then(|| served.head.etag.clone());
        let (file, read) = service.restored(from, self.stated).await?;
        // The metadata at hand belongs to the object looked at, not to one written later.
        if served.head.etag != read.etag {
            return Ok(None);
        }
        let status = FileStatus::read(&served.head.attributes.metadata);
        let options =
            PutOptions { delta: self.delta, attributes, source, status, if_absent: false };
        let mut report = service.put(&file, &self.to, &options).await?;
        if let Compared::ChecksumMismatch(checksum) = read.compared {
            report.warnings.push(PutWarning::ChecksumMismatch(ServiceError::ChecksumMismatch {
                object: from.clone(),
                checksum,
            }));
        }
        Ok(Some(report))
    }
}
