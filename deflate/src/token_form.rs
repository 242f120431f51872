//! A form of a segment that needs no rule: its tokens, with literals apart.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::bits::BitWriter;
use crate::block::{self, Block, BlockKind, Counts};
use crate::corrections::blocks::{Extent, Record, RecordReader, RecordWriter, Type};
use crate::corrections::header::{header_form, header_from};
use crate::corrections::varint::{Fields, put};
use crate::error::RebuildError;
use crate::rules::plan::Trees;
use crate::segment::Segment;
use crate::token::{MAX_MATCH, MIN_MATCH, Token};

/// The bit of a distance that marks length 258 as code 284.
const LONG: u16 = 1 << 15;

/// The tokens of a segment in three streams, for compressors that no rule predicts. It needs no
/// text, and rebuilding it no search.
///
/// ```
/// use deltaglider_deflate::{BitWriter, Limits, TokenForm, segments};
///
/// let stream = [0x4b, 0x04, 0x00];
/// let (segments, _) = segments(&stream, &Limits::default())?;
/// let form = TokenForm::of(&segments[0]);
/// assert_eq!(form.literals, b"a");
/// let mut bits = BitWriter::at(0);
/// form.rebuild(true, &mut bits)?;
/// assert_eq!(bits.finish(), stream);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenForm {
    /// The matches: the number of literals before it, the length less 3, the distance less 1 in two
    /// bytes, of which the highest bit marks length 258 as code 284.
    pub matches: Vec<u8>,
    /// The literals and the bytes of stored blocks.
    pub literals: Vec<u8>,
    /// The number of the rule for headers, then a record for each block.
    pub blocks: Vec<u8>,
}

impl TokenForm {
    /// Creates a form from its three streams.
    pub fn new(matches: Vec<u8>, literals: Vec<u8>, blocks: Vec<u8>) -> Self {
        Self { matches, literals, blocks }
    }

    /// Creates the form of a segment.
    pub fn of(segment: &Segment) -> Self {
        let mut form = Self::default();
        let mut at = segment.start;
        let mut literals = 0u64;
        for block in &segment.blocks {
            let end = at.saturating_add(block.text_len);
            if matches!(block.kind, BlockKind::Stored { .. }) {
                form.literals.extend(segment.bytes.get(at..end).unwrap_or_default());
                literals = literals.saturating_add(block.text_len as u64);
            }
            for &token in &block.tokens {
                form.push(token, &mut literals);
            }
            at = end;
        }
        let blocks = Trees::ALL.into_iter().map(|trees| records(trees, segment));
        form.blocks = blocks.min_by_key(Vec::len).unwrap_or_default();
        form
    }

    fn push(&mut self, token: Token, literals: &mut u64) {
        if let Some(byte) = token.as_literal() {
            self.literals.push(byte);
            *literals = literals.saturating_add(1);
            return;
        }
        put(&mut self.matches, std::mem::take(literals));
        self.matches.push(token.length().saturating_sub(MIN_MATCH) as u8);
        let long = if token.is_long_258() { LONG } else { 0 };
        let distance = token.distance().saturating_sub(1) as u16 | long;
        self.matches.extend(distance.to_le_bytes());
    }

    /// Writes the blocks of the segment. `last` says that it is the last one of the stream.
    ///
    /// # Errors
    ///
    /// Fails if this is not the form of a segment. What was written until then is of no use.
    pub fn rebuild(&self, last: bool, bits: &mut BitWriter) -> Result<(), RebuildError> {
        let (&number, records) = self.blocks.split_first().ok_or(RebuildError::Truncated)?;
        let trees = Trees::from_number(number).ok_or(RebuildError::Header)?;
        let mut records = RecordReader::new(records)?;
        let mut tokens = Tokens::new(&self.matches, &self.literals)?;
        while records.is_next() {
            let record = records.next()?;
            let is_last = last && (records.is_exhausted() || records.is_end());
            tokens.write(trees, &record, is_last, bits)?;
        }
        tokens.end()?;
        let padding = records.end()?;
        if last {
            bits.align(padding);
        }
        Ok(())
    }
}

