//! The source, read by position, even if it is a pipe.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};

use deltaglider_vcdiff::{FileSource, Source};

use super::external::{self, MAGIC_LEN, Program, Unpacked};
use super::failure::Failure;
use super::flags::Invocation;
use super::input::read_full;
use super::progress::size;
use crate::cli::streams::check_path;

/// The number of blocks in a source window of xdelta3 if the source does not fit into it.
const BLOCKS: u64 = 32;

/// A source with its name.
#[derive(Debug)]
pub(super) struct NamedSource {
    name: PathBuf,
    program: Option<&'static Program>,
    bytes: Positioned,
}

/// Bytes that can be read at any position.
#[derive(Debug)]
pub(super) struct Positioned {
    file: FileSource,
    /// The length of a regular file that was not unpacked; xdelta3 makes other deltas without it.
    len: Option<u64>,
}

impl Source for Positioned {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        self.len
    }
}

impl NamedSource {
    /// Opens a source and, if external programs are allowed, unpacks it with `program`, or with the
    /// one that its first bytes match.
    pub(super) fn open(
        path: &Path,
        program: Option<&'static Program>,
        invocation: &Invocation,
    ) -> Result<Self, Failure> {
        let file = check_path(path).and_then(|()| File::open(path));
        let mut file = file.map_err(|error| Failure::open("read", path, &error))?;
        let failed = |error: io::Error| Failure::source(path, &error);
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::Error::from_raw_os_error(IS_A_DIRECTORY)));
        }
        let seekable = file.stream_position().is_ok();
        let may_unpack = external::allowed() && invocation.unpack;
        if seekable && !may_unpack {
            let len = metadata.is_file().then_some(metadata.len());
            let file = FileSource::new(file).map_err(failed)?;
            return Ok(Self {
                name: path.to_owned(),
                program: None,
                bytes: Positioned { file, len },
            });
        }
        let beginning =
            if may_unpack { read_full(&mut file, MAGIC_LEN).map_err(failed)? } else { Vec::new() };
        let program = program.or_else(|| Program::recognising(&beginning)).filter(|_| may_unpack);
        if seekable && program.is_none() {
            let len = metadata.is_file().then_some(metadata.len());
            let file = FileSource::new(file).map_err(failed)?;
            return Ok(Self { name: path.to_owned(), program, bytes: Positioned { file, len } });
        }
        let mut whole = io::Cursor::new(beginning).chain(file);
        // A stream is copied to a file, so that any part of it can be read again.
        let mut spool = tempfile::tempfile().map_err(failed)?;
        match program {
            None => io::copy(&mut whole, &mut spool).map_err(failed)?,
            Some(program) => {
                let shell = program.unpacking();
                invocation.voice.remark(|| {
                    format!("externally compressed input: {shell} < {}", path.display())
                });
                let mut unpacked = Unpacked::new(program, invocation.force_programs, whole)
                    .map_err(|e| Failure::read(path, &e))?;
                io::copy(&mut unpacked, &mut spool).map_err(|error| Failure::read(path, &error))?
            }
        };
        let file = FileSource::new(spool).map_err(failed)?;
        Ok(Self { name: path.to_owned(), program, bytes: Positioned { file, len: None } })
    }

    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Returns the program that unpacked the source.
    pub(super) fn program(&self) -> Option<&'static Program> {
        self.program
    }

    pub(super) fn bytes(&self) -> &Positioned {
        &self.bytes
    }

    /// Prints with `-v` the source and its window, followed by `manner`.
    pub(super) fn tell(&self, invocation: &Invocation, manner: &str) {
        let window = invocation.encode.source_window.next_power_of_two();
        // The length of a pipe is known once all of it fits into the source window.
        let known = self.bytes.len.or(self.bytes.file.len().filter(|&len| len < window));
        let (len, whole) = match known {
            Some(len) => (format!("{} [{len}]", size(len)), len <= window),
            None => ("unknown".to_owned(), false),
        };
        let (block, blocks) = if whole { (window, 1) } else { (window / BLOCKS, BLOCKS) };
        let buffers = if invocation.voice.is_very_verbose() {
            format!(" #bufs {blocks}")
        } else {
            String::new()
        };
        invocation.voice.verbose(|| {
            let (name, block, window) = (self.name.display(), size(block), size(window));
            format!(
                "source {name} source size {len} blksize {block} window {window}{buffers}{manner}"
            )
        });
    }
}

/// The number of EISDIR.
const IS_A_DIRECTORY: i32 = 21;
