//! Bytes of unknown number between two steps: in memory while few, then sealed in a file without a
//! name.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use deltaglider_vcdiff::Source;

use crate::cache::{EncryptedTempFile, EncryptedTempSource};

/// More bytes than this go to a file: most deltas are far shorter, and operations may run side by
/// side.
const MEMORY: usize = 16 << 20;

/// Bytes that the spools of one process hold in memory together: with many operations side by side,
/// the rest goes to files.
const MEMORY_OF_ALL: usize = 32 << 20;

static IN_MEMORY: Held = Held(AtomicUsize::new(0));

/// Bytes in memory of several spools.
#[derive(Debug)]
struct Held(AtomicUsize);

/// Bytes in memory, and their part of the sum.
#[derive(Debug)]
pub(crate) struct InMemory {
    bytes: Vec<u8>,
    held: &'static Held,
}

impl InMemory {
    /// Appends `more`, or returns false if one spool or all of them would hold too much.
    fn append(&mut self, more: &[u8]) -> bool {
        let (len, capacity) = (self.bytes.len() + more.len(), self.bytes.capacity());
        if len > MEMORY {
            return false;
        }
        if len > capacity {
            let wanted = len.max(2 * capacity).min(MEMORY);
            let grown =
                |held: usize| Some(held + wanted - capacity).filter(|&held| held <= MEMORY_OF_ALL);
            if self.held.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_err() {
                return false;
            }
            self.bytes.reserve_exact(wanted - self.bytes.len());
            // The allocator may give more than what was asked for.
            self.held.0.fetch_add(self.bytes.capacity() - wanted, Ordering::Relaxed);
        }
        self.bytes.extend_from_slice(more);
        true
    }

    fn clear(&mut self) {
        self.held.0.fetch_sub(self.bytes.capacity(), Ordering::Relaxed);
        self.bytes = Vec::new();
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Takes bytes.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    memory: InMemory,
    scratch: Option<EncryptedTempFile>,
    len: u64,
}

impl Spool {
    /// A file, if one is needed, is made in `folder` (mode 0600, without a name, sealed).
    pub(crate) fn new(folder: &Path) -> Self {
        Self::within(folder, &IN_MEMORY)
    }

    fn within(folder: &Path, held: &'static Held) -> Self {
        let memory = InMemory { bytes: Vec::new(), held };
        Self { folder: folder.to_owned(), memory, scratch: None, len: 0 }
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
        if let Some(scratch) = &mut self.scratch {
            scratch.write_all(bytes)?;
        } else if !self.memory.append(bytes) {
            let mut scratch = EncryptedTempFile::new(&self.folder)?;
            scratch.write_all(&self.memory.bytes)?;
            scratch.write_all(bytes)?;
            self.memory.clear();
            self.scratch = Some(scratch);
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
    Memory(InMemory),
    Sealed(EncryptedTempSource),
}

impl Source for Spooled {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(memory) => memory.bytes.read_at(offset, buf),
            Self::Sealed(file) => file.read_at(offset, buf),
        }
    }

    fn len(&self) -> Option<u64> {
        match self {
            Self::Memory(memory) => Source::len(&memory.bytes),
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
            let mut spool =
                Spool::within(folder.path(), Box::leak(Box::new(Held(AtomicUsize::new(0)))));
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

    #[test]
    fn many_spools_share_one_limit() {
        let folder = tempfile::tempdir().unwrap();
        let held: &'static Held = Box::leak(Box::new(Held(AtomicUsize::new(0))));
        let content = vec![7; MEMORY / 2 + 1];
        let spooled: Vec<_> = (0..8)
            .map(|_| {
                let mut spool = Spool::within(folder.path(), held);
                content.chunks(1000).for_each(|piece| spool.write_all(piece).unwrap());
                assert!(held.0.load(Ordering::Relaxed) <= MEMORY_OF_ALL + (1 << 16));
                spool.finish().unwrap()
            })
            .collect();
        let sealed = spooled.iter().filter(|spooled| matches!(spooled, Spooled::Sealed(_))).count();
        assert!((4..8).contains(&sealed), "{sealed}");
        drop(spooled);
        assert_eq!(held.0.load(Ordering::Relaxed), 0);
    }
}
