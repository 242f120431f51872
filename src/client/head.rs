//! `head`: everything that is known of a file, without its bytes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::DeltaGlider;
use super::error::Error;
use super::location::Location;
use crate::domain::{FileStatus, ObjectName, Sha256Digest, Timestamp};
use crate::service::{FileKind, Head};
use crate::storage::{Attributes, ETag};

const HEAD: &str = "look up";

impl DeltaGlider {
    /// Returns everything that is known of a file, without its bytes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](super::ErrorKind::NotFound) if there is no file of this name.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// dg.put("s3://releases/app.zip", vec![7; 10_000]).content_type("application/zip").await?;
    /// let info = dg.head("s3://releases/app.zip").await?;
    /// assert_eq!(info.size, 10_000);
    /// assert_eq!(info.attributes.content_type.as_deref(), Some("application/zip"));
    /// assert_eq!(info.reference.unwrap().to_string(), "s3://releases/reference.bin");
    /// # Ok(()) }
    /// ```
    pub fn head(&self, of: impl Into<Location>) -> HeadFile {
        HeadFile { client: self.clone(), of: of.into(), tags: false }
    }
}

/// A lookup with its options; see [`DeltaGlider::head`].
#[derive(Debug)]
#[must_use = "nothing is looked up before the head is awaited"]
pub struct HeadFile {
    client: DeltaGlider,
    of: Location,
    tags: bool,
}

verb!(HeadFile => Info);

impl HeadFile {
    /// Reads the tags too, by a request of its own.
    pub fn with_tags(mut self) -> Self {
        self.tags = true;
        self
    }

    async fn run(self) -> Result<Info, Error> {
        let object = self.of.object(HEAD)?;
        let service = self.client.service();
        let head = service.head(&object).await.map_err(Error::of(HEAD, &object))?;
        let tags = match self.tags {
            true => service.store().tags(&head.stored).await.map_err(Error::of(HEAD, &object))?,
            false => BTreeMap::new(),
        };
        let mut info = Info::of(object, head);
        info.attributes.tags = tags;
        Ok(info)
    }
}

/// The properties of a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Info {
    /// The file.
    pub object: ObjectName,
    /// The form in which it is stored.
    pub kind: FileKind,
    /// The size of the file in bytes.
    pub size: u64,
    /// The size in bytes of the stored object: for a delta, without its reference.
    pub stored_size: u64,
    /// The SHA-256 of the file, if it is stored.
    pub sha256: Option<Sha256Digest>,
    /// The reference that a delta needs.
    pub reference: Option<ObjectName>,
    /// The stored object.
    pub stored: ObjectName,
    /// Older objects of the name, which are not served.
    pub older: Vec<ObjectName>,
    /// The tag of the stored object.
    pub etag: ETag,
    /// The store's time of the stored object.
    pub last_modified: SystemTime,
    /// The time at which its writer created it.
    pub created_at: Option<Timestamp>,
    /// The modification time and mode of the local file it was made from.
    pub status: FileStatus,
    /// Headers, class, encryption and the user's own metadata. Tags are read on
    /// [request](HeadFile::with_tags).
    pub attributes: Attributes,
}

impl Info {
    pub(super) fn of(object: ObjectName, head: Head) -> Self {
        let Head { stored, kind, size, stored_size, sha256, reference, .. } = head;
        let Head { etag, last_modified, created_at, status, attributes, variants, .. } = head;
        let older = variants.into_iter().filter(|variant| *variant != stored).collect();
        Self {
            object,
            kind,
            size,
            stored_size,
            sha256,
            reference,
            stored,
            older,
            etag,
            last_modified,
            created_at,
            status,
            attributes,
        }
    }

    /// Returns the stored size as a share of the size; 1 for an empty file.
    pub fn ratio(&self) -> f64 {
        if self.size == 0 { 1.0 } else { self.stored_size as f64 / self.size as f64 }
    }
}
