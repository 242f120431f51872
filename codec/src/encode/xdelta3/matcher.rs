//! Finds matches of a window with the source and with itself.

use std::io;

use super::found::{Found, FoundKind};
use super::instruction_buffer::InstructionBuffer;
use super::profile::MatcherProfile;
use super::source_index::LargeChecksum;
use super::source_side::SourceSide;
use super::target_index::TargetIndex;
use crate::Source;
use crate::encode::error::EncodeError;
use crate::encode::options::{MIN_LOOK, Plan};
use crate::encode::section_writer::SectionWriter;
use crate::encode::window_matcher::WindowMatcher;

const MIN_MATCH: usize = MIN_LOOK as usize;
/// The minimum length of a run; a shorter one is left to ADD or COPY.
const MIN_RUN: usize = 8;

/// A matcher that matches target windows as xdelta3 does, one after the other.
#[derive(Debug)]
pub(in crate::encode) struct Matcher<S> {
    profile: MatcherProfile,
    source: Option<SourceSide<S>>,
    target_index: Option<TargetIndex>,
    buffer: InstructionBuffer,
    /// The number of target bytes in the previous windows.
    passed: u64,
}

impl<S: Source> Matcher<S> {
    pub(in crate::encode) fn new(plan: &Plan, source: Option<S>) -> io::Result<Self> {
        let profile = plan.profile;
        let source = source.map(|source| SourceSide::new(source, plan)).transpose()?;
        let target_index =
            plan.target_matching.then(|| TargetIndex::new(&profile, plan.window, plan.history));
        let buffer = InstructionBuffer::new(plan, source.is_some());
        Ok(Self { profile, source, target_index, buffer, passed: 0 })
    }

    fn scan(
        &mut self,
        target: &[u8],
        mut at: usize,
        sections: &mut SectionWriter,
    ) -> Result<(), EncodeError> {
        let look = self.profile.small_look as usize;
        if at + look > target.len() {
            return Ok(());
        }
        if let Some(index) = &mut self.target_index {
            index.reset();
        }
        // Each pass starts after a match that was accepted.
        while at + look <= target.len() {
            match self.scan_to_match(target, at, sections)? {
                Some(behind) => at = behind,
                None => break,
            }
        }
        Ok(())
    }

    /// Scans from `at` on until a match is accepted; returns its end, or `None` at the end of the
    /// window.
    fn scan_to_match(
        &mut self,
        target: &[u8],
        mut at: usize,
        sections: &mut SectionWriter,
    ) -> Result<Option<usize>, EncodeError> {
        let len = target.len();
        let small_look = self.profile.small_look as usize;
        let large_look = self.profile.large_look as usize;
        let max_lazy = self.profile.max_lazy as usize;
        let mut least = MIN_MATCH.max((1 + self.buffer.end()).saturating_sub(at));
        let mut run = Run::ending(&target[at..at + small_look]);
        let mut checksum = LargeChecksum::default();
        let mut index_again = 0;
        if self.source.is_some() && at + large_look <= len {
            checksum = LargeChecksum::of(&target[at..at + large_look]);
            index_again = self.index_source(at)?;
        }
        loop {
            let mut found = None;
            if run.len == small_look {
                found = self.match_run(target, at, &mut run, least, sections)?;
            }
            if found.is_none() && at + large_look <= len && self.source.is_some() {
                if at as u64 >= index_again {
                    index_again = self.index_source(at)?;
                }
                let position = self.source.as_ref().and_then(|source| source.index.find(checksum));
                if let Some(position) = position {
                    found = self.match_source(target, at, position, least, sections)?;
                }
            }
            if found.is_none()
                && let Some(index) = &mut self.target_index
            {
                let earlier = index.find_and_enter(target, at, least > MIN_MATCH);
                if let Some(earlier) = earlier.filter(|earlier| earlier.len >= least) {
                    let copy =
                        Found::new(at, earlier.len, earlier.at as u64, FoundKind::CopyTarget);
                    self.push(copy, target, sections)?;
                    found = Some(earlier.len);
                }
            }
            match found {
                // A short match may be followed at once by a longer one; both wait in the buffer.
                Some(found) if found < max_lazy && at + found + 2 <= len => least = found,
                Some(found) => return Ok(Some(at + found)),
                None => least = MIN_MATCH.max(least - 1),
            }
            if at + small_look == len {
                return Ok(None);
            }
            run.step(target[at + small_look]);
            if at + large_look < len {
                checksum.roll_on(target[at], target[at + large_look], self.profile.large_look);
            }
            at += 1;
        }
    }

