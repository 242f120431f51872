//! Making a reference, and seeing to it that the one a delta names still stands.

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
    /// The name of the file it is made of.
    pub(crate) source_name: String,
    pub(crate) encryption: Option<Encryption>,
}

impl NewReference {
    /// Returns the reference at `name`, called as its key.
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
    /// Stores a file as a reference; `None` when somebody else made the first one meanwhile.
    ///
    /// The first of a deltaspace gets the classic key if the store lets only one of several racers
    /// have it. On any other store, and beside other references, it is stored under its own
    /// SHA-256, where nobody can replace it by other content.
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
        // The first has no other beside it; should that change, its sketch is made then.
        if !set.members.is_empty() {
            self.keep_sketch(&base, sketch).await;
        }
        Ok(Some(base))
    }

    /// Stores a reference; `None` when there is something already and there should not be.
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

    /// Sees to it that a delta just stored can be read: the reference it names still stands, or is
    /// put back from `copy`, the bytes that the delta was made against, with the encryption it had
    /// or, if that is not known, the one `asked` for the delta.
    ///
    /// Whoever removes a reference lists the deltas again afterwards. So either he sees the delta
    /// and puts the reference back, or the delta came after his look, and this comes after his
    /// removal.
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
            tracing::warn!(reference = %base.name, "the reference was removed meanwhile; it is put back");
            let new = NewReference::at(&base.name, copy, base.digest, encryption);
            if self.put_reference(new, PutCondition::IfAbsent).await?.is_some() {
                return Ok(());
            }
        }
        // Something else stands there, or may. Readers take the content-addressed copy then.
        let deltaspace = base.deltaspace();
        let named = |source| ServiceError::Name { object: deltaspace.to_string(), source };
        let addressed = deltaspace.addressed(&base.digest).map_err(named)?;
        tracing::warn!(reference = %base.name, copy = %addressed, "the reference was replaced meanwhile; a copy is kept");
        let source_name = base.name.key.base_name().to_owned();
        let new = NewReference {
            source_name,
            ..NewReference::at(&addressed, copy, base.digest, encryption)
        };
        self.put_reference(new, PutCondition::None).await?;
        self.remove_tombstone(&deltaspace, &base.digest).await
    }

    /// The same for a delta that was copied: the bytes of its reference are not at hand, and are
    /// fetched only if they must be.
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

    /// The same for a delta that was made against these bytes.
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
    /// Whether what stands at its key is still it.
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
