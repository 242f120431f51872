//! The decoder: takes bytes of a delta and returns verified windows of the target.
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

/// The number of bytes tried at a time where a header continues from an earlier call: about a
/// window header.
const HEADER_PIECE: usize = 64;
/// The first allocation for a window's body that arrives in pieces, in bytes; it doubles as the
/// bytes arrive.
const BODY_PIECE: usize = 1 << 16;
/// The maximum length of the target that [`decode`] collects in memory when no limit is set, in
/// bytes.
const IN_MEMORY_TARGET: u64 = 1 << 30;

/// A decoder of one delta, window by window.
///
/// [`push`](Self::push) takes bytes in pieces of any size. It returns each window when the window's
/// last byte arrives, and only after its checksum was verified. A delta does not state how many
/// windows it has: a caller that knows the length or the digest of the target compares it after
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
    /// The digest of the target so far, and the expected one.
    digest: Option<(FileHasher, [u8; 32])>,
    stage: Stage,
    /// Bytes of the current stage that were pushed but not used yet.
    carried: Vec<u8>,
    /// The offset in the delta of the file header or the current window.
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

/// The size and verification of a decoded delta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeSummary {
    /// The number of windows decoded.
    pub windows: u64,
    /// The number of windows whose checksum was verified.
    pub verified_windows: u64,
    /// The length of the delta in bytes.
    pub delta_len: u64,
    /// The length of the target in bytes.
    pub target_len: u64,
    /// `true` if the digest of the whole target was verified.
    pub verified_digest: bool,
}

/// Omits the source, which need not implement [`Debug`](fmt::Debug).
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
    /// Creates a decoder for one delta. Without a source it decodes only deltas that need none.
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

    /// Returns the file header, once its bytes were pushed.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Returns the sum of the dictionary sizes that the LZMA sections so far declare: the most that
    /// [`dictionary`](DecodeLimits::dictionary) would have to be for them.
    pub fn declared_dictionaries(&self) -> u64 {
        self.sections.as_ref().map_or(0, SectionDecoder::declared)
    }

    /// Returns the summary of the windows decoded so far.
    pub fn summary(&self) -> DecodeSummary {
        self.summary
    }

    /// Takes bytes of the delta and returns their number: all, unless they complete a window. When
    /// a window is complete, its bytes are decoded, verified and appended to `out`; then the call
    /// returns, so that each call yields at most one window.
    ///
    /// # Errors
    ///
    /// Returns the first fault of the delta or its source. `out` is then unchanged, and every
    /// further call returns the same error.
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

    /// Ends the delta and returns its summary.
    ///
    /// # Errors
    ///
    /// Fails if the delta ends inside a window or has none. Only a plain file header of five bytes
    /// is a delta by itself: open-vcdiff writes no more for an empty target.
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

    /// Returns whether the file header has nothing beyond what open-vcdiff writes.
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
        // A window header is never empty, so the divisor is not 0.
        let delta = self.start.saturating_add(window).max(1);
        Limit::Amplification.check(
            self.summary.target_len.saturating_add(header.fields.target_len).div_ceil(delta),
            allowed,
        )
    }

    /// Verifies the source's digest in the application header and stores the target's.
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

    /// Carries over the bytes of a body of `len` bytes; returns whether it is complete.
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
            // The Adler-32 of zlib starts with 1, that of open-vcdiff with 0.
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

/// Parses a header that may have begun in an earlier call; `None` when it does not end in this one.
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
                // Without this piece the header was incomplete, so it ends within the piece.
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
/// The target is collected in memory, so without a limit of its own
/// ([`DecodeLimits::target`](crate::DecodeLimits::target)) it may have at most 1 GiB: a few bytes
/// of delta can ask for any length.
///
/// # Errors
///
/// Returns the first fault of the delta or its source.
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
