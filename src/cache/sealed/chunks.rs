//! Position and encryption of a chunk.

use std::fmt;
use std::io;

use deltaglider_aead::{Cipher, NONCE_LEN, TAG_LEN};

use super::CorruptChunk;

/// The number of random bytes at the start of a nonce; index and flag complete the 24 bytes of
/// XChaCha20.
pub(super) const PREFIX_LEN: usize = NONCE_LEN - 5;

/// The flag byte of a nonce: a chunk that others follow, the last chunk, or the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    Inner = 0,
    Last = 1,
    Digest = 2,
}

/// The division of content into chunks. The last one may be short; it is empty only if it is the
/// only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of content.
    pub(super) len: u64,
    /// Bytes of a full chunk.
    pub(super) chunk_len: usize,
}

impl Layout {
    /// Returns the index of the last chunk; `None` if an index cannot count the chunks.
    pub(super) fn last(&self) -> Option<u32> {
        u32::try_from(self.len.saturating_sub(1) / self.chunk_len as u64).ok()
    }

    /// Returns the bytes of all chunks and their tags.
    pub(super) fn sealed_len(&self) -> Option<u64> {
        self.len.checked_add((u64::from(self.last()?) + 1) * TAG_LEN as u64)
    }

    /// Returns the offset of a chunk among the sealed bytes.
    pub(super) fn start(&self, index: u32) -> u64 {
        u64::from(index) * (self.chunk_len + TAG_LEN) as u64
    }

    /// Returns the bytes of a chunk without its tag.
    pub(super) fn chunk_len(&self, index: u32) -> usize {
        let begin = u64::from(index) * self.chunk_len as u64;
        self.len.saturating_sub(begin).min(self.chunk_len as u64) as usize
    }
}

/// The cipher of the chunks of one content.
pub(in crate::cache) struct ChunkCipher {
    cipher: Cipher,
    prefix: [u8; PREFIX_LEN],
    /// The associated data of every chunk.
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

    /// Encrypts a chunk in place and returns its tag.
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

    /// Authenticates and decrypts a chunk in place.
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

/// Returns the nonce of one part of a content.
pub(super) fn nonce(prefix: &[u8; PREFIX_LEN], index: u32, part: Part) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    let (head, tail) = nonce.split_at_mut(PREFIX_LEN);
    head.copy_from_slice(prefix);
    let (counter, flag) = tail.split_at_mut(4);
    counter.copy_from_slice(&index.to_be_bytes());
    flag.fill(part as u8);
    nonce
}
