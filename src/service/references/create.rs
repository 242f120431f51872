//! Creates references, and ensures that the reference named by a new delta exists.

use super::{Content, Keep, Reference, ReferenceSet, References, attributes_of};
use crate::domain::metadata::{Kind, ReferenceMetadata};
use crate::domain::{ObjectName, Sha256Digest, Sketch};
use crate::service::clock::timestamp;
use crate::service::error::ServiceError;
use crate::service::objects::StoredObject;
use crate::service::payload::Payload;
use crate::storage::{Encryption, PutCondition, StorageErrorKind};

/// A reference to store.
#[derive(Debug, Clone)]
pub(crate) struct NewReference {
    pub(crate) name: ObjectName,
    pub(crate) bytes: Payload,
    pub(crate) digest: Sha256Digest,
    /// The name of the file it is made of, for its metadata.
    pub(crate) source_name: String,
    pub(crate) encryption: Option<Encryption>,
}

impl NewReference {
    /// Returns the reference at `name`, with the last part of its key as the source name.
    pub(crate) fn at(
        name: &ObjectName,
        bytes: &Payload,
        digest: Sha256Digest,
        encryption: Option<&Encryption>,
    ) -> Self {
        let source_name = name.key.base_name().to_owned();
        Self {
            name: name.clone(),
            bytes: bytes.clone(),
            digest,
            source_name,
            encryption: encryption.cloned(),
        }
    }
}

impl References {
    /// Stores a file as a reference; returns `None` if a concurrent writer stored the first one.
    ///
    /// The first reference of a deltaspace gets the classic key if the store lets exactly one of
    /// several racing writers store it. On any other store, and beside other references, it is
    /// stored under its own SHA-256, where no concurrent writer replaces it by other content.
    pub(crate) async fn create_reference(
        &self,
        set: &ReferenceSet,
        file: &Payload,
        (digest, sketch): (Sha256Digest, &Sketch),
        source_name: &str,
        encryption: Option<&Encryption>,
    ) -> Result<Option<Reference>, ServiceError> {
        let deltaspace = &set.deltaspace;
        let named = |source| ServiceError::Name { object: deltaspace.to_string(), source };
        let first =
            set.members.is_empty() && !set.classic_taken && self.store().conditions_are_atomic();
        let (name, condition) = match first {
            true => (deltaspace.classic().map_err(named)?, PutCondition::IfAbsent),
            false => (deltaspace.addressed(&digest).map_err(named)?, PutCondition::None),
        };
        tracing::debug!(reference = %name, %digest, "the file becomes a reference");
        let source_name = source_name.to_owned();
        let new = NewReference { source_name, ..NewReference::at(&name, file, digest, encryption) };
        let Some(base) = self.put_reference(new, condition).await? else { return Ok(None) };
        // The first reference is not ranked against others, so its sketch is made only when needed.
        if !set.members.is_empty() {
            self.store_sketch(&base, sketch).await;
        }
        Ok(Some(base))
    }

    /// Stores a reference; returns `None` if `condition` fails because its key is taken.
    pub(crate) async fn put_reference(
        &self,
        new: NewReference,
        condition: PutCondition,
    ) -> Result<Option<Reference>, ServiceError> {
        let NewReference { name, bytes, digest, source_name, encryption } = new;
        let metadata =
            ReferenceMetadata { source_name, file_sha256: digest, created_at: Some(timestamp()) };
        let attributes = attributes_of(metadata.write(), encryption.as_ref());
        let put = self.store().put(&name, bytes.body(digest), &attributes, &condition.into()).await;
        match put {
            Ok(etag) => {
                let (size, last_modified) = (bytes.len(), std::time::SystemTime::now());
                Ok(Some(Reference { name, digest, size, last_modified, etag, encryption }))
            }
            Err(error) if error.kind == StorageErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ensures that a new delta can be read: if its reference no longer exists, restores it from
    /// `copy`, the bytes that the delta was made against. It gets its former encryption or, if that
    /// is not known, the one `asked` for the delta.
    ///
    /// A writer that deletes a reference lists the deltas again afterwards. Either it sees the
    /// delta and restores the reference, or the delta was stored after its listing, and this check
    /// runs after the deletion.
    pub(crate) async fn ensure_exists(
        &self,
        base: &Reference,
        copy: &Payload,
        asked: Option<&Encryption>,
    ) -> Result<(), ServiceError> {
        let found = StoredObject::look(self.store(), base.name.clone()).await?;
        if found.as_ref().is_some_and(|found| base.is_still(found)) {
            return Ok(());
        }
        let encryption = base.encryption.as_ref().or(asked);
        if found.is_none() && !base.is_addressed() && self.store().conditions_are_atomic() {
            tracing::warn!(
                reference = %base.name,
                "the reference was removed since it was found; restoring it"
            );
            let new = NewReference::at(&base.name, copy, base.digest, encryption);
            if self.put_reference(new, PutCondition::IfAbsent).await?.is_some() {
                return Ok(());
            }
        }
        // The key holds another object, or may. Readers then use the content-addressed copy.
        let deltaspace = base.deltaspace();
        let named = |source| ServiceError::Name { object: deltaspace.to_string(), source };
        let addressed = deltaspace.addressed(&base.digest).map_err(named)?;
        tracing::warn!(
            reference = %base.name, copy = %addressed,
            "the reference was replaced since it was found; storing a copy of it"
        );
        let source_name = base.name.key.base_name().to_owned();
        let new = NewReference {
            source_name,
            ..NewReference::at(&addressed, copy, base.digest, encryption)
        };
        self.put_reference(new, PutCondition::None).await?;
        self.remove_tombstone(&deltaspace, &base.digest).await
    }

    /// Ensures that the reference of a copied delta exists; fetches its bytes only if they are
    /// needed to restore it.
    pub(crate) async fn ensure_exists_for_copy(
        &self,
        base: &Reference,
        encryption: Option<&Encryption>,
    ) -> Result<(), ServiceError> {
        let found = StoredObject::look(self.store(), base.name.clone()).await?;
        if found.as_ref().is_some_and(|found| base.is_still(found)) {
            return Ok(());
        }
        let content = self.fetch_for(&base.name, base.digest, Keep::WhileHeld).await?;
        self.ensure_exists(base, &content.to_payload(), encryption).await
    }

    /// Ensures that the reference of a delta made against `content` exists.
    pub(crate) async fn ensure_exists_for_delta(
        &self,
        base: &Reference,
        mut content: Content,
        encryption: Option<&Encryption>,
    ) -> Result<(), ServiceError> {
        loop {
            match self.ensure_exists(base, &content.to_payload(), encryption).await {
                Err(error) => content = self.refetch(&content, error).await?,
                announced => return announced,
            }
        }
    }
}

impl Reference {
    /// Returns whether `found`, the object at its key, is still this reference.
    fn is_still(&self, found: &StoredObject) -> bool {
        if self.is_addressed() {
            // Racing writers of the same content leave different tags.
            let digest = match &found.kind {
                Kind::Reference(metadata) => Some(metadata.file_sha256),
                _ => None,
            };
            return digest == Some(self.digest) && found.head.size == self.size;
        }
        found.head.etag == self.etag
    }
}
