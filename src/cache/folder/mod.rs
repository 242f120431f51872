//! Sealed entries in files: of this process alone, or shared by all that have the key.

mod ephemeral;
mod monitor;
mod private;
mod rooms;
mod upkeep;
mod writer;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use deltaglider_vcdiff::Source;

use self::ephemeral::EphemeralFolder;
use self::monitor::InUse;
use self::private::{PrivateFolder, unheld};
use self::rooms::Rooms;
use self::upkeep::{Depth, State};
use self::writer::FolderWriter;
use super::counts::{Counters, Counts};
use super::key::{CacheKey, DerivedKeys, EntryName};
use super::origin::Origin;
use super::sealed::{HEADER_LEN, Header, Refusal, SealedSource, Stored as _};
use super::working_copy::WorkingCopy;
use super::{CacheError, CachedReference, ReferenceCache, ReferenceWriter};
use crate::domain::Sha256Digest;
use crate::weakened::leaves_out;

pub(super) use ephemeral::{census, sweep};
pub use private::Unsafe;
pub use upkeep::{Cleared, Holdings, OfProcesses, Unsound, Verified};
pub(super) use upkeep::{clear_others, others};

/// What a cache may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all entries together, as they are stored.
    pub bytes: u64,
    /// How long an entry may be used after it was made.
    pub ttl: Duration,
}

/// A cache in a folder.
#[derive(Clone)]
pub struct FolderCache(Arc<Inner>, Origin);

struct Inner {
    place: Place,
    keys: DerivedKeys,
    limits: Limits,
    /// For references that are not kept.
    spill: PathBuf,
    counters: Counters,
    in_use: InUse,
    #[cfg(target_os = "linux")]
    monitor: std::sync::OnceLock<monitor::Monitor>,
}

enum Place {
    Persistent(Arc<Rooms>),
    /// In this folder, made at first use.
    Ephemeral(PathBuf, Mutex<Option<Arc<EphemeralFolder>>>),
}

/// The rooms of a cache, kept as long as they are used.
#[derive(Clone)]
enum Held {
    Persistent(Arc<Rooms>),
    Ephemeral(Arc<EphemeralFolder>),
}

impl std::ops::Deref for Held {
    type Target = Rooms;

    fn deref(&self) -> &Rooms {
        match self {
            Self::Persistent(rooms) => rooms,
            Self::Ephemeral(folder) => &folder.rooms,
        }
    }
}

impl fmt::Debug for FolderCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderCache").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl FolderCache {
    /// A cache of this process in a folder of its own below `parent`, under a key nobody else has. What dead processes left
    /// there is removed.
    pub fn ephemeral(parent: &Path, limits: Limits) -> Result<Self, CacheError> {
        sweep(parent);
        let key = CacheKey::random().map_err(at(parent))?;
        let place = Place::Ephemeral(parent.to_owned(), Mutex::default());
        Ok(Self::new(place, &key, limits, parent))
    }

    /// A cache that outlives this process, in a folder of its own below `folder`, for all that have the key. References that are
    /// not kept are worked with in `spill`.
    pub fn persistent(folder: &Path, key: &CacheKey, limits: Limits, spill: &Path) -> Result<Self, CacheError> {
        let cache = Self::unwatched(folder, key, limits, spill)?;
        #[cfg(target_os = "linux")]
        cache.0.watch();
        Ok(cache)
    }

    fn unwatched(folder: &Path, key: &CacheKey, limits: Limits, spill: &Path) -> Result<Self, CacheError> {
        let own = PrivateFolder::make_below(folder, &key.derive().folder_name()).map_err(at(folder))?;
        let rooms = Rooms::make(&own).map_err(at(folder))?;
        let cache = Self::new(Place::Persistent(Arc::new(rooms)), key, limits, spill);
        cache.0.tidy().map_err(at(folder))?;
        Ok(cache)
    }

    fn new(place: Place, key: &CacheKey, limits: Limits, spill: &Path) -> Self {
        let inner = Inner {
            place,
            keys: key.derive(),
            limits,
            spill: spill.to_owned(),
            counters: Counters::default(),
            in_use: InUse::default(),
            #[cfg(target_os = "linux")]
            monitor: std::sync::OnceLock::new(),
        };
        Self(Arc::new(inner), Origin::default())
    }
}

fn at(place: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |source| CacheError::Io { place: place.display().to_string(), source }
}

impl ReferenceCache for FolderCache {
    fn get(&self, digest: &Sha256Digest) -> Option<CachedReference> {
        let found = self.0.find(&self.1.entry_id(digest));
        match &found {
            Some(_) => self.0.counters.hits.add_one(),
            None => self.0.counters.misses.add_one(),
        }
        found
    }

    fn begin(&self, digest: &Sha256Digest, len: u64) -> Result<Box<dyn ReferenceWriter>, CacheError> {
        if Header::stored_len(len).is_some_and(|stored| stored <= self.0.limits.bytes) {
            match FolderWriter::begin(self.0.clone(), self.1.entry_id(digest), digest, len) {
                Ok(writer) => return Ok(Box::new(writer)),
                Err(error) if leaves_out("fallback") => return Err(error),
                Err(error) => tracing::warn!(%error, "the reference is not cached"),
            }
        }
        Ok(Box::new(WorkingCopy::begin(&self.0.spill, digest, len)?))
    }

    fn within(&self, name: &str) -> Arc<dyn ReferenceCache> {
        Arc::new(Self(self.0.clone(), self.1.within(name)))
    }

