//! One chunk: where it lies, and how it is sealed and opened.

use std::fmt;
use std::io;

use deltaglider_aead::{Cipher, NONCE_LEN, TAG_LEN};

use super::CorruptChunk;

/// Random bytes in front of a nonce; with the index and the flag they are the 24 bytes of
/// XChaCha20.
pub(super) const PREFIX_LEN: usize = NONCE_LEN - 5;

/// In the place of the flag: a chunk with others behind it, the last one, and what is no chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    Inner = 0,
    Last = 1,
    Digest = 2,
}

/// How content is cut. The last chunk may be short, and is empty only when it is the only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) len: u64,
    pub(super) chunk_len: usize,
}

impl Layout {
    /// The index of the last chunk; `None` for more chunks than an index can count.
    pub(super) fn last(&self) -> Option<u32> {
        u32::try_from(self.len.saturating_sub(1) / self.chunk_len as u64).ok()
    }

    /// Bytes of all chunks and their tags.
    pub(super) fn sealed_len(&self) -> Option<u64> {
        self.len.checked_add((u64::from(self.last()?) + 1) * TAG_LEN as u64)
    }

    /// Where a chunk begins among the sealed bytes.
    pub(super) fn start(&self, index: u32) -> u64 {
        u64::from(index) * (self.chunk_len + TAG_LEN) as u64
    }

    /// Bytes of a chunk without its tag.
    pub(super) fn chunk_len(&self, index: u32) -> usize {
        let begin = u64::from(index) * self.chunk_len as u64;
        self.len.saturating_sub(begin).min(self.chunk_len as u64) as usize
    }
}

/// Seals and opens the chunks of one content.
pub(in crate::cache) struct ChunkCipher {
    cipher: Cipher,
    prefix: [u8; PREFIX_LEN],
    /// Associated data of every chunk.
    context: [u8; 32],
}

impl fmt::Debug for ChunkCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkCipher(..)")
    }
}

impl ChunkCipher {
    pub(super) fn new(cipher: Cipher, prefix: [u8; PREFIX_LEN], context: [u8; 32]) -> Self {
        Self { cipher, prefix, context }
    }

    /// Seals a chunk where it stands.
    pub(super) fn seal(
        &self,
        index: u32,
        part: Part,
        chunk: &mut [u8],
    ) -> io::Result<[u8; TAG_LEN]> {
        self.cipher
            .seal(&nonce(&self.prefix, index, part), &self.context, chunk)
            .map_err(io::Error::other)
    }

    /// Opens a chunk where it stands.
    pub(super) fn open(
        &self,
        index: u32,
        part: Part,
        chunk: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CorruptChunk> {
        self.cipher
            .open(&nonce(&self.prefix, index, part), &self.context, chunk, tag)
            .map_err(|_| CorruptChunk::Chunk(index))
    }
}

/// The nonce of a part of one content.
pub(super) fn nonce(prefix: &[u8; PREFIX_LEN], index: u32, part: Part) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    let (head, tail) = nonce.split_at_mut(PREFIX_LEN);
    head.copy_from_slice(prefix);
    let (counter, flag) = tail.split_at_mut(4);
    counter.copy_from_slice(&index.to_be_bytes());
    flag.fill(part as u8);
    nonce
}
