//! Private and durable directories and files, and locks across processes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// The mode of new directories. Buckets are private unless they are published, and a file system
/// cannot publish one, so only the owner may read them.
pub(super) const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes the names in a directory durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory and returns whether it was missing; succeeds if it exists.
pub(super) fn make_folder(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|()| true),
    }
}

/// Writes a small file durably.
pub(super) fn write_file(path: &Path, content: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Waits for the exclusive lock on a file or directory. It is released when the file is dropped,
/// and by the system when the process ends.
pub(super) fn lock(file: File) -> io::Result<File> {
    uninterrupted(|| file.lock())?;
    Ok(file)
}

/// Waits for the shared lock on a file or directory.
pub(super) fn lock_shared(file: File) -> io::Result<File> {
    uninterrupted(|| file.lock_shared())?;
    Ok(file)
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
