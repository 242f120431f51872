//! libdeflate at levels 1 to 9, as of versions 1.9 to 1.25.

mod matches;
mod split;

use super::chains::Match;
use super::plan::{self, Trees};
use super::{Predictor, Progress, Span, View};
use crate::block::{BlockKind, Counts};
use crate::token::{MAX_MATCH, MIN_MATCH, Token};
use matches::{Effort, Matches};
use split::{Literals, Split};

/// The greatest distance of a match of the shortest length, greedy and lazy.
const GREEDY_FAR: usize = 4096;
const LAZY_FAR: usize = 8192;
/// The text after which the minimum length of a match is chosen anew.
const RECALCULATE: usize = 10_000;

/// The way in which a level chooses between matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    Fastest,
    Greedy,
    /// Looks at so many bytes after a match for a better one.
    Lazy(usize),
}

/// The constants of a level.
#[derive(Clone, Copy, Debug)]
struct Level {
    strategy: Strategy,
    depth: usize,
    nice: usize,
    /// The number of bytes of text up to which a stream is stored.
    stored: usize,
}

impl Level {
    fn of(level: u8) -> Self {
        let (strategy, depth, nice) = match level {
            1 => (Strategy::Fastest, 2, 32),
            2 => (Strategy::Greedy, 6, 10),
            3 => (Strategy::Greedy, 12, 14),
            4 => (Strategy::Greedy, 16, 30),
            5 => (Strategy::Lazy(1), 16, 30),
            6 => (Strategy::Lazy(1), 35, 65),
            7 => (Strategy::Lazy(1), 100, 130),
            8 => (Strategy::Lazy(2), 300, MAX_MATCH),
            _ => (Strategy::Lazy(2), 600, MAX_MATCH),
        };
        Self { strategy, depth, nice, stored: 55 - 4 * usize::from(level) }
    }
}

/// Predicts libdeflate's tokens.
#[derive(Debug)]
pub(crate) struct Libdeflate {
    level: Level,
    matches: Matches,
    /// The end of the text of the stream, as far as it is known, in bytes of the span.
    text_end: usize,
    /// The stream has no other text than this segment, and so little that it is stored.
    stored: bool,
    split: Split,
    literals: Literals,
    min_length: usize,
    /// The start of the block and the position at which the minimum length is chosen anew.
    block: usize,
    recalculate: usize,
    /// The match that follows, perhaps after a literal.
    waiting: Option<(usize, Match)>,
}

impl Libdeflate {
    /// Creates the state at the start of a segment.
    pub(crate) fn new(level: u8, span: &Span<'_>) -> Self {
        let level = Level::of(level);
        let fastest = level.strategy == Strategy::Fastest;
        let text_end = span.end + span.rest;
        Self {
            level,
            matches: Matches::new(fastest, span),
            text_end,
            stored: span.offset == 0 && text_end - span.start <= level.stored,
            split: Split::default(),
            literals: Literals::default(),
            min_length: MIN_MATCH,
            block: span.start,
            recalculate: span.start,
            waiting: None,
        }
    }

    fn search(&mut self, view: View<'_>, at: usize, best: usize, depth: usize) -> Match {
        self.matches.search(view, at, Effort { best, depth, nice: self.level.nice })
    }

    /// Returns the match at `at`, if it is worth it.
    fn first(&mut self, view: View<'_>, at: usize) -> Option<Match> {
        let depth = self.level.depth;
        if self.level.strategy == Strategy::Fastest {
            let found = self.search(view, at, MIN_MATCH, depth);
            return (found.distance != 0).then_some(found);
        }
        let far = if self.level.strategy == Strategy::Greedy { GREEDY_FAR } else { LAZY_FAR };
        let found = self.search(view, at, self.min_length - 1, depth);
        let worth = found.length >= self.min_length
            && found.distance != 0
            && (found.length > MIN_MATCH || found.distance <= far);
        worth.then_some(found)
    }

    /// Returns a better match at one of the next positions.
    fn better(&mut self, view: View<'_>, at: usize, found: Match) -> Option<(usize, Match)> {
        let Strategy::Lazy(most) = self.level.strategy else { return None };
        if found.length >= self.level.nice.min(view.ahead(at)) {
            return None;
        }
        for (after, more) in [(1, 2), (2, 6)].into_iter().take(most) {
            let next = self.search(view, at + after, found.length - 1, self.level.depth >> after);
            if next.distance != 0 && next.length >= found.length {
                let longer = 4 * (next.length - found.length) as i64;
                let nearer = i64::from(found.distance.ilog2()) - i64::from(next.distance.ilog2());
                if longer + nearer > more {
                    return Some((at + after, next));
                }
            }
        }
        None
    }
}

impl Predictor for Libdeflate {
    fn begin_block(&mut self, view: View<'_>, at: usize, _offset: u64) {
        self.split = Split::default();
        self.literals = Literals::default();
        self.block = at;
        let end = split::block_end(at, self.text_end, self.level.strategy == Strategy::Fastest);
        self.min_length = split::first_min_length(view.bytes, at, end, self.level.depth);
        self.recalculate = at + (self.text_end - at).min(RECALCULATE);
    }

    fn predict(&mut self, view: View<'_>, at: usize) -> Token {
        let literal = Token::literal(view.bytes.get(at).copied().unwrap_or(0));
        let found = match self.waiting {
            Some((waiting, _)) if waiting > at => return literal,
            Some((waiting, found)) if waiting == at => {
                self.waiting = None;
                found
            }
            _ => {
                self.waiting = None;
                if matches!(self.level.strategy, Strategy::Lazy(_)) && at >= self.recalculate {
                    self.min_length = self.literals.min_length(self.level.depth);
                    let more = (self.text_end - self.recalculate).min(at - self.block);
                    self.recalculate += more;
                }
                match self.first(view, at) {
                    Some(found) => found,
                    None => return literal,
                }
            }
        };
        match self.better(view, at, found) {
            None => Token::reuse(found.length, found.distance),
            Some(better) => {
                self.waiting = Some(better);
                literal
            }
        }
    }

    fn accept(&mut self, view: View<'_>, at: usize, token: Token) {
        match token.as_literal() {
            Some(byte) => {
                self.split.literal(byte);
                self.literals.count(byte);
            }
            None => {
                self.split.reuse(token.length());
                self.waiting = None;
            }
        }
        self.matches.enter(view.bytes, at + token.length());
    }

    fn block_ends(&mut self, _view: View<'_>, at: usize, progress: &Progress) -> bool {
        if self.waiting.is_some_and(|(waiting, _)| waiting >= at) {
            return false;
        }
        let fastest = self.level.strategy == Strategy::Fastest;
        if at >= split::block_end(self.block, self.text_end, fastest) {
            return true;
        }
        if fastest {
            return progress.matches >= split::FASTEST_MATCHES;
        }
        progress.matches >= split::MATCHES
            || self.split.ends(progress.text, self.text_end.saturating_sub(at))
    }

    fn plan(&self, counts: &Counts, progress: &Progress, bit: u64) -> BlockKind {
        if self.stored {
            return BlockKind::Stored { padding: 0 };
        }
        plan::libdeflate(counts, progress.text, bit)
    }

    fn trees(&self) -> Trees {
        Trees::Libdeflate
    }
}
