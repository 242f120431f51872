//! Restores a file from its delta: decodes it, and compresses it again if an older tool's xdelta3
//! decompressed the file first.

use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use deltaglider_vcdiff::decode::Part;
use deltaglider_vcdiff::inspect::{Header, inspect};
use deltaglider_vcdiff::{DecodeErrorKind, DecodeLimits, DecodeOptions, Decoder};

use super::Transcoder;
use super::byte_budget::Reservation;
use super::decode_memory::DecodeMemory;
use crate::cache::CachedReference;
use crate::domain::metadata::DeltaMetadata;
use crate::domain::{Compression, MAGIC_BYTES};
use crate::domain::{ObjectName, Sha256Digest, Sha256Hasher};
use crate::service::blocking::{self, Cancelled, Incoming};
use crate::service::error::ServiceError;
use crate::service::payload::{CHUNK, Payload};
use crate::service::recompress;
use crate::service::spool::Spool;
use crate::service::writers::HashingWriter;
use crate::storage::ByteStream;

/// The maximum number of bytes decompressed from a reference or a target: a few bytes of gzip can
/// expand to any number, and all of them go to a temporary file.
const MAX_UNPACKED: u64 = 64 << 30;

/// A delta to decode, with everything needed besides its bytes.
#[derive(Clone)]
pub(crate) struct Decode {
    pub(crate) file: ObjectName,
    pub(crate) stored: ObjectName,
    pub(crate) reference_name: ObjectName,
    pub(crate) metadata: DeltaMetadata,
    /// The reference: its content if the metadata states a packing, else its stored bytes.
    pub(crate) reference: CachedReference,
    /// The decompressed content is acceptable if the compressed file cannot be reproduced.
    pub(crate) allow_recompressed: bool,
    /// The memory limit of the decoder.
    pub(crate) memory: DecodeMemory,
    /// The compression undone before the delta was made, as found by [`Decoded::Packed`].
    pub(crate) packing: Option<Compression>,
}

/// The result of a decode.
pub(crate) enum Decoded<W> {
    Restored(Restored<W>),
    /// The delta needs this much memory; the bytes written so far are the beginning of the file.
    NeedsMore(HashingWriter<W>, DecodeMemory),
    /// The delta states no compression of its reference, which has this one, and is not a delta
    /// against the compressed bytes; nothing was written.
    Packed(HashingWriter<W>, Compression),
    /// The delta could not be decoded against this reference; the bytes written so far are the
    /// beginning of the file.
    Failed(HashingWriter<W>, ServiceError),
}

/// A restored file.
pub(crate) struct Restored<W> {
    pub(crate) to: W,
    pub(crate) len: u64,
    /// The compression of the file, if its decompressed content was written instead.
    pub(crate) unpacked: Option<Compression>,
}

impl Transcoder {
    /// Reserves the memory of a decode, if it is free.
    pub(crate) fn try_reserve(&self, decode: &Decode) -> Option<Reservation> {
        self.permits.memory().try_reserve(decode.memory.bytes())
    }

    /// Waits until the memory of a decode is free, and reserves it.
    pub(crate) async fn reserve(&self, decode: &Decode) -> Option<Reservation> {
        self.permits.memory().reserve(decode.memory.bytes()).await
    }

    /// Decodes a delta to `sink`, skipping the bytes that an earlier run of the same job wrote
    /// there.
    pub(crate) async fn decode<W: Write + Send + 'static>(
        &self,
        job: Decode,
        reservation: Option<Reservation>,
        delta: ByteStream,
        sink: HashingWriter<W>,
    ) -> Result<Decoded<W>, ServiceError> {
        let run = Run { job, spool_dir: self.spool_dir.clone() };
        blocking::feed(delta, move |incoming| {
            // Dropped by the thread that uses the memory, even after the future was cancelled.
            let _reservation = reservation;
            run.run(incoming, sink)
        })
        .await
    }
}

/// The result of decoding a delta's bytes.
enum End {
    Whole,
    NeedsMore(DecodeMemory),
    Failed(ServiceError),
}

struct Run {
    job: Decode,
    spool_dir: Arc<Path>,
}

