//! Deletes a reference that no delta needs any more, while concurrent writers may be making one
//! that does.

use futures::{StreamExt as _, TryStreamExt as _};

use super::{NewReference, References, attributes_of};
use crate::domain::metadata::{DELTA_SUFFIX, Kind, ReferenceMetadata};
use crate::domain::packing::StoredForm;
use crate::domain::{Addressed, Deltaspace, Key, ObjectName, Sha256Digest, deltaspace};
use crate::service::error::ServiceError;
use crate::service::objects::StoredObject;
use crate::storage::{CopyOptions, ListRequest, PutCondition, StorageErrorKind};

/// The maximum number of listing pages that are searched for deltas that need a reference. If there
/// are more, the reference stays until `repair`.
const PAGES: usize = 10;
/// The maximum number of HEAD requests in flight.
const HEADS_AT_ONCE: usize = 16;

/// A reference that no known delta needs could not be deleted.
#[derive(Debug, thiserror::Error)]
#[error("the reference {reference} stays")]
pub struct ReferenceWarning {
    /// The reference.
    pub reference: ObjectName,
    /// The cause.
    pub source: Box<ServiceError>,
}

impl References {
    /// Deletes the classic reference of a delta just deleted, unless another delta may need it.
    /// Returns its name if it was deleted.
    ///
    /// The content is first copied to its content-addressed key, where it stays until a `repair`
    /// some days later finds no delta that needs it. So a delta stored during the deletion can
    /// still be read. After the deletion the deltaspace is listed once more, and if a delta has
    /// appeared, the reference is restored.
    pub(crate) async fn remove_if_unreferenced(
        &self,
        name: &ObjectName,
    ) -> Result<Option<ObjectName>, ServiceError> {
        let home = Deltaspace::of_reference(name);
        if home.classic().ok().as_ref() != Some(name) || self.may_be_needed(&home, name).await? {
            return Ok(None);
        }
        let Some(found) = StoredObject::look(self.store(), name.clone()).await? else {
            return Ok(None);
        };
        let Kind::Reference(metadata) = &found.kind else { return Ok(None) };
        let digest = metadata.file_sha256;
        let named = |source| ServiceError::Name { object: home.to_string(), source };
        let copy = home.addressed(&digest).map_err(named)?;
        // Without a copy, only the process that deletes the reference could restore it.
        let prefix = format!("{}{digest}/", home.references_prefix());
        let there: Vec<_> = self
            .objects
            .list_all(home.bucket(), &prefix)
            .await?
            .into_iter()
            .map(|object| object.key)
            .collect();
        // A tombstoned copy may be deleted at any time.
        let tombstoned =
            there.iter().any(|key| home.addressed_at(key) == Some(Addressed::Tombstone(digest)));
        if tombstoned || !self.keep_copy(&found, digest, &copy, there.contains(&copy.key)).await? {
            return Ok(None);
        }
        tracing::debug!(
            reference = %name, %copy,
            "no delta needs the reference: deleting it; its copy is kept for a grace period"
        );
        match self.store().delete(name, Some(&found.head.etag)).await {
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::Precondition => {
                // A retried request met its own effect, or a concurrent writer was faster, which
                // may crash before its second listing.
                if StoredObject::look(self.store(), name.clone()).await?.is_some() {
                    return Ok(None);
                }
            }
            deleted => deleted?,
        }
        if self.may_be_needed(&home, name).await? {
            self.restore_reference(&found, metadata).await?;
            return Ok(None);
        }
        Ok(Some(name.clone()))
    }

    /// Copies a reference to its content-addressed key; returns false if a concurrent writer
    /// changed the reference.
    ///
    /// An existing copy with the right bytes stays, since the bytes at the classic key may have
    /// decayed.
    async fn keep_copy(
        &self,
        found: &StoredObject,
        digest: Sha256Digest,
        copy: &ObjectName,
        is_there: bool,
    ) -> Result<bool, ServiceError> {
        if is_there && self.objects.content_of(copy).await? == Some(digest) {
            return Ok(true);
        }
        let kept = &found.head.attributes;
        let attributes = attributes_of(kept.metadata.clone(), kept.encryption.as_ref());
        let options =
            CopyOptions { attributes: Some(attributes), ..CopyOptions::from(&found.head.etag) };
        let tag = match self.store().copy(&found.name, copy, &options).await {
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::Precondition => {
                return Ok(false);
            }
            copied => copied?,
        };
        let copied = StoredObject::look(self.store(), copy.clone()).await?;
        let claims = |copied: &StoredObject| {
            copied.head.size == found.head.size
                && matches!(&copied.kind, Kind::Reference(m) if m.file_sha256 == digest)
        };
        if !copied.as_ref().is_some_and(claims) {
            return Err(ServiceError::CopyMismatch { of: found.name.clone(), copy: copy.clone() });
        }
        self.objects.check_copy(found, copy, &tag).await?;
        Ok(true)
    }

    async fn restore_reference(
        &self,
        found: &StoredObject,
        metadata: &ReferenceMetadata,
    ) -> Result<(), ServiceError> {
        // Where racing writers may all succeed, this could overwrite another writer's reference;
        // readers use the copy.
        if !self.store().conditions_are_atomic() {
            return Ok(());
        }
        let (name, encryption) = (&found.name, found.head.attributes.encryption.as_ref());
        tracing::debug!(
            reference = %name,
            "a delta appeared during the deletion of its reference; restoring it"
        );
        let form = StoredForm { digest: metadata.file_sha256, packing: metadata.packing };
        let bytes = self.fetch_stored(name, &form.digest).await?;
        let new = NewReference::at(name, &bytes, &form, encryption);
        self.put_reference(new, PutCondition::IfAbsent).await?;
        Ok(())
    }

    /// Returns whether a delta below `home` names this reference or may do so. A delta with damaged
    /// metadata may, and so may those beyond the pages listed.
    async fn may_be_needed(
        &self,
        home: &Deltaspace,
        name: &ObjectName,
    ) -> Result<bool, ServiceError> {
        let mut request =
            ListRequest { prefix: home.folder().to_owned(), ..ListRequest::default() };
        for _ in 0..PAGES {
            let page = self.store().list(home.bucket(), &request).await?;
            let may_be_delta =
                |key: &Key| key.as_str().ends_with(DELTA_SUFFIX) && !deltaspace::is_internal(key);
            if page.damaged.iter().any(|damaged| may_be_delta(&damaged.key)) {
                return Ok(true);
            }
            let deltas = page.objects.into_iter().map(|object| object.key);
            let deltas = deltas.filter(|key| {
                key.as_str().ends_with(DELTA_SUFFIX) && !deltaspace::is_internal(key)
            });
            let looks =
                deltas.map(|key| self.may_need(ObjectName::new(home.bucket().clone(), key), name));
            let mut looks =
                futures::stream::iter(looks.collect::<Vec<_>>()).buffered(HEADS_AT_ONCE);
            while let Some(needed) = looks.try_next().await? {
                if needed {
                    return Ok(true);
                }
            }
            match page.continuation {
                Some(continuation) => request.continuation = Some(continuation),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn may_need(
        &self,
        delta: ObjectName,
        reference: &ObjectName,
    ) -> Result<bool, ServiceError> {
        let Some(found) = StoredObject::look(self.store(), delta).await? else { return Ok(false) };
        Ok(match &found.kind {
            Kind::Delta(delta) => delta.ref_key == reference.key,
            Kind::Damaged(_) => true,
            _ => found.is_delta_without_metadata(self.store()).await?,
        })
    }
}
