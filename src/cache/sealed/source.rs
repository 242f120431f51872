//! Reading sealed bytes by position: opens only the chunks needed, and returns only authenticated
//! bytes.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use deltaglider_aead::TAG_LEN;
use deltaglider_vcdiff::Source;
use zeroize::Zeroizing;

use super::CorruptChunk;
use super::chunks::{ChunkCipher, Layout, Part};
use super::header::{HEADER_LEN, Header};

/// The number of opened chunks that are kept: a read that begins or ends within a chunk is mostly
/// followed by one of the same chunk.
const RECENT: usize = 16;

/// Storage of sealed bytes.
pub(in crate::cache) trait Stored: Send + Sync {
    /// Fills `buf` from `offset` on; fails if there are fewer bytes.
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Stored for File {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buf, offset)
    }
}

impl Stored for Vec<u8> {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let got = self.read_at(offset, buf)?;
        if got < buf.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

type Opened = Zeroizing<Vec<u8>>;

/// Random access to the plain text of sealed content.
pub(in crate::cache) struct SealedSource<S> {
    stored: S,
    /// The offset of the first chunk in bytes.
    start: u64,
    layout: Layout,
    cipher: ChunkCipher,
    /// Opened chunks by index, the most recently used last.
    recent: Mutex<Vec<(u32, Opened)>>,
}

impl<S> fmt::Debug for SealedSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedSource").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl<S: Stored> SealedSource<S> {
    /// Reads the chunks that follow a header.
    pub(in crate::cache) fn entry(stored: S, header: Header) -> Self {
        Self::new(stored, HEADER_LEN as u64, header.layout, header.cipher)
    }

    pub(super) fn new(stored: S, start: u64, layout: Layout, cipher: ChunkCipher) -> Self {
        Self { stored, start, layout, cipher, recent: Mutex::default() }
    }

    pub(in crate::cache) fn stored(&self) -> &S {
        &self.stored
    }

    /// Opens the chunk of this index into `chunk`, which has its length.
    fn open(&self, index: u32, chunk: &mut [u8]) -> Result<(), CorruptChunk> {
        let at = self.start + self.layout.start(index);
        let mut tag = [0; TAG_LEN];
        let read = self.stored.read_exact_at(chunk, at);
        read.and_then(|()| self.stored.read_exact_at(&mut tag, at + chunk.len() as u64)).map_err(
            |error| match error.kind() {
                io::ErrorKind::UnexpectedEof => CorruptChunk::CutOff(index),
                kind => CorruptChunk::Unreadable { chunk: index, kind },
            },
        )?;
        let part = if Some(index) == self.layout.last() { Part::Last } else { Part::Inner };
        self.cipher.open(index, part, chunk, &tag)
    }

    /// Copies the part of a chunk that begins `skip` bytes into it.
    fn copy(&self, index: u32, skip: usize, to: &mut [u8]) -> Result<(), CorruptChunk> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, chunk) = match recent.iter().position(|(held, _)| *held == index) {
            Some(place) => recent.remove(place),
            None => {
                // Concurrent readers need not wait for this chunk.
                drop(recent);
                let mut chunk = Opened::new(vec![0; self.layout.chunk_len(index)]);
                self.open(index, &mut chunk)?;
                recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
                (index, chunk)
            }
        };
        if let Some(from) = chunk.get(skip..skip + to.len()) {
            to.copy_from_slice(from);
        }
        recent.retain(|(held, _)| *held != index);
        if recent.len() >= RECENT {
            recent.remove(0);
        }
        recent.push((index, chunk));
        Ok(())
    }

    /// Authenticates every chunk.
    pub(in crate::cache) fn verify(&self) -> Result<(), CorruptChunk> {
        let mut chunk = Opened::new(vec![0; self.layout.chunk_len]);
        for index in 0..=self.layout.last().unwrap_or_default() {
            let len = self.layout.chunk_len(index);
            self.open(index, chunk.get_mut(..len).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl<S: Stored> Source for SealedSource<S> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = self.layout.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let mut rest = buf.get_mut(..wanted).unwrap_or_default();
        let mut at = offset;
        while !rest.is_empty() {
            let size = self.layout.chunk_len as u64;
            let index = u32::try_from(at / size)
                .map_err(|_| io::Error::from(CorruptChunk::CutOff(u32::MAX)))?;
            let (skip, len) = ((at % size) as usize, self.layout.chunk_len(index));
            let (piece, later) = rest.split_at_mut(rest.len().min(len - skip));
            if piece.len() == len {
                self.open(index, piece)?;
            } else {
                self.copy(index, skip, piece)?;
            }
            at += piece.len() as u64;
            rest = later;
        }
        Ok(wanted)
    }

    fn len(&self) -> Option<u64> {
        Some(self.layout.len)
    }
}
