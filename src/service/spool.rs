//! Bytes of unknown number between two steps: in memory while few, then sealed in a file without a name.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use deltaglider_vcdiff::Source;

use crate::cache::{Scratch, ScratchSource};

/// More bytes than this go to a file: most deltas are far shorter, and operations may run side by side.
const MEMORY: usize = 16 << 20;

/// Takes bytes.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    memory: Vec<u8>,
    scratch: Option<Scratch>,
    len: u64,
}

impl Spool {
    /// A file, if one is needed, is made in `folder` (mode 0600, without a name, sealed).
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), memory: Vec::new(), scratch: None, len: 0 }
    }

    /// Bytes taken so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Everything taken, readable by position.
    pub(crate) fn finish(self) -> io::Result<Spooled> {
        match self.scratch {
            Some(scratch) => scratch.finish().map(Spooled::Sealed),
            None => Ok(Spooled::Memory(self.memory)),
        }
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.scratch.is_none() && self.memory.len() + bytes.len() > MEMORY {
            let mut scratch = Scratch::new(&self.folder)?;
            scratch.write_all(&self.memory)?;
            self.memory = Vec::new();
            self.scratch = Some(scratch);
        }
        match &mut self.scratch {
            Some(scratch) => scratch.write_all(bytes)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a [`Spool`] took.
#[derive(Debug)]
pub(crate) enum Spooled {
    Memory(Vec<u8>),
    Sealed(ScratchSource),
}

impl Source for Spooled {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read_at(offset, buf),
            Self::Sealed(file) => file.read_at(offset, buf),
        }
    }

    fn len(&self) -> Option<u64> {
        match self {
            Self::Memory(bytes) => Source::len(bytes),
            Self::Sealed(file) => file.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_gives_back_what_it_took_from_memory_and_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        for pieces in [1, 5] {
            let piece: Vec<u8> = (0..MEMORY / 3).map(|at| (at / 7) as u8).collect();
            let mut spool = Spool::new(folder.path());
            (0..pieces).for_each(|_| spool.write_all(&piece).unwrap());
            assert_eq!(spool.len(), (pieces * piece.len()) as u64);
            let spooled = spool.finish().unwrap();
            assert_eq!(matches!(spooled, Spooled::Sealed(_)), pieces == 5);
            let mut back = vec![0; piece.len()];
            let last = ((pieces - 1) * piece.len()) as u64;
            assert_eq!(spooled.read_at(last, &mut back).unwrap(), piece.len());
            assert!(back == piece);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }
}
