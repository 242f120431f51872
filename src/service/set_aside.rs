//! Replaces an obstacle to a download: a file at the path of a directory, or a directory at the
//! path of a file. The obstacle is renamed aside, into a directory of its own beside it, and
//! deleted once the download is published.
//!
//! The directory keeps the old name, so that a later run can restore it if the process was killed
//! between the two renames.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rand::TryRng as _;
use rand::rngs::SysRng;

use super::error::ServiceError;
use super::identity::FileState;
use crate::domain::paths::{is_set_aside_name, set_aside_name};

/// Files by their paths relative to the obstacle; the path of an obstacle that is a file is empty.
type Files = BTreeMap<PathBuf, FileState>;

/// An obstacle to a download that may be deleted with all its content. Clones share it: the first
/// download that needs its path deletes it.
#[derive(Debug, Clone)]
pub struct Obstacle {
    path: PathBuf,
    /// The files in it; `None` after they were deleted.
    files: Arc<Mutex<Option<Files>>>,
}

/// The permission to replace a file at the path of the download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MayReplace(pub(super) bool);

/// The result of replacing an obstacle.
#[derive(Debug, Default)]
pub struct Removed {
    /// The files that were deleted.
    pub files: Vec<PathBuf>,
    /// The error of a file that could not be deleted; it is still beside the download, under
    /// another name.
    pub left: Option<ServiceError>,
}

/// Returns the first path below `folder`, on the way to `path`, that is not of the type that a
/// download to `path` needs.
pub(super) fn obstacle(folder: &Path, path: &Path) -> io::Result<Option<PathBuf>> {
    let mut between: Vec<&Path> =
        path.ancestors().skip(1).take_while(|between| *between != folder).collect();
    between.reverse();
    for directory in between {
        match std::fs::metadata(directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !directory.is_symlink() => {
                return Ok(None);
            }
            Ok(_) => return Ok(Some(directory.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some(directory.to_owned()));
            }
            Err(error) => return Err(error),
        }
    }
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Ok(Some(path.to_owned())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(None),
    }
}

/// Returns the error for a path that cannot be written to.
pub(super) fn refuse(target: &Path, obstacle: &Path) -> ServiceError {
    let (target, obstacle) = (target.to_owned(), obstacle.to_owned());
    match std::fs::metadata(&obstacle) {
        Ok(metadata) if target == obstacle && !metadata.is_dir() => ServiceError::NotAFile(target),
        Ok(metadata) if target == obstacle && metadata.is_dir() => {
            ServiceError::IsDirectory(target)
        }
        _ => ServiceError::NotADirectory { target, obstacle },
    }
}

impl Obstacle {
    /// Lists the files of an obstacle.
    ///
    /// # Errors
    ///
    /// [`ServiceError::NotDeletable`] names the first path in it that must not be deleted: a file
    /// that `may_delete` rejects, a link, or a special file.
    pub(super) fn look(
        path: &Path,
        may_delete: impl Fn(&Path) -> bool,
    ) -> Result<Self, ServiceError> {
        let mut files = Files::new();
        for_each(path, &mut |found, metadata| {
            if !metadata.is_file() || !may_delete(found) {
                return Err(ServiceError::NotDeletable {
                    path: path.to_owned(),
                    kept: found.to_owned(),
                });
            }
            files.insert(
                found.strip_prefix(path).unwrap_or(found).to_owned(),
                FileState::of(metadata),
            );
            Ok(())
        })?;
        Ok(Self { path: path.to_owned(), files: Arc::new(Mutex::new(Some(files))) })
    }

