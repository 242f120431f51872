//! A file under way: it appears under its name whole, or not at all.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempPath;
use tokio::signal::unix::{SignalKind, signal};

/// What a new file is created with, less what the umask takes away.
const MODE: u32 = 0o666;

/// Where the draft stands, while it does.
type Place = Arc<Mutex<Option<TempPath>>>;

/// A file that is being written beside the place it is meant for.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    place: Place,
    target: PathBuf,
    replaces: bool,
}

impl Draft {
    /// For `path`, which is not there, or is a file that may be replaced.
    pub(super) fn of(path: &Path, replaced: Option<Permissions>) -> io::Result<Self> {
        let replaces = replaced.is_some();
        let target = if replaces {
            // Where this is refused, so is replacing it.
            OpenOptions::new().write(true).open(path)?;
            path.canonicalize()?
        } else {
            path.to_owned()
        };
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".deltaglider-").permissions(Permissions::from_mode(MODE));
        let (file, path) = builder.tempfile_in(folder)?.into_parts();
        if let Some(permissions) = replaced {
            file.set_permissions(permissions)?;
        }
        let place: Place = Arc::new(Mutex::new(Some(path)));
        remove_on_signals(place.clone())?;
        Ok(Self { file, place, target, replaces })
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name.
    pub(super) fn publish(self) -> io::Result<()> {
        // Held to the end: a signal comes before or after.
        let mut place = locked(&self.place);
        let Some(draft) = place.take() else { return Ok(()) };
        let done = if self.replaces { draft.persist(&self.target) } else { draft.persist_noclobber(&self.target) };
        done.map_err(|error| error.error)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Another thread keeps the place itself for as long as the process lives.
        drop(locked(&self.place).take());
    }
}

fn locked(place: &Mutex<Option<TempPath>>) -> MutexGuard<'_, Option<TempPath>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process on SIGINT, SIGTERM and SIGHUP, as these do by themselves, but takes the draft along.
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
