//! Looking after a folder of entries: what there is, whether it is sound, and its removal.

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

/// Digits of the name of a folder for one key.
const FOLDER_DIGITS: usize = 16;

/// What is in a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holdings {
    /// Entries whose header is sound and whose time is not over.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Entries that somebody reads.
    pub in_use: u64,
    /// Entries whose time is over.
    pub expired: u64,
    /// What is no entry of this key.
    pub unsound: u64,
    /// When the oldest entry was made.
    pub oldest: Option<SystemTime>,
    /// When the newest was.
    pub newest: Option<SystemTime>,
}

/// What every entry turned out to be, and what was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// Entries that authenticated to their last byte.
    pub sound: u64,
    /// Entries whose time was over.
    pub expired: u64,
    /// What did not authenticate.
    pub unsound: Vec<InvalidEntry>,
}

/// Something in the place of an entry that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidEntry {
    /// Under which name.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
    /// Why it could not be removed, if so.
    pub left: Option<String>,
}

/// Caches of single processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OfProcesses {
    /// Of processes that live.
    pub alive: u64,
    /// Of processes that are gone.
    pub dead: u64,
    /// Bytes of all.
    pub bytes: u64,
}

/// How much of an entry is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Header,
    Whole,
}

/// What stands under a name among the entries.
#[derive(Debug)]
pub(super) enum State {
    Sound(EntryMetadata),
    Expired(Examined),
    /// The reason, and the file unless it cannot be opened safely.
    InvalidEntry(String, Option<Examined>),
}

/// A file that was examined. It stays open, so that no other file gets its identity.
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
    /// The cache that [`persistent`](Self::persistent) would make, if it is there.
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

    /// What is in it. Of each entry the header is authenticated.
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

    /// Authenticates every entry to its last byte, and removes what does not or whose time is over.
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

    /// Removes every entry that nobody reads, and what dead writers left.
    pub fn clear(&self) -> Result<Cleared, CacheError> {
        match self.0.dirs() {
            Some(dirs) => {
                dirs.change().and_then(|changes| changes.clear()).map_err(at(dirs.entries.path()))
            }
            None => Ok(Cleared::default()),
        }
    }

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
    /// Examines the file at a name; `None` if there is none. Does not lock it, as an eviction could
    /// take that for the lock of a reader.
    pub(super) fn examine(&self, dirs: &CacheDirs, name: &OsStr, depth: Depth) -> Option<State> {
        let Some(text) = name.to_str() else {
            return Some(State::unsound("its name is none of ours", None));
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
            Ok(Err(refusal)) => return Some(State::unsound(refusal, Some(examined(file)))),
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
            if let Err(damage) = verified {
                return Some(State::unsound(damage, Some(examined(file))));
            }
        }
        Some(State::Sound(facts))
    }
}

/// How many caches of other keys than this one are in a folder, and bytes of their entries.
pub(in crate::cache) fn others(folder: &Path, own: Option<&CacheKey>) -> (u64, u64) {
    let sizes = rooms_of_others(folder, own).into_iter().map(|dirs| dirs.list());
    let sizes = sizes
        .map(|listed| Total::of(listed.unwrap_or_default().iter().map(|entry| entry.size)).bytes());
    sizes.fold((0, 0), |(caches, bytes), size| (caches + 1, bytes + size))
}

/// Removes the entries of other keys that nobody reads.
pub(in crate::cache) fn clear_others(
    folder: &Path,
    own: Option<&CacheKey>,
) -> Result<Cleared, CacheError> {
    rooms_of_others(folder, own).into_iter().try_fold(Cleared::default(), |cleared, dirs| {
        let removed = dirs.change().and_then(|changes| changes.clear());
        Ok(cleared.and(removed.map_err(at(dirs.entries.path()))?))
    })
}

/// A folder is a cache if it has the name of one, is ours and has all three dirs.
fn rooms_of_others(folder: &Path, own: Option<&CacheKey>) -> Vec<CacheDirs> {
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
