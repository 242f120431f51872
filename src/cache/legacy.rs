//! Caches that the Python tool of the same name leaves in directories for temporary files:
//! unencrypted references.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use walkdir::WalkDir;

use crate::domain::Total;

/// The name of the tool's cache before it had one for each process.
const SHARED: &str = ".deltaglider";
/// The prefix of the names of process caches: [`RANDOM`] letters, digits or underscores follow, or
/// [`IN_MEMORY`].
const PREFIX: &str = "deltaglider-";
const RANDOM: usize = 8;
const IN_MEMORY: &str = "mem-cache";
/// A cache changed more recently than this may belong to a running tool.
const RUNNING: Duration = Duration::from_secs(3600);

/// A cache of the Python tool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyCache {
    /// The directory of the cache.
    pub path: PathBuf,
    /// The number of files in it.
    pub files: u64,
    /// The total size of the files in bytes.
    pub bytes: u64,
}

impl LegacyCache {
    /// Returns this user's caches in these directories, sorted by path.
    ///
    /// A directory counts as a cache if its name matches and it holds only files that the Python
    /// tool creates. Links are not followed.
    pub fn find(folders: &[PathBuf]) -> Vec<Self> {
        let entries =
            folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
        let named = entries
            .filter(|entry| is_name(&entry.file_name().to_string_lossy()))
            .map(|entry| entry.path());
        let mut found: Vec<Self> = named.filter_map(|path| Self::look(&path)).collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    fn look(path: &Path) -> Option<Self> {
        if !is_own_folder(path) {
            return None;
        }
        let mut cache = Self { path: path.to_owned(), files: 0, bytes: 0 };
        for entry in WalkDir::new(path) {
            let entry = entry.ok()?;
            if entry.file_type().is_dir() {
                continue;
            }
            if !entry.file_type().is_file() || !is_file_name(&entry.file_name().to_string_lossy()) {
                return None;
            }
            cache.files += 1;
            cache.bytes += entry.metadata().ok()?.len();
        }
        Some(cache)
    }

    /// Returns whether the cache has not changed for an hour, so that no running tool uses it.
    pub fn is_left(&self) -> bool {
        let changed = std::fs::symlink_metadata(&self.path).and_then(|found| found.modified());
        changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= RUNNING))
    }

    /// Deletes the cache.
    ///
    /// # Errors
    ///
    /// Fails if the directory no longer looks like a cache of the Python tool.
    pub fn remove(&self) -> std::io::Result<()> {
        match Self::look(&self.path) {
            Some(_) => std::fs::remove_dir_all(&self.path),
            None => Err(std::io::Error::other("it changed since it was found")),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_random = |rest: &str| {
        rest.len() == RANDOM
            && rest.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
    };
    name == SHARED
        || name.strip_prefix(PREFIX).is_some_and(|rest| rest == IN_MEMORY || is_random(rest))
}

/// Returns whether the Python tool names files so: references by bucket and prefix or by SHA-256,
/// their decrypted copies, and drafts of both.
fn is_file_name(name: &str) -> bool {
    let stem =
        name.strip_prefix(".tmp.").or_else(|| name.strip_suffix(".decrypted")).unwrap_or(name);
    let is_digest =
        stem.len() == 64 && stem.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    is_digest
        || matches!(name, "reference.bin" | "reference.decrypted")
        || name.ends_with(".encrypted.tmp")
}

/// Returns whether `path` is a directory of this user, not a link to one.
pub(super) fn is_own_folder(path: &Path) -> bool {
    let found = std::fs::symlink_metadata(path);
    found.is_ok_and(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw())
}

/// Returns the total size in bytes of all readable files below a directory.
pub(super) fn bytes_below(path: &Path) -> u64 {
    let files =
        WalkDir::new(path).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    Total::of(files.filter_map(|entry| entry.metadata().ok()).map(|file| file.len())).bytes()
}
