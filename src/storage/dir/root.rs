//! The root directory of a store: identified by its format file, created with the first bucket.

use std::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use crate::storage::StorageErrorKind;

use super::fsync::{FOLDER_MODE, lock, make_folder, sync_folder, write_file};
use super::io_error::Fault;
use super::temporaries::{Temporaries, private_folder};

/// The file that identifies the directory as a store and holds the format's version.
const FORMAT_FILE: &str = "deltaglider-store";
/// The format file before it is complete. If it is the only entry of a directory, a process died
/// while it created a store there.
const UNFINISHED_FORMAT_FILE: &str = "deltaglider-store.new";
/// The directory that a fresh ext file system has in its root.
const LOST_AND_FOUND: &str = "lost+found";
const TITLE: &str = "deltaglider embedded store";
const FORMAT: &str = "format 1";

#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    /// Set once the format file was read: a store does not turn into something else.
    recognised: OnceLock<()>,
    temporaries: Mutex<Option<Arc<Temporaries>>>,
    clock: Clock,
}

/// The clock that dates the objects: the system's clock, except in tests.
pub(super) struct Clock(Box<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    pub(super) fn new(clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Box::new(clock))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl Root {
    /// Rejects a path that is neither a store nor free to become one.
    pub(super) fn open(path: &Path, clock: Clock) -> Result<Self, Fault> {
        let path = std::path::absolute(path).map_err(Fault::at(path))?;
        let root = Self { path, recognised: OnceLock::new(), temporaries: Mutex::default(), clock };
        root.exists()?;
        Ok(root)
    }

    /// Returns the time of a write.
    pub(super) fn now(&self) -> SystemTime {
        (self.clock.0)()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn buckets(&self) -> PathBuf {
        self.path.join("buckets")
    }

    /// Returns whether the store exists on disk; an absent or empty directory is a store without
    /// buckets.
    pub(super) fn exists(&self) -> Result<bool, Fault> {
        if self.recognised.get().is_some() {
            return Ok(true);
        }
        let recognised = self.recognise()?;
        if recognised {
            self.recognised.get_or_init(|| ());
        }
        Ok(recognised)
    }

    fn recognise(&self) -> Result<bool, Fault> {
        self.recognise_by(self.format()?)
    }

    /// Decides by the format file as it was read first; a directory without one must be free.
    fn recognise_by(&self, format: Option<String>) -> Result<bool, Fault> {
        let format = match format {
            Some(format) => format,
            None => match self.is_free() {
                Ok(()) => return Ok(false),
                // Another process may have created the store since: the format file is the first
                // thing it creates.
                Err(fault) => self.format()?.ok_or(fault)?,
            },
        };
        let refuse = |why: String| Err(Fault::because(StorageErrorKind::Invalid, why));
        match format.split_once('\n') {
            Some((TITLE, format)) if format.trim_end() == FORMAT => Ok(true),
            Some((TITLE, format)) => {
                let (path, format) = (self.path.display(), format.trim_end());
                refuse(format!(
                    "{path} is an embedded store of {format:?}; this program knows {FORMAT:?}"
                ))
            }
            _ => {
                let file = self.path.join(FORMAT_FILE);
                refuse(format!("{} is not the format file of an embedded store", file.display()))
            }
        }
    }

    /// Returns the content of the format file; `None` if it does not exist.
    fn format(&self) -> Result<Option<String>, Fault> {
        let file = self.path.join(FORMAT_FILE);
        match std::fs::read_to_string(&file) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            read => Ok(Some(read.map_err(Fault::at(&file))?)),
        }
    }

    fn is_free(&self) -> Result<(), Fault> {
        let entries = match std::fs::read_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                let why = format!("{} is not a folder", self.path.display());
                return Err(Fault::because(StorageErrorKind::Invalid, why));
            }
            entries => entries.map_err(Fault::at(&self.path))?,
        };
        for entry in entries {
            let name = entry?.file_name();
            if name != UNFINISHED_FORMAT_FILE && name != LOST_AND_FOUND {
                let path = self.path.display();
                let why = format!(
                    "{path} is not an embedded store and not empty: there is {name:?} in it"
                );
                return Err(Fault::because(StorageErrorKind::Invalid, why));
            }
        }
        Ok(())
    }

    /// Creates the store if it does not exist; any number of processes may do so at once.
    pub(super) fn establish(&self) -> Result<(), Fault> {
        let missing: Vec<&Path> =
            self.path.ancestors().take_while(|folder| !folder.exists()).collect();
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(&self.path)
            .map_err(Fault::at(&self.path))?;
        for above in missing.iter().filter_map(|folder| folder.parent()) {
            sync_folder(above).map_err(Fault::at(above))?;
        }
        let _lock = lock(File::open(&self.path).map_err(Fault::at(&self.path))?)?;
        if !self.recognise()? {
            let unfinished = self.path.join(UNFINISHED_FORMAT_FILE);
            write_file(&unfinished, &format!("{TITLE}\n{FORMAT}\n"))
                .map_err(Fault::at(&unfinished))?;
            std::fs::rename(&unfinished, self.path.join(FORMAT_FILE))?;
        }
        make_folder(&self.buckets())?;
        // Also if everything existed: its creator may not have come this far.
        sync_folder(&self.path)?;
        self.recognised.get_or_init(|| ());
        Ok(())
    }

    /// Creates a new directory for debris that is moved out of a bucket.
    pub(super) fn aside(&self) -> Result<PathBuf, Fault> {
        let aside = self.path.join("aside");
        if make_folder(&aside).map_err(Fault::at(&aside))? {
            sync_folder(&self.path)?;
        }
        let place = private_folder(&aside).map_err(Fault::at(&aside))?.keep();
        sync_folder(&aside)?;
        Ok(place)
    }

    /// Returns the temporary directory of this process, created when it first writes.
    pub(super) fn temporaries(&self) -> Result<Arc<Temporaries>, Fault> {
        let mut own = self.temporaries.lock().unwrap_or_else(PoisonError::into_inner);
        match &*own {
            Some(temporaries) => Ok(temporaries.clone()),
            None => Ok(own.insert(Arc::new(Temporaries::make(&self.path.join("tmp"))?)).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store that another process creates after the format file was looked for is recognised.
    #[test]
    fn racing_store_creation_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let root = || Root::open(folder.path(), Clock::new(SystemTime::now)).unwrap();
        let (first, second) = (root(), root());
        let format = second.format().unwrap();
        assert_eq!(format, None);
        first.establish().unwrap();
        assert!(second.recognise_by(format).unwrap());
        // A directory that is not empty is still not a store.
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("notes.txt"), "").unwrap();
        let Err(refused) = Root::open(other.path(), Clock::new(SystemTime::now)) else {
            panic!("opened")
        };
        assert_eq!(refused.kind, StorageErrorKind::Invalid);
    }
}
