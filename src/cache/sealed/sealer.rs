//! Streaming encryption: only sealed bytes are written out.

use std::fmt;
use std::io::{self, Write};

use deltaglider_aead::TAG_LEN;
use zeroize::Zeroizing;

use super::CHUNK_LEN;
use super::chunks::{ChunkCipher, Layout, Part};
use super::header::{EntryMetadata, Header};
use crate::cache::key::DerivedKeys;

/// A writer that cuts content into chunks and writes them sealed.
pub(in crate::cache) struct Sealer<W> {
    to: W,
    cipher: ChunkCipher,
    /// The chunk being filled, with capacity for its tag.
    chunk: Zeroizing<Vec<u8>>,
    /// The index of that chunk.
    index: u32,
    /// Bytes of content so far.
    len: u64,
}

impl<W> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<W: Write> Sealer<W> {
    /// Writes the header of a content of known length and digest. The caller must verify that the
    /// content has them.
    pub(in crate::cache) fn entry(
        keys: &DerivedKeys,
        facts: EntryMetadata,
        mut to: W,
    ) -> io::Result<Self> {
        let (header, bytes) = Header::new(keys, facts)?;
        to.write_all(&bytes)?;
        Ok(Self::new(header.cipher, to))
    }

    pub(super) fn new(cipher: ChunkCipher, to: W) -> Self {
        let chunk = Zeroizing::new(Vec::with_capacity(CHUNK_LEN + TAG_LEN));
        Self { to, cipher, chunk, index: 0, len: 0 }
    }

    /// Adds bytes of content.
    pub(in crate::cache) fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // A full chunk is written when more bytes follow: only then is it not the last one.
            if self.chunk.len() == CHUNK_LEN {
                self.pass_on(Part::Inner)?;
                self.index = self
                    .index
                    .checked_add(1)
                    .ok_or_else(|| io::Error::other("too many bytes to seal"))?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_LEN - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            self.len += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Seals and writes the current chunk.
    fn pass_on(&mut self, part: Part) -> io::Result<()> {
        let tag = self.cipher.seal(self.index, part, &mut self.chunk)?;
        self.chunk.extend_from_slice(&tag);
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    /// Seals the last chunk; returns the inner writer, the layout and the cipher.
    pub(super) fn finish_with_cipher(mut self) -> io::Result<(W, Layout, ChunkCipher)> {
        self.pass_on(Part::Last)?;
        self.to.flush()?;
        Ok((self.to, Layout { len: self.len, chunk_len: CHUNK_LEN }, self.cipher))
    }

    /// Seals the last chunk and returns the inner writer.
    pub(in crate::cache) fn finish(self) -> io::Result<W> {
        self.finish_with_cipher().map(|(to, _, _)| to)
    }
}
