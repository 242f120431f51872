//! Whether a copy is one: asked before anybody is told that it is, since whoever moves a file removes its source then.

use super::DeltaService;
use super::error::ServiceError;
use super::input::Input;
use super::locate::Found;
use crate::domain::metadata::Kind;
use crate::domain::{ObjectName, Sha256Digest};
use crate::storage::ETag;

/// Files of at most this many bytes are read back where their tags tell nothing. A delta always is.
const READ_BACK: u64 = 16 << 20;

impl DeltaService {
    /// Whether the object with this tag has these bytes. A tag that is their digest tells it; else the object is read.
    pub(super) async fn has_bytes(
        &self,
        name: &ObjectName,
        tag: &ETag,
        bytes: &Input,
        digest: Sha256Digest,
    ) -> Result<bool, ServiceError> {
        let tag = tag.0.to_ascii_lowercase();
        // A tag may be no digest of the bytes: that of parts, or of what was encrypted.
        Ok(tag == digest.to_string() || tag == bytes.md5().await? || self.content_of(name).await? == Some(digest))
    }

    /// Fails unless what the store copied is there and is what it was made of. A copy with the tag of its source is.
    pub(super) async fn check_copy(&self, of: &Found, copy: &ObjectName, tag: &ETag) -> Result<(), ServiceError> {
        if *tag == of.head.etag {
            return Ok(());
        }
        let wrong = || ServiceError::NoCopy { of: of.name.clone(), copy: copy.clone() };
        let copied = Found::look(self.store(), copy.clone()).await?.ok_or_else(wrong)?;
        if copied.head.size != of.head.size {
            return Err(wrong());
        }
        if of.head.size > READ_BACK {
            return Ok(());
        }
        let digest = match &of.kind {
            Kind::Direct(direct) => Some(direct.file_sha256),
            _ => self.content_of(&of.name).await?,
        };
        // Whoever replaces the copy meanwhile has made another tag.
        let replaced = copied.head.etag != *tag;
        if replaced || self.content_of(copy).await? == digest { Ok(()) } else { Err(wrong()) }
    }
}
