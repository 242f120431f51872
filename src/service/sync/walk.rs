//! Walks a local directory. The filter is applied first: an excluded path is neither opened,
//! followed nor counted.

use std::collections::HashSet;
use std::fs::{DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::SkipReason;
use super::entry::{At, Entry, Seen};
use super::filter::Filter;
use crate::domain::metadata::DELTA_SUFFIX;
use crate::domain::paths;
use crate::service::error::ServiceError;
use crate::service::set_aside::{self, Leftover};

/// Walks a directory in the order of names, so that the choice of the file that becomes a reference
/// does not depend on the file system.
pub(super) fn walk(folder: &Path, filter: &Filter, role: Role) -> Vec<Seen> {
    match std::fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        _ => {}
    }
    let root = std::fs::canonicalize(folder).and_then(|real| Ok((real, listed(folder)?)));
    let (real, entries) = match root {
        Ok(root) => root,
        Err(error) => return vec![failed(folder, error)],
    };
    let mut walk = Walk { filter, role, seen: Vec::new(), ancestors: vec![real] };
    walk.directory(folder, entries, "");
    let mut seen = walk.seen;
    let name = |seen: &Seen| match seen {
        Seen::File(entry) if entry.relative.ends_with(DELTA_SUFFIX) => Some(entry.relative.clone()),
        _ => None,
    };
    let deltas: HashSet<String> = seen.iter().filter_map(name).collect();
    for seen in &mut seen {
        if let Seen::File(entry) = seen {
            entry.has_namesake = deltas.contains(&format!("{}{DELTA_SUFFIX}", entry.relative));
        }
    }
    seen
}

/// Returns the entries of a directory in the order of their names.
fn listed(directory: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = std::fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}

fn failed(path: &Path, cause: io::Error) -> Seen {
    let what = path.display().to_string();
    Seen::Failed(what.clone(), ServiceError::Local { what, source: cause })
}

/// Returns whether an error concerns a single path rather than the disk or the machine.
fn is_unreadable(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotADirectory | NotFound | PermissionDenied)
}

/// The purpose of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The directory is read.
    Source,
    /// The directory is written to. Leftovers of killed downloads are restored first.
    Destination,
    /// The directory would be written to: a dry run.
    DryDestination,
}

struct Walk<'a> {
    filter: &'a Filter,
    role: Role,
    seen: Vec<Seen>,
    /// Real paths of the directories from the root of the walk to the current one, both included.
    ancestors: Vec<PathBuf>,
}

