//! A cache of sealed entries in files: private to this process, or shared by all that have the key.

mod ephemeral;
mod layout;
mod maintenance;
mod monitor;
mod private;
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
use self::layout::{CacheDirs, Changes};
use self::maintenance::{Depth, State};
use self::monitor::InUse;
use self::private::{FileId, PrivateFolder, unheld};
use self::writer::FolderWriter;
use super::counts::{Counters, Counts};
use super::key::{CacheKey, DerivedKeys, EntryName};
use super::no_cache::WorkingCopy;
use super::origin::Origin;
use super::sealed::{HEADER_LEN, Header, RejectReason, SealedSource, Stored as _};
use super::{CacheError, CachedReference, ReferenceCache, ReferenceWriter};
use crate::domain::{Sha256Digest, Total};

pub(super) use ephemeral::{census, sweep};
pub use layout::Cleared;
pub use maintenance::{Holdings, InvalidEntry, ProcessCaches, Verified};
pub(super) use maintenance::{clear_other_keys, others};
pub use private::InsecureDir;

/// The limits of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of bytes of all entries together, as stored.
    pub bytes: u64,
    /// The lifetime of an entry, from its creation.
    pub ttl: Duration,
}

/// A cache in a directory.
#[derive(Clone)]
pub struct FolderCache(Arc<Inner>, Origin);

struct Inner {
    place: Place,
    keys: DerivedKeys,
    limits: Limits,
    /// The directory for the temporary files of references that are not cached.
    spill: PathBuf,
    counters: Counters,
    in_use: InUse,
    #[cfg(target_os = "linux")]
    monitor: std::sync::OnceLock<monitor::Monitor>,
}

/// The place of the entries.
enum Place {
    /// A directory shared by all processes with the key.
    Persistent(Arc<CacheDirs>),
    /// A directory of this process below this one, created at first use.
    Ephemeral(PathBuf, Mutex<Option<Arc<EphemeralFolder>>>),
}

/// The directories of a cache, kept alive as long as they are used.
#[derive(Clone)]
enum Held {
    Persistent(Arc<CacheDirs>),
    Ephemeral(Arc<EphemeralFolder>),
}

impl std::ops::Deref for Held {
    type Target = CacheDirs;

    fn deref(&self) -> &CacheDirs {
        match self {
            Self::Persistent(dirs) => dirs,
            Self::Ephemeral(folder) => &folder.dirs,
        }
    }
}

