//! Copying a file inside the store: a delta stays one where its reference serves the copy, or can be given to it.

use std::time::Duration;

use super::DeltaService;
use super::compared::{Compared, StatedChecksums};
use super::error::ServiceError;
use super::input::Input;
use super::locate::{Found, Places, whole};
use super::older::Removal;
use super::plan::DirectReason;
use super::put::{PutOptions, after, is_lost_race};
use super::put_report::{PutReport, PutWarning, StoredAs};
use super::reference::Base;
use crate::domain::metadata::{DeltaMetadata, Kind};
use crate::domain::{Deltaspace, FileStatus, ObjectName, deltaspace};
use crate::storage::{Attributes, CopyOptions, MAX_USER_METADATA_BYTES, StorageErrorKind};

/// How long a copy competes with concurrent writers of its source or its destination.
const MAX_CONTENTION: Duration = Duration::from_secs(5 * 60);

impl DeltaService {
    /// Copies a file to another name, in the same bucket or another one of the store.
    ///
    /// Headers, metadata, class, encryption and tags are those of the source; without `delta`, the copy is stored as it is.
    ///
    /// A delta is copied as one if its reference is in a folder above the copy, or is one of the references there, or there are none:
    /// then the reference is copied too. Anything else that may be kept as a delta is read and put; what may not is copied by the store.
    pub async fn copy(&self, from: &ObjectName, to: &ObjectName, delta: bool) -> Result<PutReport, ServiceError> {
        self.copy_comparing(from, to, delta, StatedChecksums::default()).await
    }

    /// Copies a file as [`copy`](Self::copy) does; `stated` holds for a source that is read.
    pub async fn copy_comparing(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        delta: bool,
        stated: StatedChecksums,
    ) -> Result<PutReport, ServiceError> {
        if from == to {
            return Err(ServiceError::Itself(to.clone()));
        }
        whole(to)?;
        let begun = self.clock.running();
        loop {
            if let Some(report) = self.copy_once(from, to, delta, stated).await? {
                return Ok(report);
            }
            if self.clock.running() >= begun + MAX_CONTENTION {
                return Err(ServiceError::Changed(from.to_string()));
            }
        }
    }

    /// One try; `None` when the source was replaced meanwhile.
    async fn copy_once(
        &self,
        from: &ObjectName,
        to: &ObjectName,
        delta: bool,
        stated: StatedChecksums,
    ) -> Result<Option<PutReport>, ServiceError> {
        let source = Places::look_for_file(self.store(), from).await?;
        let served = source.variants(self.store(), from).await?.first().map(|&found| found.clone());
        let Some(served) = served else { return Err(ServiceError::absent(from)) };
        let places = Places::look_to_write(self.store(), to).await?;
        self.refuse_occupied(to, &places).await?;
        let allowed = self.delta_allowed(to, delta, &places);
        match (&served.kind, allowed) {
            (Kind::Damaged(field), _) => Err(ServiceError::Metadata { object: served.name.clone(), field: *field }),
            (Kind::Delta(metadata), Ok(())) => match self.base_for_copy(&served, metadata, to).await? {
                Some(base) => self.copy_delta(&served, &base, to, &places).await,
                None => self.copy_content(&served, from, to, delta, stated).await,
            },
            (Kind::Delta(_), Err(_)) | (_, Ok(())) => self.copy_content(&served, from, to, delta, stated).await,
            // The store's copy says of itself that it was made when its source was. Where the delta of its name may stay, that could be
            // taken for the newer one within the same second.
            (_, Err(_))
                if places.delta.as_ref().is_some_and(Found::is_delta) && !self.removal_is_exact()
                    // A copy has no condition, and the delta of another file may come to this key.
                    || deltaspace::file_of(&to.key).is_some() =>
            {
                self.copy_content(&served, from, to, delta, stated).await
            }
            (_, Err(reason)) => self.copy_direct(&served, to, &places, reason).await,
        }
    }

    /// The reference that a copy of the delta can name; `None` when the file had better be stored anew.
    async fn base_for_copy(
        &self,
        served: &Found,
        delta: &DeltaMetadata,
        to: &ObjectName,
    ) -> Result<Option<Base>, ServiceError> {
        let digest = delta.ref_sha256;
        let named = served.name.sibling(delta.ref_key.clone());
        let home = Deltaspace::home_of(&named);
        if to.bucket == served.name.bucket && to.key.folder().starts_with(home.folder()) {
            let bases = self.bases_of(home).await?;
            return Ok(bases.bases.into_iter().find(|base| base.digest == digest));
        }
        let bases = self.bases_for(to, self.settings.policy.deltaspace.as_deref()).await?;
        if let Some(base) = bases.bases.iter().find(|base| base.digest == digest) {
            return Ok(Some(base.clone()));
        }
        if !bases.bases.is_empty() || bases.is_condemned(&digest) {
            return Ok(None);
        }
        let bytes = self.fetch_reference(&named, digest).await?;
        let bytes = Input::of(&named.to_string(), bytes.len().unwrap_or_default(), bytes);
        let sketch = bytes.sketch().await?.1;
        let encryption = served.head.attributes.encryption.as_ref();
        let created =
            self.create_reference(&bases, &bytes, (digest, &sketch), named.key.base_name(), encryption).await?;
        if let Some(base) = &created
            && !self.has_bytes(&base.name, &base.etag, &bytes, digest).await?
        {
            return Err(ServiceError::NoCopy { of: named, copy: base.name.clone() });
        }
        Ok(created)
    }

