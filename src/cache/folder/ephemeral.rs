//! The folder of one process: made when it is first needed, gone when the process is.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::private::{FOLDER_MODE, PrivateFolder, open_folder, unheld};
use super::rooms::Rooms;

/// What the folders of all processes begin with. The Python tool's begin with `deltaglider-` and are plain text.
const PREFIX: &str = "dg-cache-";

/// A locked folder. It is alive as long as the lock is held, which ends with the process however that ends: a process number,
/// which is used again, and an age say less.
#[derive(Debug)]
pub(super) struct EphemeralFolder {
    path: PathBuf,
    pub(super) rooms: Rooms,
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
                let rooms = Rooms::make(&folder)?;
                return Ok(Self { path: made.keep(), rooms, _lock: lock });
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

/// Removes the folders of dead processes of this user. What cannot be removed is nobody's loss but disk space.
pub(super) fn sweep(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && let Err(error) = sweep_one(&entry.path())
        {
            tracing::debug!(folder = %entry.path().display(), %error, "a cache left by a dead process stays");
        }
    }
}

fn sweep_one(path: &Path) -> io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    let folder = open_folder(path)?;
    if unheld(folder.try_lock())?.is_some() {
        tracing::debug!(folder = %path.display(), "remove the cache of a dead process");
        std::fs::remove_dir_all(path)?;
    }
    Ok(())
}