impl Run {
    /// Decodes the delta that arrives and writes the file to `sink`, skipping the bytes that an
    /// earlier run wrote there. The bytes in `sink` are the file only if this succeeds.
    fn run<W: Write>(
        self,
        delta: &mut Incoming,
        mut sink: HashingWriter<W>,
    ) -> Result<Decoded<W>, ServiceError> {
        let (header, begun) = self.header(delta)?;
        let [target, source] = packed_sides(&header);
        let stated = self.job.metadata.ref_packing.map(|packing| packing.form);
        if let (Some(stated), Some(letter)) = (stated, source)
            && stated != letter
        {
            let error = io::Error::other(format!("the metadata of the delta states {stated}"));
            return Ok(Decoded::Failed(sink, self.not_unpacked(letter)(error)));
        }
        let source = if stated.is_some() { None } else { source.or(self.job.packing) };
        tracing::debug!(
            delta = %self.job.stored, ?target, ?source, ?stated,
            "decode the delta; compressions undone before it was made"
        );
        let ordinary = matches!(self.job.memory, DecodeMemory::Ordinary { .. });
        if ordinary && [target, source].contains(&Some(Compression::Xz)) {
            return Ok(Decoded::NeedsMore(sink, DecodeMemory::Most));
        }
        let reference = match source
            .map(|compression| self.unpacked_reference(compression, delta.cancelled()))
        {
            Some(Ok(unpacked)) => unpacked,
            Some(Err(error)) => return Ok(Decoded::Failed(sink, error)),
            None => self.job.reference.clone(),
        };
        let possible = match source.or(stated) {
            Some(_) => None,
            None => match self.magic() {
                Ok(magic) => magic,
                Err(error) => {
                    let error = ServiceError::local(&self.job.reference_name)(error);
                    return Ok(Decoded::Failed(sink, error));
                }
            },
        };
        if let (None, Some(compression)) = (target, possible) {
            return self.run_unsure(delta, begun, compression, sink);
        }
        let Some(compression) = target else {
            let mut rest = Rest::after(&mut sink);
            let end =
                self.decode(delta, begun, reference, Some(self.job.metadata.file_size), &mut rest)?;
            if rest.differs {
                return Err(ServiceError::Inconsistent(self.job.stored.clone()));
            }
            return match end {
                End::Whole => {
                    let (to, len, actual) = sink.finish().map_err(written())?;
                    let expected = (self.job.metadata.file_size, self.job.metadata.file_sha256);
                    check(&self.job.file, expected, (len, actual))?;
                    Ok(Decoded::Restored(Restored { to, len, unpacked: None }))
                }
                End::NeedsMore(memory) => Ok(Decoded::NeedsMore(sink, memory)),
                End::Failed(error) => Ok(Decoded::Failed(sink, error)),
            };
        };
        if sink.len() > 0 {
            return Err(ServiceError::Changed(self.job.file.to_string()));
        }
        let mut content = Spool::new(&self.spool_dir);
        match self.decode(delta, begun, reference, None, &mut content)? {
            End::Whole => {}
            End::NeedsMore(memory) => return Ok(Decoded::NeedsMore(sink, memory)),
            End::Failed(error) => return Ok(failed(sink, error, possible)),
        }
        let len = content.len();
        let content = content.finish().map_err(ServiceError::local(self.spool_dir.display()))?;
        let content =
            Payload::of(&format!("the content of {}", self.job.file), len, Arc::new(content));
        self.pack(&content, compression, delta.cancelled(), sink.into_inner())
            .map(Decoded::Restored)
    }

    /// Decodes a delta that does not say whether it was made against the bytes of its reference or
    /// against their decompressed content: tries the former, and writes nothing before the file's
    /// digest is right.
    fn run_unsure<W: Write>(
        self,
        delta: &mut Incoming,
        begun: Vec<u8>,
        compression: Compression,
        mut sink: HashingWriter<W>,
    ) -> Result<Decoded<W>, ServiceError> {
        let (len, digest) = (self.job.metadata.file_size, self.job.metadata.file_sha256);
        let mut file = HashingWriter::new(Spool::new(&self.spool_dir));
        match self.decode(delta, begun, self.job.reference.clone(), Some(len), &mut file)? {
            End::Whole => {}
            End::NeedsMore(memory) => return Ok(Decoded::NeedsMore(sink, memory)),
            End::Failed(error) => return Ok(failed(sink, error, Some(compression))),
        }
        let spooled = || ServiceError::local(self.spool_dir.display());
        let (spool, decoded, actual) = file.finish().map_err(spooled())?;
        if (decoded, actual) != (len, digest) {
            return Ok(Decoded::Packed(sink, compression));
        }
        let file = Arc::new(spool.finish().map_err(spooled())?);
        let file = Payload::of(&self.job.file.to_string(), len, file);
        let mut rest = Rest::after(&mut sink);
        file.read(delta.cancelled(), |piece| rest.write_all(piece).map_err(written()))?;
        if rest.differs {
            return Err(ServiceError::Inconsistent(self.job.stored.clone()));
        }
        let (to, len, actual) = sink.finish().map_err(written())?;
        check(&self.job.file, (len, digest), (len, actual))?;
        Ok(Decoded::Restored(Restored { to, len, unpacked: None }))
    }

