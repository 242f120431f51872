//! Unpacks a reference while it arrives. Its stored bytes and its content are both verified.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};

use crate::cache::{CacheError, CachedReference, ReferenceWriter};
use crate::domain::packing::RefPacking;
use crate::domain::{BackgroundHasher, ObjectName, Sha256Digest};
use crate::service::blocking::Incoming;
use crate::service::error::ServiceError;
use crate::service::payload::CHUNK;
use crate::service::recompress::unpack;

/// A packed reference that arrives from the store.
pub(super) struct Packed<'a> {
    pub(super) name: &'a ObjectName,
    /// SHA-256 that the stored bytes must have.
    pub(super) digest: Sha256Digest,
    pub(super) packing: RefPacking,
}

/// The reason why content could not be passed on.
enum Stop {
    Unpack(io::Error),
    Cache(CacheError),
}

impl Packed<'_> {
    /// Writes the content to `writer`, which verifies its SHA-256, and publishes it.
    ///
    /// # Errors
    ///
    /// [`ServiceError::ReferenceDamaged`] if the stored bytes are not those expected, whatever
    /// unpacking them gave; [`ServiceError::Unpack`] if they are, but their content is not the one
    /// that the packing states. No more than the stated number of bytes is unpacked.
    pub(super) fn unpack(
        &self,
        incoming: &mut Incoming,
        mut writer: Box<dyn ReferenceWriter>,
    ) -> Result<CachedReference, ServiceError> {
        let mut arriving = Arriving::new(incoming);
        let unpacked = self.write(&mut arriving, &mut *writer);
        let actual = arriving.finish().map_err(ServiceError::local(self.name))?;
        if actual != self.digest {
            let (reference, expected) = (self.name.clone(), self.digest);
            return Err(ServiceError::ReferenceDamaged { reference, expected, actual });
        }
        match unpacked {
            Ok(()) => {}
            Err(Stop::Unpack(source)) => return Err(self.failed(source)),
            Err(Stop::Cache(error)) => return Err(error.into()),
        }
        writer.publish().map_err(|error| match error {
            CacheError::Mismatch { expected, actual } => self.failed(io::Error::other(format!(
                "its content has SHA-256 {actual} where {expected} is stated"
            ))),
            CacheError::Length { expected, actual } => self.failed(io::Error::other(format!(
                "its content has {actual} bytes where {expected} are stated"
            ))),
            error => error.into(),
        })
    }

    fn write(
        &self,
        arriving: &mut Arriving<'_>,
        writer: &mut dyn ReferenceWriter,
    ) -> Result<(), Stop> {
        let limit = self.packing.content_size;
        let mut unpacked = unpack(self.packing.form, arriving).map_err(Stop::Unpack)?;
        let (mut chunk, mut len) = (vec![0; CHUNK], 0);
        loop {
            let n = unpacked.read(&mut chunk).map_err(Stop::Unpack)?;
            if n == 0 {
                return Ok(());
            }
            len += n as u64;
            if len > limit {
                return Err(Stop::Unpack(io::Error::other(format!(
                    "it has more than {limit} bytes unpacked"
                ))));
            }
            writer.write(chunk.get(..n).unwrap_or_default()).map_err(Stop::Cache)?;
        }
    }

    fn failed(&self, source: io::Error) -> ServiceError {
        let (reference, compression) = (self.name.clone(), self.packing.form);
        ServiceError::Unpack { reference, compression, source }
    }
}

/// A reader of the pieces that arrive, which hashes them.
struct Arriving<'a> {
    incoming: &'a mut Incoming,
    piece: Bytes,
    hasher: BackgroundHasher,
    /// The error of the store.
    failed: Option<io::Error>,
}

impl<'a> Arriving<'a> {
    fn new(incoming: &'a mut Incoming) -> Self {
        let (piece, hasher) = (Bytes::new(), BackgroundHasher::default());
        Self { incoming, piece, hasher, failed: None }
    }

    /// Takes the next piece; returns false at the end.
    fn fill(&mut self) -> bool {
        match self.incoming.next() {
            Ok(Some(piece)) => {
                self.hasher.update(&piece);
                self.piece = piece;
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    /// Takes the rest, and returns the SHA-256 of all bytes.
    fn finish(mut self) -> io::Result<Sha256Digest> {
        while self.failed.is_none() && self.fill() {}
        match self.failed {
            Some(error) => Err(error),
            None => Ok(self.hasher.finish()),
        }
    }
}

impl Read for Arriving<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if self.failed.is_some() || !self.fill() {
                return Ok(0);
            }
        }
        let n = self.piece.len().min(buf.len());
        self.piece.copy_to_slice(buf.get_mut(..n).unwrap_or_default());
        Ok(n)
    }
}
