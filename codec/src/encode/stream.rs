//! The encoder behind [`Read`] and [`Write`].
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::{self, Read, Write};

use super::{EncodeError, EncodeOptions, Encoder};
use crate::Source;
use crate::stream::{PIECE, StreamError, read_some};

/// Encodes all of `target`; returns its length and that of the delta, in bytes.
///
/// For the bytes xdelta3 writes for a named file, [`EncodeOptions::target_len`] has to be set; without, they are those it writes
/// for a pipe. `delta` is neither flushed nor synced.
pub fn encode_stream<S: Source>(
    source: Option<S>,
    mut target: impl Read,
    mut delta: impl Write,
    options: &EncodeOptions,
) -> Result<(u64, u64), StreamError<EncodeError>> {
    let mut encoder = Encoder::new(source, options).map_err(StreamError::Codec)?;
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
    pub fn new(source: Option<S>, delta: W, options: &EncodeOptions) -> Result<Self, EncodeError> {
        Ok(Self { encoder: Encoder::new(source, options)?, out: Vec::new(), delta })
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
