//! The input: a file or standard input, read once from its beginning to its end.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use super::external::{self, MAGIC_LEN, Program, Unpacked};
use super::failure::Failure;
use super::flags::Invocation;
use super::progress::size;
use crate::cli::streams::check_path;

/// The number of bytes read at a time.
pub(super) const PIECE: usize = 1 << 16;

/// An input with its name.
pub(super) struct Input {
    name: PathBuf,
    reader: Box<dyn Read + Send>,
    /// The length of a regular file on disk, in bytes.
    len: Option<u64>,
    program: Option<&'static Program>,
    read: u64,
}

impl Input {
    /// Opens a file, or standard input if `path` is `None`.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let name = path.unwrap_or(Path::new("/dev/stdin"));
        check_path(name).map_err(|error| Failure::open("read", name, &error))?;
        let file = match path {
            Some(path) => File::open(path),
            None => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        };
        let file = file.map_err(|error| Failure::open("read", name, &error))?;
        let metadata = file.metadata().map_err(|error| Failure::open("read", name, &error))?;
        let len = metadata.is_file().then_some(metadata.len());
        Ok(Self { name: name.to_owned(), reader: Box::new(file), len, program: None, read: 0 })
    }

    /// Unpacks the input if it is packed and external programs are allowed.
    pub(super) fn unpacked(mut self, invocation: &Invocation) -> Result<Self, Failure> {
        if !external::allowed() || !invocation.unpack {
            return Ok(self);
        }
        let beginning = read_full(&mut self.reader, MAGIC_LEN)
            .map_err(|error| Failure::read(&self.name, &error))?;
        let program = Program::recognising(&beginning);
        let whole = io::Cursor::new(beginning).chain(self.reader);
        self.reader = match program {
            None => Box::new(whole),
            Some(program) => {
                invocation.voice.remark(|| {
                    format!(
                        "externally compressed input: {} < {}",
                        program.unpacking(),
                        self.name.display()
                    )
                });
                self.program = Some(program);
                let unpacked = Unpacked::new(program, invocation.force_programs, whole);
                Box::new(unpacked.map_err(|error| Failure::read(&self.name, &error))?)
            }
        };
        Ok(self)
    }

    /// Prints with `-vv` the input and the window size that xdelta3 would choose for a file of this
    /// length.
    pub(super) fn tell(&self, invocation: &Invocation) {
        let window = self
            .len
            .map_or(usize::MAX, |len| len.min(1 << 32) as usize)
            .min(invocation.encode.window);
        let window = size(window.max(1 << 14) as u64);
        invocation
            .voice
            .very_verbose(|| format!("input {} window size {window}", self.name.display()));
    }

    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Returns the length of a regular file on disk, before it was unpacked.
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Returns the program that unpacked the input.
    pub(super) fn program(&self) -> Option<&'static Program> {
        self.program
    }

    /// Returns the number of bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Reads into the beginning of `piece` and returns the number of bytes; 0 at the end.
    pub(super) fn read(&mut self, piece: &mut [u8]) -> Result<usize, Failure> {
        loop {
            match Read::read(self, piece) {
                Ok(len) => return Ok(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::read(&self.name, &error)),
            }
        }
    }
}

/// The reader for the codec, which knows no names.
impl Read for Input {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        let len = self.reader.read(piece)?;
        self.read += len as u64;
        Ok(len)
    }
}

/// Reads `len` bytes, or fewer at the end.
pub(super) fn read_full(reader: &mut impl Read, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(len as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