    fn counts(&self) -> Counts {
        self.0.counters.read()
    }
}

impl Inner {
    /// Where entries are; `None` while a cache of this process has none.
    fn rooms(&self) -> Option<Held> {
        match &self.place {
            Place::Persistent(rooms) => Some(Held::Persistent(rooms.clone())),
            Place::Ephemeral(_, made) => {
                made.lock().unwrap_or_else(PoisonError::into_inner).clone().map(Held::Ephemeral)
            }
        }
    }

    fn make_rooms(&self) -> io::Result<Held> {
        match &self.place {
            Place::Persistent(rooms) => Ok(Held::Persistent(rooms.clone())),
            Place::Ephemeral(parent, made) => {
                let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(folder) = &*made {
                    return Ok(Held::Ephemeral(folder.clone()));
                }
                let folder = Arc::new(EphemeralFolder::make(parent)?);
                Ok(Held::Ephemeral(made.insert(folder).clone()))
            }
        }
    }

    fn find(self: &Arc<Self>, id: &Sha256Digest) -> Option<CachedReference> {
        let (rooms, name) = (self.rooms()?, self.keys.name(id));
        let file = match rooms.entries.open(&name.to_string()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.drop_damaged(&rooms, &name, &error);
                return None;
            }
            Ok(file) => file,
        };
        let entry = self.entry(rooms, name, file, id, now())?;
        Some(Arc::new(entry))
    }

    /// An entry for reading, if the file holds the one of this [`Origin::entry_id`].
    fn entry(
        self: &Arc<Self>,
        rooms: Held,
        name: EntryName,
        file: File,
        id: &Sha256Digest,
        now: u64,
    ) -> Option<FolderEntry> {
        // As long as it is held, the entry makes no room for others. Who holds it alone is about to remove it.
        if !matches!(unheld(file.try_lock_shared()), Ok(Some(()))) {
            return None;
        }
        match self.header(&file).map(|(header, len)| Header::open_content(&self.keys, &header, len, now, id)) {
            Ok(Ok(header)) => {
                // A note that cannot be taken costs the entry its turn, no more.
                rooms.use_now(&name).ok();
                self.in_use.begin(&name);
                let cache = self.clone();
                Some(FolderEntry { source: SealedSource::entry(file, header), cache, rooms, name })
            }
            Ok(Err(Refusal::Expired)) => {
                drop(file);
                // Who reads it reads on; it goes later.
                if matches!(rooms.remove_unused(OsStr::new(&name.to_string())), Ok(true)) {
                    self.counters.removed.add_one();
                }
                None
            }
            Ok(Err(refusal)) => {
                self.drop_damaged(&rooms, &name, &refusal);
                None
            }
            Err(error) => {
                self.drop_damaged(&rooms, &name, &error);
                None
            }
        }
    }

    fn header(&self, file: &File) -> io::Result<([u8; HEADER_LEN], u64)> {
        let mut header = [0; HEADER_LEN];
        file.read_exact_at(&mut header, 0)?;
        Ok((header, file.metadata()?.len()))
    }

    fn drop_damaged(&self, rooms: &Rooms, name: &EntryName, why: &dyn fmt::Display) {
        self.counters.damaged.add_one();
        tracing::warn!(entry = %name, "a damaged entry was removed from the reference cache: {why}");
        if let Err(error) = self.discard(rooms, OsStr::new(&name.to_string())) {
            tracing::warn!(entry = %name, %error, "the damaged entry could not be removed");
        }
    }

    /// Removes what is no entry, whoever reads it.
    fn discard(&self, rooms: &Rooms, name: &OsStr) -> io::Result<()> {
        if rooms.entries.stat(name).is_ok() {
            self.in_use.drop_own(&name.to_string_lossy());
        }
        rooms.remove(name)
    }

    /// Removes the entries unused longest until `len` more bytes fit; false if too much is in use.
    fn make_room(&self, rooms: &Rooms, len: u64) -> io::Result<bool> {
        let listed = rooms.list()?;
        let mut total = listed.iter().map(|entry| entry.size).sum::<u64>().saturating_add(len);
        for entry in listed {
            if total <= self.limits.bytes {
                break;
            }
            if rooms.remove_unused(&entry.name)? {
                self.counters.removed.add_one();
                total = total.saturating_sub(entry.size);
            }
        }
        Ok(total <= self.limits.bytes)
    }

    /// Removes what dead processes left, and entries whose time is over.
    fn tidy(&self) -> io::Result<()> {
        let Some(rooms) = self.rooms() else { return Ok(()) };
        rooms.sweep()?;
        for entry in rooms.list()? {
            if matches!(self.examine(&rooms, &entry.name, Depth::Header), Some(State::Expired))
                && rooms.remove_unused(&entry.name)?
            {
                self.counters.removed.add_one();
            }
        }
        Ok(())
    }
}

/// Seconds since 1970, by the clock of this machine.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An entry that is being read. The descriptor that was verified is the one that is read.
struct FolderEntry {
    source: SealedSource<File>,
    cache: Arc<Inner>,
    rooms: Held,
    name: EntryName,
}

impl Drop for FolderEntry {
    fn drop(&mut self) {
        self.cache.in_use.end(&self.name);
    }
}

impl Source for FolderEntry {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(offset, buf);
        if let Err(error) = &read {
            self.cache.drop_damaged(&self.rooms, &self.name, error);
        }
        read
    }

    fn len(&self) -> Option<u64> {
        self.source.len()
    }
}

#[cfg(test)]
mod tests;
