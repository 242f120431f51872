//! Drafts, the unfinished downloads in a local directory: their names, their locks, and the removal
//! of those that a killed process left.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rand::TryRng as _;
use rand::rngs::SysRng;
use tempfile::NamedTempFile;

use crate::domain::paths::{draft_name, is_draft_name};
use crate::service::set_aside;

/// The minimum age of a draft that is removed, since its last change.
const MIN_AGE_TO_DELETE: Duration = Duration::from_secs(24 * 60 * 60);

/// The maximum number of attempts to lock a draft.
const LOCK_ATTEMPTS: u32 = 100;

/// Creates drafts, and records the directories in which old ones were removed.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    swept: Mutex<BTreeSet<PathBuf>>,
}

impl Drafts {
    /// Cleans up after killed processes, once per directory: removes old drafts and restores what
    /// was renamed aside.
    pub(crate) fn tidy(&self, folder: &Path) {
        if self.swept.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.to_owned()) {
            sweep(folder, SystemTime::now());
            set_aside::restore_all(folder);
        }
    }

    /// Creates a draft in a directory, locked until it is closed. It is removed when dropped,
    /// unless it was persisted.
    ///
    /// Calls [`tidy`](Self::tidy) on the directory first.
    pub(crate) fn create(&self, folder: &Path, mode: u32) -> io::Result<NamedTempFile> {
        self.tidy(folder);
        let mut random = [0; 16];
        SysRng.try_fill_bytes(&mut random).map_err(io::Error::other)?;
        let name = draft_name(u128::from_ne_bytes(random));
        let mut builder = tempfile::Builder::new();
        builder.prefix(&name).rand_bytes(0);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        #[cfg(not(unix))]
        let _ = mode;
        let draft = builder.tempfile_in(folder)?;
        lock(draft.as_file());
        Ok(draft)
    }
}

/// Locks a new draft. Where files cannot be locked, old drafts are never removed. A process that
/// looks for abandoned drafts can hold the lock for an instant.
fn lock(draft: &File) {
    for _ in 0..LOCK_ATTEMPTS {
        match draft.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(2)),
            _ => return,
        }
    }
}

/// Removes drafts that are unlocked and old. Unreadable ones are skipped, since no command may fail
/// for them.
fn sweep(folder: &Path, now: SystemTime) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten().filter(|entry| is_draft_name(&entry.file_name())) {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_file())
            && is_abandoned(&path, now).unwrap_or_default()
        {
            match std::fs::remove_file(&path) {
                Ok(()) => tracing::debug!(path = %path.display(), "removed an old draft"),
                Err(error) => {
                    tracing::debug!(path = %path.display(), %error, "cannot remove an old draft")
                }
            }
        }
    }
}

/// Returns whether no process writes to a draft, nor has written to it for a day.
fn is_abandoned(path: &Path, now: SystemTime) -> io::Result<bool> {
    let modified = std::fs::symlink_metadata(path)?.modified()?;
    if now.duration_since(modified).unwrap_or_default() < MIN_AGE_TO_DELETE {
        return Ok(false);
    }
    Ok(File::open(path)?.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draft_is_locked_despite_a_look() {
        let draft = NamedTempFile::new().unwrap();
        let looks = File::open(draft.path()).unwrap();
        looks.lock().unwrap();
        let look = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(looks);
        });
        lock(draft.as_file());
        look.join().unwrap();
        let again = File::open(draft.path()).unwrap().try_lock();
        assert!(matches!(again, Err(TryLockError::WouldBlock)), "{again:?}");
    }
}
