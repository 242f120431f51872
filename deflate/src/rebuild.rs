//! Rebuilds the bits of a segment from its text and corrections.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::bits::BitWriter;
use crate::block::{self, BlockKind, Counts};
use crate::corrections::blocks::{Extent, Record, RecordReader, Type};
use crate::corrections::header::header_from;
use crate::corrections::tokens::TokenReader;
use crate::corrections::walker::Walker;
use crate::corrections::{Corrections, Method};
use crate::error::RebuildError;
use crate::rules::dispatch::{Task, with_rule};
use crate::rules::{Predictor, Span};
use crate::token::Token;

/// The maximum number of bytes of a stored block.
const MAX_STORED: usize = 0xffff;

/// Writes the blocks of a segment: what the method expects of its text, corrected. `last` says that
/// it is the last segment of the stream.
///
/// ```
/// use deltaglider_deflate::{BitWriter, Corrections, Family, Rule, Span, rebuild};
///
/// let rule = Rule::new(Family::Zlib, 6, 8).ok_or("no such rule")?;
/// let span = Span::new(b"a", 0, 1, 0, 0).ok_or("no such range")?;
/// let mut bits = BitWriter::at(0);
/// rebuild(rule.into(), &span, &Corrections::default(), true, &mut bits)?;
/// assert_eq!(bits.finish(), [0x4b, 0x04, 0x00]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Fails if the corrections are not those of a segment with this text. What was written until then
/// is of no use.
pub fn rebuild(
    method: Method,
    span: &Span<'_>,
    corrections: &Corrections,
    last: bool,
    bits: &mut BitWriter,
) -> Result<(), RebuildError> {
    with_rule(method, span, Rebuild { method, span: *span, corrections, last, bits })
}

struct Rebuild<'a> {
    method: Method,
    span: Span<'a>,
    corrections: &'a Corrections,
    last: bool,
    bits: &'a mut BitWriter,
}

impl Task for Rebuild<'_> {
    type Output = Result<(), RebuildError>;

    fn run<P: Predictor>(self, predictor: P) -> Self::Output {
        let mut rebuilder = Rebuilder {
            walker: Walker::new(predictor, self.span, self.last, self.method),
            records: RecordReader::new(&self.corrections.blocks)?,
            tokens: TokenReader::new(&self.corrections.tokens)?,
            block: Vec::new(),
            last: self.last,
        };
        while rebuilder.has_block(self.bits.position()) {
            rebuilder.block(self.bits)?;
        }
        let padding = rebuilder.end()?;
        if self.last {
            self.bits.align(padding);
        }
        Ok(())
    }
}

struct Rebuilder<'a, P> {
    walker: Walker<'a, P>,
    records: RecordReader<'a>,
    tokens: TokenReader<'a>,
    /// The tokens of the block.
    block: Vec<Token>,
    last: bool,
}

