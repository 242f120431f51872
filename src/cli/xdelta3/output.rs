//! The output, opened when its first bytes are known, as xdelta3 does, so that an invalid input
//! touches no file.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use super::atomic_file::Draft;
use super::external::{Packing, Program};
use super::failure::Failure;
use super::flags::Invocation;
use super::verbosity::Verbosity;
use crate::cli::streams::check_path;

/// The maximum number of symbolic links followed, as on Linux.
const MAX_LINKS: usize = 40;

/// A destination and the state of writing to it.
#[derive(Debug)]
pub(super) struct Output {
    place: Place,
    overwrite: bool,
    voice: Verbosity,
    packing: Option<(&'static Program, bool)>,
    opened: Option<Opened>,
    written: u64,
}

#[derive(Debug)]
enum Place {
    Nowhere,
    Stdout,
    File(PathBuf),
}

/// An open destination.
#[derive(Debug)]
struct Opened {
    packing: Option<Packing>,
    to: To,
}

#[derive(Debug)]
enum To {
    Nowhere,
    /// Standard output, or a named device or pipe.
    Directly(File),
    Draft(Draft),
}

impl Output {
    /// Creates the output that an invocation names, else `otherwise`, else standard output.
    pub(super) fn new(invocation: &Invocation, otherwise: Option<PathBuf>) -> Self {
        let voice = invocation.voice;
        let place = match (&invocation.output, otherwise) {
            (named, _) if invocation.to_stdout => {
                if let Some(name) = named {
                    voice.remark(|| {
                        format!("warning: -c option overrides output filename: {}", name.display())
                    });
                }
                Place::Stdout
            }
            (Some(name), _) => Place::File(name.clone()),
            (None, Some(name)) => Place::File(name),
            (None, None) => Place::Stdout,
        };
        let place = if invocation.no_output { Place::Nowhere } else { place };
        Self {
            place,
            overwrite: invocation.overwrite,
            voice,
            packing: None,
            opened: None,
            written: 0,
        }
    }

    /// Sets the program that packs the output.
    pub(super) fn packed(self, program: Option<&'static Program>, force: bool) -> Self {
        Self { packing: program.map(|program| (program, force)), ..self }
    }

    /// Opens the output if it is not open yet.
    pub(super) fn open(&mut self) -> Result<(), Failure> {
        if self.opened.is_none() {
            self.opened = Some(self.opened()?);
        }
        Ok(())
    }

    fn opened(&self) -> Result<Opened, Failure> {
        let usable =
            if matches!(self.place, Place::Nowhere) { Ok(()) } else { check_path(self.name()) };
        usable.map_err(|error| Failure::open("write", self.name(), &error))?;
        let mut to = match &self.place {
            Place::Nowhere => return Ok(Opened { packing: None, to: To::Nowhere }),
            Place::Stdout => {
                self.voice.very_verbose(|| "using standard output: /dev/stdout".to_owned());
                let stdout = io::stdout().as_fd().try_clone_to_owned();
                To::Directly(
                    stdout.map_err(|error| Failure::open("write", self.name(), &error))?.into(),
                )
            }
            Place::File(path) => {
                let to = self.open_file(path)?;
                self.voice.very_verbose(|| format!("output {}", path.display()));
                to
            }
        };
        let failed = |error| Failure::write(self.name(), &error);
        let packing = match (self.packing, &mut to) {
            (Some((program, force)), To::Directly(file)) => {
                Some((program, force, file.try_clone()))
            }
            (Some((program, force)), To::Draft(draft)) => {
                Some((program, force, draft.file().try_clone()))
            }
            _ => None,
        };
        let packing = match packing {
            None => None,
            Some((program, force, file)) => {
                let (shell, name) = (program.packing(), self.name().display());
                self.voice.remark(|| format!("externally compressed output: {shell} > {name}"));
                Some(Packing::new(program, force, file.map_err(failed)?).map_err(failed)?)
            }
        };
        Ok(Opened { packing, to })
    }

    fn open_file(&self, path: &Path) -> Result<To, Failure> {
        let failed = |error| Failure::open("write", path, &error);
        let replaces = match std::fs::metadata(path) {
            Ok(there) if there.is_file() => {
                if !self.overwrite {
                    return Err(self.occupied(path));
                }
                true
            }
            // A device or a pipe; opening a directory fails, as it should.
            Ok(_) => {
                return File::options().write(true).open(path).map(To::Directly).map_err(failed);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(failed(error)),
        };
        // The absent target of a link is created.
        let named = if replaces { path.to_owned() } else { link_target(path) };
        Draft::of(&named, replaces).map(To::Draft).map_err(failed)
    }

    fn occupied(&self, path: &Path) -> Failure {
        Failure::unless_quiet(format!("to overwrite output file specify -f: {}", path.display()))
    }

    /// Writes a piece.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Failure> {
        self.open()?;
        let Some(Opened { packing, to }) = &mut self.opened else { return Ok(()) };
        let done = match (packing, to) {
            (_, To::Nowhere) => return Ok(()),
            (Some(packing), _) => packing.write(piece),
            (None, To::Directly(file)) => file.write_all(piece),
            (None, To::Draft(draft)) => draft.file().write_all(piece),
        };
        done.map_err(|error| Failure::write(self.name(), &error))?;
        self.written += piece.len() as u64;
        Ok(())
    }

    /// Publishes the output, which appears under its name only now. Returns the number of bytes
    /// written, 0 for no output.
    pub(super) fn finish(mut self) -> Result<u64, Failure> {
        if let Some(Opened { packing, to }) = self.opened.take() {
            if let Some(packing) = packing {
                packing.finish().map_err(|error| Failure::write(self.name(), &error))?;
            }
            if let To::Draft(draft) = to {
                draft.publish().map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => self.occupied(self.name()),
                    _ => Failure::write(self.name(), &error),
                })?;
            }
        }
        Ok(self.written)
    }

    fn name(&self) -> &Path {
        match &self.place {
            Place::File(path) => path,
            Place::Stdout | Place::Nowhere => Path::new("/dev/stdout"),
        }
    }
}

/// Follows links from a path to one that is not a link, which may be absent.
fn link_target(path: &Path) -> PathBuf {
    let mut target = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = std::fs::read_link(&target) else { break };
        target = target.parent().unwrap_or(Path::new("")).join(next);
    }
    target
}
