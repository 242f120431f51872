//! The scan of one window for matches with the source and with the window itself.
//!
//! Most positions match nothing. A batch of positions is looked up ahead; the positions where
//! nothing can match are passed over, and every other one is searched as xdelta3 does it.

use std::ops::Range;

use super::ahead::{Ahead, Scanned};
use super::entry::NONE;
use super::found::{Found, FoundKind};
use super::instruction_buffer::InstructionBuffer;
use super::profile::MatcherProfile;
use super::source_side::SourceSide;
use super::target_index::TargetIndex;
use crate::Source;
use crate::encode::error::EncodeError;
use crate::encode::options::MIN_LOOK;
use crate::encode::section_writer::SectionWriter;

pub(super) const MIN_MATCH: usize = MIN_LOOK as usize;
/// The minimum length of a run; a shorter one is left to ADD or COPY.
const MIN_RUN: usize = 8;

/// The scan of a window.
pub(super) struct Scan<'a> {
    pub(super) profile: MatcherProfile,
    pub(super) target: &'a [u8],
    /// The number of target bytes in the previous windows.
    pub(super) passed: u64,
    pub(super) source: Option<(&'a mut SourceSide, &'a dyn Source)>,
    pub(super) index: Option<&'a mut TargetIndex>,
    pub(super) buffer: &'a mut InstructionBuffer,
    pub(super) sections: &'a mut SectionWriter,
    pub(super) ahead: Ahead,
}

