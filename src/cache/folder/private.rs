//! A directory private to this user, accessed through its descriptor: the verified directory is
//! the one used, whatever happens to its path.

use std::ffi::OsStr;
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

/// The mode of directories: access for the owner only.
pub(super) const FOLDER_MODE: u32 = 0o700;
/// The mode of files: access for the owner only.
const FILE_MODE: u32 = 0o600;

/// The flags of every open: never follow a link, never wait for the other end of a pipe.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
const AS_FOLDER: OFlags = SAFELY.union(OFlags::DIRECTORY).union(OFlags::RDONLY);

/// The reason why a file or directory is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsecureDir {
    /// It is a link, a pipe, a device, or a directory in the place of a file.
    #[error("it is not of the expected file type")]
    Type,
    /// It belongs to another user.
    #[error("it belongs to user {owner}, not to {expected}")]
    Owner {
        /// The user ID of the owner.
        owner: u32,
        /// The effective user ID of this process.
        expected: u32,
    },
    /// Other users may read or write it.
    #[error("its mode {0:o} gives access to other users")]
    Mode(u32),
    /// It has a second hard link, through which it may be written.
    #[error("it has {0} hard links")]
    Links(u64),
}

impl From<InsecureDir> for io::Error {
    fn from(insecure: InsecureDir) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, insecure)
    }
}

/// The identity of a file: its inode number, unique within a directory as long as the file is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64);

impl FileId {
    /// Returns the identity of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self(file.metadata()?.ino()))
    }
}

/// An open directory of mode 0700 that belongs to this user.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    folder: File,
    path: PathBuf,
}

impl PrivateFolder {
    /// Opens the directory at `path`, which must belong to this user; its last component must not
    /// be a link. Restricts a mode that gives access to other users.
    pub(super) fn open_path(path: &Path) -> io::Result<Self> {
        Self::verified(open_folder(path)?, path.to_owned())
    }

