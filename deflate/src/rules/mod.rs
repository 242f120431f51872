//! Numbered rules that predict tokens, block limits, block types and headers from the text.
//!
//! A rule is part of the format: its number and behaviour never change. A rule's state is reset at
//! the start of each segment by definition, and the 32 KiB of text before the segment are entered
//! anew.

pub(crate) mod chains;
pub(crate) mod dispatch;
pub(crate) mod go;
pub(crate) mod greedy;
pub(crate) mod hash;
pub(crate) mod lazy;
pub(crate) mod libdeflate;
pub(crate) mod medium;
pub(crate) mod miniz;
mod number;
pub(crate) mod plan;

pub use number::{Family, Rule};

use crate::block::{BlockKind, Counts};
use crate::token::{Token, WINDOW};

/// The number of candidates that a rule may look at for each byte of a segment. What is beyond is
/// predicted as literals.
pub(crate) const CANDIDATES_PER_BYTE: u64 = 512;

/// A segment of text between its history and the text after it.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// History, segment and the text after it.
    pub(crate) bytes: &'a [u8],
    /// The start of the segment in `bytes`.
    pub(crate) start: usize,
    /// The end of the segment in `bytes`.
    pub(crate) end: usize,
    /// The offset of the segment in the text of the stream.
    pub(crate) offset: u64,
    /// The number of bytes of text after the segment, at most [`Self::REST`].
    pub(crate) rest: usize,
}

impl<'a> Span<'a> {
    /// The number of bytes after a segment that a rule may look at.
    pub const AHEAD: usize = 1024;
    /// The maximum number of bytes before a segment that a rule looks at: matches reach 32 KiB, and
    /// which positions a greedy rule entered there depends on the text before them.
    /// [`Rule::history`] is the number for one rule.
    pub const HISTORY: usize = 8 * WINDOW;

    /// The greatest number of bytes of text after a segment that makes a difference to a rule.
    pub const REST: usize = 10 * WINDOW;

    /// Creates a span from the text of a segment at `offset` in the stream, with up to
    /// [`HISTORY`](Self::HISTORY) bytes before and up to [`AHEAD`](Self::AHEAD) bytes after it:
    /// `bytes[start..end]` is the segment. `rest` is the number of bytes of text after it, whether
    /// they are in `bytes` or not. The caller must give as many of these bytes as the stream has,
    /// for the corrections and for the rebuild alike; more are ignored.
    ///
    /// Returns `None` if the range is not in `bytes`.
    pub fn new(bytes: &'a [u8], start: usize, end: usize, offset: u64, rest: u64) -> Option<Self> {
        let first = start.saturating_sub(Self::HISTORY);
        let bytes = bytes.get(first..bytes.len().min(end.saturating_add(Self::AHEAD)))?;
        let (start, end) = (start - first, end.checked_sub(first)?);
        let rest = rest.min(Self::REST as u64) as usize;
        let valid = start <= end && end <= bytes.len() && bytes.len() - end <= rest;
        valid.then_some(Self { bytes, start, end, offset, rest })
    }

    /// Returns the number of bytes of the segment.
    pub fn text_len(&self) -> usize {
        self.end - self.start
    }
}

/// Text with the position up to which the compressor saw it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// History, segment and the text after it.
    pub(crate) bytes: &'a [u8],
    /// The end of what the compressor had: a flush or the end of the text.
    pub(crate) end: usize,
}

impl View<'_> {
    /// Returns the number of bytes from `at` that the compressor had, at most one match.
    #[inline]
    pub(crate) fn ahead(&self, at: usize) -> usize {
        self.end.saturating_sub(at).min(crate::token::MAX_MATCH)
    }
}

/// The tokens of a block up to now, as far as a rule looks at them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// The number of tokens.
    pub(crate) tokens: usize,
    /// The number of matches.
    pub(crate) matches: usize,
    /// The number of extra bits of the distances.
    pub(crate) distance_extra: usize,
    /// The number of bytes of text.
    pub(crate) text: usize,
    /// The number of bytes of text before the last token.
    pub(crate) before: usize,
}

impl Progress {
    #[inline]
    pub(crate) fn add(&mut self, token: Token) {
        self.tokens += 1;
        self.before = self.text;
        self.text += token.length();
        if token.distance() != 0 {
            self.matches += 1;
            self.distance_extra += usize::from(token.distance_symbol().1);
        }
    }
}

/// A rule at work on one segment.
pub(crate) trait Predictor {
    /// Starts a block at `at`, which is at `offset` in the text of the stream.
    fn begin_block(&mut self, _view: View<'_>, _at: usize, _offset: u64) {}

    /// Returns the token that the rule expects at `at`, which is before `view.end`.
    fn predict(&mut self, view: View<'_>, at: usize) -> Token;

    /// Continues after the token that is at `at` in truth.
    fn accept(&mut self, view: View<'_>, at: usize, token: Token);

    /// Returns whether the block ends here, after at least one token.
    fn block_ends(&mut self, view: View<'_>, at: usize, progress: &Progress) -> bool;

    /// Returns how the rule writes a block with these tokens at this bit of the stream.
    fn plan(&self, counts: &Counts, progress: &Progress, bit: u64) -> BlockKind;

    /// Returns the empty block that the rule writes after all others.
    fn last_block(&self) -> Option<BlockKind> {
        None
    }

    /// Returns the way in which the rule chooses code lengths.
    fn trees(&self) -> plan::Trees;
}

/// Runs a rule over the text before a segment, from `at` on.
pub(crate) fn warm_up(predictor: &mut impl Predictor, span: &Span<'_>, mut at: usize) {
    let view = View { bytes: span.bytes, end: span.start };
    while at < span.start {
        let token = predictor.predict(view, at);
        predictor.accept(view, at, token);
        at += token.length();
    }
}