/// Returns the records of all blocks, with headers as differences from what these trees make.
fn records(trees: Trees, segment: &Segment) -> Vec<u8> {
    let mut writer = RecordWriter::default();
    for block in &segment.blocks {
        writer.push(&record(trees, block));
    }
    if segment.last {
        writer.end(segment.padding, false);
    }
    writer.bytes.insert(0, trees.number());
    writer.bytes
}

fn record(trees: Trees, block: &Block) -> Record {
    let mut record = Record {
        extent: Extent::Count(block.tokens.len() as u64),
        kind: Some(Type::Fixed),
        ..Record::default()
    };
    match &block.kind {
        BlockKind::Fixed => {}
        BlockKind::Stored { padding } => {
            record.extent = Extent::Count(block.text_len as u64);
            record.kind = Some(Type::Stored);
            record.padding = *padding;
        }
        BlockKind::Dynamic(header) => {
            record.kind = Some(Type::Dynamic);
            let expected = trees.header(&Counts::of(&block.tokens));
            record.header = (expected != *header).then(|| header_form(trees, &expected, header));
        }
    }
    record
}

/// A reader of tokens.
struct Tokens<'a> {
    matches: Fields<'a>,
    literals: Fields<'a>,
    /// The number of literals before the next match; `None` if there is none.
    run: Option<u64>,
}

impl<'a> Tokens<'a> {
    fn new(matches: &'a [u8], literals: &'a [u8]) -> Result<Self, RebuildError> {
        let (matches, literals) = (Fields(matches), Fields(literals));
        let mut tokens = Self { matches, literals, run: None };
        tokens.read_run()?;
        Ok(tokens)
    }

    fn read_run(&mut self) -> Result<(), RebuildError> {
        self.run = if self.matches.is_empty() { None } else { Some(self.matches.number()?) };
        Ok(())
    }

    fn next(&mut self) -> Result<Token, RebuildError> {
        if self.run != Some(0) {
            self.run = self.run.map(|run| run.saturating_sub(1));
            return Ok(Token::literal(self.literals.byte()?));
        }
        let length = usize::from(self.matches.byte()?).saturating_add(MIN_MATCH);
        let field = u16::from_le_bytes([self.matches.byte()?, self.matches.byte()?]);
        let distance = usize::from(field & !LONG).saturating_add(1);
        self.read_run()?;
        match (field & LONG != 0, length) {
            (false, _) => Ok(Token::reuse(length, distance)),
            (true, MAX_MATCH) => Ok(Token::long_258(distance)),
            (true, _) => {
                let (length, distance) = (length as u16, distance as u16);
                Err(RebuildError::Match { at: 0, length, distance })
            }
        }
    }

    /// Writes the next block.
    fn write(
        &mut self,
        trees: Trees,
        record: &Record,
        last: bool,
        bits: &mut BitWriter,
    ) -> Result<(), RebuildError> {
        let Extent::Count(count) = record.extent else { return Err(RebuildError::Header) };
        let mut tokens = Vec::new();
        let mut text: &[u8] = &[];
        let kind = match record.kind {
            Some(Type::Stored) => {
                let len = u16::try_from(count).map_err(|_| RebuildError::StoredLength(count))?;
                text = self.literals.bytes(usize::from(len))?;
                self.run = match self.run {
                    None => None,
                    Some(run) => Some(run.checked_sub(count).ok_or(RebuildError::Leftover)?),
                };
                BlockKind::Stored { padding: record.padding }
            }
            kind => {
                for _ in 0..count {
                    tokens.push(self.next()?);
                }
                if kind == Some(Type::Dynamic) {
                    let expected = trees.header(&Counts::of(&tokens));
                    BlockKind::Dynamic(match &record.header {
                        None => expected,
                        Some(form) => header_from(trees, &expected, form)?,
                    })
                } else {
                    BlockKind::Fixed
                }
            }
        };
        let written = block::write(bits, last, &kind, &tokens, text);
        if written { Ok(()) } else { Err(RebuildError::NoCode) }
    }

    fn end(&self) -> Result<(), RebuildError> {
        let done = self.run.is_none() && self.matches.is_empty() && self.literals.is_empty();
        if done { Ok(()) } else { Err(RebuildError::Leftover) }
    }
}
