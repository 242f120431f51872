//! Folders and locks: made private, made durable, held across processes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Buckets are private until somebody publishes them, and a file system cannot publish one: nobody
/// but the owner reads.
pub(super) const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a folder; also fine when there is one. Says whether it was made.
pub(super) fn make_folder(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        made => made.map(|()| true),
    }
}

/// Writes a small durable file.
pub(super) fn write_file(path: &Path, content: &str) -> io::Result<()> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Waits for the lock on a file or folder; it is released when the file is dropped, and by the
/// system when the process ends.
pub(super) fn lock(file: File) -> io::Result<File> {
    uninterrupted(|| file.lock())?;
    Ok(file)
}

/// Like [`lock`], but any number may hold this one at a time.
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
