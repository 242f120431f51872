//! Stored objects: lookup of a name's variants, verified copies, and deletion of replaced objects.

mod lookup;
mod older;
mod verify_copy;

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::blocking;
use super::clock::Clock;
use super::error::ServiceError;
use super::payload::Payload;
use super::spool::Spool;
use crate::domain::{BucketName, ObjectName, Sha256Digest, Sha256Hasher};
use crate::storage::{ListRequest, ListedObject, ObjectBody, Store};

pub(crate) use lookup::{StoredObject, Variants, whole};
pub(crate) use older::Overtaken;

/// The objects of a store, with the clock of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    spool_dir: Arc<Path>,
}

impl Objects {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, spool_dir: &Path) -> Self {
        Self { store, clock, spool_dir: Arc::from(spool_dir) }
    }

    /// Returns the same objects with another clock.
    pub(crate) fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Returns the same objects in another store.
    pub(crate) fn with_store(self, store: Arc<dyn Store>) -> Self {
        Self { store, ..self }
    }

    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Returns an empty spool.
    pub(crate) fn spool(&self) -> Spool {
        Spool::new(&self.spool_dir)
    }

    /// Returns the directory for temporary files.
    pub(crate) fn spool_dir(&self) -> &Path {
        &self.spool_dir
    }

    /// Lists all keys that start with `prefix`.
    pub(crate) async fn list_all(
        &self,
        bucket: &BucketName,
        prefix: &str,
    ) -> Result<Vec<ListedObject>, ServiceError> {
        let mut request = ListRequest { prefix: prefix.to_owned(), ..ListRequest::default() };
        let mut listed = Vec::new();
        loop {
            let page = self.store.list(bucket, &request).await?;
            listed.extend(page.objects);
            match page.continuation {
                Some(continuation) => request.continuation = Some(continuation),
                None => return Ok(listed),
            }
        }
    }

    /// Reads a whole object and returns its SHA-256; `None` if it does not exist.
    pub(crate) async fn content_of(
        &self,
        name: &ObjectName,
    ) -> Result<Option<Sha256Digest>, ServiceError> {
        let body = match self.store.get(name, None).await {
            Err(error) if error.is_absent() => return Ok(None),
            body => body?,
        };
        let what = name.to_string();
        blocking::feed(body.stream, move |incoming| {
            let mut hasher = Sha256Hasher::default();
            while let Some(piece) = incoming.next().map_err(ServiceError::local(&what))? {
                hasher.update(&piece);
            }
            Ok(Some(hasher.finish()))
        })
        .await
    }

    /// Reads all bytes of an object that will be stored again, and checks their number.
    pub(crate) async fn read(
        &self,
        name: &ObjectName,
        body: ObjectBody,
    ) -> Result<Payload, ServiceError> {
        let (object, expected) = (name.clone(), body.head.size);
        let (what, mut spool) = (name.to_string(), self.spool());
        blocking::feed(body.stream, move |incoming| {
            while let Some(piece) = incoming.next().map_err(ServiceError::local(&what))? {
                spool.write_all(&piece).map_err(ServiceError::local(&what))?;
            }
            let len = spool.len();
            if len != expected {
                return Err(ServiceError::Length { object, expected, actual: len });
            }
            let bytes = Arc::new(spool.finish().map_err(ServiceError::local(&what))?);
            Ok(Payload::of(&what, len, bytes))
        })
        .await
    }
}
