//! A file under way: it appears under its name whole, or not at all.
//!
//! Only where a file may be written and its directory may not, the complete draft is copied into
//! the file.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Seek as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Drafts;

/// What a new file is created with, less what the umask takes away.
const MODE: u32 = 0o666;
/// The mode of a file that will replace another one, until it is complete.
const PRIVATE_MODE: u32 = 0o600;
/// The bits of a mode, without those of the kind of file.
const MODE_BITS: u32 = 0o7777;
/// Set-user-ID and set-group-ID.
const SET_ID_BITS: u32 = 0o6000;

/// Where the draft stands, while it does.
type Place = Arc<Mutex<Option<TempPath>>>;

/// A file that is being written beside the place it is meant for, or among the temporary files.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    place: Place,
    target: PathBuf,
    /// The file that is replaced, open for writing, and its rights.
    replaced: Option<(File, Rights)>,
}

impl Draft {
    /// For `path`, which is not there, or is a file that may be replaced.
    pub(super) fn of(path: &Path, replaces: bool) -> io::Result<Self> {
        let (target, replaced) = if replaces {
            // Where this is refused, so is replacing it.
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

    /// Gives it its name.
    pub(super) fn publish(mut self) -> io::Result<()> {
        if let Some((_, rights)) = &self.replaced {
            rights.give_to(&self.file)?;
        }
        // Held to the end: a signal comes before or after.
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
            // As xdelta3 does: no other file can take its name here.
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
        // Another thread keeps the place itself for as long as the process lives.
        drop(locked(&self.place).take());
    }
}

/// Owner, group and mode of a file.
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

    /// Gives a file these rights. Where it cannot have the owner and the group, it gets neither
    /// set-user-ID nor set-group-ID: its content would run with rights that the other's had not.
    fn give_to(&self, file: &File) -> io::Result<()> {
        // Before the mode: the owner's change takes these bits away. Only root may give a file
        // away; a group, its members.
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

/// Returns whether a directory may not be written to.
fn is_denied(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn locked(place: &Mutex<Option<TempPath>>) -> MutexGuard<'_, Option<TempPath>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process on SIGINT, SIGTERM and SIGHUP, as these do by themselves, but takes the draft
/// along.
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
        // The lock is kept: nothing is published any more.
        std::process::exit(128 + kind.as_raw_value());
    })?;
    Ok(())
}
