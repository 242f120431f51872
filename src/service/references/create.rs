//! Creates references, and ensures that the reference named by a new delta exists.

use super::{Content, Reference, ReferenceSet, References, attributes_of};
use crate::domain::metadata::{Kind, ReferenceMetadata};
use crate::domain::packing::StoredForm;
use crate::domain::{ObjectName, Sketch};
use crate::service::blocking;
use crate::service::clock::timestamp;
use crate::service::error::ServiceError;
use crate::service::objects::StoredObject;
use crate::service::payload::Payload;
use crate::service::recompress::Rule;
use crate::storage::{Encryption, PutCondition, StorageErrorKind};

/// A reference to store.
#[derive(Debug, Clone)]
pub(crate) struct NewReference {
    pub(crate) name: ObjectName,
    /// The bytes to store.
    pub(crate) bytes: Payload,
    pub(crate) form: StoredForm,
    /// The name of the file it is made of, for its metadata.
    pub(crate) source_name: String,
    pub(crate) encryption: Option<Encryption>,
}

impl NewReference {
    /// Returns the reference at `name`, with the last part of its key as the source name.
    pub(crate) fn at(
        name: &ObjectName,
        bytes: &Payload,
        form: &StoredForm,
        encryption: Option<&Encryption>,
    ) -> Self {
        let source_name = name.key.base_name().to_owned();
        Self {
            name: name.clone(),
            bytes: bytes.clone(),
            form: *form,
            source_name,
            encryption: encryption.cloned(),
        }
    }
}

impl References {
    /// Stores bytes as a reference; returns `None` if a concurrent writer stored the first one.
    /// `sketch` is that of its content.
    ///
    /// The first reference of a deltaspace gets the classic key if the store lets exactly one of
    /// several racing writers store it. On any other store, and beside other references, it is
    /// stored under its own SHA-256, where no concurrent writer replaces it by other content.
    pub(crate) async fn create_reference(
        &self,
        set: &ReferenceSet,
        (bytes, form): (&Payload, &StoredForm),
        sketch: Option<&Sketch>,
        source_name: &str,
        encryption: Option<&Encryption>,
    ) -> Result<Option<Reference>, ServiceError> {
        let deltaspace = &set.deltaspace;
        let named = |source| ServiceError::Name { object: deltaspace.to_string(), source };
        let first =
            set.members.is_empty() && !set.classic_taken && self.store().conditions_are_atomic();
        let (name, condition) = match first {
            true => (deltaspace.classic().map_err(named)?, PutCondition::IfAbsent),
            false => (deltaspace.addressed(&form.digest).map_err(named)?, PutCondition::None),
        };
        tracing::debug!(reference = %name, digest = %form.digest, "the file becomes a reference");
        let source_name = source_name.to_owned();
        let new = NewReference { source_name, ..NewReference::at(&name, bytes, form, encryption) };
        let Some(base) = self.put_reference(new, condition).await? else { return Ok(None) };
        // The first reference is not ranked against others, so its sketch is made only when needed.
        if let Some(sketch) = sketch.filter(|_| !set.members.is_empty()) {
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
        let NewReference { name, bytes, form, source_name, encryption } = new;
        let StoredForm { digest, packing } = form;
        let (file_sha256, created_at) = (digest, Some(timestamp()));
        let metadata = ReferenceMetadata { source_name, file_sha256, created_at, packing };
        let attributes = attributes_of(metadata.write(), encryption.as_ref());
        let put = self.store().put(&name, bytes.body(digest), &attributes, &condition.into()).await;
        match put {
            Ok(etag) => {
                let (size, last_modified) = (bytes.len(), std::time::SystemTime::now());
                Ok(Some(Reference { name, digest, packing, size, last_modified, etag, encryption }))
            }
            Err(error) if error.kind == StorageErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Ensures that a new delta can be read: if its reference no longer exists, restores it from
    /// `copy`, the stored bytes. It gets its former encryption or, if that is not known, the one
    /// `asked` for the delta.
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
        match self.state_of(base).await? {
            State::Exists => Ok(()),
            State::Missing { is_taken } => self.restore(base, copy, is_taken, asked).await,
        }
    }

    async fn state_of(&self, base: &Reference) -> Result<State, ServiceError> {
        let found = StoredObject::look(self.store(), base.name.clone()).await?;
        Ok(match found {
            Some(found) if base.is_still(&found) => State::Exists,
            found => State::Missing { is_taken: found.is_some() },
        })
    }

    /// Stores a reference again, of which `copy` has the stored bytes.
    async fn restore(
        &self,
        base: &Reference,
        copy: &Payload,
        is_taken: bool,
        asked: Option<&Encryption>,
    ) -> Result<(), ServiceError> {
        let (form, encryption) = (base.form(), base.encryption.as_ref().or(asked));
        if !is_taken && !base.is_addressed() && self.store().conditions_are_atomic() {
            tracing::warn!(
                reference = %base.name,
                "the reference was removed since it was found; restoring it"
            );
            let new = NewReference::at(&base.name, copy, &form, encryption);
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
        let new =
            NewReference { source_name, ..NewReference::at(&addressed, copy, &form, encryption) };
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
        let State::Missing { is_taken } = self.state_of(base).await? else { return Ok(()) };
        let stored = self.fetch_stored(&base.name, &base.digest).await?;
        self.restore(base, &stored, is_taken, encryption).await
    }

    /// Ensures that the reference of a delta made against `content` exists. If it has to be
    /// restored, it is packed again.
    pub(crate) async fn ensure_exists_for_delta(
        &self,
        base: &Reference,
        mut content: Content,
        encryption: Option<&Encryption>,
    ) -> Result<(), ServiceError> {
        loop {
            let ensured = async {
                let State::Missing { is_taken } = self.state_of(base).await? else {
                    return Ok(());
                };
                let stored = self.stored_bytes(&content.to_payload(), &base.form()).await?;
                self.restore(base, &stored, is_taken, encryption).await
            };
            match ensured.await {
                Err(error) => content = self.refetch(&content, error).await?,
                ensured => return ensured,
            }
        }
    }

    /// Returns the stored bytes of a reference with this content: the content itself, or the
    /// content packed by the rule of `form`.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Repack`] if the rule is not known, or gives other bytes.
    pub(crate) async fn stored_bytes(
        &self,
        content: &Payload,
        form: &StoredForm,
    ) -> Result<Payload, ServiceError> {
        let Some(packing) = form.packing else { return Ok(content.clone()) };
        let failed = || ServiceError::Repack { what: content.name().to_owned(), packing };
        let rule = Rule::by(&packing).ok_or_else(failed)?;
        let (content, spool) = (content.clone(), self.objects.spool());
        let packed =
            blocking::run(move |cancelled| rule.pack(&content, 1, u64::MAX, spool, cancelled))
                .await?;
        packed.filter(|packed| packed.form() == *form).map(|packed| packed.bytes).ok_or_else(failed)
    }
}

/// The state of the object that a new delta needs.
enum State {
    /// The reference is there.
    Exists,
    /// It is not; its key may be taken by another object.
    Missing { is_taken: bool },
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
