//! The decoder behind [`Read`] and [`Write`].
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::{self, Read, Write};

use super::{DecodeError, DecodeErrorKind, DecodeOptions, DecodeSummary, Decoder};
use crate::Source;
use crate::format::header::Header;
use crate::stream::{PIECE, StreamError, give, read_some, write_out};

/// Decodes all of `delta`, window by window; `target` gets verified windows only, but all up to the
/// first that is wrong.
///
/// Compare [`DecodeSummary::target_len`] with the length you know: a delta cut at the end of a
/// window is a shorter delta. `target` is neither flushed nor synced.
pub fn decode_stream<S: Source>(
    source: Option<S>,
    mut delta: impl Read,
    mut target: impl Write,
    options: &DecodeOptions,
) -> Result<DecodeSummary, StreamError<DecodeError>> {
    let mut decoder = Decoder::new(source, options);
    let mut piece = vec![0; PIECE];
    let mut out = Vec::new();
    loop {
        let len = read_some(&mut delta, &mut piece).map_err(StreamError::Input)?;
        if len == 0 {
            return decoder.finish().map_err(StreamError::Codec);
        }
        let mut rest = piece.get(..len).unwrap_or_default();
        while !rest.is_empty() {
            let taken = decoder.push(rest, &mut out).map_err(StreamError::Codec)?;
            rest = rest.get(taken..).unwrap_or_default();
            target.write_all(&out).map_err(StreamError::Output)?;
            out.clear();
        }
    }
}

/// A [`Read`] that gives the target of a delta it reads from another; only verified windows come
/// out. The end of the target is told only when the delta ends where one may end.
#[derive(Debug)]
pub struct DecodeReader<S, R> {
    /// `None` once it was finished.
    decoder: Option<Decoder<S>>,
    delta: R,
    /// Delta read, and how much of it is taken.
    piece: Vec<u8>,
    taken: usize,
    /// A window decoded, and how much of it was given out.
    window: Vec<u8>,
    given: usize,
    header: Option<Header>,
    summary: Option<DecodeSummary>,
}

impl<S: Source, R: Read> DecodeReader<S, R> {
    /// Reads nothing yet.
    pub fn new(source: Option<S>, delta: R, options: &DecodeOptions) -> Self {
        Self {
            decoder: Some(Decoder::new(source, options)),
            delta,
            piece: Vec::new(),
            taken: 0,
            window: Vec::new(),
            given: 0,
            header: None,
            summary: None,
        }
    }

    /// The file header, once something was read.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref().or_else(|| self.decoder.as_ref()?.header())
    }

    /// What the delta turned out to be, once all was read.
    pub fn summary(&self) -> Option<DecodeSummary> {
        self.summary
    }

    /// Returns the inner reader.
    pub fn get_ref(&self) -> &R {
        &self.delta
    }

    /// Returns the inner reader. What is read from it is missing from the delta.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.delta
    }

    /// Gives the inner reader back. Up to 64 KiB of it were read ahead: a delta does not say where
    /// it ends.
    pub fn into_inner(self) -> R {
        self.delta
    }

    /// Decodes until there is something to give; false at the end.
    fn next_window(&mut self) -> io::Result<bool> {
        self.window.clear();
        self.given = 0;
        while let Some(decoder) = &mut self.decoder {
            let rest = self.piece.get(self.taken..).unwrap_or_default();
            if !rest.is_empty() {
                let taken = decoder.push(rest, &mut self.window).map_err(invalid)?;
                self.taken = self.taken.saturating_add(taken);
                if !self.window.is_empty() {
                    return Ok(true);
                }
                continue;
            }
            self.piece.resize(PIECE, 0);
            let read = read_some(&mut self.delta, &mut self.piece);
            self.piece.truncate(*read.as_ref().unwrap_or(&0));
            self.taken = 0;
            if read? == 0
                && let Some(decoder) = self.decoder.take()
            {
                self.header = decoder.header().cloned();
                self.summary = Some(decoder.finish().map_err(invalid)?);
            }
        }
        // Without a summary the delta ended where it may not, which was told once already.
        if self.summary.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(false)
    }
}

/// The error of a source keeps its kind; all others are about the delta.
fn invalid(error: DecodeError) -> io::Error {
    let kind = match *error.kind() {
        DecodeErrorKind::SourceRead(kind) => kind,
        DecodeErrorKind::Truncated(_) => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// A [`DecodeError`] is an [`io::Error`] with that error inside; its kind is that of the source's
/// error, `UnexpectedEof` for a delta cut short, or `InvalidData`.
impl<S: Source, R: Read> Read for DecodeReader<S, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if target.is_empty() || (self.given == self.window.len() && !self.next_window()?) {
            return Ok(0);
        }
        Ok(give(&self.window, &mut self.given, target))
    }
}

/// A [`Write`] that takes a delta and writes its target to another; only verified windows are
/// written. [`finish`](Self::finish) has to be called: dropping it leaves it open whether the delta
/// was complete.
///
/// ```
/// use std::io::Write;
/// use deltaglider_vcdiff::{DecodeOptions, DecodeWriter, EncodeOptions, encode};
///
/// let (old, new) = (b"the first version".as_slice(), b"the second version".as_slice());
/// let delta = encode(Some(old), new, &EncodeOptions::default())?;
/// let mut writer = DecodeWriter::new(Some(old), Vec::new(), &DecodeOptions::default());
/// writer.write_all(&delta)?;
/// let (target, summary) = writer.finish()?;
/// assert_eq!((target.as_slice(), summary.windows), (new, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DecodeWriter<S, W> {
    decoder: Decoder<S>,
    /// What was decoded and not yet written.
    out: Vec<u8>,
    target: W,
}

impl<S: Source, W: Write> DecodeWriter<S, W> {
    /// Writes nothing yet.
    pub fn new(source: Option<S>, target: W, options: &DecodeOptions) -> Self {
        Self { decoder: Decoder::new(source, options), out: Vec::new(), target }
    }

    /// The file header, once it was written to this.
    pub fn header(&self) -> Option<&Header> {
        self.decoder.header()
    }

    /// Returns the inner writer.
    pub fn get_ref(&self) -> &W {
        &self.target
    }

    /// Returns the inner writer. What is written to it comes between windows of the target.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.target
    }

    /// Gives the inner writer back; whether the delta was complete is not checked.
    pub fn into_inner(self) -> W {
        self.target
    }

    /// Ends the delta and gives the inner writer back: an error if the delta is cut short.
    pub fn finish(mut self) -> Result<(W, DecodeSummary), StreamError<DecodeError>> {
        write_out(&mut self.out, &mut self.target).map_err(StreamError::Output)?;
        let summary = self.decoder.finish().map_err(StreamError::Codec)?;
        Ok((self.target, summary))
    }
}

/// A [`DecodeError`] is an [`io::Error`] as for [`DecodeReader`].
impl<S: Source, W: Write> Write for DecodeWriter<S, W> {
    fn write(&mut self, delta: &[u8]) -> io::Result<usize> {
        // First what an earlier call failed to write: this one may be tried again.
        write_out(&mut self.out, &mut self.target)?;
        self.decoder.push(delta, &mut self.out).map_err(invalid)
    }

    /// Hands on the windows that are complete.
    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.out, &mut self.target)?;
        self.target.flush()
    }
}
