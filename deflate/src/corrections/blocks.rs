//! Records of blocks that differ from what the rule expects.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::header::{HeaderForm, read_header, write_header};
use super::varint::{Fields, put};
use crate::error::RebuildError;

const EXTENT: u8 = 0b11;
const KIND_SHIFT: u32 = 2;
const PADDING: u8 = 1 << 4;
const HEADER: u8 = 1 << 5;
/// The record has no block: it holds the bits after the last one.
const END: u8 = 1 << 6;

/// The extent of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Extent {
    /// To where the rule ends it.
    #[default]
    Predicted,
    /// A number of tokens, or of bytes for a stored block.
    Count(u64),
    /// A number of bytes, after which the compressor was flushed.
    Flushed(u64),
    /// No text.
    Empty,
}

/// The type of a block, if it is not the one that the rule chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Stored,
    Fixed,
    Dynamic,
}

/// The record of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) extent: Extent,
    pub(crate) kind: Option<Type>,
    /// The bits before the bytes of a stored block.
    pub(crate) padding: u8,
    pub(crate) header: Option<HeaderForm>,
}

/// A writer of records.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter {
    pub(crate) bytes: Vec<u8>,
    skipped: u64,
}

impl RecordWriter {
    /// Appends the record of the next block.
    pub(crate) fn push(&mut self, record: &Record) {
        if *record == Record::default() {
            self.skipped = self.skipped.saturating_add(1);
            return;
        }
        put(&mut self.bytes, self.skipped);
        self.skipped = 0;
        let extent = match record.extent {
            Extent::Predicted => 0,
            Extent::Count(_) => 1,
            Extent::Flushed(_) => 2,
            Extent::Empty => 3,
        };
        let kind = match record.kind {
            None => 0,
            Some(Type::Stored) => 1,
            Some(Type::Fixed) => 2,
            Some(Type::Dynamic) => 3,
        };
        let padding = if record.padding == 0 { 0 } else { PADDING };
        let header = if record.header.is_none() { 0 } else { HEADER };
        self.bytes.push(extent | kind << KIND_SHIFT | padding | header);
        if let Extent::Count(len) | Extent::Flushed(len) = record.extent {
            put(&mut self.bytes, len);
        }
        if record.padding != 0 {
            self.bytes.push(record.padding);
        }
        if let Some(header) = &record.header {
            write_header(&mut self.bytes, header);
        }
    }

    /// Appends the end of the stream: the bits after the last block, if they are not zeros, and
    /// that no more block follows, if the rule expects one.
    pub(crate) fn end(&mut self, padding: u8, unexpected: bool) {
        if padding != 0 || unexpected {
            put(&mut self.bytes, self.skipped);
            self.bytes.extend([END, padding]);
        }
    }
}

/// A reader of records.
#[derive(Debug)]
pub(crate) struct RecordReader<'a> {
    fields: Fields<'a>,
    /// The number of blocks before the next record; `None` if there is none.
    skip: Option<u64>,
}

impl<'a> RecordReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, RebuildError> {
        let mut reader = Self { fields: Fields(bytes), skip: None };
        reader.read_skip()?;
        Ok(reader)
    }

    fn read_skip(&mut self) -> Result<(), RebuildError> {
        self.skip = if self.fields.is_empty() { None } else { Some(self.fields.number()?) };
        Ok(())
    }

    /// Returns `true` if the next block has a record.
    pub(crate) fn is_next(&self) -> bool {
        let flags = self.fields.0.first().copied().unwrap_or(0);
        self.skip == Some(0) && flags & END == 0
    }

    /// Returns `true` if the end of the stream is next.
    pub(crate) fn is_end(&self) -> bool {
        let flags = self.fields.0.first().copied().unwrap_or(0);
        self.skip == Some(0) && flags & END != 0
    }

    /// Returns `true` if no record is left.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.skip.is_none()
    }

    /// Returns the record of the next block.
    pub(crate) fn next(&mut self) -> Result<Record, RebuildError> {
        if !self.is_next() {
            self.skip = self.skip.map(|skip| skip.saturating_sub(1));
            return Ok(Record::default());
        }
        let flags = self.fields.byte()?;
        if flags & !(EXTENT | 3 << KIND_SHIFT | PADDING | HEADER) != 0 {
            return Err(RebuildError::Header);
        }
        let extent = match flags & EXTENT {
            0 => Extent::Predicted,
            1 => Extent::Count(self.fields.number()?),
            2 => Extent::Flushed(self.fields.number()?),
            _ => Extent::Empty,
        };
        let kind = match flags >> KIND_SHIFT & 3 {
            0 => None,
            1 => Some(Type::Stored),
            2 => Some(Type::Fixed),
            _ => Some(Type::Dynamic),
        };
        let padding = if flags & PADDING == 0 { 0 } else { self.fields.byte()? };
        let header = if flags & HEADER == 0 { None } else { Some(read_header(&mut self.fields)?) };
        self.read_skip()?;
        Ok(Record { extent, kind, padding, header })
    }

    /// Returns the bits after the last block.
    pub(crate) fn end(mut self) -> Result<u8, RebuildError> {
        if self.skip.is_none() {
            return Ok(0);
        }
        let end = [self.fields.byte()?, self.fields.byte()?];
        match (self.skip, end, self.fields.is_empty()) {
            (Some(0), [END, padding], true) => Ok(padding),
            _ => Err(RebuildError::Leftover),
        }
    }
}
