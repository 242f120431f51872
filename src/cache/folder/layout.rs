//! The three subdirectories of a cache directory: drafts, entries, and the times of last use.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;

use rustix::fs::FileType;

use super::private::{FileId, PrivateFolder, unheld};
use crate::cache::key::EntryName;

/// The directory of entries. They never change: an entry arrives by rename, and its use is recorded
/// elsewhere.
const ENTRIES: &str = "entries";
/// The directory of drafts, each locked by its writer.
const NEW: &str = "new";
/// The directory of empty files named like the entries, whose mtime is the entry's last use.
const USED: &str = "used";

/// The three open subdirectories.
#[derive(Debug)]
pub(super) struct CacheDirs {
    pub(super) entries: PrivateFolder,
    pub(super) new: PrivateFolder,
    used: PrivateFolder,
}

/// One entry of a directory listing.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: OsString,
    /// The size of the file in bytes.
    pub(super) size: u64,
    /// The time of the last use, in nanoseconds since 1970.
    used: i128,
}

/// A count of deleted entries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cleared {
    /// Deleted entries.
    pub removed: u64,
    /// Bytes of the deleted entries.
    pub bytes: u64,
    /// Entries that stay, because a process reads them.
    pub in_use: u64,
}

impl Cleared {
    pub(in crate::cache) fn add(&mut self, bytes: u64) {
        self.removed += 1;
        self.bytes += bytes;
    }

    pub(in crate::cache) fn and(self, other: Self) -> Self {
        Self {
            removed: self.removed + other.removed,
            bytes: self.bytes + other.bytes,
            in_use: self.in_use + other.in_use,
        }
    }
}

impl CacheDirs {
    /// Opens the three subdirectories, creating any that is missing.
    pub(super) fn make(folder: &PrivateFolder) -> io::Result<Self> {
        Ok(Self {
            entries: folder.make_in(ENTRIES)?,
            new: folder.make_in(NEW)?,
            used: folder.make_in(USED)?,
        })
    }

    /// Opens the three subdirectories; fails if one is missing.
    pub(super) fn open(folder: &PrivateFolder) -> io::Result<Self> {
        Ok(Self {
            entries: folder.open_in(ENTRIES)?,
            new: folder.open_in(NEW)?,
            used: folder.open_in(USED)?,
        })
    }

    /// Waits for the lock under which entries get and lose their names.
    pub(super) fn change(&self) -> io::Result<Changes<'_>> {
        Ok(Changes { dirs: self, _lock: self.entries.lock()? })
    }

    /// Returns every entry, the least recently used first.
    pub(super) fn list(&self) -> io::Result<Vec<Listed>> {
        self.list_and(|_| Ok(()))
    }

    /// Lists the entries, and calls `on_stray` with the name of anything but a regular file.
    fn list_and(&self, on_stray: impl Fn(&OsStr) -> io::Result<()>) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for name in self.entries.names()? {
            let (kind, size, written) = match self.entries.stat(&name) {
                // Another process has just deleted it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            if kind != FileType::RegularFile {
                on_stray(&name)?;
                continue;
            }
            let used = self.used.stat(&name).map_or(written, |(_, _, used)| used.max(written));
            listed.push(Listed { name, size, used });
        }
        listed.sort_by_key(|entry| entry.used);
        Ok(listed)
    }

    /// Records that an entry was used.
    pub(super) fn use_now(&self, name: &EntryName) -> io::Result<()> {
        self.used.touch(&name.to_string())
    }

    /// Returns whether a process reads an entry.
    pub(super) fn is_in_use(&self, name: &OsStr) -> bool {
        // Otherwise an eviction could mistake this short lock of the entry for a reader's.
        let _changes = self.change();
        let file = name.to_str().and_then(|name| self.entries.open(name).ok());
        file.is_some_and(|file| matches!(unheld(file.try_lock()), Ok(None)))
    }
}

/// The right to give and take the names of entries, held by one thread of all processes at a time.
///
/// Every process keeps these rules, on which the monitor relies:
/// - An entry gets and loses its name under this lock alone.
/// - Eviction, expiry and clearing delete a file only under its exclusive lock: none reads it.
/// - A writer replaces no sound entry.
/// - An invalid file is deleted even while it is read, unless its name leads to another file by
///   then.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    dirs: &'a CacheDirs,
    _lock: File,
}

impl Changes<'_> {
    /// Renames a complete draft to its name among the entries.
    pub(super) fn publish(&self, draft: &str, name: &EntryName) -> io::Result<()> {
        self.dirs.new.rename(draft, &self.dirs.entries, &name.to_string())
    }

    /// Returns every entry, the least recently used first. Deletes anything but regular files.
    pub(super) fn list(&self) -> io::Result<Vec<Listed>> {
        self.dirs.list_and(|stray| self.dirs.entries.remove(stray))
    }

    /// Deletes an entry and the record of its use, even while it is read.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.dirs.entries.remove(name)?;
        self.dirs.used.remove(name)
    }

    /// Deletes an entry unless a process reads it; returns whether it is gone.
    pub(super) fn remove_unused(&self, name: &OsStr) -> io::Result<bool> {
        // The lock is held until the entry is deleted, so that no reader begins with it.
        let file = name.to_str().and_then(|name| self.dirs.entries.open(name).ok());
        if let Some(file) = &file
            && unheld(file.try_lock())?.is_none()
        {
            return Ok(false);
        }
        self.remove(name).map(|()| true)
    }

    /// Deletes an expired entry unless a process reads it or its name leads to another file by now;
    /// returns whether it is gone.
    pub(super) fn remove_expired(&self, name: &OsStr, file: FileId) -> io::Result<bool> {
        Ok(self.leads_to(name, Some(file)) && self.remove_unused(name)?)
    }

    /// Returns whether a name leads to `file`, or, for `None`, to one that cannot be opened safely.
    pub(super) fn leads_to(&self, name: &OsStr, file: Option<FileId>) -> bool {
        let entries = &self.dirs.entries;
        match (file, name.to_str()) {
            (Some(file), _) => entries.file_id(name).is_ok_and(|found| found == file),
            (None, Some(name)) => {
                entries.open(name).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
            }
            (None, None) => true,
        }
    }

    /// Deletes every entry that no process reads, and the drafts of dead writers.
    pub(super) fn clear(&self) -> io::Result<Cleared> {
        let mut cleared = Cleared::default();
        for name in self.dirs.entries.names()? {
            let size = self.dirs.entries.stat(&name).map_or(0, |(_, size, _)| size);
            match self.remove_unused(&name)? {
                true => cleared.add(size),
                false => cleared.in_use += 1,
            }
        }
        self.sweep()?;
        Ok(cleared)
    }

    /// Deletes the drafts of dead writers and the use records of deleted entries.
    pub(super) fn sweep(&self) -> io::Result<()> {
        let CacheDirs { entries, new, used } = self.dirs;
        for name in new.names()? {
            let draft: io::Result<File> = new.open(&name.to_string_lossy());
            let alive = match draft {
                Ok(draft) => unheld(draft.try_lock())?.is_none(),
                Err(_) => false,
            };
            if !alive {
                new.remove(&name)?;
            }
        }
        let named: HashSet<OsString> = entries.names()?.into_iter().collect();
        for name in used.names()?.iter().filter(|name| !named.contains(*name)) {
            used.remove(name)?;
        }
        Ok(())
    }
}
