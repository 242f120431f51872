//! The decoder: bytes of a delta in, verified windows of the target out.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod code_table;
mod execute;
mod file_digest;
mod instructions;
mod sections;
mod source_cache;
mod stream;
mod target_history;

use std::fmt;

pub use crate::error::{
    CodeTableFault, DecodeError, DecodeErrorKind, Feature, Field, HuffmanFault, Limit, LzmaFault,
    Part, Section, WholeFile,
};
pub use crate::limits::{DecodeLimits, DecodeOptions};
pub(crate) use code_table::codes;
pub(crate) use instructions::Instructions;
pub(crate) use sections::Sections;
pub use stream::{DecodeReader, DecodeWriter, decode_stream};

use execute::Earlier;
use file_digest::FileHasher;
use source_cache::SourceCache;
use target_history::TargetHistory;

use crate::error::Fault;
use crate::format::code_table::Codes;
use crate::format::fields::Stop;
use crate::format::header::{Header, SECONDARY_AT, VERSION_SDCH};
use crate::format::window::{ParsedWindow, VCD_INSTCOMP, VCD_SOURCE, VCD_TARGET, WindowHeader};
use crate::secondary::SectionDecoder;
use crate::source::Source;

/// Bytes tried at a time where a header continues from an earlier call: about a window's header.
const HEADER_PIECE: usize = 64;
/// First allocation for a window's body that arrives in pieces; it doubles as the bytes come.
const BODY_PIECE: usize = 1 << 16;
/// What [`decode`] collects at most when no limit is set: it holds the whole target in memory.
const IN_MEMORY_TARGET: u64 = 1 << 30;

/// Decodes one delta, window by window.
///
/// Bytes go in by [`push`](Self::push) in pieces of any size; each window comes out when its last
/// byte is there, and only after its checksum was compared. A delta does not say how many windows
/// it has: whoever knows the length or the digest of the target compares it after
/// [`finish`](Self::finish).
///
/// ```
/// use deltaglider_vcdiff::{DecodeOptions, Decoder};
/// # let delta = [0xd6, 0xc3, 0xc4, 0, 0, 0, 8, 2, 0, 2, 1, 0, b'h', b'i', 3];
/// let mut decoder = Decoder::<&[u8]>::new(None, &DecodeOptions::default());
/// let mut target = Vec::new();
/// let mut rest = &delta[..];
/// while !rest.is_empty() {
///     let taken = decoder.push(rest, &mut target)?;
///     rest = &rest[taken..];
/// }
/// let summary = decoder.finish()?;
/// assert_eq!((target.as_slice(), summary.windows), (&b"hi"[..], 1));
/// # Ok::<(), deltaglider_vcdiff::DecodeError>(())
/// ```
pub struct Decoder<S> {
    options: DecodeOptions,
    source: Option<SourceCache<S>>,
    header: Option<Header>,
    codes: Codes,
    sections: Option<SectionDecoder>,
    history: TargetHistory,
    /// The digest of the target so far, and what it is to be.
    digest: Option<(FileHasher, [u8; 32])>,
    stage: Stage,
    /// What was pushed of the current stage and could not be used yet.
    carried: Vec<u8>,
    /// Where in the delta the file header or the current window begins.
    start: u64,
    summary: DecodeSummary,
    failure: Option<DecodeError>,
}

#[derive(Debug)]
enum Stage {
    Header,
    WindowHeader,
    Body(ParsedWindow),
}

/// What a delta turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeSummary {
    /// Windows decoded.
    pub windows: u64,
    /// Windows whose checksum was compared.
    pub verified_windows: u64,
    /// Bytes of the delta.
    pub delta_len: u64,
    /// Bytes of the target.
    pub target_len: u64,
    /// Whether the digest of the whole target was compared.
    pub verified_digest: bool,
}

