//! A file from its delta: decoded, unpacked and packed again where an older tool had xdelta3 do so.

use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use deltaglider_vcdiff::decode::Part;
use deltaglider_vcdiff::inspect::{Header, inspect};
use deltaglider_vcdiff::{DecodeErrorKind, DecodeLimits, DecodeOptions, Decoder};

use super::blocking::{Cancelled, Incoming};
use super::decode_memory::DecodeMemory;
use super::error::ServiceError;
use super::input::{CHUNK, Input};
use super::packing;
use super::sink::Sink;
use super::spool::Spool;
use crate::cache::CachedReference;
use crate::domain::metadata::DeltaMetadata;
use crate::domain::policy::Compression;
use crate::domain::{ObjectName, Sha256Digest};

/// Most bytes that are unpacked from a reference or a target: a few bytes of gzip can ask for any number, and all of them
/// go to a file in the folder for temporaries.
const MAX_UNPACKED: u64 = 64 << 30;

/// What is needed besides the bytes of the delta.
pub(crate) struct Restoration {
    pub(crate) file: ObjectName,
    pub(crate) stored: ObjectName,
    pub(crate) reference_name: ObjectName,
    pub(crate) metadata: DeltaMetadata,
    pub(crate) reference: CachedReference,
    pub(crate) spool_folder: PathBuf,
    /// Whether the unpacked content will do where the packed file cannot be made again.
    pub(crate) allow_recompressed: bool,
    /// What the decoder may take.
    pub(crate) memory: DecodeMemory,
}

/// How a restoration ended.
pub(crate) enum Outcome<W> {
    Restored(Restored<W>),
    /// The delta needs more than its [`Restoration::memory`]: as much as this; what was written so far is the beginning of the file.
    NeedsMore(Sink<W>, DecodeMemory),
}

/// What came out.
pub(crate) struct Restored<W> {
    pub(crate) to: W,
    pub(crate) len: u64,
    /// The compression that the file had and what was written has not.
    pub(crate) unpacked: Option<Compression>,
}

impl Restoration {
    /// Decodes the delta that arrives, and writes the file to `sink`, without what an earlier run wrote there. What went to it is
    /// the file only if this succeeds.
    pub(crate) fn run<W: Write>(self, delta: &mut Incoming, mut sink: Sink<W>) -> Result<Outcome<W>, ServiceError> {
        let (header, begun) = self.header(delta)?;
        let [target, source] = packed_sides(&header);
        tracing::debug!(delta = %self.stored, ?target, ?source, "decode; what was unpacked before the delta was made");
        let ordinary = matches!(self.memory, DecodeMemory::Ordinary { .. });
        if ordinary && [target, source].contains(&Some(Compression::Xz)) {
            return Ok(Outcome::NeedsMore(sink, DecodeMemory::Most));
        }
        let reference = match source {
            Some(compression) => self.unpacked_reference(compression, delta.cancelled())?,
            None => self.reference.clone(),
        };
        let Some(compression) = target else {
            let mut rest = Rest { passed: sink.len(), to: &mut sink };
            if let Some(memory) = self.decode(delta, begun, reference, Some(self.metadata.file_size), &mut rest)? {
                return Ok(Outcome::NeedsMore(sink, memory));
            }
            let (to, len, actual) = sink.finish().map_err(written())?;
            check(&self.file, (self.metadata.file_size, self.metadata.file_sha256), (len, actual))?;
            return Ok(Outcome::Restored(Restored { to, len, unpacked: None }));
        };
        if sink.len() > 0 {
            return Err(ServiceError::Changed(self.file.to_string()));
        }
        let mut content = Spool::new(&self.spool_folder);
        if let Some(memory) = self.decode(delta, begun, reference, None, &mut content)? {
            return Ok(Outcome::NeedsMore(sink, memory));
        }
        let len = content.len();
        let content = content.finish().map_err(ServiceError::local(self.spool_folder.display()))?;
        let content = Input::of(&format!("the content of {}", self.file), len, Arc::new(content));
        self.pack(&content, compression, delta.cancelled(), sink.into_inner()).map(Outcome::Restored)
    }

    /// Reads as much of the delta as has its header.
    fn header(&self, delta: &mut Incoming) -> Result<(Header, Vec<u8>), ServiceError> {
        let limits = DecodeLimits::default();
        let mut begun = Vec::new();
        loop {
            let piece = self.next(delta)?;
            begun.extend_from_slice(piece.as_deref().unwrap_or_default());
            match inspect(begun.as_slice(), &limits) {
                Ok(inspection) => return Ok((inspection.header().clone(), begun)),
                Err(error) if piece.is_some() && *error.kind() == DecodeErrorKind::Truncated(Part::Header) => {}
                Err(source) => return Err(self.undecodable(source)),
            }
        }
    }

    fn next(&self, delta: &mut Incoming) -> Result<Option<Bytes>, ServiceError> {
        delta.next().map_err(ServiceError::local(&self.stored))
    }

    fn undecodable(&self, source: deltaglider_vcdiff::DecodeError) -> ServiceError {
        ServiceError::Decode { object: self.stored.clone(), source }
    }

