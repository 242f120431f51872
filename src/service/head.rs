//! Properties of a file, read without its bytes.

use super::DeltaService;
use super::error::ServiceError;
use super::objects::Variants;
use crate::domain::ObjectName;
use crate::domain::metadata::Kind;
use crate::storage::{Attributes, ETag};

/// The properties of a file.
#[derive(Debug, Clone)]
pub struct Head {
    /// The stored object that is served for the file.
    pub stored: ObjectName,
    /// The size of the file in bytes.
    pub size: u64,
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
        let size = match &served.kind {
            Kind::Delta(delta) => delta.file_size,
            Kind::Damaged(field) => {
                return Err(ServiceError::Metadata { object: served.name.clone(), field: *field });
            }
            _ => served.head.size,
        };
        let names = variants.iter().map(|found| found.name.clone()).collect();
        let (etag, attributes) = (served.head.etag.clone(), served.user_attributes());
        Ok(Head { stored: served.name.clone(), size, etag, attributes, variants: names })
    }
}