    /// Returns the compression that the first bytes of the reference show.
    fn magic(&self) -> io::Result<Option<Compression>> {
        let mut beginning = [0; MAGIC_BYTES];
        let n = self.job.reference.read_at(0, &mut beginning)?;
        Ok(Compression::of(beginning.get(..n).unwrap_or_default()))
    }

    /// Reads the delta up to the end of its header.
    fn header(&self, delta: &mut Incoming) -> Result<(Header, Vec<u8>), ServiceError> {
        let limits = DecodeLimits::default();
        let mut begun = Vec::new();
        loop {
            let piece = self.next(delta)?;
            begun.extend_from_slice(piece.as_deref().unwrap_or_default());
            match inspect(begun.as_slice(), &limits) {
                Ok(inspection) => return Ok((inspection.header().clone(), begun)),
                Err(error)
                    if piece.is_some()
                        && *error.kind() == DecodeErrorKind::Truncated(Part::Header) => {}
                Err(source) => return Err(self.undecodable(source)),
            }
        }
    }

    fn next(&self, delta: &mut Incoming) -> Result<Option<Bytes>, ServiceError> {
        delta.next().map_err(ServiceError::local(&self.job.stored))
    }

    fn undecodable(&self, source: deltaglider_vcdiff::DecodeError) -> ServiceError {
        ServiceError::Decode { object: self.job.stored.clone(), source }
    }

    /// Decodes the delta to `to`.
    fn decode(
        &self,
        delta: &mut Incoming,
        begun: Vec<u8>,
        reference: CachedReference,
        target_len: Option<u64>,
        to: &mut impl Write,
    ) -> Result<End, ServiceError> {
        let mut options = DecodeOptions::from(self.job.memory.limits());
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
                        return Ok(
                            match self.job.memory.after(&error, decoder.declared_dictionaries()) {
                                Some(more) => End::NeedsMore(more),
                                None => End::Failed(self.undecodable(error)),
                            },
                        );
                    }
                };
                rest = rest.get(taken..).unwrap_or_default();
                to.write_all(&out).map_err(written())?;
                out.clear();
            }
            piece = self.next(delta)?;
        }
        Ok(match decoder.finish() {
            Ok(_) => End::Whole,
            Err(error) => End::Failed(self.undecodable(error)),
        })
    }

    fn unpacked_reference(
        &self,
        compression: Compression,
        cancelled: &Cancelled,
    ) -> Result<CachedReference, ServiceError> {
        let failed = self.not_unpacked(compression);
        let packed = Positioned { source: self.job.reference.clone(), at: 0 };
        let mut unpacked = recompress::unpack(compression, packed).map_err(&failed)?;
        let mut content = Spool::new(&self.spool_dir);
        let mut chunk = vec![0; CHUNK];
        loop {
            cancelled.check().map_err(&failed)?;
            let n = unpacked.read(&mut chunk).map_err(&failed)?;
            if n == 0 {
                break;
            }
            if content.len() + n as u64 > MAX_UNPACKED {
                return Err(failed(io::Error::other(format!(
                    "it has more than {MAX_UNPACKED} bytes unpacked"
                ))));
            }
            content.write_all(chunk.get(..n).unwrap_or_default()).map_err(&failed)?;
        }
        Ok(Arc::new(content.finish().map_err(failed)?))
    }

    /// Returns a constructor of the error of a reference that is not packed as stated.
    fn not_unpacked(&self, compression: Compression) -> impl Fn(io::Error) -> ServiceError + '_ {
        move |source| ServiceError::Unpack {
            reference: self.job.reference_name.clone(),
            compression,
            source,
        }
    }

    /// Compresses the content with each setting that xdelta3 may have undone, and writes the result
    /// that has the file's digest.
    fn pack<W: Write>(
        &self,
        content: &Payload,
        compression: Compression,
        cancelled: &Cancelled,
        mut to: W,
    ) -> Result<Restored<W>, ServiceError> {
        let spooled = || ServiceError::local(self.spool_dir.display());
        for &setting in recompress::candidates(compression) {
            let sink = HashingWriter::new(Spool::new(&self.spool_dir));
            let mut packer = recompress::Packer::new(setting, sink).map_err(spooled())?;
            content.read(cancelled, |piece| packer.write_all(piece).map_err(spooled()))?;
            let (spool, len, digest) =
                packer.finish().and_then(HashingWriter::finish).map_err(spooled())?;
            if digest == self.job.metadata.file_sha256 {
                let packed = Arc::new(spool.finish().map_err(spooled())?);
                let packed = Payload::of(&self.job.file.to_string(), len, packed);
                packed.read(cancelled, |piece| to.write_all(piece).map_err(written()))?;
                to.flush().map_err(written())?;
                return Ok(Restored { to, len, unpacked: None });
            }
        }
        if !self.job.allow_recompressed {
            return Err(ServiceError::Recompression { object: self.job.file.clone(), compression });
        }
        content.read(cancelled, |piece| to.write_all(piece).map_err(written()))?;
        to.flush().map_err(written())?;
        Ok(Restored { to, len: content.len(), unpacked: Some(compression) })
    }
}

