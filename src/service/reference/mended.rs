//! A reference that the cache may lose: what is damaged, or cannot be kept, is fetched again, and the operation goes on.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use deltaglider_vcdiff::Source;
use tokio::runtime::Handle;

use super::fetch::Keep;
use crate::cache::{CachedReference, Damage};
use crate::domain::{ObjectName, Sha256Digest};
use crate::service::DeltaService;
use crate::service::chain;

impl DeltaService {
    /// A reference from the cache, to be read on threads that may block. Damage to it costs a second look at the store, at every
    /// key it may have, never the operation.
    pub(super) fn mended(
        &self,
        reference: CachedReference,
        name: &ObjectName,
        digest: Sha256Digest,
    ) -> CachedReference {
        let (service, name, runtime) = (self.clone(), name.clone(), Handle::current());
        Arc::new(Mended { reference, again: OnceLock::new(), service, name, digest, runtime })
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
            let fetched = self.runtime.block_on(self.service.fetch_for(&self.name, self.digest, Keep::WhileHeld));
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
