//! Making the delta of an old version again, against a reference that came later and is more like
//! it.

use super::DeltaService;
use super::error::ServiceError;
use super::get::StatedChecksums;
use super::objects::Variants;
use super::references::Fetched;
use super::transcode::Encode;
use crate::domain::metadata::{DeltaMetadata, Kind};
use crate::domain::{FileStatus, ObjectName};
use crate::storage::{Attributes, MAX_USER_METADATA_BYTES, StorageErrorKind};

/// A delta is not written again for less than one in so many of its bytes.
const WORTH: u64 = 10;

/// What a rebase saves, in bytes of the delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebased {
    /// Before.
    pub before: u64,
    /// Now.
    pub after: u64,
}

impl DeltaService {
    /// Stores the delta of a file against the reference most like it, if that saves a tenth of the
    /// delta; `None` if it does not, or the file is no delta, or was replaced meanwhile. With
    /// `dry_run`, only says what it would save.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NeedsConditions`] where the store's conditions are not known to hold: a file
    /// that is being replaced could come back.
    pub async fn rebase(
        &self,
        object: &ObjectName,
        dry_run: bool,
    ) -> Result<Option<Rebased>, ServiceError> {
        if !self.store().conditions_are_atomic() {
            return Err(ServiceError::NeedsConditions);
        }
        let begun = self.objects.clock().running();
        let places = Variants::look_for_file(self.store(), object).await?;
        let variants = places.newest_first(self.store(), object).await?;
        let [found] = variants.as_slice() else { return Ok(None) };
        let Kind::Delta(old) = &found.kind else { return Ok(None) };
        if !self.objects.may_rewrite(found) {
            return Ok(None);
        }
        let set =
            self.references.bases_for(object, self.settings.policy.deltaspace.as_deref()).await?;
        if set.members.iter().all(|base| base.digest == old.ref_sha256) {
            return Ok(None);
        }
        let (file, _) = self.restored(object, StatedChecksums::default()).await?;
        let choice = self.references.rank(&set, &file).await?;
        let Some(base) = choice.ranked.first().filter(|base| base.digest != old.ref_sha256) else {
            return Ok(None);
        };
        let Fetched::Ready(mut content) = self.references.usable(base).await? else {
            return Ok(None);
        };
        let limit = old.delta_size - old.delta_size / WORTH;
        let encoded = loop {
            let encode = Encode { file: file.clone(), reference: content.source(), limit };
            match self.transcoder.encode(encode).await {
                Ok(encoded) => break encoded,
                Err(error) => content = self.references.refetch(&content, error).await?,
            }
        };
        let Some(delta) = encoded.delta.filter(|delta| delta.len() < old.delta_size) else {
            return Ok(None);
        };
        if encoded.digest != old.file_sha256 {
            return Err(ServiceError::Changed(object.to_string()));
        }
        let rebased = Rebased { before: old.delta_size, after: delta.len() };
        if dry_run {
            return Ok(Some(rebased));
        }
        let metadata = DeltaMetadata {
            ref_key: base.name.key.clone(),
            ref_sha256: base.digest,
            delta_size: delta.len(),
            ..old.clone()
        };
        let tags = self.store().tags(&found.name).await?;
        let mut attributes = Attributes { tags, ..found.head.attributes.clone() };
        attributes.metadata.extend(metadata.write());
        if attributes.user_metadata_bytes() > MAX_USER_METADATA_BYTES {
            FileStatus::remove(&mut attributes.metadata);
        }
        let body = delta.body(delta.digest().await?);
        let options = places.put_options(Some(found));
        let put = self.store().put(&found.name, body, &attributes, &options);
        let Some(put) = self.objects.rewrite(begun, put).await else { return Ok(None) };
        match put {
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::Precondition => {
                return Ok(None);
            }
            put => put?,
        };
        self.references
            .ensure_exists_for_delta(base, content, found.head.attributes.encryption.as_ref())
            .await?;
        self.references.remove_if_unreferenced(&object.sibling(old.ref_key.clone())).await?;
        Ok(Some(rebased))
    }
}
