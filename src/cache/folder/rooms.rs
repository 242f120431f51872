//! The three rooms of a cache folder: what is being written, what can be read, and when it was used last.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;

use rustix::fs::FileType;

use super::private::{PrivateFolder, unheld};
use super::upkeep::Cleared;
use crate::cache::key::EntryName;
use crate::weakened::leaves_out;

/// Entries never change once they are here: nothing but a rename brings them, and their use is noted elsewhere.
const ENTRIES: &str = "entries";
/// Drafts, each locked by who writes it.
const NEW: &str = "new";
/// Empty files with the names of entries.
const USED: &str = "used";

#[derive(Debug)]
pub(super) struct Rooms {
    pub(super) entries: PrivateFolder,
    pub(super) new: PrivateFolder,
    used: PrivateFolder,
}

/// One entry as the folder shows it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) name: OsString,
    /// Bytes of the file.
    pub(super) size: u64,
    used: i128,
}

impl Rooms {
    pub(super) fn make(folder: &PrivateFolder) -> io::Result<Self> {
        Ok(Self { entries: folder.make_in(ENTRIES)?, new: folder.make_in(NEW)?, used: folder.make_in(USED)? })
    }

    /// The rooms of a folder that has them all.
    pub(super) fn open(folder: &PrivateFolder) -> io::Result<Self> {
        Ok(Self { entries: folder.open_in(ENTRIES)?, new: folder.open_in(NEW)?, used: folder.open_in(USED)? })
    }

    /// Every entry, the one unused longest first. What is no regular file has no place there and is removed.
    pub(super) fn list(&self) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for name in self.entries.names()? {
            let (kind, size, written) = match self.entries.stat(&name) {
                // Somebody else has just removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            if kind != FileType::RegularFile {
                self.entries.remove(&name)?;
                continue;
            }
            let used = self.used.stat(&name).map_or(written, |(_, _, used)| used.max(written));
            listed.push(Listed { name, size, used });
        }
        listed.sort_by_key(|entry| entry.used);
        Ok(listed)
    }

    /// Notes that an entry was used.
    pub(super) fn use_now(&self, name: &EntryName) -> io::Result<()> {
        self.used.touch(&name.to_string())
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.entries.remove(name)?;
        self.used.remove(name)
    }

    /// Removes an entry unless somebody reads it; says whether it is gone.
    pub(super) fn remove_unused(&self, name: &OsStr) -> io::Result<bool> {
        // Held until it is gone, so that nobody begins to read what is about to go.
        let file = name.to_str().and_then(|name| self.entries.open(name).ok());
        if let Some(file) = &file
            && unheld(file.try_lock())?.is_none()
        {
            return Ok(false);
        }
        self.remove(name).map(|()| true)
    }

    /// Whether somebody reads an entry.
    pub(super) fn is_in_use(&self, name: &OsStr) -> bool {
        let file = name.to_str().and_then(|name| self.entries.open(name).ok());
        file.is_some_and(|file| matches!(unheld(file.try_lock()), Ok(None)))
    }

    /// Removes every entry that nobody reads, and what dead writers left.
    pub(super) fn clear(&self) -> io::Result<Cleared> {
        let mut cleared = Cleared::default();
        for name in self.entries.names()? {
            let size = self.entries.stat(&name).map_or(0, |(_, size, _)| size);
            match self.remove_unused(&name)? {
                true => cleared.add(size),
                false => cleared.in_use += 1,
            }
        }
        self.sweep()?;
        Ok(cleared)
    }

    /// Removes drafts whose writers are dead, and notes about entries that are gone.
    pub(super) fn sweep(&self) -> io::Result<()> {
        if leaves_out("sweep") {
            return Ok(());
        }
        for name in self.new.names()? {
            let draft: io::Result<File> = self.new.open(&name.to_string_lossy());
            let alive = match draft {
                Ok(draft) => unheld(draft.try_lock())?.is_none(),
                Err(_) => false,
            };
            if !alive {
                self.new.remove(&name)?;
            }
        }
        let entries: HashSet<OsString> = self.entries.names()?.into_iter().collect();
        for name in self.used.names()?.iter().filter(|name| !entries.contains(*name)) {
            self.used.remove(name)?;
        }
        Ok(())
    }
}