impl Walk<'_> {
    fn directory(&mut self, directory: &Path, mut entries: Vec<DirEntry>, above: &str) {
        let is_set_aside = |entry: &DirEntry| paths::is_set_aside_name(&entry.file_name());
        let mut in_use = HashSet::new();
        if entries.iter().any(is_set_aside) {
            for entry in entries.iter().filter(|entry| is_set_aside(entry)) {
                if self.role != Role::Destination
                    || set_aside::give_back(&entry.path()).ok() == Some(Leftover::InUse)
                {
                    in_use.insert(entry.file_name());
                }
            }
            match listed(directory) {
                Ok(again) => entries = again,
                Err(error) => return self.seen.push(failed(directory, error)),
            }
        }
        for entry in entries {
            if in_use.contains(&entry.file_name()) {
                self.set_aside(&entry.path(), directory, above);
                continue;
            }
            let (name, path) = (entry.file_name(), entry.path());
            // A name that is not UTF-8 has no key; this form serves only the filter.
            let relative = format!("{above}{}", name.to_string_lossy());
            match entry.file_type() {
                Ok(kind) => self.entry(&entry, kind, relative, name.to_str().is_some()),
                Err(error) => self.unread(&path, relative, error),
            }
        }
    }

    /// Reports the files that a download renamed aside.
    fn set_aside(&mut self, aside: &Path, directory: &Path, above: &str) {
        for entry in listed(aside).unwrap_or_default() {
            let relative = format!("{above}{}", entry.file_name().to_string_lossy());
            let path = directory.join(entry.file_name());
            // If the name is taken, the download has written it.
            if path.symlink_metadata().is_err() {
                let takes = self.filter.takes(&relative) || self.filter.may_take_below(&relative);
                self.seen.push(match takes {
                    true => Seen::Unread(relative, ServiceError::LeftAside(path)),
                    false => Seen::Hidden(relative),
                });
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry, kind: FileType, relative: String, is_utf8: bool) {
        let path = entry.path();
        let (takes, below) = (self.filter.takes(&relative), self.filter.may_take_below(&relative));
        // The target of a link may be a directory.
        let matters = if kind.is_dir() { below } else { takes || kind.is_symlink() && below };
        if !matters {
            return;
        }
        if !is_utf8 {
            if takes || kind.is_dir() {
                self.seen.push(Seen::Unread(relative, ServiceError::NotUtf8(path)));
            }
            return;
        }
        if !kind.is_dir() && takes && paths::is_draft_name(&entry.file_name()) {
            self.seen.push(Seen::Skip(path, relative, SkipReason::Draft));
            return;
        }
        if kind.is_symlink() {
            return self.link(&path, relative, takes, below);
        }
        if kind.is_dir() {
            let real = self
                .ancestors
                .last()
                .map(|above| above.join(entry.file_name()))
                .unwrap_or_default();
            return self.enter(&path, relative, real);
        }
        if !kind.is_file() {
            self.seen.push(Seen::Skip(path, relative, SkipReason::NotAFile));
            return;
        }
        match entry.metadata() {
            Ok(metadata) => self.file(&path, relative, &metadata),
            Err(error) => self.unread(&path, relative, error),
        }
    }

    /// Follows a symbolic link.
    fn link(&mut self, path: &Path, relative: String, takes: bool, below: bool) {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if !takes && (is_unreadable(&error) || is_loop(&error)) => {
                self.seen.push(Seen::Hidden(relative));
                return;
            }
            Err(error) => {
                let absent = error.kind() == io::ErrorKind::NotFound;
                let absent = absent.then(|| {
                    io::Error::new(error.kind(), "symbolic link to a path that does not exist")
                });
                return self.unread(path, relative, absent.unwrap_or(error));
            }
        };
        if metadata.is_dir() && below {
            match std::fs::canonicalize(path) {
                Ok(real) if self.ancestors.contains(&real) => {
                    let cause = "symbolic link to a directory that it is in";
                    match takes {
                        true => self.unread(
                            path,
                            relative,
                            io::Error::new(io::ErrorKind::NotADirectory, cause),
                        ),
                        false => self.seen.push(Seen::Hidden(relative)),
                    }
                }
                Ok(real) => self.enter(path, relative, real),
                Err(error) => self.unread(path, relative, error),
            }
        } else if metadata.is_file() && takes {
            self.file(path, relative, &metadata);
        } else if !metadata.is_dir() && takes {
            self.seen.push(Seen::Skip(path.to_owned(), relative, SkipReason::NotAFile));
        }
    }

    fn enter(&mut self, path: &Path, relative: String, real: PathBuf) {
        match listed(path) {
            Ok(entries) => {
                self.ancestors.push(real);
                self.directory(path, entries, &format!("{relative}/"));
                self.ancestors.pop();
            }
            Err(error) => self.unread(path, relative, error),
        }
    }

    fn file(&mut self, path: &Path, relative: String, metadata: &std::fs::Metadata) {
        match metadata.modified() {
            Ok(modified) => {
                let (size, at) = (metadata.len(), At::File(path.to_owned()));
                let changed = changed(metadata).unwrap_or(modified);
                self.seen.push(Seen::File(Entry {
                    relative,
                    size,
                    modified,
                    changed,
                    has_namesake: false,
                    at,
                }));
            }
            Err(error) => self.seen.push(failed(path, error)),
        }
    }

    fn unread(&mut self, path: &Path, relative: String, error: io::Error) {
        if is_unreadable(&error) || is_loop(&error) {
            self.seen.push(Seen::Unread(relative, ServiceError::local(path.display())(error)));
        } else {
            self.seen.push(failed(path, error));
        }
    }
}

/// Returns the time a file was last written to, renamed, or given another time or mode (ctime).
fn changed(metadata: &std::fs::Metadata) -> Option<SystemTime> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let since = Duration::from_secs(u64::try_from(metadata.ctime()).ok()?);
        UNIX_EPOCH.checked_add(since)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// Returns whether an error reports a loop of symbolic links.
fn is_loop(error: &io::Error) -> bool {
    #[cfg(unix)]
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    let is_loop = false;
    is_loop
}
