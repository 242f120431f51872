//! A reference that the cache may lose: what is damaged, or cannot be kept, is fetched again, and the operation goes on.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use deltaglider_vcdiff::Source;
use tokio::runtime::Handle;

use super::error::ServiceError;
use super::{DeltaService, blocking};
use crate::cache::{CacheError, CachedReference, Damage, ReferenceWriter, WorkingCopy};
use crate::domain::{ObjectName, Sha256Digest};

impl DeltaService {
    /// The bytes of the reference at `name`, verified to be those of `digest`: from the cache or the store. A damaged cache costs
    /// a second look at the store, never the operation. They must be read on threads that may block.
    pub(super) async fn cached_reference(
        &self,
        name: &ObjectName,
        digest: Sha256Digest,
    ) -> Result<CachedReference, ServiceError> {
        if let Some(reference) = self.cache.get(&digest) {
            tracing::debug!(reference = %name, "the reference is in the cache");
            return Ok(self.mended(reference, name, digest));
        }
        let fetched = self.fetch_into(name, |len| self.cache.begin(&digest, len)).await;
        match fetched {
            Err(ServiceError::Cache(error @ CacheError::Io { .. })) => {
                tracing::warn!(error = %chain(&error), "the reference could not be cached; it is fetched for this operation alone");
                self.working_copy(name, digest).await
            }
            fetched => Ok(self.mended(fetched?, name, digest)),
        }
    }

    fn mended(&self, reference: CachedReference, name: &ObjectName, digest: Sha256Digest) -> CachedReference {
        let (service, name, runtime) = (self.clone(), name.clone(), Handle::current());
        Arc::new(Mended { reference, again: OnceLock::new(), service, name, digest, runtime })
    }

    /// The reference, outside the cache.
    async fn working_copy(&self, name: &ObjectName, digest: Sha256Digest) -> Result<CachedReference, ServiceError> {
        let folder = &self.settings.spool_folder;
        self.fetch_into(name, |len| Ok(Box::new(WorkingCopy::begin(folder, &digest, len)?))).await
    }

    async fn fetch_into(
        &self,
        name: &ObjectName,
        begin: impl FnOnce(u64) -> Result<Box<dyn ReferenceWriter>, CacheError>,
    ) -> Result<CachedReference, ServiceError> {
        let body = self.store.get(name, None).await?;
        tracing::debug!(reference = %name, size = body.head.size, "fetch the reference");
        let mut writer = begin(body.head.size)?;
        let what = name.to_string();
        let fetched = blocking::feed(body.stream, move |incoming| {
            while let Some(piece) = incoming.next().map_err(ServiceError::local(&what))? {
                writer.write(&piece)?;
            }
            writer.publish().map_err(ServiceError::from)
        })
        .await;
        match fetched {
            Err(ServiceError::Cache(CacheError::Mismatch { expected, actual })) => {
                Err(ServiceError::ReferenceDamaged { reference: name.clone(), expected, actual })
            }
            fetched => fetched,
        }
    }
}

/// Reads the cached reference as long as it is sound, and one fetched for this operation from then on.
struct Mended {
    reference: CachedReference,
    again: OnceLock<Result<CachedReference, String>>,
    service: DeltaService,
    name: ObjectName,
    digest: Sha256Digest,
    runtime: Handle,
}

impl fmt::Debug for Mended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mended").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Mended {
    fn fetched_again(&self) -> io::Result<&CachedReference> {
        let fetch = || {
            tracing::warn!(reference = %self.name, "the cached reference is damaged; it is fetched again");
            let fetched = self.runtime.block_on(self.service.working_copy(&self.name, self.digest));
            fetched.map_err(|error| chain(&error))
        };
        self.again.get_or_init(fetch).as_ref().map_err(|told| io::Error::other(told.clone()))
    }
}

impl Source for Mended {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(Ok(again)) = self.again.get() {
            return again.read_at(offset, buf);
        }
        match self.reference.read_at(offset, buf) {
            Err(error) if is_damage(&error) => self.fetched_again()?.read_at(offset, buf),
            read => read,
        }
    }

    fn len(&self) -> Option<u64> {
        self.reference.len()
    }
}

fn is_damage(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<Damage>())
}

/// An error and its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
