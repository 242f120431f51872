//! Helpers shared by the encoding and decoding streams.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};

/// The number of bytes read at a time.
pub(crate) const BUFFER_LEN: usize = 1 << 16;

/// The reason a stream was not encoded or decoded to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// The encoder or decoder failed.
    Codec(E),
    /// Reading the target to encode, or the delta to decode, failed.
    Input(io::Error),
    /// Writing the delta or the decoded target failed.
    Output(io::Error),
}

impl<E> fmt::Display for StreamError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Codec(_) => "encoding or decoding failed",
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

/// Reads some bytes into `piece` and returns their number; 0 at the end.
pub(crate) fn read_some(from: &mut (impl Read + ?Sized), piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(|len| len.min(piece.len())),
        }
    }
}

/// Writes all of `out`; on an error it keeps the bytes that were not written.
pub(crate) fn write_out(out: &mut Vec<u8>, to: &mut impl Write) -> io::Result<()> {
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

/// Copies the bytes from `given` on into `to`, advances `given` and returns their number.
pub(crate) fn give(bytes: &[u8], given: &mut usize, to: &mut [u8]) -> usize {
    let rest = bytes.get(*given..).unwrap_or_default();
    let len = rest.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..len), rest.get(..len)) {
        to.copy_from_slice(from);
    }
    *given = given.saturating_add(len);
    len
}
