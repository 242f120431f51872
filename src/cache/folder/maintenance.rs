//! Maintenance of a cache directory: listing, verifying and deleting entries.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::layout::{CacheDirs, Cleared};
use super::private::{FileId, PrivateFolder};
use super::{CacheError, FolderCache, Inner, Limits, Place, at, now};
use crate::cache::key::CacheKey;
use crate::cache::sealed::{EntryMetadata, Header, RejectReason, SealedSource};
use crate::domain::Total;

/// The number of hexadecimal digits in the name of a key's directory.
const FOLDER_DIGITS: usize = 16;

/// The contents of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holdings {
    /// Unexpired entries with a valid header.
    pub entries: u64,
    /// Bytes of all files, valid or not.
    pub bytes: u64,
    /// Entries that a process is reading.
    pub in_use: u64,
    /// Expired entries.
    pub expired: u64,
    /// Files that are not entries of this key.
    pub unsound: u64,
    /// The creation time of the oldest entry.
    pub oldest: Option<SystemTime>,
    /// The creation time of the newest entry.
    pub newest: Option<SystemTime>,
}

/// The result of verifying every entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Entries that authenticated to their last byte.
    pub sound: u64,
    /// Expired entries, which were deleted unless in use.
    pub expired: u64,
    /// Files that did not authenticate, which were deleted unless [`InvalidEntry::left`] is set.
    pub unsound: Vec<InvalidEntry>,
}

/// A file in the directory of entries that is not a valid entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidEntry {
    /// The file name.
    pub name: String,
    /// The reason why it is invalid.
    pub why: String,
    /// The reason why it could not be deleted; `None` if it was.
    pub left: Option<String>,
}

/// The number and size of the caches of single processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessCaches {
    /// Caches of running processes.
    pub alive: u64,
    /// Caches of dead processes.
    pub dead: u64,
    /// Bytes of all these caches.
    pub bytes: u64,
}

/// The extent of an examination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// The header only.
    Header,
    /// Header and chunks.
    Whole,
}

/// The result of examining one file.
#[derive(Debug)]
pub(super) enum State {
    Sound(EntryMetadata),
    Expired(Examined),
    /// An invalid file: the reason, and the file unless it cannot be opened safely.
    InvalidEntry(String, Option<Examined>),
}

/// An examined file. It stays open, so that no other file can reuse its inode number.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) id: FileId,
    _file: File,
}

impl State {
    fn unsound(why: impl fmt::Display, file: Option<Examined>) -> Self {
        Self::InvalidEntry(why.to_string(), file)
    }
}

