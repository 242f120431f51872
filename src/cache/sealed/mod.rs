//! The sealed form of a reference: chunks under an AEAD, of which any can be opened alone and none
//! be moved, cut or exchanged.
//!
//! ```text
//! header (135 bytes)  chunk 0, tag  chunk 1, tag  …  last chunk, tag
//! ```
//!
//! XChaCha20-Poly1305 in the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015): the
//! nonce of a chunk is a random prefix, its index and whether it is the last one. The key belongs
//! to one entry (a random salt), and the associated data is the digest of the header and the
//! content's SHA-256. So a chunk opens only where it was sealed.

mod chunks;
mod header;
mod sealer;
mod source;
mod temp_file;

use std::io;

pub(super) use header::{EntryMetadata, HEADER_LEN, Header, RejectReason};
pub(super) use sealer::Sealer;
pub(super) use source::{SealedSource, Stored};
pub(crate) use temp_file::{EncryptedTempFile, EncryptedTempSource};

/// Bytes of a chunk: what the decoder asks for at a time, so that a block of it is one chunk.
/// Larger ones seal no faster (80 MB, 2 cores: 64 KiB 73.5 ms, 1 MiB 73.2 ms, 16 KiB 80.5 ms) and
/// make short reads dearer.
pub(super) const CHUNK_LEN: usize = 64 << 10;

/// Sealed bytes that are not what was sealed, or that could not be read. Neither says where they
/// lie nor what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CorruptChunk {
    /// A chunk does not authenticate.
    #[error("sealed chunk {0} does not authenticate")]
    Chunk(u32),
    /// There are fewer bytes than were sealed.
    #[error("sealed chunk {0} is cut off")]
    CutOff(u32),
    /// The place they are kept in failed.
    #[error("sealed chunk {chunk} cannot be read: {kind}")]
    Unreadable {
        /// The chunk.
        chunk: u32,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
}

impl From<CorruptChunk> for io::Error {
    fn from(damage: CorruptChunk) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

#[cfg(test)]
mod tests;
