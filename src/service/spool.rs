//! A buffer for data of unknown length between two steps: in memory while short, then in an
//! encrypted unnamed file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use deltaglider_vcdiff::Source;

use crate::cache::{EncryptedTempFile, EncryptedTempSource};

/// The maximum number of bytes of one spool in memory. Most deltas are far shorter, and operations
/// run concurrently.
const MEMORY: usize = 16 << 20;

/// The maximum number of bytes that all spools of the process hold in memory together; the rest
/// goes to files.
const MEMORY_OF_ALL: usize = 32 << 20;

static IN_MEMORY: Held = Held(AtomicUsize::new(0));

/// The number of bytes that several spools hold in memory.
#[derive(Debug)]
struct Held(AtomicUsize);

/// Bytes in memory, counted in the shared sum.
#[derive(Debug)]
pub(crate) struct InMemory {
    bytes: Vec<u8>,
    held: &'static Held,
}

impl InMemory {
    /// Appends `more`; returns false if this spool or all spools together would hold too much.
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
            // The allocator may reserve more than requested.
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

/// A writer that keeps all bytes until they are read.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    memory: InMemory,
    file: Option<EncryptedTempFile>,
    len: u64,
}

impl Spool {
    /// Creates an empty spool. If it needs a file, that is created in the directory `folder`: mode
    /// 0600, without a name, encrypted.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::within(folder, &IN_MEMORY)
    }

    fn within(folder: &Path, held: &'static Held) -> Self {
        let memory = InMemory { bytes: Vec::new(), held };
        Self { folder: folder.to_owned(), memory, file: None, len: 0 }
    }

    /// Returns the number of bytes written so far.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Ends writing and returns the bytes, readable by position.
    pub(crate) fn finish(self) -> io::Result<Spooled> {
        match self.file {
            Some(file) => file.finish().map(Spooled::Sealed),
            None => Ok(Spooled::Memory(self.memory)),
        }
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        } else if !self.memory.append(bytes) {
            let mut file = EncryptedTempFile::new(&self.folder)?;
            file.write_all(&self.memory.bytes)?;
            file.write_all(bytes)?;
            self.memory.clear();
            self.file = Some(file);
        }
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The bytes of a finished [`Spool`].
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

    /// Reads the end of a spool that stayed in memory and of one that went to a file.
    #[test]
    fn spool_returns_what_was_written() {
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