/// Returns the result of a failed decode: the reference may have to be decompressed, unless it
/// could not be read.
fn failed<W>(
    sink: HashingWriter<W>,
    error: ServiceError,
    possible: Option<Compression>,
) -> Decoded<W> {
    match (possible, &error) {
        (Some(compression), ServiceError::Decode { source, .. })
            if !matches!(source.kind(), DecodeErrorKind::SourceRead(_)) =>
        {
            Decoded::Packed(sink, compression)
        }
        _ => Decoded::Failed(sink, error),
    }
}

/// Checks a restored file's length and digest against its metadata.
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

/// Checks a length against the expected one.
pub(crate) fn check_len(
    object: &ObjectName,
    expected: u64,
    actual: u64,
) -> Result<(), ServiceError> {
    if actual != expected {
        return Err(ServiceError::Length { object: object.clone(), expected, actual });
    }
    Ok(())
}

/// Returns a constructor of the error of the caller's writer.
pub(crate) fn written() -> impl FnOnce(io::Error) -> ServiceError {
    ServiceError::Output
}

/// Returns the compressions of target and source that xdelta3 undid before it made the delta, by
/// the letters in an application header of the form `target/LETTER/source/LETTER`.
fn packed_sides(header: &Header) -> [Option<Compression>; 2] {
    let text = header
        .application
        .as_deref()
        .and_then(|bytes| std::str::from_utf8(bytes).ok())
        .unwrap_or_default();
    let fields: Vec<&str> = text.split('/').collect();
    match *fields.as_slice() {
        [_, target, _, source] => [Compression::of_letter(target), Compression::of_letter(source)],
        [_, target] => [Compression::of_letter(target), None],
        _ => [None, None],
    }
}

/// A writer that skips the bytes an earlier run wrote and passes on the rest; it compares the
/// skipped bytes with the earlier ones.
pub(crate) struct Rest<'a, W> {
    /// The number of bytes still to skip.
    left: u64,
    /// The hasher of the skipped bytes.
    hasher: Sha256Hasher,
    sink: &'a mut HashingWriter<W>,
    /// The skipped bytes differ from those written before.
    pub(crate) differs: bool,
}

impl<'a, W: Write> Rest<'a, W> {
    pub(crate) fn after(sink: &'a mut HashingWriter<W>) -> Self {
        Self { left: sink.len(), hasher: Sha256Hasher::default(), sink, differs: false }
    }
}

impl<W: Write> Write for Rest<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left_out = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let (known, new) = bytes.split_at_checked(left_out).unwrap_or((bytes, &[]));
        if !known.is_empty() {
            self.hasher.update(known);
            self.left -= known.len() as u64;
            self.differs |= self.left == 0 && self.hasher.clone().finish() != self.sink.digest();
        }
        if !self.differs {
            self.sink.write_all(new)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A reader of a source from its start to its end.
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
