//! Reads the fields of a header one after the other.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::{DecodeErrorKind, Fault, Field};
use crate::format::varint;

/// The reason a header was not read.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The bytes end before the header does.
    More,
    /// The header is invalid.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<DecodeErrorKind> for Stop {
    fn from(kind: DecodeErrorKind) -> Self {
        Self::Fault(kind.into())
    }
}

impl Stop {
    /// Returns the same reason, with a fault at `at`.
    pub(super) fn at(self, at: usize) -> Self {
        match self {
            Self::More => Self::More,
            Self::Fault(fault) => Self::Fault(fault.at(at)),
        }
    }
}

/// A cursor over the fields of a header.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    /// The position of the field read last.
    pub(super) field: usize,
    /// The end of the field read last.
    pub(super) at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, field: 0, at: 0 }
    }

    /// Returns the bytes after the field read last.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        self.field = self.at;
        let end = self.at.saturating_add(len);
        let field = self.bytes.get(self.at..end).ok_or(Stop::More)?;
        self.at = end;
        Ok(field)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Stop> {
        self.take(1)?.first().copied().ok_or(Stop::More)
    }

    pub(super) fn integer(&mut self, field: Field, bits: u32) -> Result<u64, Stop> {
        self.field = self.at;
        let (value, len) =
            varint::read_bounded(self.bytes.get(self.at..).unwrap_or_default(), bits)
                .map_err(|_| DecodeErrorKind::IntegerOverflow(field))?
                .ok_or(Stop::More)?;
        self.at = self.at.saturating_add(len);
        Ok(value)
    }
}
