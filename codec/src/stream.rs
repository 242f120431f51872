//! The encoder and the decoder behind [`Read`] and [`Write`].
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};

use crate::{DecodeError, DecodeOptions, DecodeSummary, Decoder, EncodeError, EncodeOptions, Encoder, Header, Source};

/// Bytes read at a time.
const PIECE: usize = 1 << 16;

/// Why a stream came to an end before its time.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The encoder or decoder refused.
    Codec(E),
    /// Reading the target to encode, or the delta to decode.
    Input(io::Error),
    /// Writing what came of it.
    Output(io::Error),
}

impl<E> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Codec(_) => "the codec refused",
            Self::Input(_) => "the input cannot be read",
            Self::Output(_) => "the output cannot be written",
        })
    }
}

impl<E: Error + 'static> Error for StreamError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Codec(error) => Some(error),
            Self::Input(error) | Self::Output(error) => Some(error),
        }
    }
}

/// Encodes all of `target`; returns its length and that of the delta, in bytes.
///
/// For the bytes xdelta3 writes for a named file, [`EncodeOptions::target_len`] has to be set; without, they are those it writes
/// for a pipe. `delta` is neither flushed nor synced.
pub fn encode_stream<S: Source>(
    source: Option<S>,
    mut target: impl Read,
    mut delta: impl Write,
    options: EncodeOptions,
) -> Result<(u64, u64), StreamError<EncodeError>> {
    let mut encoder = Encoder::new(options, source).map_err(StreamError::Codec)?;
    let mut piece = vec![0; PIECE];
    let mut out = Vec::new();
    let (mut target_len, mut delta_len) = (0u64, 0u64);
    loop {
        let len = read_some(&mut target, &mut piece).map_err(StreamError::Input)?;
        target_len = target_len.saturating_add(len as u64);
        let mut rest = piece.get(..len).unwrap_or_default();
        while !rest.is_empty() {
            let taken = encoder.push(rest, &mut out).map_err(StreamError::Codec)?;
            rest = rest.get(taken..).unwrap_or_default();
            delta_len = delta_len.saturating_add(out.len() as u64);
            delta.write_all(&out).map_err(StreamError::Output)?;
            out.clear();
        }
        if len == 0 {
            break;
        }
    }
    encoder.finish(&mut out).map_err(StreamError::Codec)?;
    delta_len = delta_len.saturating_add(out.len() as u64);
    delta.write_all(&out).map_err(StreamError::Output)?;
    Ok((target_len, delta_len))
}

/// Decodes all of `delta`, window by window; `target` gets verified windows only, but all up to the first that is wrong.
///
/// Compare [`DecodeSummary::target_len`] with the length you know: a delta cut at the end of a window is a shorter delta.
/// `target` is neither flushed nor synced.
pub fn decode_stream<S: Source>(
    source: Option<S>,
    mut delta: impl Read,
    mut target: impl Write,
    options: DecodeOptions,
) -> Result<DecodeSummary, StreamError<DecodeError>> {
    let mut decoder = Decoder::new(options, source);
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

fn read_some(from: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(|len| len.min(piece.len())),
        }
    }
}

/// A [`Write`] that takes the target and writes the delta to another. [`finish`](Self::finish) has to be called: dropping it
/// leaves a delta without its end.
#[derive(Debug)]
pub struct EncodeWriter<S, W> {
    encoder: Encoder<S>,
    /// What was encoded and not yet written.
    out: Vec<u8>,
    delta: W,
}

impl<S: Source, W: Write> EncodeWriter<S, W> {
    /// Checks the options and reads the first part of the source.
    pub fn new(options: EncodeOptions, source: Option<S>, delta: W) -> Result<Self, EncodeError> {
        Ok(Self { encoder: Encoder::new(options, source)?, out: Vec::new(), delta })
    }

    /// Writes the last window and gives the inner writer back.
    pub fn finish(mut self) -> Result<W, StreamError<EncodeError>> {
        self.encoder.finish(&mut self.out).map_err(StreamError::Codec)?;
        write_out(&mut self.out, &mut self.delta).map_err(StreamError::Output)?;
        Ok(self.delta)
    }
}

/// Writes all of `out`, and keeps what could not be written.
fn write_out(out: &mut Vec<u8>, to: &mut impl Write) -> io::Result<()> {
    while !out.is_empty() {
        match to.write(out) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => drop(out.drain(..len.min(out.len()))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// An [`EncodeError`] is an [`io::ErrorKind::Other`] here, with the error itself inside.
impl<S: Source, W: Write> Write for EncodeWriter<S, W> {
    fn write(&mut self, target: &[u8]) -> io::Result<usize> {
        // First what an earlier call failed to write: this one may be tried again.
        write_out(&mut self.out, &mut self.delta)?;
        self.encoder.push(target, &mut self.out).map_err(io::Error::other)
    }

    /// Hands on what is complete; the window under way is not.
    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.out, &mut self.delta)?;
        self.delta.flush()
    }
}

/// A [`Read`] that gives the target of a delta it reads from another; only verified windows come out. The end of the target is
/// told only when the delta ends where one may end.
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
    pub fn new(options: DecodeOptions, source: Option<S>, delta: R) -> Self {
        Self {
            decoder: Some(Decoder::new(options, source)),
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
        crate::DecodeErrorKind::SourceRead(kind) => kind,
        crate::DecodeErrorKind::Truncated(_) => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

/// A [`DecodeError`] is an [`io::Error`] with that error inside; its kind is that of the source's error, `UnexpectedEof` for a
/// delta cut short, or `InvalidData`.
impl<S: Source, R: Read> Read for DecodeReader<S, R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        if target.is_empty() || (self.given == self.window.len() && !self.next_window()?) {
            return Ok(0);
        }
        let window = self.window.get(self.given..).unwrap_or_default();
        let len = window.len().min(target.len());
        if let (Some(to), Some(from)) = (target.get_mut(..len), window.get(..len)) {
            to.copy_from_slice(from);
        }
        self.given = self.given.saturating_add(len);
        Ok(len)
    }
}
