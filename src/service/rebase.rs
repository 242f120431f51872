//! Replaces the delta of an old version by one against a later, more similar reference.

use super::DeltaService;
use super::error::ServiceError;
use super::get::StatedChecksums;
use super::objects::Variants;
use super::payload::Payload;
use super::recompress::{Rule, is_incompressible, worth_packing};
use super::references::{Content, Fetched, Reference, ReferenceSet};
use super::transcode::Encode;
use crate::domain::metadata::{DeltaMetadata, Kind};
use crate::domain::packing::StoredForm;
use crate::domain::{FileStatus, ObjectName};
use crate::storage::{Attributes, MAX_USER_METADATA_BYTES, StorageErrorKind};

/// The divisor of the minimum saving: a delta is rewritten only to save one byte in so many.
const WORTH: u64 = 10;

/// The sizes of the old and the new delta, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebased {
    /// Bytes of the old delta.
    pub before: u64,
    /// Bytes of the new delta.
    pub after: u64,
    /// The old reference, if a packed one of its content was made for this delta, and the number of
    /// bytes that takes less. The old one is deleted once no delta needs it.
    pub packed: Option<(ObjectName, u64)>,
}

/// A reference to make a new delta against.
struct Target {
    base: Reference,
    content: Content,
    /// The maximum length of the new delta in bytes.
    limit: u64,
    packed: Option<(ObjectName, u64)>,
}

/// The maximum number of bytes by which a delta may grow for a packed reference: those of its
/// application header.
const HEADER: u64 = 16;

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
        let mut file = None;
        let mut target = self.most_similar(object, old, &set, &mut file).await?;
        if target.is_none() {
            target = self.packed(object, old, &set, dry_run).await?;
        }
        let Some(Target { base, mut content, limit, packed }) = target else {
            return Ok(None);
        };
        let file = match file {
            Some(file) => file,
            None => self.restored(object, StatedChecksums::default()).await?.0,
        };
        let encoded = loop {
            let encode = Encode {
                file: file.clone(),
                reference: content.source(),
                packing: base.packing,
                limit,
            };
            match self.transcoder.encode(encode).await {
                Ok(encoded) => break encoded,
                Err(error) => content = self.references.refetch(&content, error).await?,
            }
        };
        let Some(delta) = encoded.delta else { return Ok(None) };
        if encoded.digest != old.file_sha256 {
            return Err(ServiceError::Changed(object.to_string()));
        }
        let rebased = Rebased { before: old.delta_size, after: delta.len(), packed };
        if dry_run {
            return Ok(Some(rebased));
        }
        let metadata = DeltaMetadata {
            ref_key: base.name.key.clone(),
            ref_sha256: base.digest,
            delta_size: delta.len(),
            ref_packing: base.packing,
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
            .ensure_exists_for_delta(&base, content, found.head.attributes.encryption.as_ref())
            .await?;
        self.references.remove_if_unreferenced(&object.sibling(old.ref_key.clone())).await?;
        Ok(Some(rebased))
    }

    /// Returns the most similar reference, if it is another one than the delta's and may save a
    /// tenth of it.
    async fn most_similar(
        &self,
        object: &ObjectName,
        old: &DeltaMetadata,
        set: &ReferenceSet,
        file: &mut Option<Payload>,
    ) -> Result<Option<Target>, ServiceError> {
        if set.members.iter().all(|base| base.digest == old.ref_sha256) {
            return Ok(None);
        }
        let (restored, _) = self.restored(object, StatedChecksums::default()).await?;
        let choice = self.references.rank(set, file.insert(restored)).await?;
        let Some(base) = choice.ranked.first().filter(|base| base.digest != old.ref_sha256) else {
            return Ok(None);
        };
        let Fetched::Ready(content) = self.references.usable(base).await? else {
            return Ok(None);
        };
        let base = Reference { packing: content.form().packing, ..base.clone() };
        let now = StoredForm { digest: old.ref_sha256, packing: old.ref_packing };
        let limit = if content.form().content_digest() == now.content_digest() {
            // The same content is worth the few bytes of a header where it is packed, and never
            // unpacked.
            if now.packing.is_some() || base.packing.is_none() {
                return Ok(None);
            }
            old.delta_size.saturating_add(HEADER)
        } else {
            (old.delta_size - old.delta_size / WORTH).min(old.delta_size.saturating_sub(1))
        };
        Ok(Some(Target { base, content, limit, packed: None }))
    }

    /// Returns the packed form of the delta's reference, stored beside it if packing saves a tenth
    /// of it.
    async fn packed(
        &self,
        object: &ObjectName,
        old: &DeltaMetadata,
        set: &ReferenceSet,
        dry_run: bool,
    ) -> Result<Option<Target>, ServiceError> {
        let form = self.settings.policy.packing.of(object).form();
        let Some(rule) = form.and_then(Rule::of).filter(|_| old.ref_packing.is_none()) else {
            return Ok(None);
        };
        let own = |base: &&Reference| base.digest == old.ref_sha256 && base.packing.is_none();
        let Some(plain) = set.members.iter().find(own) else { return Ok(None) };
        let Fetched::Ready(mut content) = self.references.usable(plain).await? else {
            return Ok(None);
        };
        if content.form().packing.is_some() || is_incompressible(&content.to_payload()).await? {
            return Ok(None);
        }
        let limit = worth_packing(content.len());
        let packed = loop {
            match self.transcoder.pack(&content.to_payload(), rule, limit).await {
                Ok(packed) => break packed,
                Err(error) => content = self.references.refetch(&content, error).await?,
            }
        };
        let Some(packed) = packed else { return Ok(None) };
        let form = packed.form();
        let target = |base, packed| {
            let limit = old.delta_size.saturating_add(HEADER);
            Ok(Some(Target { base, content, limit, packed }))
        };
        let there = set.members.iter().find(|base| base.digest == form.digest);
        if let Some(there) = there {
            return target(Reference { packing: form.packing, ..there.clone() }, None);
        }
        if set.is_tombstoned(&form.digest) {
            return Ok(None);
        }
        let saved = plain.size.saturating_sub(packed.bytes.len());
        let made = Some((plain.name.clone(), saved));
        if dry_run {
            let name = plain.name.clone();
            let (digest, packing, size) = (form.digest, form.packing, packed.bytes.len());
            return target(Reference { name, digest, packing, size, ..plain.clone() }, made);
        }
        let bytes = (&packed.bytes, &form);
        let encryption = plain.encryption.as_ref();
        let source_name = plain.name.key.base_name();
        let created =
            self.references.create_reference(set, bytes, None, source_name, encryption).await?;
        match created {
            Some(base) => target(base, made),
            None => Ok(None),
        }
    }
}
