//! A rule's way through a segment, the same when corrections are made and when a stream is rebuilt.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::Method;
use crate::block::BlockKind;
use crate::rules::{Predictor, Progress, Span, View};
use crate::token::Token;

/// A predictor and its position.
#[derive(Debug)]
pub(crate) struct Walker<'a, P> {
    pub(crate) predictor: P,
    pub(crate) span: Span<'a>,
    /// The position in the span's bytes.
    pub(crate) at: usize,
    /// The tokens of the block.
    pub(crate) progress: Progress,
    /// The end of what the compressor had at this block.
    end: usize,
    /// The segment is the last one of the stream.
    last: bool,
    flush_every: u64,
    /// A block was ended.
    any: bool,
    /// The text before the position was flushed regularly, and nothing came after it.
    flushing: bool,
    /// The empty last block of the rule was written.
    closed: bool,
}

impl<'a, P: Predictor> Walker<'a, P> {
    pub(crate) fn new(predictor: P, span: Span<'a>, last: bool, method: Method) -> Self {
        Self {
            predictor,
            span,
            at: span.start,
            progress: Progress::default(),
            end: span.bytes.len(),
            last,
            flush_every: u64::from(method.flush_every),
            any: false,
            flushing: false,
            closed: false,
        }
    }

    fn view(&self) -> View<'a> {
        View { bytes: self.span.bytes, end: self.end }
    }

    /// Returns the offset of the position in the text of the stream.
    pub(crate) fn offset(&self) -> u64 {
        let done = self.at.saturating_sub(self.span.start);
        self.span.offset.saturating_add(done as u64)
    }

    /// Returns the number of bytes of the segment that are left.
    pub(crate) fn text_left(&self) -> usize {
        self.span.end.saturating_sub(self.at)
    }

    /// Returns `true` if the text is at its end.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.span.end
    }

    /// Returns `true` if the compressor is flushed regularly at this offset.
    pub(crate) fn is_regular_flush(&self, offset: u64) -> bool {
        self.flush_every != 0 && offset.is_multiple_of(self.flush_every)
    }

    /// Returns the empty block that the rule expects at this bit, after a flush or at the end of
    /// the stream.
    pub(crate) fn expects_extra(&self, bit: u64) -> Option<BlockKind> {
        if self.flushing {
            return flush_kind(bit);
        }
        let closes = self.last && self.is_at_end() && !self.closed;
        if closes { self.predictor.last_block() } else { None }
    }

    /// Returns `true` if the rule expects an empty block because there is no text at all.
    pub(crate) fn expects_empty(&self) -> bool {
        self.last && self.is_at_end() && !self.any
    }

    /// Starts a block; `flushed` is its length if the compressor was flushed after it.
    pub(crate) fn begin_block(&mut self, flushed: Option<usize>) {
        self.progress = Progress::default();
        self.flushing = false;
        let left = match (flushed, self.flush_every) {
            (Some(len), _) => len,
            (None, 0) => usize::MAX,
            (None, every) => {
                let since = self.offset().checked_rem(every).unwrap_or(0);
                every.saturating_sub(since) as usize
            }
        };
        self.end = self.at.saturating_add(left).min(self.span.bytes.len());
        let view = self.view();
        let offset = self.offset();
        self.predictor.begin_block(view, self.at, offset);
    }

    /// Ends a block after its last bit; `text` and tokens are taken.
    pub(crate) fn end_block(&mut self, bit: u64) {
        let had_text = self.progress.text > 0;
        if had_text && !(self.last && self.is_at_end()) {
            self.flushing = self.is_regular_flush(self.offset());
        }
        self.flushing &= flush_kind(bit).is_some();
        self.any = true;
        self.closed |= !had_text && self.last && self.is_at_end();
        self.progress = Progress::default();
    }

    /// Returns the number of bytes that the block may have at most.
    pub(crate) fn left(&self) -> usize {
        self.span.end.min(self.end).saturating_sub(self.at)
    }

    /// Returns the byte at the position.
    #[inline]
    pub(crate) fn byte(&self) -> u8 {
        self.span.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Returns the token that the rule expects.
    #[inline]
    pub(crate) fn expect(&mut self) -> Token {
        let view = self.view();
        self.predictor.predict(view, self.at)
    }

    /// Continues after a token; returns whether the rule ends the block here.
    #[inline]
    pub(crate) fn take(&mut self, token: Token) -> bool {
        let view = self.view();
        self.predictor.accept(view, self.at, token);
        self.at = self.at.saturating_add(token.length());
        self.progress.add(token);
        self.predictor.block_ends(view, self.at, &self.progress)
    }

    /// Walks over `len` bytes without corrections; returns the tokens if the rule ends the block
    /// exactly there.
    pub(crate) fn walk(&mut self, len: usize) -> Option<Vec<Token>> {
        let stop = self.at.saturating_add(len).min(self.span.end);
        let mut tokens = Vec::new();
        let (mut ends, mut early) = (false, false);
        while self.at < stop {
            early |= ends || self.left() == 0;
            let expected = self.expect();
            let fits = expected.length() <= stop.saturating_sub(self.at);
            early |= !fits;
            let token = if fits { expected } else { Token::literal(self.byte()) };
            tokens.push(token);
            ends = self.take(token);
        }
        (!early && (ends || self.left() == 0)).then_some(tokens)
    }
}

/// Returns the empty block that pigz writes at this bit after a flush, to get to the end of a byte;
/// `None` at the end of a byte.
fn flush_kind(bit: u64) -> Option<BlockKind> {
    match bit % 8 {
        0 => None,
        1 | 3 | 5 | 7 => Some(BlockKind::Stored { padding: 0 }),
        _ => Some(BlockKind::Fixed),
    }
}