/// Without the source, which need not be printable.
impl<S> fmt::Debug for Decoder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("options", &self.options)
            .field("header", &self.header)
            .field("stage", &self.stage)
            .field("summary", &self.summary)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl<S: Source> Decoder<S> {
    /// Creates a decoder for one delta. Without a source only deltas that need none can be decoded.
    pub fn new(source: Option<S>, options: &DecodeOptions) -> Self {
        let limits = &options.limits;
        let source =
            source.map(|source| SourceCache::new(source, limits.source_cache, limits.source_reads));
        Self {
            options: options.clone(),
            source,
            header: None,
            codes: Codes::default(),
            sections: None,
            history: TargetHistory::keeping(options.limits.target_history),
            digest: None,
            stage: Stage::Header,
            carried: Vec::new(),
            start: 0,
            summary: DecodeSummary::default(),
            failure: None,
        }
    }

    /// The file header, once its bytes were pushed.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The sizes of the dictionaries that the LZMA sections so far declare, added up: the most that
    /// [`dictionary`](DecodeLimits::dictionary) would have to be for them.
    pub fn declared_dictionaries(&self) -> u64 {
        self.sections.as_ref().map_or(0, SectionDecoder::declared)
    }

    /// What the delta turned out to be so far.
    pub fn summary(&self) -> DecodeSummary {
        self.summary
    }

    /// Takes bytes of the delta and returns how many: all, unless they complete a window. A
    /// complete window is decoded and, if it is right, its bytes are appended to `out`; then the
    /// call returns, so that there is at most one window per call.
    ///
    /// After an error `out` is as it was, and every further call returns the same error.
    pub fn push(&mut self, delta: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let before = out.len();
        match self.advance(delta, out) {
            Ok(taken) => {
                self.summary.delta_len = self.summary.delta_len.saturating_add(taken as u64);
                Ok(taken)
            }
            Err(fault) => {
                out.truncate(before);
                Err(self.fail(fault, self.start))
            }
        }
    }

    /// Ends the delta: an error if it ends inside a window or has none. Only a plain file header,
    /// five bytes, is a delta by itself: open-vcdiff writes no more for an empty target.
    pub fn finish(mut self) -> Result<DecodeSummary, DecodeError> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let part = match &self.stage {
            Stage::Header => Part::Header,
            Stage::WindowHeader if !self.carried.is_empty() => Part::WindowHeader,
            Stage::WindowHeader if self.summary.windows == 0 && !self.is_plain() => Part::NoWindow,
            Stage::WindowHeader => {
                if let Some((digest, stated)) = self.digest.take() {
                    if digest.finish() != stated {
                        let end = self.summary.delta_len;
                        return Err(
                            self.fail(DecodeErrorKind::Digest(WholeFile::Target).into(), end)
                        );
                    }
                    self.summary.verified_digest = true;
                }
                return Ok(self.summary);
            }
            Stage::Body(header) => Part::Sections {
                missing: header.fields.sections.total().saturating_sub(self.carried.len() as u64),
            },
        };
        Err(self.fail(DecodeErrorKind::Truncated(part).into(), self.summary.delta_len))
    }

    /// Returns whether the file header names nothing that open-vcdiff does not write.
    fn is_plain(&self) -> bool {
        let plain = |header: &Header| {
            (header.secondary, &header.code_table, &header.application) == (None, &None, &None)
        };
        self.header.as_ref().is_some_and(plain)
    }

    fn fail(&mut self, fault: Fault, start: u64) -> DecodeError {
        let window = match self.stage {
            Stage::Header => None,
            _ => Some(self.summary.windows),
        };
        let error = DecodeError::new(fault, window, start);
        self.failure = Some(error.clone());
        error
    }

    fn advance(&mut self, delta: &[u8], out: &mut Vec<u8>) -> Result<usize, Fault> {
        let mut rest = delta;
        let taken = |rest: &[u8]| delta.len().saturating_sub(rest.len());
        loop {
            match self.stage {
                Stage::Header => {
                    let limits = &self.options.limits;
                    let parse = |bytes: &[u8]| Header::parse(bytes, limits);
                    let Some((header, len)) = read_header(&mut self.carried, &mut rest, parse)?
                    else {
                        return Ok(taken(rest));
                    };
                    if let Some(id) = header.secondary {
                        let decoder = SectionDecoder::new(id, limits)
                            .map_err(|fault| fault.at(SECONDARY_AT))?;
                        self.sections = Some(decoder);
                    }
                    self.codes = codes(&header)?;
                    if self.options.verify_digests {
                        self.read_digests(&header)?;
                    }
                    self.header = Some(header);
                    self.start = len as u64;
                    self.stage = Stage::WindowHeader;
                }
                Stage::WindowHeader => {
                    let Some(file) = &self.header else { return Ok(taken(rest)) };
                    let parse = |bytes: &[u8]| {
                        let limits = &self.options.limits;
                        let header =
                            WindowHeader::parse(bytes, file, self.summary.target_len, limits)?;
                        Ok((header, header.len))
                    };
                    let Some((header, _)) = read_header(&mut self.carried, &mut rest, parse)?
                    else {
                        return Ok(taken(rest));
                    };
                    if header.fields.indicator & VCD_SOURCE != 0 && self.source.is_none() {
                        return Err(DecodeErrorKind::SourceMissing.into());
                    }
                    self.history.check(&header.fields)?;
                    self.check_amplification(&header)?;
                    self.stage = Stage::Body(header);
                }
                Stage::Body(header) => {
                    let len = header.fields.sections.total() as usize;
                    if self.carried.is_empty()
                        && let Some((body, after)) = rest.split_at_checked(len)
                    {
                        self.window(&header, body, out)?;
                        rest = after;
                    } else if !self.carry_body(&mut rest, len)? {
                        return Ok(taken(rest));
                    } else {
                        let mut body = std::mem::take(&mut self.carried);
                        self.window(&header, &body, out)?;
                        body.clear();
                        self.carried = body;
                    }
                    self.start =
                        self.start.saturating_add(header.len as u64).saturating_add(len as u64);
                    self.stage = Stage::WindowHeader;
                    return Ok(taken(rest));
                }
            }
        }
    }

    fn check_amplification(&self, header: &ParsedWindow) -> Result<(), Fault> {
        let Some(allowed) = self.options.limits.amplification else { return Ok(()) };
        let window = (header.len as u64).saturating_add(header.fields.sections.total());
        // A window's header is never empty, so there is something to divide by.
        let delta = self.start.saturating_add(window).max(1);
        Limit::Amplification.check(
            self.summary.target_len.saturating_add(header.fields.target_len).div_ceil(delta),
            allowed,
        )
    }

    /// Compares the source with its digest in the application header, and notes the target's.
    fn read_digests(&mut self, header: &Header) -> Result<(), Fault> {
        let Some((target, source)) = header.files() else { return Ok(()) };
        self.digest = target.blake3.and_then(|stated| Some((FileHasher::new()?, stated)));
        if let (Some(stated), Some(blocks)) =
            (source.and_then(|source| source.blake3), &self.source)
            && let Some(hasher) = FileHasher::new()
            && blocks.digest(hasher)? != stated
        {
            return Err(DecodeErrorKind::Digest(WholeFile::Source).into());
        }
        Ok(())
    }

    /// Keeps what there is of a body of `len` bytes; true when it is complete.
    fn carry_body(&mut self, rest: &mut &[u8], len: usize) -> Result<bool, Fault> {
        let missing = len.saturating_sub(self.carried.len());
        let (piece, after) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
        if self.carried.capacity().saturating_sub(self.carried.len()) < piece.len() {
            let more = self.carried.len().max(piece.len()).max(BODY_PIECE).min(missing);
            reserve(&mut self.carried, more)?;
        }
        self.carried.extend_from_slice(piece);
        *rest = after;
        Ok(self.carried.len() == len)
    }

    /// Decodes and verifies one window.
    fn window(
        &mut self,
        header: &ParsedWindow,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let limits = &self.options.limits;
        let fields = &header.fields;
        let stored_codes = fields.delta_indicator & VCD_INSTCOMP == 0;
        let codes = header.len.saturating_add(fields.sections.data as usize);
        let sections = Sections::open(header, body, &mut self.sections, limits)?;
        let mut instructions = Instructions::new(header, &sections, &self.codes, limits);
        let window = out.len();
        out.try_reserve(fields.target_len as usize)
            .map_err(|_| DecodeErrorKind::OutOfMemory { asked: fields.target_len })?;
        let copy_window = fields.copy_window.unwrap_or_default();
        let copy_offset = copy_window.offset;
        if let Some(source) = self.source.as_mut().filter(|_| fields.indicator & VCD_SOURCE != 0) {
            source.begin_window(copy_offset, copy_window.len);
        }
        let earlier = match &mut self.source {
            _ if fields.indicator & VCD_TARGET != 0 => self.history.from(copy_offset),
            Some(source) if fields.indicator & VCD_SOURCE != 0 => {
                Earlier::Source(source, copy_offset)
            }
            _ => Earlier::Nowhere,
        };
        execute::execute(&mut instructions, earlier, out).map_err(|fault| {
            let at = codes.saturating_add(if stored_codes { fault.at } else { 0 });
            fault.at(at)
        })?;
        if let Some(stated) = fields.checksum
            && self.options.verify_checksum
        {
            // zlib's Adler-32 begins with 1, open-vcdiff's with 0.
            let own_format = self.header.as_ref().is_some_and(|file| file.version == VERSION_SDCH);
            let mut adler =
                if own_format { adler2::Adler32::from_checksum(0) } else { adler2::Adler32::new() };
            adler.write_slice(out.get(window..).unwrap_or_default());
            let computed = adler.checksum();
            if computed != stated {
                let fault = Fault::from(DecodeErrorKind::Checksum { stated, computed });
                return Err(fault.at(header.checksum_at));
            }
            self.summary.verified_windows = self.summary.verified_windows.saturating_add(1);
        }
        let decoded = out.get(window..).unwrap_or_default();
        self.history.add(decoded);
        if let Some((digest, _)) = &mut self.digest {
            digest.update(decoded);
        }
        self.summary.windows = self.summary.windows.saturating_add(1);
        self.summary.target_len = self.summary.target_len.saturating_add(fields.target_len);
        Ok(())
    }
}

