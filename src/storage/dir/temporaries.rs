//! The directory for a process's incomplete objects, and the removal of those of dead processes.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempDir};

use super::fsync::{FOLDER_MODE, lock, make_folder};
use super::io_error::Fault;

/// The temporary directory of this process. Its lock marks it as in use. The system releases the
/// lock when the process ends, however it ends; neither a process number, which is reused, nor an
/// age is as reliable.
#[derive(Debug)]
pub(super) struct Temporaries {
    path: PathBuf,
    _lock: File,
}

impl Temporaries {
    /// Deletes the directories of dead processes from `parent` and creates one for this process.
    pub(super) fn make(parent: &Path) -> Result<Self, Fault> {
        make_folder(parent).map_err(Fault::at(parent))?;
        // Held until our own directory is locked: no process may find it unlocked and take us for
        // dead.
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
        // The next process that writes deletes what cannot be deleted now.
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
            // Its owner has just deleted it.
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

/// Deletes a directory and its content; succeeds if it does not exist.
pub(super) fn remove(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(Fault::at(path)),
    }
}
