//! Reads a delta piece by piece.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io::{ErrorKind, Read};

use super::Failed;
use crate::error::{DecodeErrorKind, Fault, Part};
use crate::format::fields::Stop;

/// The number of bytes read at a time.
const BUFFER_LEN: usize = 1 << 16;

#[derive(Debug)]
pub(super) struct Pieces<R> {
    reader: R,
    /// Bytes read, and the number of them already taken.
    buffer: Vec<u8>,
    taken: usize,
    /// The offset in the delta of the bytes not yet taken.
    start: u64,
}

impl<R> Pieces<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), taken: 0, start: 0 }
    }

    /// Returns the offset in the delta of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.start
    }

    /// Skips bytes that were read.
    pub(super) fn take(&mut self, len: usize) {
        let len = len.min(self.rest().len());
        self.taken = self.taken.saturating_add(len);
        self.start = self.start.saturating_add(len as u64);
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }
}

impl<R: Read> Pieces<R> {
    /// Returns whether the delta ends here.
    pub(super) fn is_at_end(&mut self) -> Result<bool, Failed> {
        Ok(self.rest().is_empty() && !self.read_on()?)
    }

    /// Parses a header without taking it; if the delta ends inside it, the error names this `part`.
    pub(super) fn header<T>(
        &mut self,
        part: Part,
        parse: impl Fn(&[u8]) -> Result<T, Stop>,
    ) -> Result<T, Failed> {
        loop {
            match parse(self.rest()) {
                Ok(header) => return Ok(header),
                Err(Stop::Fault(fault)) => return Err((fault, self.start)),
                Err(Stop::More) if self.read_on()? => {}
                Err(Stop::More) => return Err(self.truncated(part)),
            }
        }
    }

    /// Takes the sections of a window. The buffer grows as they arrive, whatever their stated
    /// length.
    pub(super) fn body(&mut self, len: u64) -> Result<Vec<u8>, Failed> {
        let mut body = Vec::new();
        self.pass(len, |piece| body.extend_from_slice(piece))?;
        Ok(body)
    }

    /// Skips the sections of a window.
    pub(super) fn skip(&mut self, len: u64) -> Result<(), Failed> {
        self.pass(len, |_| {})
    }

    fn pass(&mut self, len: u64, mut by: impl FnMut(&[u8])) -> Result<(), Failed> {
        let mut missing = len;
        while missing > 0 {
            if self.is_at_end()? {
                return Err(self.truncated(Part::Sections { missing }));
            }
            let rest = self.rest();
            let piece = rest.get(..missing as usize).unwrap_or(rest);
            by(piece);
            let len = piece.len();
            self.take(len);
            missing = missing.saturating_sub(len as u64);
        }
        Ok(())
    }

    fn truncated(&self, part: Part) -> Failed {
        let end = self.start.saturating_add(self.rest().len() as u64);
        (DecodeErrorKind::Truncated(part).into(), end)
    }

    /// Appends a piece to the buffer; false at the end.
    fn read_on(&mut self) -> Result<bool, Failed> {
        self.buffer.drain(..self.taken.min(self.buffer.len()));
        self.taken = 0;
        let before = self.buffer.len();
        self.buffer.resize(before.saturating_add(BUFFER_LEN), 0);
        let read = loop {
            match self.reader.read(self.buffer.get_mut(before..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(before.saturating_add(*read.as_ref().unwrap_or(&0)));
        match read {
            Ok(len) => Ok(len > 0),
            Err(error) => Err((Fault::delta(error), self.start)),
        }
    }
}
