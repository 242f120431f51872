//! Properties of a file, read without its bytes.

use std::time::SystemTime;

use super::DeltaService;
use super::error::ServiceError;
use super::objects::{StoredObject, Variants};
use crate::domain::metadata::Kind;
use crate::domain::{FileStatus, ObjectName, Sha256Digest, Timestamp};
use crate::storage::{Attributes, ETag};

/// The form in which a file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// As a delta against a reference.
    Delta,
    /// As it is, with its SHA-256.
    Direct,
    /// As it is, by another tool.
    Foreign,
    /// No file: a reference, read by its own key.
    Reference,
    /// No file: an object of DeltaGlider with damaged metadata, read by its own key.
    Damaged,
}

/// The properties of a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Head {
    /// The stored object that is served for the file.
    pub stored: ObjectName,
    /// The form in which the file is stored.
    pub kind: FileKind,
    /// The size of the file in bytes.
    pub size: u64,
    /// The size of the stored object in bytes.
    pub stored_size: u64,
    /// The SHA-256 of the file, if it is known.
    pub sha256: Option<Sha256Digest>,
    /// The reference that a delta needs.
    pub reference: Option<ObjectName>,
    /// The store's time of the stored object.
    pub last_modified: SystemTime,
    /// The time at which its writer created the stored object.
    pub created_at: Option<Timestamp>,
    /// The modification time and mode of the local file it was made from.
    pub status: FileStatus,
    /// The tag of the stored object.
    pub etag: ETag,
    /// Headers, class, encryption and the user's own metadata.
    pub attributes: Attributes,
    /// Every stored object of the name, the served one first.
    pub variants: Vec<ObjectName>,
}

impl DeltaService {
    /// Returns the properties of a file.
    ///
    /// # Errors
    ///
    /// There is no file of this name, or none can be restored from the stored objects.
    pub async fn head(&self, object: &ObjectName) -> Result<Head, ServiceError> {
        let places = Variants::look_for_file(self.store(), object).await?;
        let variants = places.newest_first(self.store(), object).await?;
        let Some(served) = variants.first() else { return Err(ServiceError::absent(object)) };
        if let Kind::Damaged(field) = &served.kind {
            return Err(ServiceError::Metadata { object: served.name.clone(), field: *field });
        }
        let names = variants.iter().map(|found| found.name.clone()).collect();
        Ok(Head::of(served, names))
    }
}

impl Head {
    /// Returns the properties of the file that is stored as `served`.
    pub(super) fn of(served: &StoredObject, variants: Vec<ObjectName>) -> Self {
        let stored = Self::as_stored(served, variants);
        match &served.kind {
            Kind::Delta(delta) => Self {
                size: delta.file_size,
                sha256: Some(delta.file_sha256),
                reference: Some(served.name.sibling(delta.ref_key.clone())),
                ..stored
            },
            Kind::Direct(direct) => Self { sha256: Some(direct.file_sha256), ..stored },
            Kind::Reference(_) | Kind::Passthrough | Kind::Damaged(_) => stored,
        }
    }

    /// Returns the properties of a stored object, taken as a file of its own.
    pub(super) fn as_stored(served: &StoredObject, variants: Vec<ObjectName>) -> Self {
        let kind = match &served.kind {
            Kind::Delta(_) => FileKind::Delta,
            Kind::Direct(_) => FileKind::Direct,
            Kind::Reference(_) => FileKind::Reference,
            Kind::Passthrough => FileKind::Foreign,
            Kind::Damaged(_) => FileKind::Damaged,
        };
        Self {
            stored: served.name.clone(),
            kind,
            size: served.head.size,
            stored_size: served.head.size,
            sha256: served.head.sha256,
            reference: None,
            last_modified: served.head.last_modified,
            created_at: served.created_at(),
            status: FileStatus::read(&served.head.attributes.metadata),
            etag: served.head.etag.clone(),
            attributes: served.user_attributes(),
            variants,
        }
    }
}
