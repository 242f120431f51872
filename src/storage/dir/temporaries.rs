//! The folder in which one process writes what is not yet an object, and the removal of what dead
//! processes left.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use super::fsync::{FOLDER_MODE, lock, make_folder};
use super::io_error::Fault;

/// A folder of this process. It is alive as long as the lock on it is held, which ends with the
/// process however that ends: neither a process number, which is used again, nor an age says as
/// much.
#[derive(Debug)]
pub(super) struct Temporaries {
    path: PathBuf,
    _lock: File,
}

impl Temporaries {
    /// Removes the folders of dead processes from `parent` and makes one for this process.
    pub(super) fn make(parent: &Path) -> Result<Self, Fault> {
        make_folder(parent).map_err(Fault::at(parent))?;
        // Held until our own folder is locked: nobody may find it unlocked and take us for dead.
        let _all = lock(File::open(parent).map_err(Fault::at(parent))?)?;
        sweep(parent)?;
        let folder = private_folder(parent).map_err(Fault::at(parent))?;
        let lock = lock(File::open(folder.path())?)?;
        Ok(Self { path: folder.keep(), _lock: lock })
    }

    pub(super) fn file(&self) -> Result<NamedTempFile, Fault> {
        tempfile::Builder::new().prefix("").tempfile_in(&self.path).map_err(Fault::at(&self.path))
    }

    pub(super) fn folder(&self) -> Result<TempDir, Fault> {
        private_folder(&self.path).map_err(Fault::at(&self.path))
    }
}

impl Drop for Temporaries {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next process that writes.
        std::fs::remove_dir(&self.path).ok();
    }
}

pub(super) fn private_folder(parent: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix("")
        .permissions(Permissions::from_mode(FOLDER_MODE))
        .tempdir_in(parent)
}

fn sweep(parent: &Path) -> Result<(), Fault> {
    for entry in std::fs::read_dir(parent).map_err(Fault::at(parent))? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        let folder = match File::open(&path) {
            // Its owner has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened.map_err(Fault::at(&path))?,
        };
        match folder.try_lock() {
            Ok(()) => remove(&path)?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(Fault::at(&path)(error)),
        }
    }
    Ok(())
}

/// Removes a folder and all in it, as far as it is still there.
pub(super) fn remove(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Fault::at(path)),
    }
}