/// Reads a header that may have begun in an earlier call; `None` when it does not end in this one.
fn read_header<T>(
    carried: &mut Vec<u8>,
    rest: &mut &[u8],
    parse: impl Fn(&[u8]) -> Result<(T, usize), Stop>,
) -> Result<Option<(T, usize)>, Fault> {
    while !rest.is_empty() {
        let piece = if carried.is_empty() { rest.len() } else { rest.len().min(HEADER_PIECE) };
        let (piece, after) = rest.split_at_checked(piece).unwrap_or_default();
        let before = carried.len();
        let parsed = if before == 0 {
            parse(piece)
        } else {
            carried.extend_from_slice(piece);
            parse(carried)
        };
        match parsed {
            Ok((header, len)) => {
                carried.clear();
                // Without this piece the header was incomplete, so it ends within it.
                *rest = rest.get(len.saturating_sub(before)..).unwrap_or_default();
                return Ok(Some((header, len)));
            }
            Err(Stop::Fault(fault)) => return Err(fault),
            Err(Stop::More) if before == 0 => carried.extend_from_slice(piece),
            Err(Stop::More) => {}
        }
        *rest = after;
    }
    Ok(None)
}

fn reserve(bytes: &mut Vec<u8>, more: usize) -> Result<(), Fault> {
    let asked = || DecodeErrorKind::OutOfMemory { asked: more as u64 };
    bytes.try_reserve_exact(more).map_err(|_| asked().into())
}

/// Decodes a whole delta in memory.
///
/// The target is collected, so without a limit of its own
/// ([`DecodeLimits::target`](crate::DecodeLimits::target)) it may have 1 GiB: a few bytes of delta
/// can ask for any length.
pub fn decode(
    source: Option<&[u8]>,
    delta: &[u8],
    options: &DecodeOptions,
) -> Result<Vec<u8>, DecodeError> {
    let mut options = options.clone();
    options.limits.target.get_or_insert(IN_MEMORY_TARGET);
    let mut decoder = Decoder::new(source, &options);
    decoder.history = TargetHistory::InOutput;
    let mut target = Vec::new();
    let mut rest = delta;
    while !rest.is_empty() {
        let taken = decoder.push(rest, &mut target)?;
        rest = rest.get(taken..).unwrap_or_default();
    }
    decoder.finish()?;
    Ok(target)
}