    /// Creates a directory in `parent`, and `parent` too. Whoever can rename files in `parent`
    /// could substitute another directory: `parent` must belong to this user or to root, and no
    /// other user may write to it unless it is sticky, as `/tmp` is.
    pub(super) fn make_below(parent: &Path, name: &str) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(parent)?;
        Self::trusted_parent(parent)?.make_in(name)
    }

    /// Opens the directory that [`make_below`](Self::make_below) would create; `None` if it does
    /// not exist.
    pub(super) fn open_below(parent: &Path, name: &str) -> io::Result<Option<Self>> {
        match Self::trusted_parent(parent).and_then(|parent| parent.open_in(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Opens a directory in which no other user can replace ours. Other users may use it, and its
    /// mode is not changed.
    pub(super) fn trusted_parent(parent: &Path) -> io::Result<Self> {
        let folder = open_folder(parent)?;
        let found = folder.metadata()?;
        if found.uid() != 0 {
            owned(found.uid())?;
        }
        if found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0 {
            return Err(InsecureDir::Mode(found.mode() & 0o7777).into());
        }
        Ok(Self { folder, path: parent.to_owned() })
    }

    /// Opens a subdirectory, creating it if it does not exist.
    pub(super) fn make_in(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.folder, name, Mode::from_raw_mode(FOLDER_MODE)) {
            Err(rustix::io::Errno::EXIST) => {}
            made => made?,
        }
        self.open_in(name)
    }

    /// Opens a subdirectory.
    pub(super) fn open_in(&self, name: &str) -> io::Result<Self> {
        let folder = rustix::fs::openat(&self.folder, name, AS_FOLDER, Mode::empty())
            .map_err(not_a_folder)?;
        Self::verified(File::from(folder), self.path.join(name))
    }

    fn verified(folder: File, path: PathBuf) -> io::Result<Self> {
        owned(folder.metadata()?.uid())?;
        let folder = Self { folder, path };
        if folder.restrict_mode()? {
            tracing::warn!(
                folder = %folder.path.display(),
                "other users had access to a directory of the cache; access was revoked"
            );
        }
        Ok(folder)
    }

    /// Restricts the mode to the owner; returns whether other users had access.
    pub(super) fn restrict_mode(&self) -> io::Result<bool> {
        let mode = self.folder.metadata()?.mode() & 0o7777;
        if mode != FOLDER_MODE {
            self.folder.set_permissions(Permissions::from_mode(FOLDER_MODE))?;
        }
        Ok(mode & 0o077 != 0)
    }

    /// Returns a path that leads to the open directory itself.
    #[cfg(target_os = "linux")]
    pub(super) fn path_of_descriptor(&self) -> PathBuf {
        use std::os::fd::AsRawFd as _;
        PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates a file, which must not exist.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = SAFELY | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(File::from(rustix::fs::openat(
            &self.folder,
            name,
            flags,
            Mode::from_raw_mode(FILE_MODE),
        )?))
    }

    /// Opens a file for reading and verifies the opened file: it must be a regular file of this
    /// user, of mode 0600, with one hard link.
    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        loop {
            let opened =
                rustix::fs::openat(&self.folder, name, SAFELY | OFlags::RDONLY, Mode::empty());
            let file = File::from(opened.map_err(|error| match error {
                rustix::io::Errno::LOOP => InsecureDir::Type.into(),
                error => io::Error::from(error),
            })?);
            let found = file.metadata()?;
            if !found.is_file() {
                return Err(InsecureDir::Type.into());
            }
            owned(found.uid())?;
            if found.mode() & 0o7777 != FILE_MODE {
                return Err(InsecureDir::Mode(found.mode() & 0o7777).into());
            }
            match found.nlink() {
                1 => return Ok(file),
                // It was deleted or replaced between the two calls.
                0 => {}
                links => return Err(InsecureDir::Links(links).into()),
            }
        }
    }

    /// Records that a name was used, by the mtime of an empty file.
    pub(super) fn touch(&self, name: &str) -> io::Result<()> {
        let flags = SAFELY | OFlags::WRONLY | OFlags::CREATE;
        let file = File::from(rustix::fs::openat(
            &self.folder,
            name,
            flags,
            Mode::from_raw_mode(FILE_MODE),
        )?);
        file.set_modified(std::time::SystemTime::now())
    }

    /// Returns the type, the size in bytes and the mtime, in nanoseconds since 1970, of the file at
    /// a name.
    pub(super) fn stat(&self, name: &OsStr) -> io::Result<(FileType, u64, i128)> {
        let stat = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let written = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
        Ok((
            FileType::from_raw_mode(stat.st_mode),
            u64::try_from(stat.st_size).unwrap_or_default(),
            written,
        ))
    }

    /// Returns the identity of the file at a name, without following a link.
    pub(super) fn file_id(&self, name: &OsStr) -> io::Result<FileId> {
        Ok(FileId(rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino))
    }

    /// Moves a file to another directory atomically, replacing any file there.
    pub(super) fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, name, &to.folder, new_name)?)
    }

    /// Deletes any file or directory at a name; succeeds if there is none.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(rustix::io::Errno::ISDIR) => std::fs::remove_dir_all(self.path.join(name)),
            removed => Ok(removed?),
        }
    }

    /// Returns every name in the directory.
    pub(super) fn names(&self) -> io::Result<Vec<std::ffi::OsString>> {
        use std::os::unix::ffi::OsStringExt as _;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(std::ffi::OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Waits for the lock on the directory, which is held until the returned file is dropped or the
    /// process ends.
    pub(super) fn lock(&self) -> io::Result<File> {
        let folder = File::from(rustix::fs::openat(&self.folder, ".", AS_FOLDER, Mode::empty())?);
        loop {
            match folder.lock() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                locked => return locked.map(|()| folder),
            }
        }
    }

    /// Returns whether the path still leads to the open directory.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        let ours = self.folder.metadata()?;
        match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => found.map(|found| (found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        }
    }
}

/// Converts the result of a lock attempt; `None` means that the lock is held elsewhere.
pub(super) fn unheld<T>(locked: Result<T, TryLockError>) -> io::Result<Option<T>> {
    match locked {
        Ok(locked) => Ok(Some(locked)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a directory; the last component of the path must not be a link.
pub(super) fn open_folder(path: &Path) -> io::Result<File> {
    Ok(File::from(rustix::fs::open(path, AS_FOLDER, Mode::empty()).map_err(not_a_folder)?))
}

fn owned(owner: u32) -> Result<(), InsecureDir> {
    let expected = rustix::process::geteuid().as_raw();
    if owner == expected { Ok(()) } else { Err(InsecureDir::Owner { owner, expected }) }
}

fn not_a_folder(error: rustix::io::Errno) -> io::Error {
    match error {
        rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => InsecureDir::Type.into(),
        error => error.into(),
    }
}