impl fmt::Debug for FolderCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderCache").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl FolderCache {
    /// Creates a cache of this process in a directory of its own below `parent`, under a random
    /// key. Deletes the caches that dead processes left there.
    pub fn ephemeral(parent: &Path, limits: Limits) -> Result<Self, CacheError> {
        sweep(parent);
        let key = CacheKey::random().map_err(at(parent))?;
        let place = Place::Ephemeral(parent.to_owned(), Mutex::default());
        Ok(Self::new(place, &key, limits, parent))
    }

    /// Deletes the caches of dead processes in the directory `parent`, as a new cache does.
    pub fn sweep(parent: &Path) {
        sweep(parent);
    }

    /// Opens or creates a cache that outlives this process, in a directory of its own below
    /// `folder`, shared by all processes with the key. References that are not cached use temporary
    /// files in the directory `spill`.
    pub fn persistent(
        folder: &Path,
        key: &CacheKey,
        limits: Limits,
        spill: &Path,
    ) -> Result<Self, CacheError> {
        let cache = Self::unwatched(folder, key, limits, spill)?;
        #[cfg(target_os = "linux")]
        cache.0.watch();
        Ok(cache)
    }

    /// Opens or creates a persistent cache without a monitor.
    fn unwatched(
        folder: &Path,
        key: &CacheKey,
        limits: Limits,
        spill: &Path,
    ) -> Result<Self, CacheError> {
        let own =
            PrivateFolder::make_below(folder, &key.derive().folder_name()).map_err(at(folder))?;
        let dirs = CacheDirs::make(&own).map_err(at(folder))?;
        let cache = Self::new(Place::Persistent(Arc::new(dirs)), key, limits, spill);
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
        Some(Arc::new(found?))
    }

    fn begin(
        &self,
        digest: &Sha256Digest,
        len: u64,
    ) -> Result<Box<dyn ReferenceWriter>, CacheError> {
        if Header::stored_len(len).is_some_and(|stored| stored <= self.0.limits.bytes) {
            match FolderWriter::begin(self.0.clone(), self.1.entry_id(digest), digest, len) {
                Ok(writer) => return Ok(Box::new(writer)),
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
    /// Returns the directories; `None` for an ephemeral cache that has not created them yet.
    fn dirs(&self) -> Option<Held> {
        match &self.place {
            Place::Persistent(dirs) => Some(Held::Persistent(dirs.clone())),
            Place::Ephemeral(_, made) => {
                made.lock().unwrap_or_else(PoisonError::into_inner).clone().map(Held::Ephemeral)
            }
        }
    }

    /// Returns the directories; creates those of an ephemeral cache at first use.
    fn make_dirs(&self) -> io::Result<Held> {
        match &self.place {
            Place::Persistent(dirs) => Ok(Held::Persistent(dirs.clone())),
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

    /// Opens the entry of an [`Origin::entry_id`] and authenticates its header.
    fn find(self: &Arc<Self>, entry: &Sha256Digest) -> Option<FolderEntry> {
        let (dirs, name) = (self.dirs()?, self.keys.name(entry));
        let file = match dirs.entries.open(&name.to_string()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                self.discard_corrupt(&dirs, &name, None, &error);
                return None;
            }
            Ok(file) => file,
        };
        // A shared lock keeps the entry from eviction; an exclusive one belongs to its eviction.
        if !matches!(unheld(file.try_lock_shared()), Ok(Some(()))) {
            return None;
        }
        let id = FileId::of(&file).ok()?;
        let header = match self.open_header(&file, entry, now()) {
            Ok(header) => header,
            Err(Invalid::Rejected(RejectReason::Expired)) => {
                // A process that reads it keeps it.
                let unlocked = file.unlock().and_then(|()| dirs.change());
                let removed = unlocked
                    .and_then(|changes| changes.remove_expired(name.to_string().as_ref(), id));
                if matches!(removed, Ok(true)) {
                    self.counters.removed.add_one();
                }
                return None;
            }
            Err(invalid) => {
                self.discard_corrupt(&dirs, &name, Some(id), &invalid);
                return None;
            }
        };
        // It may have been deleted before it was locked.
        let is_there = || {
            let found = dirs.entries.file_id(name.to_string().as_ref());
            found.map(|found| found == id)
        };
        if !matches!(self.in_use.begin(&name, id, header.facts().expires, is_there), Ok(true)) {
            return None;
        }
        // Without the record of its use the entry may be evicted earlier; nothing else fails.
        dirs.use_now(&name).ok();
        let source = SealedSource::entry(file, header);
        Some(FolderEntry { source, cache: self.clone(), dirs, name, file: id, is_registered: true })
    }

    /// Authenticates the header of a file that should hold the entry of this [`Origin::entry_id`].
    fn open_header(&self, file: &File, entry: &Sha256Digest, now: u64) -> Result<Header, Invalid> {
        let (header, len) = self.header(file)?;
        Ok(Header::open_content(&self.keys, &header, len, now, entry)?)
    }

    /// Reads the header of a file and returns it with the file's length in bytes.
    fn header(&self, file: &File) -> io::Result<([u8; HEADER_LEN], u64)> {
        let mut header = [0; HEADER_LEN];
        file.read_exact_at(&mut header, 0)?;
        Ok((header, file.metadata()?.len()))
    }

    /// Counts a damaged entry and deletes it as [`discard`](Self::discard) does.
    fn discard_corrupt(
        &self,
        dirs: &CacheDirs,
        name: &EntryName,
        file: Option<FileId>,
        why: &dyn fmt::Display,
    ) {
        self.counters.damaged.add_one();
        tracing::warn!(
            entry = %name,
            "a damaged entry was removed from the reference cache: {why}"
        );
        if let Err(error) = self.discard(dirs, OsStr::new(&name.to_string()), file) {
            tracing::warn!(entry = %name, %error, "the damaged entry could not be removed");
        }
    }

    /// Deletes an invalid file, even while it is read: `file`, or, for `None`, one that cannot be
    /// opened safely. Keeps a file that got the name since the examination.
    fn discard(&self, dirs: &CacheDirs, name: &OsStr, file: Option<FileId>) -> io::Result<()> {
        let changes = dirs.change()?;
        if changes.leads_to(name, file) { self.discard_now(dirs, &changes, name) } else { Ok(()) }
    }

    /// Deletes the file at a name, even while it is read.
    fn discard_now(&self, dirs: &CacheDirs, changes: &Changes<'_>, name: &OsStr) -> io::Result<()> {
        if let Ok(file) = dirs.entries.file_id(name) {
            self.in_use.expect_removal(&name.to_string_lossy(), file);
        }
        changes.remove(name)
    }

    /// Evicts the least recently used entries until `len` more bytes fit; returns whether they do.
    /// The entry named `replaced` does not count.
    fn make_room(&self, changes: &Changes<'_>, replaced: &OsStr, len: u64) -> io::Result<bool> {
        let mut listed = changes.list()?;
        listed.retain(|entry| entry.name != replaced);
        let mut total = Total::of(listed.iter().map(|entry| entry.size).chain([len])).bytes();
        for entry in listed {
            if total <= self.limits.bytes {
                break;
            }
            if changes.remove_unused(&entry.name)? {
                self.counters.removed.add_one();
                total = total.saturating_sub(entry.size);
            }
        }
        Ok(total <= self.limits.bytes)
    }

    /// Deletes the drafts of dead processes, and expired entries.
    fn tidy(&self) -> io::Result<()> {
        let Some(dirs) = self.dirs() else { return Ok(()) };
        let changes = dirs.change()?;
        changes.sweep()?;
        let listed = changes.list()?;
        drop(changes);
        for entry in listed {
            if let Some(State::Expired(file)) = self.examine(&dirs, &entry.name, Depth::Header)
                && dirs.change()?.remove_expired(&entry.name, file.id)?
            {
                self.counters.removed.add_one();
            }
        }
        Ok(())
    }
}

/// The reason why a file is not the requested entry.
#[derive(Debug, thiserror::Error)]
enum Invalid {
    #[error(transparent)]
    Rejected(#[from] RejectReason),
    #[error(transparent)]
    Unreadable(#[from] io::Error),
}

/// Returns the seconds since 1970 by the clock of this machine.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// An entry being read, through the descriptor that was verified.
struct FolderEntry {
    source: SealedSource<File>,
    cache: Arc<Inner>,
    dirs: Held,
    name: EntryName,
    file: FileId,
    /// `true` if the file got a name among the entries and is registered as in use.
    is_registered: bool,
}

impl FolderEntry {
    /// Authenticates every chunk; deletes a damaged entry.
    fn verify(self) -> Option<Self> {
        match self.source.verify() {
            Ok(()) => Some(self),
            Err(corrupt) => {
                self.cache.discard_corrupt(&self.dirs, &self.name, Some(self.file), &corrupt);
                None
            }
        }
    }
}

impl Drop for FolderEntry {
    fn drop(&mut self) {
        if self.is_registered {
            self.cache.in_use.end(&self.name, self.file);
        }
    }
}

impl Source for FolderEntry {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(offset, buf);
        if let Err(error) = &read {
            self.cache.discard_corrupt(&self.dirs, &self.name, Some(self.file), error);
        }
        read
    }

    fn len(&self) -> Option<u64> {
        self.source.len()
    }
}

#[cfg(test)]
mod tests;
