//! The cache directory of one process: created at first use, deleted when the process exits.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::layout::CacheDirs;
use super::layout::Cleared;
use super::maintenance::ProcessCaches;
use super::private::{FOLDER_MODE, PrivateFolder, open_folder, unheld};
use crate::cache::legacy::{bytes_below, is_own_folder};

/// The prefix of the names of process directories. Those of the Python tool begin with
/// `deltaglider-` and hold plain text.
const PREFIX: &str = "dg-cache-";

/// A locked cache directory. It is in use as long as the lock is held, which ends with the process
/// however that ends. A process number, which is reused, and an age are weaker evidence.
#[derive(Debug)]
pub(super) struct EphemeralFolder {
    path: PathBuf,
    pub(super) dirs: CacheDirs,
    _lock: File,
}

impl EphemeralFolder {
    /// Creates and locks a directory below `parent`.
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
            // Before the lock was held, another process may have deleted the directory as
            // abandoned.
            if folder.is_in_place()? {
                let dirs = CacheDirs::make(&folder)?;
                return Ok(Self { path: made.keep(), dirs, _lock: lock });
            }
        }
    }
}

impl Drop for EphemeralFolder {
    fn drop(&mut self) {
        // The next process deletes what cannot be deleted now.
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(
                folder = %self.path.display(), %error,
                "the cache of this process could not be removed"
            );
        }
    }
}

/// Deletes the directories of dead processes of this user and returns how many, and their bytes.
/// One that cannot be deleted costs only disk space.
pub(in crate::cache) fn sweep(parent: &Path) -> Cleared {
    let mut cleared = Cleared::default();
    for path in folders(parent) {
        match sweep_one(&path) {
            Ok(Some(bytes)) => cleared.add(bytes),
            Ok(None) => cleared.in_use += 1,
            Err(error) => {
                tracing::debug!(
                    folder = %path.display(), %error,
                    "the cache of a dead process could not be removed"
                )
            }
        }
    }
    cleared
}

/// Counts the cache directories of this user's processes.
pub(in crate::cache) fn census(parent: &Path) -> ProcessCaches {
    let mut found = ProcessCaches::default();
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

/// Returns the process directories of this user below `parent`.
fn folders(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let named =
        entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    named.map(|entry| entry.path()).filter(|path| is_own_folder(path)).collect()
}

/// Deletes a process directory and returns its bytes; `None` if its process lives.
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
