//! Makes the corrections of a segment.

use super::blocks::{Extent, Record, RecordWriter, Type};
use super::header::header_form;
use super::tokens::TokenWriter;
use super::walker::Walker;
use super::{Corrections, Method};
use crate::block::{Block, BlockKind, Counts};
use crate::rules::Predictor;
use crate::rules::dispatch::{Task, with_rule};
use crate::segment::Segment;
use crate::token::Token;

/// Returns the corrections that turn what the method expects of a segment into its blocks.
///
/// ```
/// use deltaglider_deflate::{Family, Limits, Rule, corrections, segments};
///
/// let (segments, len) = segments(&[0x4b, 0x04, 0x00], &Limits::default())?;
/// let rule = Rule::new(Family::Zlib, 6, 8).ok_or("no such rule")?;
/// assert_eq!((segments.len(), len), (1, 3));
/// assert!(corrections(rule.into(), &segments[0]).is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn corrections(method: Method, segment: &Segment) -> Corrections {
    with_rule(method, &segment.span(), Make { method, segment })
}

struct Make<'a> {
    method: Method,
    segment: &'a Segment,
}

impl Task for Make<'_> {
    type Output = Corrections;

    fn run<P: Predictor>(self, predictor: P) -> Corrections {
        let Self { method, segment } = self;
        let mut maker = Maker {
            walker: Walker::new(predictor, segment.span(), segment.last, method),
            tokens: TokenWriter::default(),
        };
        let mut records = RecordWriter::default();
        for (n, block) in segment.blocks.iter().enumerate() {
            let next = segment.blocks.get(n + 1);
            records.push(&maker.block(block, next));
            let end = next.map_or(segment.end_bit, |next| next.bit);
            maker.walker.end_block(end);
        }
        if segment.last {
            let unexpected = maker.walker.expects_extra(segment.end_bit).is_some();
            records.end(segment.padding, unexpected);
        }
        Corrections { tokens: maker.tokens.bytes, blocks: records.bytes }
    }
}

struct Maker<'a, P> {
    walker: Walker<'a, P>,
    tokens: TokenWriter,
}

/// Returns `true` if two blocks have the same type.
fn same_kind(a: &BlockKind, b: &BlockKind) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// A block as a rule sees it.
struct Content {
    extent: Extent,
    /// The tokens that the rule chooses for a stored block.
    walked: Option<Vec<Token>>,
}

impl<P: Predictor> Maker<'_, P> {
    /// Walks over a block and returns its record.
    fn block(&mut self, block: &Block, next: Option<&Block>) -> Record {
        let extra = self.walker.expects_extra(block.bit);
        if let Some(kind) = &extra
            && block.text_len == 0
            && *kind == block.kind
        {
            return Record::default();
        }
        let mut content = if block.text_len == 0 {
            self.empty_block()
        } else {
            self.text_block(block, next, extra.is_some())
        };
        if extra.is_some() && content.extent == Extent::Predicted {
            content.extent = Extent::Empty;
        }
        self.with_kind(block, &content)
    }

    fn empty_block(&mut self) -> Content {
        self.walker.begin_block(None);
        let expected = self.walker.expects_empty();
        let extent = if expected { Extent::Predicted } else { Extent::Empty };
        Content { extent, walked: None }
    }

    fn text_block(&mut self, block: &Block, next: Option<&Block>, unexpected: bool) -> Content {
        let len = block.text_len as u64;
        let flushed = next.is_some_and(|next| next.text_len == 0 && !next.last)
            && !self.walker.is_regular_flush(self.walker.offset() + len);
        self.walker.begin_block(flushed.then_some(block.text_len));
        let stored = matches!(block.kind, BlockKind::Stored { .. });
        let (mut walked, mut expected) = (None, false);
        if stored {
            walked = self.walker.walk(block.text_len);
            expected = walked.is_some();
        } else {
            expected |= self.walk_tokens(block);
        }
        let extent = match (flushed, expected && !unexpected) {
            (true, _) => Extent::Flushed(len),
            (false, true) => Extent::Predicted,
            (false, false) if stored => Extent::Count(len),
            (false, false) => Extent::Count(block.tokens.len() as u64),
        };
        if extent == Extent::Predicted {
            let tokens = walked.as_ref().map_or(0, Vec::len);
            self.tokens.skip(tokens as u64);
        }
        Content { extent, walked }
    }

    /// Writes corrections for the tokens of a block; returns whether it ends where the rule ends
    /// it.
    fn walk_tokens(&mut self, block: &Block) -> bool {
        let (mut ends, mut early) = (false, false);
        for &token in &block.tokens {
            early |= ends || self.walker.left() == 0;
            let expected = self.walker.expect();
            self.tokens.push(expected, token);
            ends = self.walker.take(token);
        }
        !early && (ends || self.walker.left() == 0)
    }

    /// Completes the record of a block with its type and header.
    fn with_kind(&self, block: &Block, content: &Content) -> Record {
        let extent = content.extent;
        let mut record = Record { extent, ..Record::default() };
        let tokens = content.walked.as_ref().unwrap_or(&block.tokens);
        let counts = Counts::of(tokens);
        let predictor = &self.walker.predictor;
        let expected = predictor.plan(&counts, &self.walker.progress, block.bit);
        if let BlockKind::Stored { padding } = block.kind {
            record.padding = padding;
            if !same_kind(&expected, &block.kind) || extent != Extent::Predicted {
                record.kind = Some(Type::Stored);
            }
            return record;
        }
        if !same_kind(&expected, &block.kind) {
            let dynamic = matches!(block.kind, BlockKind::Dynamic(_));
            record.kind = Some(if dynamic { Type::Dynamic } else { Type::Fixed });
        }
        if let BlockKind::Dynamic(header) = &block.kind {
            let trees = predictor.trees();
            let expected = match expected {
                BlockKind::Dynamic(expected) => expected,
                _ => trees.header(&counts),
            };
            record.header = (expected != *header).then(|| header_form(trees, &expected, header));
        }
        record
    }
}
