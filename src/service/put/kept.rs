//! The user's attributes of a file, and its own modification time and mode, as they are stored.

use std::collections::BTreeMap;

use super::PutOptions;
use crate::domain::metadata::{DeltaMetadata, DirectMetadata, SOURCE_ETAG};
use crate::domain::packing::RefPacking;
use crate::domain::{Compression, Deltaspace, ObjectName, Sha256Digest, user_metadata};
use crate::service::clock::timestamp;
use crate::service::error::ServiceError;
use crate::service::references::OCTET_STREAM;
use crate::storage::{Attributes, MAX_USER_METADATA_BYTES};

/// The attributes stored with a file, with the user's metadata escaped.
#[derive(Debug, Clone)]
pub(crate) struct Kept(Attributes);

impl Kept {
    /// Escapes and checks the user's attributes, before any request.
    ///
    /// # Errors
    ///
    /// The metadata is too large or cannot be sent.
    pub(crate) fn of(
        object: &ObjectName,
        options: &PutOptions,
        may_be_delta: bool,
    ) -> Result<Self, ServiceError> {
        let unkeepable = |source| ServiceError::UserMetadata { object: object.clone(), source };
        let own = user_metadata::escape(&options.attributes.metadata).map_err(unkeepable)?;
        let mut kept = Self(Attributes { metadata: own, ..options.attributes.clone() });
        let (size, mut own) =
            (kept.0.user_metadata_bytes(), longest_metadata(object, may_be_delta));
        if let Some(tag) = &options.source {
            own += SOURCE_ETAG.len() + tag.0.len();
            kept.0.metadata.insert(SOURCE_ETAG.to_owned(), tag.0.clone());
        }
        if size + own > MAX_USER_METADATA_BYTES && size > 0 {
            return Err(ServiceError::MetadataTooLarge { object: object.clone(), size, own });
        }
        let status = options.status.write();
        let bytes =
            |metadata| Attributes { metadata, ..Attributes::default() }.user_metadata_bytes();
        if size + own + bytes(status.clone()) <= MAX_USER_METADATA_BYTES {
            kept.0.metadata.extend(status);
        }
        kept.0.check("PutObject", object)?;
        Ok(kept)
    }

    /// Returns the attributes with DeltaGlider's own metadata added, whose names no escaped name
    /// equals.
    pub(crate) fn with(&self, ours: BTreeMap<String, String>) -> Attributes {
        let mut kept = self.0.clone();
        kept.metadata.extend(ours);
        kept.content_type.get_or_insert_with(|| OCTET_STREAM.to_owned());
        kept
    }

    /// Returns the attributes with the user's metadata alone.
    pub(crate) fn attributes(&self) -> &Attributes {
        &self.0
    }
}

/// Returns the maximum number of bytes of DeltaGlider's own metadata of this object.
fn longest_metadata(object: &ObjectName, may_be_delta: bool) -> usize {
    let (file_sha256, created_at) = (Sha256Digest::of(b""), Some(timestamp()));
    let (original_name, size) = (object.key.base_name().to_owned(), u64::MAX);
    let reference = Deltaspace::of(object).addressed(&file_sha256);
    let metadata = match reference {
        Ok(reference) if may_be_delta => {
            let (ref_key, ref_sha256) = (reference.key, file_sha256);
            let (form, rule, content_sha256) = (Compression::Gzip, 1, file_sha256);
            let packing = RefPacking { form, rule, content_sha256, content_size: size };
            DeltaMetadata {
                original_name,
                file_sha256,
                file_size: size,
                created_at,
                ref_key,
                ref_sha256,
                delta_size: size,
                ref_packing: Some(packing),
            }
            .write()
        }
        _ => DirectMetadata { original_name, file_sha256, file_size: size, created_at }.write(),
    };
    Attributes { metadata, ..Attributes::default() }.user_metadata_bytes()
}
