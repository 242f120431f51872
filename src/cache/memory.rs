//! A cache of sealed entries in memory, within a byte budget.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Place;
use deltaglider_vcdiff::Source;

use super::byte_budget::{ByteBudget, Reservation};
use super::counts::{Counters, Counts};
use super::folder::{Limits, now};
use super::key::{CacheKey, DerivedKeys, EntryName};
use super::no_cache::WorkingCopy;
use super::origin::Origin;
use super::sealed::{
    EntryMetadata, HEADER_LEN, Header, RejectReason, SealedSource, Sealer, Stored,
};
use super::{CacheError, CachedReference, ExpectedContent, ReferenceCache, ReferenceWriter};
use crate::domain::Sha256Digest;

/// A cache of this process in memory.
#[derive(Clone)]
pub struct MemoryCache(Arc<Inner>, Origin);

struct Inner {
    entries: DashMap<EntryName, Arc<Sealed>>,
    budget: Arc<ByteBudget>,
    /// The number of uses so far.
    clock: AtomicU64,
    keys: DerivedKeys,
    limits: Limits,
    /// The directory for the temporary files of references that are not cached.
    spill: PathBuf,
    counters: Counters,
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("limits", &self.0.limits)
            .field("taken", &self.taken())
            .finish_non_exhaustive()
    }
}

impl MemoryCache {
    /// Creates an empty cache under a random key. References that are not cached use temporary
    /// files in the directory `spill`.
    pub fn new(limits: Limits, spill: &Path) -> Result<Self, CacheError> {
        let key = CacheKey::random().map_err(in_memory)?;
        let inner = Inner {
            entries: DashMap::new(),
            budget: Arc::new(ByteBudget::new(limits.bytes)),
            clock: AtomicU64::new(0),
            keys: key.derive(),
            limits,
            spill: spill.to_owned(),
            counters: Counters::default(),
        };
        Ok(Self(Arc::new(inner), Origin::default()))
    }

    /// Returns the bytes of all entries, including those being written.
    pub fn taken(&self) -> u64 {
        self.0.budget.taken()
    }
}

fn in_memory(source: io::Error) -> CacheError {
    CacheError::Io { place: "memory".to_owned(), source }
}

/// The sealed bytes of one content and their reservation.
struct Sealed {
    bytes: Vec<u8>,
    /// The value of the cache's clock at the last use.
    used: AtomicU64,
    _reservation: Reservation,
}

impl Stored for Arc<Sealed> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        Stored::read_exact_at(&self.bytes, buf, offset)
    }
}

impl ReferenceCache for MemoryCache {
    fn get(&self, digest: &Sha256Digest) -> Option<CachedReference> {
        let id = self.1.entry_id(digest);
        let name = self.0.keys.name(&id);
        let found = self.0.entries.get(&name).map(|sealed| sealed.clone());
        let entry = found.and_then(|sealed| self.0.entry(name, sealed, &id, now()));
        match entry {
            Some(entry) => {
                self.0.counters.hits.add_one();
                Some(Arc::new(entry))
            }
            None => {
                self.0.counters.misses.add_one();
                None
            }
        }
    }

    fn begin(
        &self,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Box<dyn ReferenceWriter>, CacheError> {
        let needed = Header::stored_len(len).filter(|needed| *needed <= self.0.limits.bytes);
        match needed.and_then(|needed| self.0.reserve(needed)) {
            Some(reservation) => {
                let id = self.1.entry_id(digest);
                Ok(Box::new(MemoryWriter::begin(self.0.clone(), reservation, id, digest, len)?))
            }
            None => Ok(Box::new(WorkingCopy::begin(&self.0.spill, digest, len)?)),
        }
    }

    fn within(&self, name: &str) -> Arc<dyn ReferenceCache> {
        Arc::new(Self(self.0.clone(), self.1.within(name)))
    }

    fn counts(&self) -> Counts {
        self.0.counters.read()
    }
}

impl Inner {
    /// Reserves bytes, evicting the least recently used entries; `None` if too much is in use.
    fn reserve(&self, bytes: u64) -> Option<Reservation> {
        loop {
            if let Some(reservation) = Reservation::take(&self.budget, bytes) {
                return Some(reservation);
            }
            let unused = self.entries.iter().filter(|entry| Arc::strong_count(entry.value()) == 1);
            let oldest = unused
                .min_by_key(|entry| entry.used.load(Ordering::Relaxed))
                .map(|entry| *entry.key())?;
            // Readers clone the entry under the same lock, so no reader holds bytes that are
            // counted as free.
            if self.entries.remove_if(&oldest, |_, sealed| Arc::strong_count(sealed) == 1).is_some()
            {
                self.counters.removed.add_one();
            }
        }
    }