impl FolderCache {
    /// Opens the cache that [`persistent`](Self::persistent) would create; `None` if it does not
    /// exist.
    pub fn existing(
        folder: &Path,
        key: &CacheKey,
        limits: Limits,
        spill: &Path,
    ) -> Result<Option<Self>, CacheError> {
        let opened = PrivateFolder::open_below(folder, &key.derive().folder_name());
        let Some(own) = opened.map_err(at(folder))? else { return Ok(None) };
        match CacheDirs::open(&own) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(folder)(error)),
            Ok(dirs) => Ok(Some(Self::new(Place::Persistent(Arc::new(dirs)), key, limits, spill))),
        }
    }

    /// Returns the contents of the cache. Authenticates the header of each entry, not its chunks.
    pub fn holdings(&self) -> Result<Holdings, CacheError> {
        let mut holdings = Holdings::default();
        self.each(Depth::Header, |dirs, name, state| {
            holdings.bytes += dirs.entries.stat(name).map_or(0, |(_, size, _)| size);
            match state {
                State::Sound(facts) => {
                    let created =
                        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(facts.created));
                    let created = created.unwrap_or(SystemTime::UNIX_EPOCH);
                    holdings.entries += 1;
                    holdings.in_use += u64::from(dirs.is_in_use(name));
                    holdings.oldest =
                        Some(holdings.oldest.map_or(created, |oldest| oldest.min(created)));
                    holdings.newest = holdings.newest.max(Some(created));
                }
                State::Expired(_) => holdings.expired += 1,
                State::InvalidEntry(..) => holdings.unsound += 1,
            }
        })?;
        Ok(holdings)
    }

    /// Authenticates every entry to its last byte, and deletes each invalid or expired one.
    pub fn verify(&self) -> Result<Verified, CacheError> {
        let mut verified = Verified::default();
        self.each(Depth::Whole, |dirs, name, state| match state {
            State::Sound(_) => verified.sound += 1,
            State::Expired(file) => {
                verified.expired += 1;
                dirs.change().and_then(|changes| changes.remove_expired(name, file.id)).ok();
            }
            State::InvalidEntry(why, file) => {
                let file = file.as_ref().map(|file| file.id);
                let left = self.0.discard(dirs, name, file).err().map(|error| error.to_string());
                verified.unsound.push(InvalidEntry {
                    name: name.to_string_lossy().into_owned(),
                    why,
                    left,
                });
            }
        })?;
        Ok(verified)
    }

    /// Deletes every entry that no process reads, and the drafts of dead writers.
    pub fn clear(&self) -> Result<Cleared, CacheError> {
        match self.0.dirs() {
            Some(dirs) => {
                dirs.change().and_then(|changes| changes.clear()).map_err(at(dirs.entries.path()))
            }
            None => Ok(Cleared::default()),
        }
    }

    /// Examines every entry, in the order of names, and passes the result to `see`.
    fn each(
        &self,
        depth: Depth,
        mut see: impl FnMut(&CacheDirs, &OsStr, State),
    ) -> Result<(), CacheError> {
        let Some(dirs) = self.0.dirs() else { return Ok(()) };
        let mut names = dirs.entries.names().map_err(at(dirs.entries.path()))?;
        names.sort();
        for name in names {
            if let Some(state) = self.0.examine(&dirs, &name, depth) {
                see(&dirs, &name, state);
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Examines the file at a name; returns `None` if there is none. Does not lock it, since an
    /// eviction could mistake that for a reader's lock.
    pub(super) fn examine(&self, dirs: &CacheDirs, name: &OsStr, depth: Depth) -> Option<State> {
        let Some(text) = name.to_str() else {
            return Some(State::unsound("its name is not UTF-8", None));
        };
        let file = match dirs.entries.open(text) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => return Some(State::unsound(error, None)),
            Ok(file) => file,
        };
        let id = match FileId::of(&file) {
            Err(error) => return Some(State::unsound(error, None)),
            Ok(id) => id,
        };
        let examined = |file| Examined { id, _file: file };
        let opened =
            self.header(&file).map(|(header, len)| Header::open(&self.keys, &header, len, now()));
        let header = match opened {
            Ok(Ok(header)) => header,
            Ok(Err(RejectReason::Expired)) => return Some(State::Expired(examined(file))),
            Ok(Err(reason)) => return Some(State::unsound(reason, Some(examined(file)))),
            Err(error) => return Some(State::unsound(error, Some(examined(file)))),
        };
        let facts = *header.facts();
        if self.keys.name(&facts.digest).to_string() != text {
            return Some(State::unsound(RejectReason::OtherContent, Some(examined(file))));
        }
        if depth == Depth::Whole {
            let verified = match file.try_clone() {
                Err(error) => return Some(State::unsound(error, Some(examined(file)))),
                Ok(copy) => SealedSource::entry(copy, header).verify(),
            };
            if let Err(corrupt) = verified {
                return Some(State::unsound(corrupt, Some(examined(file))));
            }
        }
        Some(State::Sound(facts))
    }
}

/// Returns the number of caches in a directory under keys other than `own`, and the bytes of their
/// entries.
pub(in crate::cache) fn others(folder: &Path, own: Option<&CacheKey>) -> (u64, u64) {
    let sizes = dirs_of_other_keys(folder, own).into_iter().map(|dirs| dirs.list());
    let sizes = sizes
        .map(|listed| Total::of(listed.unwrap_or_default().iter().map(|entry| entry.size)).bytes());
    sizes.fold((0, 0), |(caches, bytes), size| (caches + 1, bytes + size))
}

/// Deletes the entries of keys other than `own` that no process reads.
pub(in crate::cache) fn clear_other_keys(
    folder: &Path,
    own: Option<&CacheKey>,
) -> Result<Cleared, CacheError> {
    dirs_of_other_keys(folder, own).into_iter().try_fold(Cleared::default(), |cleared, dirs| {
        let removed = dirs.change().and_then(|changes| changes.clear());
        Ok(cleared.and(removed.map_err(at(dirs.entries.path()))?))
    })
}

/// Returns the caches in a directory under keys other than `own`: directories of this user whose
/// name is that of a cache and which have all three subdirectories.
fn dirs_of_other_keys(folder: &Path, own: Option<&CacheKey>) -> Vec<CacheDirs> {
    let Ok(parent) = PrivateFolder::trusted_parent(folder) else { return Vec::new() };
    let own = own.map(|key| OsString::from(key.derive().folder_name()));
    let is_name = |name: &OsString| {
        let digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        name.len() == FOLDER_DIGITS
            && name.as_encoded_bytes().iter().all(|c| digit(*c))
            && own.as_ref() != Some(name)
    };
    let names = parent.names().unwrap_or_default().into_iter().filter(is_name);
    names
        .filter_map(|name| {
            parent.open_in(name.to_str()?).and_then(|folder| CacheDirs::open(&folder)).ok()
        })
        .collect()
}