    async fn copy_delta(
        &self,
        served: &Found,
        base: &Base,
        to: &ObjectName,
        places: &Places,
    ) -> Result<Option<PutReport>, ServiceError> {
        let name = |source| ServiceError::Name { object: to.to_string(), source };
        let stored = deltaspace::delta_of(to).map_err(name)?;
        let body = match self.store.get(&served.name, None).await {
            Err(error) if error.kind == StorageErrorKind::NotFound => return Ok(None),
            body => body?,
        };
        if body.head.etag != served.head.etag {
            return Ok(None);
        }
        let found = Found::new(served.name.clone(), body.head.clone());
        let Kind::Delta(delta) = found.kind else { return Ok(None) };
        let bytes = self.in_hand(&served.name, body).await?;
        if bytes.len() != delta.delta_size {
            let (object, expected, actual) = (served.name.clone(), delta.delta_size, bytes.len());
            return Err(ServiceError::Length { object, expected, actual });
        }
        let digest = bytes.digest().await?;
        if !self.has_bytes(&served.name, &served.head.etag, &bytes, digest).await? {
            return Ok(None);
        }
        let metadata = DeltaMetadata {
            original_name: to.key.base_name().to_owned(),
            created_at: Some(after(places.plain.as_ref())),
            ref_key: base.name.key.clone(),
            ..delta
        };
        let tags = self.store.tags(&served.name).await?;
        let mut attributes = Attributes { tags, ..found.head.attributes };
        attributes.metadata.extend(metadata.write());
        if attributes.user_metadata_bytes() > MAX_USER_METADATA_BYTES {
            FileStatus::remove(&mut attributes.metadata);
        }
        tracing::debug!(from = %served.name, %stored, reference = %base.name, "copy the delta");
        let (options, begun) = (places.put_options(places.delta.as_ref()), self.clock.running());
        let tag = match self.store.put(&stored, bytes.body(digest), &attributes, &options).await {
            Err(error) if is_lost_race(error.kind) => return Ok(None),
            put => put?,
        };
        if !self.has_bytes(&stored, &tag, &bytes, digest).await? {
            return Err(ServiceError::NoCopy { of: served.name.clone(), copy: stored });
        }
        self.announce_copied(base, attributes.encryption.as_ref()).await?;
        let warnings = self.remove_older_plain(places, &stored, begun).await.into_iter().collect();
        let (size, stored, sha256) = (metadata.file_size, bytes.len(), metadata.file_sha256);
        Ok(Some(PutReport { stored_as: StoredAs::Delta, size, stored, sha256: Some(sha256), warnings }))
    }

    /// Copies what is no delta inside the store, headers and metadata included.
    async fn copy_direct(
        &self,
        served: &Found,
        to: &ObjectName,
        places: &Places,
        reason: DirectReason,
    ) -> Result<Option<PutReport>, ServiceError> {
        tracing::debug!(from = %served.name, %to, "the store copies the object");
        let to = &whole(to)?;
        let begun = self.clock.running();
        let options = CopyOptions { newer_than: places.newest(), ..CopyOptions::from(&served.head.etag) };
        let tag = match self.store.copy(&served.name, to, &options).await {
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::Precondition => return Ok(None),
            copied => copied?,
        };
        self.check_copy(served, to, &tag).await?;
        let Removal::Over(warning) = self.remove_older_delta(places, to, begun).await else { return Ok(None) };
        let warnings = warning.into_iter().collect();
        let sha256 = match &served.kind {
            Kind::Direct(direct) => Some(direct.file_sha256),
            _ => None,
        };
        let (size, stored_as) = (served.head.size, StoredAs::Direct(reason));
        Ok(Some(PutReport { stored_as, size, stored: size, sha256, warnings }))
    }

    /// Reads the file and puts it; `None` when it was replaced meanwhile and nobody could tell from its content.
    async fn copy_content(
        &self,
        served: &Found,
        from: &ObjectName,
        to: &ObjectName,
        delta: bool,
        stated: StatedChecksums,
    ) -> Result<Option<PutReport>, ServiceError> {
        let attributes = Attributes { tags: self.store.tags(&served.name).await?, ..served.user_attributes() };
        let source = (served.kind == Kind::Passthrough).then(|| served.head.etag.clone());
        let (file, read) = self.restored(from, stated).await?;
        // The metadata at hand is of what was looked at, not of what was written since.
        if served.head.etag != read.etag {
            return Ok(None);
        }
        let status = FileStatus::read(&served.head.attributes.metadata);
        let mut report = self.put(&file, to, &PutOptions { delta, attributes, source, status }).await?;
        if let Compared::Contradicted(checksum) = read.compared {
            report
                .warnings
                .push(PutWarning::Contradicted(ServiceError::Contradicted { object: from.clone(), checksum }));
        }
        Ok(Some(report))
    }
}
