//! Verifies that a copy holds its source's bytes, before a move deletes the source.

use super::Objects;
use super::lookup::StoredObject;
use crate::domain::metadata::Kind;
use crate::domain::{ObjectName, Sha256Digest};
use crate::service::error::ServiceError;
use crate::service::payload::Payload;
use crate::storage::{ETag, ObjectHead};

impl Objects {
    /// Returns whether the object with this tag has these bytes: by the store's SHA-256, by a tag
    /// that is a digest, or by reading the object.
    pub(crate) async fn has_bytes(
        &self,
        name: &ObjectName,
        tag: &ETag,
        bytes: &Payload,
        digest: Sha256Digest,
    ) -> Result<bool, ServiceError> {
        if self.store.tags_name_writes()
            && let Some(ObjectHead { etag, sha256: Some(sha256), .. }) = self.head_of(name).await?
            && etag == *tag
        {
            return Ok(sha256 == digest);
        }
        let tag = tag.0.to_ascii_lowercase();
        // A tag is not always a digest of the bytes: it may be that of parts or of encrypted bytes.
        Ok(tag == digest.to_string()
            || tag == bytes.md5().await?
            || self.content_of(name).await? == Some(digest))
    }

    async fn head_of(&self, name: &ObjectName) -> Result<Option<ObjectHead>, ServiceError> {
        Ok(StoredObject::look(self.store.as_ref(), name.clone()).await?.map(|found| found.head))
    }

    /// Verifies that a copy made by the store exists and has the content of `of`: by the store's
    /// SHA-256, by the source's tag where a tag identifies content, or by reading it back. Equal
    /// sizes are never enough.
    pub(crate) async fn check_copy(
        &self,
        of: &StoredObject,
        copy: &ObjectName,
        tag: &ETag,
    ) -> Result<(), ServiceError> {
        if !self.store.tags_name_writes() && *tag == of.head.etag {
            return Ok(());
        }
        let wrong = || ServiceError::CopyMismatch { of: of.name.clone(), copy: copy.clone() };
        let copied = self.head_of(copy).await?.ok_or_else(wrong)?;
        // A concurrent writer that replaced the copy has made another tag.
        if copied.etag != *tag {
            return Ok(());
        }
        if copied.size != of.head.size {
            return Err(wrong());
        }
        let actual = match copied.sha256 {
            Some(sha256) => Some(sha256),
            None => self.content_of(copy).await?,
        };
        let claimed = match (&of.kind, of.head.sha256) {
            (_, Some(sha256)) => Some(sha256),
            (Kind::Direct(direct), None) => Some(direct.file_sha256),
            (Kind::Reference(reference), None) => Some(reference.file_sha256),
            _ => None,
        };
        // The source may not have the bytes that its metadata claims.
        if actual.is_some() && (actual == claimed || actual == self.content_of(&of.name).await?) {
            return Ok(());
        }
        Err(wrong())
    }
}
