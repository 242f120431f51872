//! The encoder as [`Read`] and [`Write`].
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::{self, Read, Write};

use super::{EncodeError, EncodeOptions, Encoder};
use crate::Source;
use crate::stream::{StreamError, give, write_out};

/// Encodes all of `target` and returns its length and that of the delta, in bytes.
///
/// Set [`EncodeOptions::target_len`] to get the bytes xdelta3 writes for a named file; without it
/// the delta is the one xdelta3 writes for a pipe. `delta` is neither flushed nor synced.
///
/// # Errors
///
/// Fails if an option is invalid, or if the source or a stream cannot be read or written.
pub fn encode_stream<S: Source>(
    source: Option<S>,
    mut target: impl Read,
    mut delta: impl Write,
    options: &EncodeOptions,
) -> Result<(u64, u64), StreamError<EncodeError>> {
    let mut encoder = Encoder::new(source, options).map_err(StreamError::Codec)?;
    let mut out = Vec::new();
    let (mut target_len, mut delta_len) = (0u64, 0u64);
    loop {
        let len = encoder.push_from(&mut target, &mut out)?;
        target_len = target_len.saturating_add(len as u64);
        delta_len = delta_len.saturating_add(out.len() as u64);
        delta.write_all(&out).map_err(StreamError::Output)?;
        out.clear();
        if len == 0 {
            break;
        }
    }
    encoder.finish(&mut out).map_err(StreamError::Codec)?;
    delta_len = delta_len.saturating_add(out.len() as u64);
    delta.write_all(&out).map_err(StreamError::Output)?;
    Ok((target_len, delta_len))
}

/// A [`Write`] that takes the target and writes the delta to another writer. Call
/// [`finish`](Self::finish) at the end: a writer dropped without it leaves a delta without its end.
#[derive(Debug)]
pub struct EncodeWriter<S, W> {
    encoder: Encoder<S>,
    /// Bytes encoded but not yet written.
    out: Vec<u8>,
    delta: W,
}

impl<S: Source, W: Write> EncodeWriter<S, W> {
    /// Checks the options and reads the first part of the source.
    pub fn new(source: Option<S>, delta: W, options: &EncodeOptions) -> Result<Self, EncodeError> {
        Ok(Self { encoder: Encoder::new(source, options)?, out: Vec::new(), delta })
    }

    /// Returns the inner writer.
    pub fn get_ref(&self) -> &W {
        &self.delta
    }

    /// Returns the inner writer. Bytes written to it end up between windows of the delta.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.delta
    }

    /// Returns the inner writer without writing the end of the delta.
    pub fn into_inner(self) -> W {
        self.delta
    }

    /// Writes the last window and returns the inner writer.
    pub fn finish(mut self) -> Result<W, StreamError<EncodeError>> {
        self.encoder.finish(&mut self.out).map_err(StreamError::Codec)?;
        write_out(&mut self.out, &mut self.delta).map_err(StreamError::Output)?;
        Ok(self.delta)
    }
}

/// An [`EncodeError`] is an [`io::ErrorKind::Other`] here, with the error itself inside.
impl<S: Source, W: Write> Write for EncodeWriter<S, W> {
    fn write(&mut self, target: &[u8]) -> io::Result<usize> {
        // Bytes that an earlier call failed to write come first, since a failed call may be
        // retried.
        write_out(&mut self.out, &mut self.delta)?;
        self.encoder.push(target, &mut self.out).map_err(io::Error::other)
    }

    /// Writes the complete windows and flushes the inner writer; an incomplete window stays in
    /// memory.
    fn flush(&mut self) -> io::Result<()> {
        write_out(&mut self.out, &mut self.delta)?;
        self.delta.flush()
    }
}

/// A [`Read`] that yields the delta of a target read from another reader.
///
/// ```
/// use std::io::Read;
/// use deltaglider_vcdiff::{DecodeOptions, EncodeOptions, EncodeReader, decode};
///
/// let (old, new) = (b"the first version".as_slice(), b"the second version".as_slice());
/// let mut delta = Vec::new();
/// EncodeReader::new(Some(old), new, &EncodeOptions::default())?.read_to_end(&mut delta)?;
/// assert_eq!(decode(Some(old), &delta, &DecodeOptions::default())?, new);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct EncodeReader<S, R> {
    /// The encoder; `None` once the delta is complete.
    encoder: Option<Encoder<S>>,
    target: R,
    /// Bytes encoded, and the number of them already returned.
    out: Vec<u8>,
    given: usize,
}

impl<S: Source, R: Read> EncodeReader<S, R> {
    /// Checks the options and reads the first part of the source.
    pub fn new(source: Option<S>, target: R, options: &EncodeOptions) -> Result<Self, EncodeError> {
        let encoder = Some(Encoder::new(source, options)?);
        Ok(Self { encoder, target, out: Vec::new(), given: 0 })
    }

    /// Returns the inner reader.
    pub fn get_ref(&self) -> &R {
        &self.target
    }

    /// Returns the inner reader. Bytes read from it are missing from the target.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.target
    }

    /// Returns the inner reader.
    pub fn into_inner(self) -> R {
        self.target
    }

    /// Encodes until there are bytes to return or the delta is complete.
    fn fill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.given = 0;
        while let Some(encoder) = self.encoder.as_mut().filter(|_| self.out.is_empty()) {
            match encoder.push_from(&mut self.target, &mut self.out) {
                Ok(0) => {
                    if let Some(encoder) = self.encoder.take() {
                        encoder.finish(&mut self.out).map_err(io::Error::other)?;
                    }
                }
                Ok(_) => {}
                Err(StreamError::Codec(error)) => return Err(io::Error::other(error)),
                Err(StreamError::Input(error) | StreamError::Output(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

/// An [`EncodeError`] is an [`io::ErrorKind::Other`] here, with the error itself inside.
impl<S: Source, R: Read> Read for EncodeReader<S, R> {
    fn read(&mut self, delta: &mut [u8]) -> io::Result<usize> {
        if self.given == self.out.len() && !delta.is_empty() {
            self.fill()?;
        }
        Ok(give(&self.out, &mut self.given, delta))
    }
}