impl<P: Predictor> Rebuilder<'_, P> {
    /// Returns `true` if a block follows.
    fn has_block(&self, bit: u64) -> bool {
        if self.records.is_end() {
            return !self.walker.is_at_end();
        }
        !self.walker.is_at_end()
            || self.records.is_next()
            || self.walker.expects_extra(bit).is_some()
            || self.walker.expects_empty()
    }

    /// Writes the next block.
    fn block(&mut self, bits: &mut BitWriter) -> Result<(), RebuildError> {
        let record = self.records.next()?;
        let start = self.walker.at;
        self.block.clear();
        let extra = self.walker.expects_extra(bits.position());
        let kind = match (extra, record.extent) {
            (Some(kind), Extent::Predicted) => kind,
            _ => {
                self.content(&record)?;
                self.kind(&record, bits.position())?
            }
        };
        let text = self.walker.span.bytes.get(start..self.walker.at).unwrap_or_default();
        if matches!(kind, BlockKind::Stored { .. }) && text.len() > MAX_STORED {
            return Err(RebuildError::StoredLength(text.len() as u64));
        }
        let at_end = self.records.is_end() || self.records.is_exhausted() && self.is_closed();
        let is_last = self.last && self.walker.is_at_end() && at_end;
        let written = block::write(bits, is_last, &kind, &self.block, text);
        self.walker.end_block(bits.position());
        if written { Ok(()) } else { Err(RebuildError::NoCode) }
    }

    /// Returns `true` if the rule expects no more block after this one, at the end of the text.
    fn is_closed(&self) -> bool {
        self.walker.progress.text == 0 || self.walker.predictor.last_block().is_none()
    }

    /// Walks over the text of a block and collects its tokens.
    fn content(&mut self, record: &Record) -> Result<(), RebuildError> {
        let left = self.walker.text_left() as u64;
        let size = |stated: u64| match usize::try_from(stated) {
            Ok(len) if stated <= left => Ok(len),
            _ => Err(RebuildError::BlockLength { stated, left }),
        };
        let stored = record.kind == Some(Type::Stored);
        match record.extent {
            Extent::Predicted => {
                self.walker.begin_block(None);
                self.collect_predicted()
            }
            Extent::Count(len) => {
                let len = size(len)?;
                self.walker.begin_block(None);
                if stored { self.walk(len) } else { self.collect(len) }
            }
            Extent::Flushed(len) => {
                let len = size(len)?;
                self.walker.begin_block(Some(len));
                if stored {
                    self.walk(len)
                } else {
                    self.collect_to(self.walker.at.saturating_add(len))
                }
            }
            Extent::Empty => {
                self.walker.begin_block(None);
                Ok(())
            }
        }
    }

    fn walk(&mut self, len: usize) -> Result<(), RebuildError> {
        self.walker.walk(len);
        Ok(())
    }

    /// Collects tokens until the rule ends the block.
    fn collect_predicted(&mut self) -> Result<(), RebuildError> {
        while self.walker.left() > 0 {
            if self.token()? {
                break;
            }
        }
        Ok(())
    }

    fn collect(&mut self, tokens: usize) -> Result<(), RebuildError> {
        for _ in 0..tokens {
            self.token()?;
        }
        Ok(())
    }

    fn collect_to(&mut self, stop: usize) -> Result<(), RebuildError> {
        while self.walker.at < stop {
            self.token()?;
        }
        Ok(())
    }

    /// Collects the next token; returns whether the rule ends the block after it.
    #[inline]
    fn token(&mut self) -> Result<bool, RebuildError> {
        let left = self.walker.text_left();
        if left == 0 {
            return Err(RebuildError::BlockLength { stated: 1, left: 0 });
        }
        let expected = self.walker.expect();
        let (token, corrected) = self.tokens.next(expected, self.walker.byte())?;
        if token.length() > left {
            return Err(self.match_error(token));
        }
        if corrected && token.as_literal().is_none() {
            self.check(token)?;
        }
        self.block.push(token);
        Ok(self.walker.take(token))
    }

    /// Checks that a match has the bytes of the text.
    fn check(&self, token: Token) -> Result<(), RebuildError> {
        let at = self.walker.at;
        let source = at.checked_sub(token.distance()).ok_or_else(|| self.match_error(token))?;
        let bytes = self.walker.span.bytes;
        let (from, to) = (bytes.get(source..), bytes.get(at..at.saturating_add(token.length())));
        let equal = from.zip(to).is_some_and(|(from, to)| from.iter().zip(to).all(|(a, b)| a == b));
        if equal { Ok(()) } else { Err(RebuildError::Mismatch { at: self.walker.offset() }) }
    }

    fn match_error(&self, token: Token) -> RebuildError {
        let (length, distance) = (token.length() as u16, token.distance() as u16);
        RebuildError::Match { at: self.walker.offset(), length, distance }
    }

    /// Returns how the collected block is written.
    fn kind(&self, record: &Record, bit: u64) -> Result<BlockKind, RebuildError> {
        if record.kind == Some(Type::Stored) {
            return Ok(BlockKind::Stored { padding: record.padding });
        }
        let counts = Counts::of(&self.block);
        let predictor = &self.walker.predictor;
        let expected = predictor.plan(&counts, &self.walker.progress, bit);
        let kind = match (record.kind, expected) {
            (Some(Type::Fixed), _) => BlockKind::Fixed,
            (Some(Type::Dynamic), BlockKind::Stored { .. } | BlockKind::Fixed) => {
                BlockKind::Dynamic(predictor.trees().header(&counts))
            }
            (_, BlockKind::Stored { .. }) => BlockKind::Stored { padding: record.padding },
            (_, expected) => expected,
        };
        Ok(match (kind, &record.header) {
            (BlockKind::Dynamic(expected), Some(form)) => {
                BlockKind::Dynamic(header_from(predictor.trees(), &expected, form)?)
            }
            (kind, _) => kind,
        })
    }

    /// Checks that all corrections were used, and returns the bits after the last block.
    fn end(self) -> Result<u8, RebuildError> {
        self.tokens.end()?;
        self.records.end()
    }
}