    /// Returns the path of the obstacle.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the files that a download will delete; none after the first call.
    pub fn take_files(&self) -> Vec<PathBuf> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).take();
        files.unwrap_or_default().into_keys().map(|file| self.below(&self.path, &file)).collect()
    }

    /// Returns the directory that holds the obstacle.
    pub(super) fn parent(&self) -> &Path {
        parent(&self.path)
    }

    fn below(&self, path: &Path, file: &Path) -> PathBuf {
        if file.as_os_str().is_empty() { path.to_owned() } else { path.join(file) }
    }

    /// Renames the obstacle aside, runs `publish`, and deletes the obstacle. Restores the obstacle
    /// if `publish` fails.
    pub(super) fn replace(
        &self,
        publish: impl FnOnce(MayReplace) -> Result<PathBuf, ServiceError>,
    ) -> Result<(PathBuf, Removed), ServiceError> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(wanted) = files.as_ref() else {
            return Ok((publish(MayReplace(true))?, Removed::default()));
        };
        let failed = || ServiceError::local(self.path.display());
        let aside = SetAside::create(self.parent()).map_err(failed())?;
        let name = self.path.file_name().unwrap_or_default();
        let moved = aside.path.join(name);
        if let Err(error) = std::fs::rename(&self.path, &moved) {
            aside.remove();
            return Err(failed()(error));
        }
        let published = sync(&aside.path).and_then(|()| sync(self.parent())).map_err(failed());
        let published = published
            .and_then(|()| self.check(&moved, wanted))
            .and_then(|()| publish(MayReplace(false)));
        let path = match published {
            Ok(path) => path,
            Err(error) => {
                // Directories that were created for the download.
                if self.path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                    let _ = remove_empty(&self.path);
                }
                rename_back(&moved, &self.path).map_err(|why| ServiceError::NotRestored {
                    path: self.path.clone(),
                    aside: moved.clone(),
                    source: why,
                })?;
                aside.remove();
                return Err(error);
            }
        };
        sync(self.parent()).map_err(failed())?;
        let mut removed = Removed::default();
        for file in wanted.keys() {
            match std::fs::remove_file(self.below(&moved, file)) {
                Ok(()) => removed.files.push(self.below(&self.path, file)),
                Err(error) => {
                    removed.left =
                        Some(ServiceError::local(self.below(&moved, file).display())(error))
                }
            }
        }
        if let Err(error) = remove_empty(&aside.path)
            && removed.left.is_none()
        {
            removed.left = Some(ServiceError::local(aside.path.display())(error));
        }
        *files = None;
        Ok((path, removed))
    }

    /// Fails unless the renamed path holds exactly the files that may be deleted.
    fn check(&self, moved: &Path, wanted: &Files) -> Result<(), ServiceError> {
        let mut found = Files::new();
        for_each(moved, &mut |file, metadata| {
            found.insert(
                file.strip_prefix(moved).unwrap_or(file).to_owned(),
                FileState::of(metadata),
            );
            Ok(())
        })?;
        if found == *wanted {
            Ok(())
        } else {
            Err(ServiceError::Changed(self.path.display().to_string()))
        }
    }
}

/// Visits every entry at and below a path except directories; follows no link.
fn for_each(
    path: &Path,
    visit: &mut impl FnMut(&Path, &Metadata) -> Result<(), ServiceError>,
) -> Result<(), ServiceError> {
    let failed = || ServiceError::local(path.display());
    let metadata = std::fs::symlink_metadata(path).map_err(failed())?;
    if !metadata.is_dir() {
        return visit(path, &metadata);
    }
    for entry in std::fs::read_dir(path).map_err(failed())? {
        for_each(&entry.map_err(failed())?.path(), visit)?;
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// A directory for a path renamed aside, locked during the life of its process.
struct SetAside {
    path: PathBuf,
    _lock: File,
}

impl SetAside {
    fn create(directory: &Path) -> io::Result<Self> {
        let mut random = [0; 16];
        SysRng.try_fill_bytes(&mut random).map_err(io::Error::other)?;
        let path = directory.join(set_aside_name(u128::from_ne_bytes(random)));
        std::fs::create_dir(&path)?;
        let lock = File::open(&path)?;
        // Where directories cannot be locked, the next run does not restore what a killed process
        // renamed aside.
        let _ = lock.try_lock();
        Ok(Self { path, _lock: lock })
    }

    /// Removes the empty directory.
    fn remove(&self) {
        if let Err(error) = std::fs::remove_dir(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "cannot remove a directory");
        }
    }
}

/// Removes a directory and the directories below it; fails if there is a file.
fn remove_empty(path: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::DirectoryNotEmpty, "a file is left in it"));
        }
        remove_empty(&entry.path())?;
    }
    std::fs::remove_dir(path)
}

/// Renames a path without replacing anything.
fn rename_back(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            renamed => return Ok(renamed?),
        }
    }
    match std::fs::symlink_metadata(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::rename(from, to),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// The state of a killed process's directory after an attempt to restore its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftover {
    /// A process still uses it, or its lock cannot be taken.
    InUse,
    /// The directory stays: the download that was to replace its content exists under that name.
    Kept,
    /// The directory was removed: its content was restored, or it was empty.
    Gone,
}

