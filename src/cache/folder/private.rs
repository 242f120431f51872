//! A folder that is ours alone, spoken to by its descriptor: what was verified is what is used,
//! whatever happens to its path.

use std::ffi::OsStr;
use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

/// Nobody but the owner looks in.
pub(super) const FOLDER_MODE: u32 = 0o700;
/// Nobody but the owner reads, and entries are not written twice.
const FILE_MODE: u32 = 0o600;

/// Never through a link, never waiting for the other end of a pipe.
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
const AS_FOLDER: OFlags = SAFELY.union(OFlags::DIRECTORY).union(OFlags::RDONLY);

/// What is wrong with a file or folder we were about to trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsecureDir {
    /// It is a link, a pipe, a device, or a folder in the place of a file.
    #[error("it is of another type than it should be")]
    Type,
    /// It is somebody else's.
    #[error("it belongs to user {owner}, not to {expected}")]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who we are.
        expected: u32,
    },
    /// Others may read or write it.
    #[error("its mode is {0:o}: others than its owner may use it")]
    Mode(u32),
    /// It has a second name, by which it may be written.
    #[error("it has {0} names")]
    Links(u64),
}

impl From<InsecureDir> for io::Error {
    fn from(fault: InsecureDir) -> Self {
        Self::new(io::ErrorKind::PermissionDenied, fault)
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

/// A folder of mode 0700 that belongs to us.
#[derive(Debug)]
pub(super) struct PrivateFolder {
    folder: File,
    path: PathBuf,
}

impl PrivateFolder {
    /// Opens the folder at `path`. Its last name must be no link, and it ours; a mode that lets
    /// others in is put right.
    pub(super) fn open_path(path: &Path) -> io::Result<Self> {
        Self::verified(open_folder(path)?, path.to_owned())
    }

    /// Makes a folder in `parent`, which is made too. Whoever can rename what is in `parent` could
    /// give us another folder: it must be ours or the system's, and nobody else may write there
    /// unless it is sticky, as `/tmp` is.
    pub(super) fn make_below(parent: &Path, name: &str) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(parent)?;
        Self::trusted_parent(parent)?.make_in(name)
    }

    /// The folder that [`make_below`](Self::make_below) would make, if it is there.
    pub(super) fn open_below(parent: &Path, name: &str) -> io::Result<Option<Self>> {
        match Self::trusted_parent(parent).and_then(|parent| parent.open_in(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// A folder in which nobody can put another one in the place of ours. It may be used by others,
    /// and is not put right.
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

    /// A folder in this one, made if it is not there.
    pub(super) fn make_in(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.folder, name, Mode::from_raw_mode(FOLDER_MODE)) {
            Err(rustix::io::Errno::EXIST) => {}
            made => made?,
        }
        self.open_in(name)
    }

    /// A folder in this one.
    pub(super) fn open_in(&self, name: &str) -> io::Result<Self> {
        let folder = rustix::fs::openat(&self.folder, name, AS_FOLDER, Mode::empty())
            .map_err(not_a_folder)?;
        Self::verified(File::from(folder), self.path.join(name))
    }

    fn verified(folder: File, path: PathBuf) -> io::Result<Self> {
        owned(folder.metadata()?.uid())?;
        let folder = Self { folder, path };
        if folder.put_right()? {
            tracing::warn!(folder = %folder.path.display(), "others were let into a folder of the cache; put right");
        }
        Ok(folder)
    }

    /// Sees to it that nobody else is let in; says whether somebody was.
    pub(super) fn put_right(&self) -> io::Result<bool> {
        let mode = self.folder.metadata()?.mode() & 0o7777;
        if mode != FOLDER_MODE {
            self.folder.set_permissions(Permissions::from_mode(FOLDER_MODE))?;
        }
        Ok(mode & 0o077 != 0)
    }

    /// A path that leads to this very folder.
    #[cfg(target_os = "linux")]
    pub(super) fn path_of_descriptor(&self) -> PathBuf {
        use std::os::fd::AsRawFd as _;
        PathBuf::from(format!("/proc/self/fd/{}", self.folder.as_raw_fd()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a file, which must not be there.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = SAFELY | OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(File::from(rustix::fs::openat(
            &self.folder,
            name,
            flags,
            Mode::from_raw_mode(FILE_MODE),
        )?))
    }

    /// Opens a file for reading and looks at what was opened: a regular file of ours, of nobody
    /// else's business, of one name.
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
                // Between the two steps it was removed, or another one came in its place.
                0 => {}
                links => return Err(InsecureDir::Links(links).into()),
            }
        }
    }

    /// Says when a name was used, by a file that holds nothing.
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

    /// What stands under a name: its type, its size and when it was written, in nanoseconds since
    /// 1970.
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

    /// Moves a file to another folder at once, in the place of what is there.
    pub(super) fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.folder, name, &to.folder, new_name)?)
    }

    /// Removes whatever stands under a name; also fine when nothing does.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(rustix::io::Errno::ISDIR) => std::fs::remove_dir_all(self.path.join(name)),
            removed => Ok(removed?),
        }
    }

    /// Every name in it.
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

    /// Waits for the lock on the folder; it lasts as long as what is returned, and no longer than
    /// the process.
    pub(super) fn lock(&self) -> io::Result<File> {
        let folder = File::from(rustix::fs::openat(&self.folder, ".", AS_FOLDER, Mode::empty())?);
        loop {
            match folder.lock() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                locked => return locked.map(|()| folder),
            }
        }
    }

    /// Whether the path still leads to this folder.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        let ours = self.folder.metadata()?;
        match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            found => found.map(|found| (found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        }
    }
}

/// Takes a lock that nobody holds; `None` if somebody does.
pub(super) fn unheld<T>(locked: Result<T, TryLockError>) -> io::Result<Option<T>> {
    match locked {
        Ok(locked) => Ok(Some(locked)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens a folder whose last name is no link.
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
