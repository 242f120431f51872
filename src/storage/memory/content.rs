//! The content of an object in memory.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt as _;
use md5::{Digest as _, Md5};

use crate::domain::{Sha256Digest, Sha256Hasher};
use crate::storage::{ByteStream, ChecksumKind, ETag, PutBody, StatedChecksum};

/// The size of a body's pieces in bytes, small enough that readers meet more than one.
const PIECE: usize = 1 << 20;

/// The bytes of an object, as they arrived.
pub(super) struct Content {
    pieces: Vec<Bytes>,
    pub(super) len: u64,
    pub(super) digest: ContentDigest,
}

/// What identifies a content.
pub(super) enum ContentDigest {
    Sha256(Sha256Digest),
    /// For [content tags](super::MemoryStore::with_content_tags).
    Md5([u8; 16]),
    /// A tag given by the caller.
    Tag(ETag),
}

impl ContentDigest {
    pub(super) fn sha256(&self) -> Option<Sha256Digest> {
        match self {
            Self::Sha256(digest) => Some(*digest),
            _ => None,
        }
    }

    /// Returns what a store with such tags states.
    pub(super) fn stated(&self) -> Vec<StatedChecksum> {
        match self {
            Self::Md5(md5) => {
                let value = Bytes::copy_from_slice(md5);
                vec![StatedChecksum { kind: ChecksumKind::Md5, value, is_reliable: false }]
            }
            _ => Vec::new(),
        }
    }
}

/// Computes a [`ContentDigest`].
pub(super) enum ContentHasher {
    Sha256(Sha256Hasher),
    Md5(Md5),
    Tag(ETag),
}

impl ContentHasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Tag(_) => {}
        }
    }

    fn finish(self) -> ContentDigest {
        match self {
            Self::Sha256(hasher) => ContentDigest::Sha256(hasher.finish()),
            Self::Md5(hasher) => ContentDigest::Md5(hasher.finalize().into()),
            Self::Tag(tag) => ContentDigest::Tag(tag),
        }
    }
}

impl Content {
    pub(super) async fn read(body: &PutBody, mut hasher: ContentHasher) -> io::Result<Self> {
        let (mut pieces, mut len) = (Vec::new(), 0);
        let mut stream = body.open();
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            hasher.update(&piece);
            len += piece.len() as u64;
            pieces.push(piece);
            if len > body.len() {
                break;
            }
        }
        body.check_len(len)?;
        Ok(Self { pieces, len, digest: hasher.finish() })
    }

    /// Returns the bytes of a range within the content.
    pub(super) fn stream(&self, range: Range<u64>) -> ByteStream {
        let (mut pieces, mut at) = (Vec::new(), 0);
        for piece in &self.pieces {
            let end = at + piece.len() as u64;
            let (from, to) = (range.start.clamp(at, end), range.end.clamp(at, end));
            let mut part = piece.slice((from - at) as usize..(to - at) as usize);
            while !part.is_empty() {
                pieces.push(Ok(part.split_to(part.len().min(PIECE))));
            }
            at = end;
        }
        futures::stream::iter(pieces).boxed()
    }
}
