//! Replaces the delta of an old version by one against a later, more similar reference.

use super::DeltaService;
use super::error::ServiceError;
use super::get::StatedChecksums;
use super::objects::Variants;
use super::references::Fetched;
use super::transcode::Encode;
use crate::domain::metadata::{DeltaMetadata, Kind};
use crate::domain::{FileStatus, ObjectName};
use crate::storage::{Attributes, MAX_USER_METADATA_BYTES, StorageErrorKind};

/// The divisor of the minimum saving: a delta is rewritten only to save one byte in so many.
const WORTH: u64 = 10;

/// The sizes of the old and the new delta, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebased {
    /// Bytes of the old delta.
    pub before: u64,
    /// Bytes of the new delta.
    pub after: u64,
}

impl DeltaService {
    /// Stores the delta of a file against the most similar reference, if that saves a tenth of the
    /// delta. With `dry_run`, only computes the saving.
    ///
    /// Returns `None` if it does not, if the file is no delta, or if it was replaced during the
    /// call.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NeedsConditionalWrites`] if the store is not known to enforce conditional
    /// writes: the rewrite could overwrite a newer file.
    pub async fn rebase(
        &self,
        object: &ObjectName,
        dry_run: bool,
    ) -> Result<Option<Rebased>, ServiceError> {
        if !self.store().conditions_are_atomic() {
            return Err(ServiceError::NeedsConditionalWrites);
        }
        let begun = self.objects.clock().running();
        let places = Variants::look_for_file(self.store(), object).await?;
        let variants = places.newest_first(self.store(), object).await?;
        let [found] = variants.as_slice() else { return Ok(None) };
        let Kind::Delta(old) = &found.kind else { return Ok(None) };
        if !self.objects.may_rewrite(found) {
            return Ok(None);
        }
        let set = self
            .references
            .references_for(object, self.settings.policy.deltaspace.as_deref())
            .await?;
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
            ref_packing: None,
            ..old.clone()
        };
        let tags = self.store().tags(&found.name).await?;
        let mut attributes = Attributes { tags, ..found.head.attributes.clone() };
        metadata.write_over(&mut attributes.metadata);
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
