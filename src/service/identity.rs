//! Identity of an open local file, to check whether a path still leads to it.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// The properties that a write or a replacement changes and a rename keeps: device, inode, size,
/// and modification time.
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

/// The same properties and the change time (seconds and nanoseconds), which a rename changes too.
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
    /// The state of the symbolic link that led to the file.
    link: Option<State>,
    file: State,
}

impl Identity {
    /// Opens a file and records its identity, read from the descriptor.
    pub(crate) fn open(path: &Path) -> io::Result<(File, Self)> {
        let link = std::fs::symlink_metadata(path)?;
        let link = link.is_symlink().then(|| State::of(&link));
        let file = File::open(path)?;
        let state = State::of(&file.metadata()?);
        Ok((file, Self { link, file: state }))
    }

    /// Returns whether the path still leads to the file, unmodified.
    pub(crate) fn is_still_at(&self, path: &Path) -> io::Result<bool> {
        let now = std::fs::symlink_metadata(path)?;
        if !now.is_symlink() {
            return Ok(self.link.is_none() && State::of(&now) == self.file);
        }
        Ok(self.link.as_ref() == Some(&State::of(&now))
            && State::of(&std::fs::metadata(path)?) == self.file)
    }
}
