//! The decoder as [`Read`] and [`Write`].
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::{self, Read, Write};

use super::{DecodeError, DecodeErrorKind, DecodeOptions, DecodeSummary, Decoder};
use crate::Source;
use crate::format::header::Header;
use crate::stream::{BUFFER_LEN, StreamError, give, read_some, write_out};

/// Decodes all of `delta`, window by window. `target` receives only verified windows: all windows
/// before the first faulty one.
///
/// Compare [`DecodeSummary::target_len`] with the length you know: a delta cut at the end of a
/// window is a valid shorter delta. `target` is neither flushed nor synced.
///
/// # Errors
///
/// Fails if the delta or the source has a fault, or if a stream cannot be read or written.
pub fn decode_stream<S: Source>(
    source: Option<S>,
    mut delta: impl Read,
    mut target: impl Write,
    options: &DecodeOptions,
) -> Result<DecodeSummary, StreamError<DecodeError>> {
    let mut decoder = Decoder::new(source, options);
    let mut piece = vec![0; BUFFER_LEN];
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

/// A [`Read`] that yields the target of a delta read from another reader. It yields only verified
/// windows, and reports the end of the target only if the delta is complete.
#[derive(Debug)]
pub struct DecodeReader<S, R> {
    /// The decoder; `None` once it was finished.
    decoder: Option<Decoder<S>>,
    delta: R,
    /// Bytes of the delta, and the number of them already pushed.
    piece: Vec<u8>,
    taken: usize,
    /// A decoded window, and the number of its bytes already returned.
    window: Vec<u8>,
    given: usize,
    header: Option<Header>,
    summary: Option<DecodeSummary>,
}

impl<S: Source, R: Read> DecodeReader<S, R> {
    /// Creates a reader. It reads nothing yet.
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

    /// Returns the file header, once it was read.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref().or_else(|| self.decoder.as_ref()?.header())
    }

    /// Returns the summary of the delta, once all of it was read.
    pub fn summary(&self) -> Option<DecodeSummary> {
        self.summary
    }

    /// Returns the inner reader.
    pub fn get_ref(&self) -> &R {
        &self.delta
    }

    /// Returns the inner reader. Bytes read from it are missing from the delta.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.delta
    }

    /// Returns the inner reader. Up to 64 KiB may have been read beyond the end of the delta, since
    /// a delta does not state where it ends.
    pub fn into_inner(self) -> R {
        self.delta
    }

    /// Decodes until there are bytes to return; false at the end.
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
            self.piece.resize(BUFFER_LEN, 0);
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
        // Without a summary the delta was truncated, which was reported once already.
        if self.summary.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(false)
    }
}

/// Converts an error: a source error keeps its kind, every other one concerns the delta.
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

/// A [`Write`] that takes a delta and writes its target to another writer; it writes only verified
/// windows. Call [`finish`](Self::finish) at the end: only that checks that the delta is complete.
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
    /// Bytes decoded but not yet written.
    out: Vec<u8>,
    target: W,
}

impl<S: Source, W: Write> DecodeWriter<S, W> {
    /// Creates a writer. It writes nothing yet.
    pub fn new(source: Option<S>, target: W, options: &DecodeOptions) -> Self {
        Self { decoder: Decoder::new(source, options), out: Vec::new(), target }
    }

    /// Returns the file header, once its bytes were written to this writer.
    pub fn header(&self) -> Option<&Header> {
        self.decoder.header()
    }

    /// Returns the inner writer.
    pub fn get_ref(&self) -> &W {
        &self.target
    }

    /// Returns the inner writer. Bytes written to it end up between windows of the target.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.target
    }

    /// Returns the inner writer without checking that the delta is complete.
    pub fn into_inner(self) -> W {
        self.target
    }

    /// Ends the delta and returns the inner writer and the summary.
    ///
    /// # Errors
    ///
    /// Fails if the delta is truncated or the last bytes cannot be written.
    pub fn finish(mut self) -> Result<(W, DecodeSummary), StreamError<DecodeError>> {
        write_out(&mut self.out, &mut self.target).map_err(StreamError::Output)?;
        let summary = self.decoder.finish().map_err(StreamError::Codec)?;
        Ok((self.target, summary))
    }
}

/// A [`DecodeError`] is an [`io::Error`] as for [`DecodeReader`].
impl<S: Source, W: Write> Write for DecodeWriter<S, W> {
    fn write(&mut self, delta: &[u8]) -> io::Result<usize> {
        // Bytes that an earlier call failed to write come first, since a failed call may be
        // retried.
        write_out(&mut self.out, &mut self.target)?;
        self.decoder.push(delta, &mut self.out).map_err(invalid)
    }

    /// Writes the complete windows and flushes the inner writer.
    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.out, &mut self.target)?;
        self.target.flush()
    }
}
