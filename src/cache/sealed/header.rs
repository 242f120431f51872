//! Entry header: chunk size, timestamps and the encrypted content digest.

use std::io;

use deltaglider_aead::{KEY_LEN, TAG_LEN};
use zeroize::Zeroizing;

use super::CHUNK_LEN;
use super::chunks::{self, ChunkCipher, Layout, PREFIX_LEN, Part};
use crate::cache::key::{DerivedKeys, fill_random};
use crate::domain::{Sha256Digest, Sha256Hasher};

/// The magic bytes of an entry; the last is the version of the format.
const MAGIC: [u8; 8] = *b"DGcache\x01";

/// The number of unencrypted bytes: magic, chunk length, content length, created, expires, salt,
/// nonce prefix. Numbers are little-endian.
const CLEAR_LEN: usize = 8 + 4 + 8 + 8 + 8 + KEY_LEN + PREFIX_LEN;

/// The number of bytes of a header: the clear part, then the encrypted SHA-256 of the content, so
/// that a directory of entries reveals nothing about their contents.
pub(in crate::cache) const HEADER_LEN: usize = CLEAR_LEN + 32 + TAG_LEN;

/// Metadata of a content, known before it is sealed. Times are in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cache) struct EntryMetadata {
    /// The digest of the content or, in the part of a cache for one origin, the entry's identity,
    /// which depends on both.
    pub(in crate::cache) digest: Sha256Digest,
    /// Bytes of content.
    pub(in crate::cache) len: u64,
    /// The time of creation.
    pub(in crate::cache) created: u64,
    /// The second from which on the entry is rejected.
    pub(in crate::cache) expires: u64,
}

/// The reason why sealed bytes are not the requested entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::cache) enum RejectReason {
    #[error("it is not of this format")]
    Format,
    #[error("it has {actual} bytes where its header says {}", number(*.stated))]
    Length { stated: Option<u64>, actual: u64 },
    #[error("its header does not authenticate")]
    Header,
    #[error("it holds another content")]
    OtherContent,
    #[error("it has expired")]
    Expired,
}

fn number(stated: Option<u64>) -> String {
    stated.map_or_else(|| "more than there can be".to_owned(), |stated| stated.to_string())
}

/// The header of an entry and the cipher of its chunks.
#[derive(Debug)]
pub(in crate::cache) struct Header {
    pub(super) layout: Layout,
    pub(super) cipher: ChunkCipher,
    facts: EntryMetadata,
}

impl Header {
    /// Returns a new header under a fresh entry key, and its bytes.
    pub(super) fn new(
        keys: &DerivedKeys,
        facts: EntryMetadata,
    ) -> io::Result<(Self, [u8; HEADER_LEN])> {
        let (mut salt, mut prefix) = ([0; KEY_LEN], [0; PREFIX_LEN]);
        fill_random(&mut salt)?;
        fill_random(&mut prefix)?;
        let layout = Layout { len: facts.len, chunk_len: CHUNK_LEN };
        if layout.sealed_len().is_none() {
            return Err(io::Error::other(format!(
                "{} bytes are more than an entry can hold",
                facts.len
            )));
        }
        let cipher = keys.entry_cipher(&salt);
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(CHUNK_LEN as u32).to_le_bytes());
        for number in [facts.len, facts.created, facts.expires] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&prefix);
        let context = context(&bytes, &facts.digest);
        let mut digest = *facts.digest.as_bytes();
        let tag = cipher
            .seal(&chunks::nonce(&prefix, 0, Part::Digest), &bytes, &mut digest)
            .map_err(io::Error::other)?;
        bytes.extend_from_slice(&digest);
        bytes.extend_from_slice(&tag);
        let bytes = bytes.try_into().map_err(|_| io::Error::other("a header of another length"))?;
        Ok((Self { layout, cipher: ChunkCipher::new(cipher, prefix, context), facts }, bytes))
    }

    /// Opens the header of an entry of `stored_len` bytes in all. Nothing in it is trusted before
    /// it authenticates.
    pub(in crate::cache) fn open(
        keys: &DerivedKeys,
        bytes: &[u8; HEADER_LEN],
        stored_len: u64,
        now: u64,
    ) -> Result<Self, RejectReason> {
        let mut rest = &bytes[..];
        let layout_error = || RejectReason::Format;
        let magic = take::<8>(&mut rest).ok_or_else(layout_error)?;
        let chunk_len = u32::from_le_bytes(take(&mut rest).ok_or_else(layout_error)?) as usize;
        let mut number = || take(&mut rest).map(u64::from_le_bytes).ok_or_else(layout_error);
        let (len, created, expires) = (number()?, number()?, number()?);
        let salt = take(&mut rest).ok_or_else(layout_error)?;
        let prefix = take(&mut rest).ok_or_else(layout_error)?;
        let mut digest = Zeroizing::new(take::<32>(&mut rest).ok_or_else(layout_error)?);
        let tag = take::<TAG_LEN>(&mut rest).ok_or_else(layout_error)?;
        if magic != MAGIC || chunk_len != CHUNK_LEN {
            return Err(RejectReason::Format);
        }
        let layout = Layout { len, chunk_len };
        let stated = layout.sealed_len().and_then(|len| len.checked_add(HEADER_LEN as u64));
        if stated != Some(stored_len) {
            return Err(RejectReason::Length { stated, actual: stored_len });
        }
        let cipher = keys.entry_cipher(&salt);
        let clear = bytes.get(..CLEAR_LEN).unwrap_or_default();
        let nonce = chunks::nonce(&prefix, 0, Part::Digest);
        cipher.open(&nonce, clear, &mut *digest, &tag).map_err(|_| RejectReason::Header)?;
        if now >= expires {
            return Err(RejectReason::Expired);
        }
        let digest = Sha256Digest::from(*digest);
        let cipher = ChunkCipher::new(cipher, prefix, context(clear, &digest));
        Ok(Self { layout, cipher, facts: EntryMetadata { digest, len, created, expires } })
    }

    /// Opens the header of an entry that should hold the content of this digest.
    pub(in crate::cache) fn open_content(
        keys: &DerivedKeys,
        bytes: &[u8; HEADER_LEN],
        stored_len: u64,
        now: u64,
        digest: &Sha256Digest,
    ) -> Result<Self, RejectReason> {
        let header = Self::open(keys, bytes, stored_len, now)?;
        if header.facts.digest == *digest { Ok(header) } else { Err(RejectReason::OtherContent) }
    }

    /// Returns the metadata of the content.
    pub(in crate::cache) fn facts(&self) -> &EntryMetadata {
        &self.facts
    }

    /// Returns the bytes of an entry with `len` bytes of content; `None` if that is too long.
    pub(in crate::cache) fn stored_len(len: u64) -> Option<u64> {
        Layout { len, chunk_len: CHUNK_LEN }.sealed_len()?.checked_add(HEADER_LEN as u64)
    }
}

/// Returns the associated data of every chunk: a digest of the clear header and the content digest.
fn context(clear: &[u8], digest: &Sha256Digest) -> [u8; 32] {
    let mut hasher = Sha256Hasher::default();
    hasher.update(clear);
    hasher.update(digest.as_bytes());
    *hasher.finish().as_bytes()
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}