    /// Decodes the delta, or returns the memory to try it with.
    fn decode(
        &self,
        delta: &mut Incoming,
        begun: Vec<u8>,
        reference: CachedReference,
        target_len: Option<u64>,
        to: &mut impl Write,
    ) -> Result<Option<DecodeMemory>, ServiceError> {
        let mut options = DecodeOptions::from(self.memory.limits());
        options.limits.target = Some(target_len.unwrap_or(MAX_UNPACKED));
        let mut decoder = Decoder::new(Some(reference), &options);
        let mut out = Vec::new();
        let mut piece = Some(Bytes::from(begun));
        while let Some(bytes) = piece {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let taken = match decoder.push(rest, &mut out) {
                    Ok(taken) => taken,
                    Err(error) => {
                        let more = self.memory.after(&error, decoder.declared_dictionaries());
                        return more.map(Some).ok_or_else(|| self.undecodable(error));
                    }
                };
                rest = rest.get(taken..).unwrap_or_default();
                to.write_all(&out).map_err(written())?;
                out.clear();
            }
            piece = self.next(delta)?;
        }
        decoder.finish().map_err(|error| self.undecodable(error))?;
        Ok(None)
    }

    fn unpacked_reference(
        &self,
        compression: Compression,
        cancelled: &Cancelled,
    ) -> Result<CachedReference, ServiceError> {
        let failed = |source| ServiceError::Unpack { reference: self.reference_name.clone(), compression, source };
        let packed = Positioned { source: self.reference.clone(), at: 0 };
        let mut unpacked = packing::unpack(compression, packed).map_err(failed)?;
        let mut spool = Spool::new(&self.spool_folder);
        let mut chunk = vec![0; CHUNK];
        loop {
            cancelled.check().map_err(failed)?;
            let n = unpacked.read(&mut chunk).map_err(failed)?;
            if n == 0 {
                return Ok(Arc::new(spool.finish().map_err(failed)?));
            }
            if spool.len() + n as u64 > MAX_UNPACKED {
                return Err(failed(io::Error::other(format!("it has more than {MAX_UNPACKED} bytes unpacked"))));
            }
            spool.write_all(chunk.get(..n).unwrap_or_default()).map_err(failed)?;
        }
    }

    /// Packs the content in each way xdelta3 may have found it, and writes what has the right digest.
    fn pack<W: Write>(
        &self,
        content: &Input,
        compression: Compression,
        cancelled: &Cancelled,
        mut to: W,
    ) -> Result<Restored<W>, ServiceError> {
        let spooled = || ServiceError::local(self.spool_folder.display());
        for &setting in packing::candidates(compression) {
            let sink = Sink::new(Spool::new(&self.spool_folder));
            let mut packer = packing::Packer::new(setting, sink).map_err(spooled())?;
            content.read(cancelled, |piece| packer.write_all(piece).map_err(spooled()))?;
            let (spool, len, digest) = packer.finish().and_then(Sink::finish).map_err(spooled())?;
            if digest == self.metadata.file_sha256 {
                let packed = Arc::new(spool.finish().map_err(spooled())?);
                let packed = Input::of(&self.file.to_string(), len, packed);
                packed.read(cancelled, |piece| to.write_all(piece).map_err(written()))?;
                to.flush().map_err(written())?;
                return Ok(Restored { to, len, unpacked: None });
            }
        }
        if !self.allow_recompressed {
            return Err(ServiceError::Recompression { object: self.file.clone(), compression });
        }
        content.read(cancelled, |piece| to.write_all(piece).map_err(written()))?;
        to.flush().map_err(written())?;
        Ok(Restored { to, len: content.len(), unpacked: Some(compression) })
    }
}

/// Compares what came out with what the metadata says.
pub(crate) fn check(
    object: &ObjectName,
    (expected_len, expected): (u64, Sha256Digest),
    (len, actual): (u64, Sha256Digest),
) -> Result<(), ServiceError> {
    check_len(object, expected_len, len)?;
    if actual != expected {
        return Err(ServiceError::Mismatch { object: object.clone(), expected, actual });
    }
    Ok(())
}

pub(crate) fn check_len(object: &ObjectName, expected: u64, actual: u64) -> Result<(), ServiceError> {
    if actual != expected {
        return Err(ServiceError::Length { object: object.clone(), expected, actual });
    }
    Ok(())
}

/// Of the place the caller gave.
pub(crate) fn written() -> impl FnOnce(io::Error) -> ServiceError {
    ServiceError::Output
}

/// What xdelta3 unpacked before it made the delta: target and source, by the letters in an application header of the form
/// `target/LETTER/source/LETTER`.
fn packed_sides(header: &Header) -> [Option<Compression>; 2] {
    let text = header.application.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let fields: Vec<&str> = text.split('/').collect();
    match *fields.as_slice() {
        [_, target, _, source] => [Compression::of_letter(target), Compression::of_letter(source)],
        [_, target] => [Compression::of_letter(target), None],
        _ => [None, None],
    }
}

/// Passes on what comes after the bytes that are there already.
struct Rest<W> {
    /// Bytes still to be left out.
    passed: u64,
    to: W,
}

impl<W: Write> Write for Rest<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left_out = usize::try_from(self.passed).map_or(bytes.len(), |passed| passed.min(bytes.len()));
        self.to.write_all(bytes.get(left_out..).unwrap_or_default())?;
        self.passed -= left_out as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A source read from its start to its end.
struct Positioned {
    source: CachedReference,
    at: u64,
}

impl io::Read for Positioned {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}
