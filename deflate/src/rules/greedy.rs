//! Greedy matching of zlib's levels 1 to 3, which does not enter the inside of long matches.

use super::chains::{Chains, Effort};
use super::hash::Hash;
use super::lazy::Level;
use super::plan::{self, Cut, Trees};
use super::{Predictor, Progress, Span, View, warm_up};
use crate::block::{BlockKind, Counts};
use crate::token::{MIN_MATCH, Token, WINDOW};

/// Predicts greedy matching.
#[derive(Debug)]
pub(crate) struct Greedy<H> {
    chains: Chains<H>,
    /// `lazy` is the maximum length of a match whose inside is entered.
    level: Level,
    cut: Cut,
    flush_every: u64,
}

impl<H: Hash> Greedy<H> {
    /// Creates the state at the start of a segment. Which positions before it were entered depends
    /// on the tokens there, so the rule runs over that text first.
    pub(crate) fn new(hash: H, level: Level, cut: Cut, span: &Span<'_>, flush_every: u32) -> Self {
        let chains = Chains::new(hash, span.end - span.start);
        let mut greedy = Self { chains, level, cut, flush_every: u64::from(flush_every) };
        let view = View { bytes: span.bytes, end: span.start };
        let flush = greedy.last_flush(span);
        if let Some(flush) = flush {
            greedy.restart(view, flush);
        }
        warm_up(&mut greedy, span, flush.unwrap_or(0));
        greedy
    }

    /// Returns the last regular flush in the text up to the segment.
    fn last_flush(&self, span: &Span<'_>) -> Option<usize> {
        let since = span.offset.checked_rem(self.flush_every)?;
        span.start.checked_sub(usize::try_from(since).ok()?)
    }

    /// Starts anew after a regular flush: pigz compresses each block apart, with all positions of
    /// the 32 KiB before it entered.
    fn restart(&mut self, view: View<'_>, at: usize) {
        self.chains.clear(at.saturating_sub(WINDOW));
        self.chains.enter(view.bytes, at);
    }
}

impl<H: Hash> Predictor for Greedy<H> {
    fn begin_block(&mut self, view: View<'_>, at: usize, offset: u64) {
        if self.flush_every != 0 && offset.is_multiple_of(self.flush_every) {
            self.restart(view, at);
        }
    }

    #[inline]
    fn predict(&mut self, view: View<'_>, at: usize) -> Token {
        let Level { nice, chain, .. } = self.level;
        let found = self.chains.search(view, at, MIN_MATCH - 1, Effort { chain, nice });
        if found.length < MIN_MATCH {
            return Token::literal(view.bytes.get(at).copied().unwrap_or(0));
        }
        Token::reuse(found.length, found.distance)
    }

    #[inline]
    fn accept(&mut self, view: View<'_>, at: usize, token: Token) {
        let end = at + token.length();
        if token.length() <= self.level.lazy && view.end.saturating_sub(end) >= MIN_MATCH {
            self.chains.enter(view.bytes, end);
        } else {
            self.chains.enter(view.bytes, at + 1);
            self.chains.leave_out(end);
        }
    }

    #[inline]
    fn block_ends(&mut self, _view: View<'_>, _at: usize, progress: &Progress) -> bool {
        self.cut.ends(progress, progress.before)
    }

    fn plan(&self, counts: &Counts, progress: &Progress, _bit: u64) -> BlockKind {
        plan::zlib(counts, progress.text)
    }

    fn trees(&self) -> Trees {
        Trees::Zlib
    }
}
