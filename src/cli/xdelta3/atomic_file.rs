//! Atomic output files: a file appears under its name complete, or not at all.
//!
//! If a file may be written but its directory may not, the complete draft is copied into the file.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Seek as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Drafts;

/// The mode of a new file, before the umask.
const MODE: u32 = 0o666;
/// The mode of a file that will replace another one, until it is complete.
const PRIVATE_MODE: u32 = 0o600;
/// The permission bits of a mode, without the file type.
const MODE_BITS: u32 = 0o7777;
/// The set-user-ID and set-group-ID bits.
const SET_ID_BITS: u32 = 0o6000;

/// The path of the draft, until it is published or removed.
type Place = Arc<Mutex<Option<TempPath>>>;

/// A file that is being written beside its target, or as an unnamed temporary file.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    place: Place,
    target: PathBuf,
    /// The file to replace, open for writing, and its owner, group and mode.
    replaced: Option<(File, Rights)>,
}

impl Draft {
    /// Creates a draft for `path`, which does not exist, or is a file to replace.
    pub(super) fn of(path: &Path, replaces: bool) -> io::Result<Self> {
        let (target, replaced) = if replaces {
            // A file that may not be written may not be replaced either.
            let there = OpenOptions::new().write(true).open(path)?;
            let rights = Rights::of(&there.metadata()?);
            (path.canonicalize()?, Some((there, rights)))
        } else {
            (path.to_owned(), None)
        };
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let created = Drafts::default().create(folder, if replaces { PRIVATE_MODE } else { MODE });
        let (file, path) = match created {
            Ok(draft) => draft.into_parts(),
            Err(error) if replaces && is_denied(&error) => {
                return Ok(Self {
                    file: tempfile::tempfile()?,
                    place: Place::default(),
                    target,
                    replaced,
                });
            }
            Err(error) => return Err(error),
        };
        let place: Place = Arc::new(Mutex::new(Some(path)));
        remove_on_signals(place.clone())?;
        Ok(Self { file, place, target, replaced })
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Publishes the draft under its name.
    pub(super) fn publish(mut self) -> io::Result<()> {
        if let Some((_, rights)) = &self.replaced {
            rights.give_to(&self.file)?;
        }
        // The lock is held to the end, so that a signal takes effect before or after.
        let mut place = locked(&self.place);
        let done = match place.take() {
            None => None,
            Some(draft) if self.replaced.is_none() => {
                return Ok(draft.persist_noclobber(&self.target)?);
            }
            Some(draft) => Some(draft.persist(&self.target)),
        };
        match (done, &mut self.replaced) {
            (Some(Ok(())), _) | (_, None) => Ok(()),
            (Some(Err(error)), _) if !is_denied(&error.error) => Err(error.error),
            // As xdelta3 does: the directory lets no other file take this name.
            (_, Some((there, _))) => {
                self.file.rewind()?;
                there.set_len(0)?;
                io::copy(&mut self.file, there).map(|_| ())
            }
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // The signal thread holds the other reference for the life of the process.
        drop(locked(&self.place).take());
    }
}

/// The owner, group and mode of a file.
#[derive(Debug)]
struct Rights {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Rights {
    fn of(metadata: &Metadata) -> Self {
        Self { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & MODE_BITS }
    }

    /// Sets the owner, group and mode of a file. If the owner and the group cannot be set, it gets
    /// neither set-user-ID nor set-group-ID, which would run its content with other rights.
    fn give_to(&self, file: &File) -> io::Result<()> {
        // Before the mode, since a change of the owner clears these bits. Only root may change the
        // owner; members of a group may set it.
        if fchown(file, Some(self.uid), Some(self.gid)).is_err() {
            let _ = fchown(file, None, Some(self.gid));
        }
        let now = Self::of(&file.metadata()?);
        let same = (now.uid, now.gid) == (self.uid, self.gid);
        file.set_permissions(Permissions::from_mode(if same {
            self.mode
        } else {
            self.mode & !SET_ID_BITS
        }))
    }
}

/// Returns whether an error means that a directory may not be written to.
fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn locked(place: &Mutex<Option<TempPath>>) -> MutexGuard<'_, Option<TempPath>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process on SIGINT, SIGTERM and SIGHUP, as these do by default, after removing the
/// draft.
fn remove_on_signals(place: Place) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    drop(entered);
    std::thread::Builder::new().spawn(move || {
        let kind = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hang_up.recv() => SignalKind::hangup(),
            }
        });
        let mut place = locked(&place);
        drop(place.take());
        // The lock is kept, so that nothing is published any more.
        std::process::exit(128 + kind.as_raw_value());
    })?;
    Ok(())
}