    fn entry(
        self: &Arc<Self>,
        name: EntryName,
        sealed: Arc<Sealed>,
        id: &Sha256Digest,
        now: u64,
    ) -> Option<MemoryEntry> {
        sealed.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let header = sealed.bytes.first_chunk::<HEADER_LEN>().ok_or(RejectReason::Format);
        let len = sealed.bytes.len() as u64;
        match header.and_then(|header| Header::open_content(&self.keys, header, len, now, id)) {
            Ok(header) => Some(MemoryEntry {
                source: SealedSource::entry(sealed, header),
                cache: self.clone(),
                name,
            }),
            Err(RejectReason::Expired) => {
                self.counters.removed.add_one();
                self.forget(&name, &sealed);
                None
            }
            Err(reason) => {
                self.discard_corrupt(&name, &sealed, &reason);
                None
            }
        }
    }

    fn forget(&self, name: &EntryName, sealed: &Arc<Sealed>) {
        self.entries.remove_if(name, |_, there| Arc::ptr_eq(there, sealed));
    }

    fn discard_corrupt(&self, name: &EntryName, sealed: &Arc<Sealed>, why: &dyn fmt::Display) {
        self.counters.damaged.add_one();
        tracing::warn!(
            entry = %name,
            "a damaged entry was removed from the reference cache: {why}"
        );
        self.forget(name, sealed);
    }
}

struct MemoryWriter {
    cache: Arc<Inner>,
    id: Sha256Digest,
    claim: ExpectedContent,
    created: u64,
    /// `None` once there are more bytes than announced.
    sealer: Option<Sealer<Vec<u8>>>,
    reservation: Reservation,
}

impl fmt::Debug for MemoryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryWriter").field("claim", &self.claim).finish_non_exhaustive()
    }
}

impl MemoryWriter {
    fn begin(
        cache: Arc<Inner>,
        reservation: Reservation,
        id: Sha256Digest,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Self, CacheError> {
        let mut bytes = Vec::new();
        let capacity = usize::try_from(reservation.bytes()).unwrap_or(usize::MAX);
        bytes
            .try_reserve_exact(capacity)
            .map_err(|error| in_memory(io::Error::new(io::ErrorKind::OutOfMemory, error)))?;
        let created = now();
        let expires =
            created.saturating_add(cache.limits.ttl.as_secs()).max(created.saturating_add(1));
        let sealer =
            Sealer::entry(&cache.keys, EntryMetadata { digest: id, len, created, expires }, bytes);
        let sealer = Some(sealer.map_err(in_memory)?);
        let claim = ExpectedContent::new(digest, len);
        Ok(Self { cache, id, claim, created, sealer, reservation })
    }
}

impl ReferenceWriter for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> Result<(), CacheError> {
        if !self.claim.take(bytes) {
            self.sealer = None;
        }
        match &mut self.sealer {
            Some(sealer) => sealer.push(bytes).map_err(in_memory),
            None => Ok(()),
        }
    }

    fn publish(mut self: Box<Self>) -> Result<CachedReference, CacheError> {
        self.claim.check()?;
        let Self { cache, id, claim, created, sealer, reservation } = *self;
        let Some(sealer) = sealer else {
            return Err(CacheError::Length { expected: claim.len, actual: claim.taken });
        };
        let bytes = sealer.finish().map_err(in_memory)?;
        let sealed = Arc::new(Sealed { bytes, used: AtomicU64::new(0), _reservation: reservation });
        let name = cache.keys.name(&id);
        // Of two concurrent writers the first wins.
        let sealed = match cache.entries.entry(name) {
            Place::Occupied(there) => there.get().clone(),
            Place::Vacant(free) => free.insert(sealed).clone(),
        };
        let entry = cache.entry(name, sealed, &id, created);
        let changed =
            || in_memory(io::Error::other("the entry was changed while it was published"));
        Ok(Arc::new(entry.ok_or_else(changed)?))
    }
}

/// An entry that is being read.
struct MemoryEntry {
    source: SealedSource<Arc<Sealed>>,
    cache: Arc<Inner>,
    name: EntryName,
}

impl Source for MemoryEntry {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(offset, buf);
        if let Err(error) = &read {
            self.cache.discard_corrupt(&self.name, self.source.stored(), error);
        }
        read
    }

    fn len(&self) -> Option<u64> {
        self.source.len()
    }
}
