//! The folder of one process: made when it is first needed, gone when the process is.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::layout::CacheDirs;
use super::layout::Cleared;
use super::maintenance::OfProcesses;
use super::private::{FOLDER_MODE, PrivateFolder, open_folder, unheld};
use crate::cache::legacy::{bytes_below, is_own_folder};

/// What the folders of all processes begin with. The Python tool's begin with `deltaglider-` and
/// are plain text.
const PREFIX: &str = "dg-cache-";

/// A locked folder. It is alive as long as the lock is held, which ends with the process however
/// that ends: a process number, which is used again, and an age say less.
#[derive(Debug)]
pub(super) struct EphemeralFolder {
    path: PathBuf,
    pub(super) dirs: CacheDirs,
    _lock: File,
}

impl EphemeralFolder {
    pub(super) fn make(parent: &Path) -> io::Result<Self> {
        loop {
            let made = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(16)
                .permissions(Permissions::from_mode(FOLDER_MODE))
                .tempdir_in(parent)?;
            let folder = match PrivateFolder::open_path(made.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let lock = folder.lock()?;
            // Before the lock was ours, somebody may have taken the folder for a dead one.
            if folder.is_in_place()? {
                let dirs = CacheDirs::make(&folder)?;
                return Ok(Self { path: made.keep(), dirs, _lock: lock });
            }
        }
    }
}

impl Drop for EphemeralFolder {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next process.
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "the cache of this process could not be removed");
        }
    }
}

/// Removes the folders of dead processes of this user; says how many, and how many bytes were in
/// them. What cannot be removed is nobody's loss but disk space.
pub(in crate::cache) fn sweep(parent: &Path) -> Cleared {
    let mut cleared = Cleared::default();
    for path in folders(parent) {
        match sweep_one(&path) {
            Ok(Some(bytes)) => cleared.add(bytes),
            Ok(None) => cleared.in_use += 1,
            Err(error) => {
                tracing::debug!(folder = %path.display(), %error, "a cache left by a dead process stays")
            }
        }
    }
    cleared
}

/// Counts the folders of the processes of this user.
pub(in crate::cache) fn census(parent: &Path) -> OfProcesses {
    let mut found = OfProcesses::default();
    for path in folders(parent) {
        let Ok(folder) = open_folder(&path) else { continue };
        match unheld(folder.try_lock_shared()) {
            Ok(None) => found.alive += 1,
            _ => found.dead += 1,
        }
        found.bytes += bytes_below(&path);
    }
    found
}

/// Those of this user.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let named =
        entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    named.map(|entry| entry.path()).filter(|path| is_own_folder(path)).collect()
}

/// The bytes that were in it, or nothing if its process lives.
fn sweep_one(path: &Path) -> io::Result<Option<u64>> {
    let folder = open_folder(path)?;
    if unheld(folder.try_lock())?.is_none() {
        return Ok(None);
    }
    tracing::debug!(folder = %path.display(), "remove the cache of a dead process");
    let bytes = bytes_below(path);
    std::fs::remove_dir_all(path)?;
    Ok(Some(bytes))
}