impl Scan<'_> {
    /// Scans from `at` on to the end of the window.
    pub(super) fn run(&mut self, mut at: usize) -> Result<(), EncodeError> {
        let look = self.profile.small_look as usize;
        if at + look > self.target.len() {
            return Ok(());
        }
        if let Some(index) = &mut self.index {
            index.reset();
        }
        // Each pass starts after a match that was accepted.
        while at + look <= self.target.len() {
            match self.find_match(at)? {
                Some(behind) => at = behind,
                None => break,
            }
        }
        if let Some(index) = &mut self.index {
            index.clear(self.target);
        }
        Ok(())
    }

    /// Scans from `start` on until a match is accepted; returns its end, or `None` at the end of
    /// the window.
    fn find_match(&mut self, start: usize) -> Result<Option<usize>, EncodeError> {
        let len = self.target.len();
        let large_look = self.profile.large_look as usize;
        let max_lazy = self.profile.max_lazy as usize;
        let scanned = Scanned {
            target: self.target,
            start,
            end: len + 1 - self.profile.small_look as usize,
            look: large_look,
        };
        let mut at = start;
        let mut least = MIN_MATCH.max((1 + self.buffer.end()).saturating_sub(at));
        let mut index_again = u64::MAX;
        if self.source.is_some() && at + large_look <= len {
            index_again = self.index_source(at)?;
        }
        self.ahead.clear();
        while at < scanned.end {
            let lane = self.lane(at, &scanned);
            if least == MIN_MATCH {
                let due = index_again.saturating_sub(self.ahead.from as u64);
                let end = self.ahead.len().min(usize::try_from(due).unwrap_or(usize::MAX));
                let reached = self.pass_over(lane, end.max(lane));
                if reached > lane {
                    at = self.ahead.from + reached;
                    continue;
                }
            }
            let mut found = None;
            if self.ahead.begins_run(lane) {
                found = self.match_run(at, least)?;
            }
            if found.is_none() && self.source.is_some() && at + large_look <= len {
                if at as u64 >= index_again {
                    index_again = self.index_source(at)?;
                    self.ahead.clear();
                }
                let lane = self.lane(at, &scanned);
                found = self.match_entry(at, lane, least)?;
            }
            if found.is_none() {
                found = self.match_target(at, least)?;
            }
            match found {
                // A short match may be followed at once by a longer one; both wait in the buffer.
                Some(found) if found < max_lazy && at + found + 2 <= len => least = found,
                Some(found) => {
                    self.note(start..at + 1);
                    return Ok(Some(at + found));
                }
                None => least = MIN_MATCH.max(least - 1),
            }
            at += 1;
        }
        self.note(start..at);
        Ok(None)
    }

    fn note(&mut self, scanned: Range<usize>) {
        if let Some(index) = &mut self.index {
            index.note(scanned);
        }
    }

    /// Returns the lane of a position, after filling the batch if it is not in there.
    #[inline(always)]
    fn lane(&mut self, at: usize, scanned: &Scanned<'_>) -> usize {
        self.ahead.lane(at).unwrap_or_else(|| {
            let source = self.source.as_ref().map(|(side, source)| (&**side, *source));
            self.ahead.fill(at, scanned, source, self.index.as_deref());
            0
        })
    }

    /// Enters the positions from `lane` up to `end` while nothing can match there; returns the lane
    /// after them.
    #[inline(always)]
    fn pass_over(&mut self, lane: usize, end: usize) -> usize {
        let mut reached = self.ahead.next_event(lane).min(end);
        if let Some(index) = &mut self.index {
            let Ahead { from, hashes, slots, .. } = &self.ahead;
            let lanes = lane..reached;
            let (hashes, slots) = (&hashes[lanes.clone()], &slots[lanes]);
            reached = lane + index.enter_until_candidate(from + lane, hashes, slots);
        }
        if let Some((side, _)) = &mut self.source
            && let Some(entry) = self.ahead.last_entry(lane, reached)
        {
            side.reject(entry);
        }
        reached
    }

    fn match_run(&mut self, at: usize, least: usize) -> Result<Option<usize>, EncodeError> {
        let byte = self.target[at];
        let len = self.target[at..].iter().take_while(|&&other| other == byte).count();
        if len < least.max(MIN_RUN).max(self.profile.small_look as usize) {
            return Ok(None);
        }
        self.push(Found::new(at, len, 0, FoundKind::Run(byte)))?;
        Ok(Some(len))
    }

    /// Advances the index over the source; returns the position in the window at which to call this
    /// again.
    fn index_source(&mut self, at: usize) -> Result<u64, EncodeError> {
        let Some((side, source)) = &mut self.source else { return Ok(u64::MAX) };
        let SourceSide { index, blocks, matched, .. } = &mut **side;
        let ahead = index.advance(blocks, *source, self.passed + at as u64, *matched)?;
        Ok(ahead.saturating_add(at as u64))
    }

    /// Tries a match of `target[at..]` with the source where the entry of a lane leads.
    #[inline]
    fn match_entry(
        &mut self,
        at: usize,
        lane: usize,
        least: usize,
    ) -> Result<Option<usize>, EncodeError> {
        let entry = self.ahead.entries[lane];
        let Some((side, _)) = self.source.as_mut().filter(|_| entry != NONE) else {
            return Ok(None);
        };
        match side.index.position(entry).filter(|_| self.ahead.may_match(lane)) {
            Some(position) => self.match_source(at, position, least),
            None => {
                side.reject(entry);
                Ok(None)
            }
        }
    }

    /// Tries a match of `target[at..]` with the source at `position`; returns its length from `at`
    /// on.
    pub(super) fn match_source(
        &mut self,
        at: usize,
        position: u64,
        least: usize,
    ) -> Result<Option<usize>, EncodeError> {
        let target = self.target;
        let Some((side, source)) = &mut self.source else { return Ok(None) };
        let chosen = self.buffer.copy_window();
        // A small buffer may have written a match that ends after `at`. xdelta3's difference wraps
        // around there, so that only the source and the window limit the bytes it looks at.
        let max_behind = at.checked_sub(self.buffer.written()).unwrap_or(at);
        let Some((behind, ahead)) = side.room(position, chosen) else {
            return Ok(None);
        };
        let behind = behind.min(max_behind as u64) as usize;
        let ahead = ahead.min((target.len() - at) as u64) as usize;
        let Some(behind) = side.extend_back(*source, &target[at - behind..at], position)? else {
            return Ok(None);
        };
        let ahead = side.extend_ahead(*source, &target[at..at + ahead], position)?;
        if ahead < least {
            return Ok(None);
        }
        let start = position - behind as u64;
        let end = position + ahead as u64;
        if behind > 0 {
            self.buffer.drop_from(at - behind);
        }
        side.matched = side.matched.max(end);
        side.resume = (at + ahead == target.len()).then_some(end);
        self.buffer.include(start, end);
        self.push(Found::new(at - behind, behind + ahead, start, FoundKind::CopySource))?;
        Ok(Some(ahead))
    }

    /// Tries a match of `target[at..]` with an earlier place of the window, and enters `at`.
    #[inline]
    fn match_target(&mut self, at: usize, least: usize) -> Result<Option<usize>, EncodeError> {
        let Some(index) = &mut self.index else { return Ok(None) };
        let lane = at - self.ahead.from;
        let hashed = (self.ahead.hashes[lane], self.ahead.slots[lane]);
        let lazy = least > MIN_MATCH;
        let Some(earlier) = index.find_and_enter(self.target, at, hashed, least, lazy) else {
            return Ok(None);
        };
        self.push(Found::new(at, earlier.len, earlier.at as u64, FoundKind::CopyTarget))?;
        Ok(Some(earlier.len))
    }

    fn push(&mut self, found: Found) -> Result<(), EncodeError> {
        let source_end = self.source.as_ref().and_then(|(side, _)| side.blocks.end());
        self.buffer.push(found, self.target, source_end, self.sections)
    }
}
