//! Lazy matching of zlib's levels 4 to 9: a match waits for a longer one at the next byte.

use super::chains::{Chains, Effort, Match};
use super::hash::Hash;
use super::plan::{self, Cut, Trees};
use super::{Predictor, Progress, Span, View};
use crate::block::{BlockKind, Counts};
use crate::token::{MIN_MATCH, Token, WINDOW};

/// The maximum distance of a match of the shortest length in zlib.
pub(crate) const FAR: usize = 4096;

/// A row of zlib's table of levels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// The length of the match before from which the search is cut to a quarter.
    pub(crate) good: usize,
    /// The length of the match before from which no better one is searched.
    pub(crate) lazy: usize,
    /// The length of a match that ends the search.
    pub(crate) nice: usize,
    /// The maximum number of candidates.
    pub(crate) chain: usize,
}

impl Level {
    /// Returns the row of a level from 1 to 9.
    pub(crate) fn of(level: u8) -> Self {
        let (good, lazy, nice, chain) = match level {
            1 => (4, 4, 8, 4),
            2 => (4, 5, 16, 8),
            3 => (4, 6, 32, 32),
            4 => (4, 4, 16, 16),
            5 => (8, 16, 32, 32),
            6 => (8, 16, 128, 128),
            7 => (8, 32, 128, 256),
            8 => (32, 128, 258, 1024),
            _ => (32, 258, 258, 4096),
        };
        Self { good, lazy, nice, chain }
    }
}

/// Predicts lazy matching.
#[derive(Debug)]
pub(crate) struct Lazy<H> {
    chains: Chains<H>,
    level: Level,
    /// The maximum distance of a match of the shortest length.
    far: usize,
    cut: Cut,
    /// The match at a position, once searched there after a shorter one at the byte before.
    waiting: Option<(usize, Match)>,
}

impl<H: Hash> Lazy<H> {
    /// Creates the state at the start of a segment, with the text before it entered.
    pub(crate) fn new(hash: H, level: Level, far: usize, cut: Cut, span: &Span<'_>) -> Self {
        let mut chains = Chains::new(hash, span.end - span.start);
        chains.leave_out(span.start.saturating_sub(WINDOW));
        chains.enter(span.bytes, span.start);
        Self { chains, level, far, cut, waiting: None }
    }

    /// Searches at `at` for a match longer than the one at the byte before.
    #[inline]
    fn search(&mut self, view: View<'_>, at: usize, before: usize) -> Match {
        let Level { good, nice, chain, .. } = self.level;
        let chain = if before >= good { chain >> 2 } else { chain };
        let mut found = self.chains.search(view, at, before, Effort { chain, nice });
        if found.length == MIN_MATCH && found.distance > self.far {
            found.length = MIN_MATCH - 1;
        }
        found
    }
}

impl<H: Hash> Predictor for Lazy<H> {
    #[inline]
    fn predict(&mut self, view: View<'_>, at: usize) -> Token {
        let literal = Token::literal(view.bytes.get(at).copied().unwrap_or(0));
        let here = match self.waiting {
            Some((waiting, found)) if waiting == at => found,
            _ => self.search(view, at, MIN_MATCH - 1),
        };
        self.waiting = None;
        if here.length < MIN_MATCH {
            return literal;
        }
        if here.length < self.level.lazy && view.ahead(at) > 1 {
            let next = self.search(view, at + 1, here.length);
            if next.length > here.length {
                self.waiting = Some((at + 1, next));
                return literal;
            }
        }
        Token::reuse(here.length, here.distance)
    }

    #[inline]
    fn accept(&mut self, view: View<'_>, at: usize, token: Token) {
        self.chains.enter(view.bytes, at + token.length());
    }

    #[inline]
    fn block_ends(&mut self, _view: View<'_>, _at: usize, progress: &Progress) -> bool {
        // A token is chosen at the byte after its first one.
        self.cut.ends(progress, progress.before + 1)
    }

    fn plan(&self, counts: &Counts, progress: &Progress, _bit: u64) -> BlockKind {
        plan::zlib(counts, progress.text)
    }

    fn trees(&self) -> Trees {
        Trees::Zlib
    }
}
