//! zlib-ng's medium strategy at levels 5 and 6: greedy, but a match gives way to the next one if
//! that can begin earlier.

use super::chains::{Chains, Effort, Match};
use super::hash::Golden;
use super::lazy::Level;
use super::plan::{self, Cut, Trees};
use super::{Predictor, Progress, Span, View, warm_up};
use crate::block::{BlockKind, Counts};
use crate::token::{MIN_MATCH, Token, WINDOW};

/// The minimum length of a match.
const SHORTEST: usize = 4;
/// The number of bytes that zlib-ng wants to have ahead.
const WANTED: u64 = 262;
/// The greatest length up to which a match is made longer to the left.
const LONGEST: usize = 256;

/// Predicts zlib-ng's medium strategy.
#[derive(Debug)]
pub(crate) struct Medium {
    chains: Chains<Golden>,
    level: Level,
    cut: Cut,
    /// The offset of the first byte of the span.
    offset: u64,
    /// The match that follows at a position.
    waiting: Option<(usize, Match)>,
}

impl Medium {
    /// Creates the state at the start of a segment.
    pub(crate) fn new(level: Level, cut: Cut, span: &Span<'_>) -> Self {
        let chains = Chains::new(Golden, span.end - span.start);
        let offset = span.offset.saturating_sub(span.start as u64);
        let mut medium = Self { chains, level, cut, offset, waiting: None };
        warm_up(&mut medium, span, 0);
        medium.waiting = None;
        medium
    }

    /// Enters the positions of a match that begins before `end`; of a very long one, only the last.
    fn enter(&mut self, view: View<'_>, end: usize, length: usize) {
        if length > 16 * self.level.lazy {
            self.chains.leave_out(end - 1);
        }
        self.chains.enter(view.bytes, end);
    }

    /// Returns the match at a position, if there is one.
    fn search(&mut self, view: View<'_>, at: usize) -> Option<Match> {
        if view.ahead(at) < SHORTEST {
            return None;
        }
        let effort = Effort { chain: self.level.chain, nice: self.level.nice };
        let found = self.chains.search(view, at, MIN_MATCH - 1, effort);
        (found.length >= SHORTEST).then_some(found)
    }

    /// Returns the end of the window when zlib-ng is at an offset: it moves by 32 KiB.
    fn window_end(offset: u64) -> u64 {
        let window = WINDOW as u64;
        ((offset + WANTED).div_ceil(window) * window).max(2 * window)
    }

    /// Returns the match that begins at `at` or one byte later instead of `found`.
    fn better(&mut self, view: View<'_>, at: usize, found: Match) -> Option<(usize, Match)> {
        let (here, next_at) = (self.offset + at as u64, at + found.length);
        let window_end = Self::window_end(here);
        let fits = self.offset + (next_at as u64) < window_end - WANTED;
        let filled = window_end.min(self.offset + view.end as u64);
        if !fits || filled - here <= WANTED {
            return None;
        }
        let next = self.search(view, next_at)?;
        let window_start = window_end - 2 * WINDOW as u64;
        self.move_left(view, (at, found), (next_at, next), window_start)
    }

    /// Moves the next match to the left, over the one before it.
    fn move_left(
        &self,
        view: View<'_>,
        (at, found): (usize, Match),
        (next_at, next): (usize, Match),
        window_start: u64,
    ) -> Option<(usize, Match)> {
        let source = next_at - next.distance;
        // The place of the source in the window.
        let place = (self.offset + source as u64).saturating_sub(window_start);
        if found.length as u64 > 1 + place {
            return None;
        }
        let most = found.length.min(LONGEST.saturating_sub(next.length));
        let most = most.min(usize::try_from(place.saturating_sub(1)).unwrap_or(usize::MAX));
        let mut moved = 0;
        while moved < most {
            let byte = |from: usize| view.bytes.get(from - moved - 1);
            if source <= moved || byte(source) != byte(next_at) {
                break;
            }
            moved += 1;
        }
        if moved + 1 < found.length {
            return None;
        }
        let next = Match { length: next.length + moved, ..next };
        Some((at + found.length - moved, next))
    }
}

impl Predictor for Medium {
    fn predict(&mut self, view: View<'_>, at: usize) -> Token {
        let literal = Token::literal(view.bytes.get(at).copied().unwrap_or(0));
        let found = match self.waiting.take() {
            Some((waiting, found)) if waiting == at => Some(found),
            _ => self.search(view, at),
        };
        let Some(mut found) = found else { return literal };
        loop {
            self.enter(view, at + found.length, found.length);
            match self.better(view, at, found) {
                None => return Token::reuse(found.length, found.distance),
                Some((start, better)) if start == at => found = better,
                Some(better) => {
                    self.waiting = Some(better);
                    return literal;
                }
            }
        }
    }

    fn accept(&mut self, view: View<'_>, at: usize, token: Token) {
        self.enter(view, at + token.length(), token.length());
    }

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
