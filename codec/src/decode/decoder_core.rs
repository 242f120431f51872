//! The part of the decoder that does not depend on the type of the source, so that it is compiled
//! once, in this crate.

use std::fmt;

use super::execute::{self, Earlier};
use super::file_digest::FileHasher;
use super::source_cache::{SourceCache, digest};
use super::target_history::TargetHistory;
use super::target_window::TargetWindow;
use super::{DecodeSummary, Instructions, Sections, codes};
use crate::append::append;
use crate::error::{DecodeError, DecodeErrorKind, Fault, Limit, Part, WholeFile};
use crate::format::code_table::Codes;
use crate::format::fields::Stop;
use crate::format::header::{Header, SECONDARY_AT, VERSION_SDCH};
use crate::format::window::{ParsedWindow, VCD_INSTCOMP, VCD_SOURCE, VCD_TARGET, WindowHeader};
use crate::limits::DecodeOptions;
use crate::secondary::SectionDecoder;
use crate::source::Source;

/// The number of bytes tried at a time where a header continues from an earlier call: about a
/// window header.
const HEADER_PIECE: usize = 64;
/// The first allocation for a window's body that arrives in pieces, in bytes; it doubles as the
/// bytes arrive.
const BODY_PIECE: usize = 1 << 16;
/// A decoder of one delta, which borrows its source at each call: always the same one.
pub(super) struct DecoderCore {
    options: DecodeOptions,
    cache: SourceCache,
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

impl fmt::Debug for DecoderCore {
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

impl DecoderCore {
    pub(super) fn new(options: &DecodeOptions) -> Self {
        let limits = &options.limits;
        Self {
            options: options.clone(),
            cache: SourceCache::new(limits.source_cache, limits.source_reads),
            header: None,
            codes: Codes::default(),
            sections: None,
            history: TargetHistory::keeping(limits.target_history),
            digest: None,
            stage: Stage::Header,
            carried: Vec::new(),
            start: 0,
            summary: DecodeSummary::default(),
            failure: None,
        }
    }

    /// Lets windows copy from the target in the output, which the caller leaves there.
    pub(super) fn keep_target_in_output(&mut self) {
        self.history = TargetHistory::InOutput;
    }

    pub(super) fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    pub(super) fn declared_dictionaries(&self) -> u64 {
        self.sections.as_ref().map_or(0, SectionDecoder::declared)
    }

    pub(super) fn summary(&self) -> DecodeSummary {
        self.summary
    }

    pub(super) fn push(
        &mut self,
        source: Option<&dyn Source>,
        delta: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, DecodeError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let before = out.len();
        match self.advance(source, delta, out) {
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

    pub(super) fn finish(mut self) -> Result<DecodeSummary, DecodeError> {
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

    fn advance(
        &mut self,
        source: Option<&dyn Source>,
        delta: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
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
                        self.read_digests(source, &header)?;
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
                    if header.fields.indicator & VCD_SOURCE != 0 && source.is_none() {
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
                        self.window(source, &header, body, out)?;
                        rest = after;
                    } else if !self.carry_body(&mut rest, len)? {
                        return Ok(taken(rest));
                    } else {
                        let mut body = std::mem::take(&mut self.carried);
                        self.window(source, &header, &body, out)?;
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
    fn read_digests(&mut self, source: Option<&dyn Source>, header: &Header) -> Result<(), Fault> {
        let Some((target, stated_source)) = header.files() else { return Ok(()) };
        self.digest = target.blake3.and_then(|stated| Some((FileHasher::new()?, stated)));
        if let (Some(stated), Some(source)) = (stated_source.and_then(|file| file.blake3), source)
            && let Some(hasher) = FileHasher::new()
            && digest(source, hasher)? != stated
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
        append(&mut self.carried, piece);
        *rest = after;
        Ok(self.carried.len() == len)
    }

    /// Decodes and verifies one window.
    fn window(
        &mut self,
        source: Option<&dyn Source>,
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
        let begin = out.len();
        let stated = fields.checksum.filter(|_| self.options.verify_checksum);
        // The Adler-32 of zlib starts with 1, that of open-vcdiff with 0.
        let own_format = self.header.as_ref().is_some_and(|file| file.version == VERSION_SDCH);
        let initial = stated.map(|_| if own_format { 0 } else { 1 });
        let mut window = TargetWindow::new(out, fields.target_len, initial)?;
        let copy_window = fields.copy_window.unwrap_or_default();
        let copy_offset = copy_window.offset;
        let earlier = match source {
            _ if fields.indicator & VCD_TARGET != 0 => self.history.from(copy_offset),
            Some(source) if fields.indicator & VCD_SOURCE != 0 => match source.bytes() {
                Some(lent) => Earlier::Lent(source, lent, copy_offset),
                None => {
                    self.cache.begin_window(source, copy_offset, copy_window.len);
                    Earlier::Source(source, &mut self.cache, copy_offset)
                }
            },
            _ => Earlier::Nowhere,
        };
        execute::execute(&mut instructions, earlier, &mut window).map_err(|fault| {
            let at = codes.saturating_add(if stored_codes { fault.at } else { 0 });
            fault.at(at)
        })?;
        if let (Some(stated), Some(computed)) = (stated, window.checksum()) {
            if computed != stated {
                let fault = Fault::from(DecodeErrorKind::Checksum { stated, computed });
                return Err(fault.at(header.checksum_at));
            }
            self.summary.verified_windows = self.summary.verified_windows.saturating_add(1);
        }
        let decoded = out.get(begin..).unwrap_or_default();
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