    fn match_run(
        &mut self,
        target: &[u8],
        at: usize,
        run: &mut Run,
        least: usize,
        sections: &mut SectionWriter,
    ) -> Result<Option<usize>, EncodeError> {
        // This is not undone if the run is rejected: a run is tried once, at its start.
        run.len += target[at + run.len..].iter().take_while(|&&byte| byte == run.byte).count();
        if run.len < least.max(MIN_RUN) {
            return Ok(None);
        }
        self.push(Found::new(at, run.len, 0, FoundKind::Run(run.byte)), target, sections)?;
        Ok(Some(run.len))
    }

    /// Advances the index over the source; returns the position in the window at which to call this
    /// again.
    fn index_source(&mut self, at: usize) -> Result<u64, EncodeError> {
        let Some(source) = &mut self.source else { return Ok(u64::MAX) };
        let SourceSide { index, blocks, matched, .. } = source;
        let ahead = index.advance(blocks, self.passed + at as u64, *matched)?;
        Ok(ahead.saturating_add(at as u64))
    }

    /// Tries a match of `target[at..]` with the source at `position`; returns its length from `at`
    /// on.
    fn match_source(
        &mut self,
        target: &[u8],
        at: usize,
        position: u64,
        least: usize,
        sections: &mut SectionWriter,
    ) -> Result<Option<usize>, EncodeError> {
        let Some(source) = &mut self.source else { return Ok(None) };
        let chosen = self.buffer.copy_window();
        // A small buffer may have written a match that ends after `at`. xdelta3's difference wraps
        // around there, so that only the source and the window limit the bytes it looks at.
        let max_behind = at.checked_sub(self.buffer.written()).unwrap_or(at);
        let Some((behind, ahead)) = source.room(position, chosen) else {
            return Ok(None);
        };
        let behind = behind.min(max_behind as u64) as usize;
        let ahead = ahead.min((target.len() - at) as u64) as usize;
        let Some(behind) = source.extend_back(&target[at - behind..at], position)? else {
            return Ok(None);
        };
        let ahead = source.extend_ahead(&target[at..at + ahead], position)?;
        if ahead < least {
            return Ok(None);
        }
        let start = position - behind as u64;
        let end = position + ahead as u64;
        if behind > 0 {
            self.buffer.drop_from(at - behind);
        }
        source.matched = source.matched.max(end);
        source.resume = (at + ahead == target.len()).then_some(end);
        self.buffer.include(start, end);
        let copy = Found::new(at - behind, behind + ahead, start, FoundKind::CopySource);
        self.push(copy, target, sections)?;
        Ok(Some(ahead))
    }

    fn push(
        &mut self,
        found: Found,
        target: &[u8],
        sections: &mut SectionWriter,
    ) -> Result<(), EncodeError> {
        let source_end = self.source.as_ref().and_then(|source| source.blocks.end());
        self.buffer.push(found, target, source_end, sections)
    }
}

impl<S: Source> WindowMatcher for Matcher<S> {
    fn window(&mut self, target: &[u8], sections: &mut SectionWriter) -> Result<(), EncodeError> {
        let mut at = 0;
        if !target.is_empty() {
            if let Some(position) = self.source.as_mut().and_then(|source| source.resume.take()) {
                at = self.match_source(target, 0, position, MIN_MATCH, sections)?.unwrap_or(0);
            }
            self.scan(target, at, sections)?;
        } else if let Some(source) = &mut self.source {
            source.resume = None;
        }
        self.passed += target.len() as u64;
        self.buffer.finish(target, sections)
    }
}

/// The run of equal bytes at the end of the bytes that the small look covers.
struct Run {
    byte: u8,
    len: usize,
}

impl Run {
    fn ending(bytes: &[u8]) -> Self {
        let byte = bytes.last().copied().unwrap_or_default();
        Self { byte, len: bytes.iter().rev().take_while(|&&other| other == byte).count() }
    }

    #[inline]
    fn step(&mut self, byte: u8) {
        if byte == self.byte {
            self.len += 1;
        } else {
            *self = Self { byte, len: 1 };
        }
    }
}