/// Restores what a killed process renamed aside, unless its name is taken.
pub(super) fn give_back(aside: &Path) -> io::Result<Leftover> {
    let lock = match File::open(aside) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Leftover::Gone),
        Err(error) => return Err(error),
    };
    if lock.try_lock().is_err() {
        return Ok(Leftover::InUse);
    }
    for entry in std::fs::read_dir(aside)? {
        let entry = entry?;
        let path = parent(aside).join(entry.file_name());
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
            // Directories that were created for a download that did not finish; one with a file
            // stays.
            let _ = remove_empty(&path);
        }
        match rename_back(&entry.path(), &path) {
            Ok(()) => {
                tracing::info!(
                    path = %entry.path().display(),
                    "restored what a killed process had renamed aside"
                )
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(if remove_empty(aside).is_ok() { Leftover::Gone } else { Leftover::Kept })
}

/// Restores everything that killed processes renamed aside in a directory. Unreadable entries are
/// skipped, since no command may fail for them.
pub(super) fn restore_all(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| is_set_aside_name(&entry.file_name())) {
        match give_back(&entry.path()) {
            Ok(leftover) => {
                tracing::debug!(
                    path = %entry.path().display(), ?leftover,
                    "checked a directory of a killed process"
                )
            }
            Err(error) => {
                tracing::debug!(
                    path = %entry.path().display(), %error,
                    "cannot restore what was renamed aside"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(folder: &Path) -> Vec<String> {
        let entries = walkdir::WalkDir::new(folder)
            .min_depth(1)
            .sort_by_file_name()
            .into_iter()
            .map(Result::unwrap);
        entries
            .map(|entry| entry.path().strip_prefix(folder).unwrap().display().to_string())
            .collect()
    }

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        folder
    }

    #[test]
    fn failed_publication_restores_it() {
        for (names, obstacle) in [(&["x/a", "x/b/c"][..], "x"), (&["x"], "x")] {
            let folder = folder_with(names);
            let before = tree(folder.path());
            let path = folder.path().join(obstacle);
            let way = Obstacle::look(&path, |_| true).unwrap();
            let failed = way.replace(|may_replace| {
                assert_eq!(may_replace, MayReplace(false));
                assert!(!path.exists());
                std::fs::create_dir_all(path.join("made/on/the/way")).unwrap();
                Err(ServiceError::Changed("download".into()))
            });
            assert!(matches!(failed, Err(ServiceError::Changed(_))));
            assert_eq!(tree(folder.path()), before);
            // A second attempt succeeds.
            let (_, removed) = way
                .replace(|_| {
                    std::fs::write(&path, "new")
                        .map(|()| path.clone())
                        .map_err(ServiceError::local("new"))
                })
                .unwrap();
            assert_eq!(removed.files.len(), names.len());
            assert_eq!(tree(folder.path()), ["x"]);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
        }
    }

    #[test]
    fn changed_content_is_restored() {
        let (names, published) =
            (["x/a", "x/b"], |_| -> Result<PathBuf, _> { panic!("published") });
        let folder = folder_with(&names);
        let path = folder.path().join("x");
        let changes: [fn(&Path); 3] = [
            |path| std::fs::write(path.join("new"), "new").unwrap(),
            |path| std::fs::write(path.join("a"), "longer").unwrap(),
            |path| std::fs::remove_file(path.join("b")).unwrap(),
        ];
        for change in changes {
            let way = Obstacle::look(&path, |_| true).unwrap();
            change(&path);
            let before = tree(folder.path());
            assert!(matches!(way.replace(published), Err(ServiceError::Changed(_))));
            assert_eq!(tree(folder.path()), before);
        }
    }

    #[test]
    fn taken_name_keeps_what_is_aside() {
        let folder = folder_with(&[]);
        let (aside, taken) = (folder.path().join(set_aside_name(7)), folder.path().join("x"));
        std::fs::create_dir(&aside).unwrap();
        std::fs::write(aside.join("x"), "old").unwrap();
        std::fs::write(&taken, "new").unwrap();
        assert_eq!(give_back(&aside).unwrap(), Leftover::Kept);
        assert_eq!(std::fs::read_to_string(&taken).unwrap(), "new");
        std::fs::remove_file(&taken).unwrap();
        let held = File::open(&aside).unwrap();
        held.try_lock().unwrap();
        assert_eq!(give_back(&aside).unwrap(), Leftover::InUse);
        drop(held);
        assert_eq!(give_back(&aside).unwrap(), Leftover::Gone);
        assert_eq!(tree(folder.path()), ["x"]);
        assert_eq!(std::fs::read_to_string(&taken).unwrap(), "old");
    }
}
