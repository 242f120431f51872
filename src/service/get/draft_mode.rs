//! The permissions of a download: for its user alone while it is written, then those of the
//! replaced file or those stored with the object.

use std::fs::File;
use std::io;
use std::path::Path;

/// The permission bits that the process may give to a new file: all but those of its umask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modes {
    #[cfg(unix)]
    allowed: u32,
    /// The permission bits of a new file.
    #[cfg(unix)]
    new: u32,
}

impl Modes {
    /// Restricts a draft to its user. The draft was created with mode 0666, so its permissions show
    /// the umask.
    #[cfg(unix)]
    pub(super) fn hide(draft: &File) -> io::Result<Self> {
        let new = mode(&draft.metadata()?);
        set_mode(draft, 0o600)?;
        // Execution is allowed only where reading is.
        Ok(Self { allowed: new | (new & 0o444) >> 2, new })
    }

    /// Sets the permissions of a draft: those of the file at `path`, else those stored with the
    /// object, else those of a new file.
    #[cfg(unix)]
    pub(super) fn give(self, draft: &File, path: &Path, kept: Option<u32>) -> io::Result<()> {
        let replaced = std::fs::symlink_metadata(path).ok().filter(std::fs::Metadata::is_file);
        let kept = kept.map_or(self.new, |kept| kept & self.allowed);
        set_mode(draft, replaced.map_or(kept, |replaced| mode(&replaced)))
    }

    #[cfg(not(unix))]
    pub(super) fn hide(_: &File) -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    pub(super) fn give(self, _: &File, _: &Path, _: Option<u32>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
}
