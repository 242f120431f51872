//! What encoding and decoding of streams have in common.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};

/// Bytes read at a time.
pub(crate) const PIECE: usize = 1 << 16;

/// A stream that could not be encoded or decoded to its end.
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

/// Reads some bytes into `piece` and returns how many; 0 at the end.
pub(crate) fn read_some(from: &mut (impl Read + ?Sized), piece: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(|len| len.min(piece.len())),
        }
    }
}

/// Writes all of `out`, and keeps what could not be written.
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

/// Copies the bytes from `given` on into `to` and returns how many.
pub(crate) fn give(bytes: &[u8], given: &mut usize, to: &mut [u8]) -> usize {
    let rest = bytes.get(*given..).unwrap_or_default();
    let len = rest.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..len), rest.get(..len)) {
        to.copy_from_slice(from);
    }
    *given = given.saturating_add(len);
    len
}
