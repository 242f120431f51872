//! Which file a descriptor was opened on, and whether a path still leads to it.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// What changes when a file is replaced or written to and stays when it is renamed: device, inode,
/// size, and the time of the last write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) size: u64,
    modified: Option<std::time::SystemTime>,
    /// Device and inode.
    #[cfg(unix)]
    inode: (u64, u64),
}

impl FileState {
    pub(super) fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            size: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (metadata.dev(), metadata.ino()),
        }
    }
}

/// The same with the time of the last change in seconds and nanoseconds, which a renaming changes
/// too.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    file: FileState,
    #[cfg(unix)]
    changed: (i64, i64),
}

impl State {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt as _;
        Self {
            file: FileState::of(metadata),
            #[cfg(unix)]
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A local file as it was when it was opened.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Of the symbolic link that led to it.
    link: Option<State>,
    file: State,
}

impl Identity {
    /// Opens a file and notes which it is, by its descriptor.
    pub(crate) fn open(path: &Path) -> io::Result<(File, Self)> {
        let link = std::fs::symlink_metadata(path)?;
        let link = link.is_symlink().then(|| State::of(&link));
        let file = File::open(path)?;
        let state = State::of(&file.metadata()?);
        Ok((file, Self { link, file: state }))
    }

    /// Whether the path still leads to the file, and that was not written to.
    pub(crate) fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        let now = std::fs::symlink_metadata(path)?;
        if !now.is_symlink() {
            return Ok(self.link.is_none() && State::of(&now) == self.file);
        }
        Ok(self.link.as_ref() == Some(&State::of(&now))
            && State::of(&std::fs::metadata(path)?) == self.file)
    }
}
