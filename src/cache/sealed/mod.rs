//! The sealed form of a reference: chunks under an AEAD. Each can be opened alone; none can be
//! moved, truncated or replaced.
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

/// The number of bytes of a chunk. A smaller one costs more to seal (16 KiB a tenth more than 64
/// KiB), a larger one more to read: many copies of a delta are short and scattered, and each opens
/// a chunk. To decode one tar of 118 MB, 414 MB are opened in chunks of 64 KiB, 202 MB in chunks of
/// 16 KiB.
pub(super) const CHUNK_LEN: usize = 16 << 10;

/// A chunk that does not authenticate or could not be read. The message reveals neither its place
/// nor its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CorruptChunk {
    /// A chunk does not authenticate.
    #[error("sealed chunk {0} does not authenticate")]
    Chunk(u32),
    /// The chunk is truncated.
    #[error("sealed chunk {0} is cut off")]
    CutOff(u32),
    /// The medium failed.
    #[error("sealed chunk {chunk} cannot be read: {kind}")]
    Unreadable {
        /// The index of the chunk.
        chunk: u32,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
}

impl From<CorruptChunk> for io::Error {
    fn from(corrupt: CorruptChunk) -> Self {
        Self::new(io::ErrorKind::InvalidData, corrupt)
    }
}

#[cfg(test)]
mod tests;
