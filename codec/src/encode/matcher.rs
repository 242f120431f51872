//! Finds what a window has in common with the source and with itself.

use std::io;

use super::MatcherProfile;
use super::error::EncodeError;
use super::instruction::{Instruction, Operation};
use super::instruction_buffer::InstructionBuffer;
use super::match_len::{common_prefix, common_suffix};
use super::options::{MIN_LOOK, Plan};
use super::section_writer::{SectionWriter, Sections};
use super::source_index::{LargeChecksum, SourceIndex};
use super::source_window::SourceWindow;
use super::target_index::TargetIndex;
use crate::Source;

const LEAST_MATCH: usize = MIN_LOOK as usize;
/// A shorter run is left to ADD or COPY.
const LEAST_RUN: usize = 8;

/// Turns target windows into sections, one after the other.
#[derive(Debug)]
pub(super) struct Matcher<S> {
    profile: MatcherProfile,
    source: Option<SourceSide<S>>,
    target_index: Option<TargetIndex>,
    queue: InstructionBuffer,
    /// Target bytes in the windows before.
    passed: u64,
}

impl<S: Source> Matcher<S> {
    pub(super) fn new(plan: &Plan, source: Option<S>) -> io::Result<Self> {
        let profile = plan.profile;
        let source = source.map(|source| SourceSide::new(source, plan)).transpose()?;
        let target_index = plan.target_matching.then(|| TargetIndex::new(&profile, plan.window, plan.history));
        let queue =
            InstructionBuffer::new(plan.instruction_buffer, SectionWriter::new(source.is_some(), plan.undecodable));
        Ok(Self { profile, source, target_index, queue, passed: 0 })
    }

    /// Matches a whole window and writes its sections.
    pub(super) fn window(&mut self, target: &[u8]) -> Result<Sections, EncodeError> {
        let mut at = 0;
        if !target.is_empty() {
            if let Some(position) = self.source.as_mut().and_then(|source| source.resume.take()) {
                at = self.match_source(target, 0, position, LEAST_MATCH)?.unwrap_or(0);
            }
            self.scan(target, at)?;
        } else if let Some(source) = &mut self.source {
            source.resume = None;
        }
        self.passed += target.len() as u64;
        self.queue.finish(target)
    }

    fn scan(&mut self, target: &[u8], mut at: usize) -> Result<(), EncodeError> {
        let look = self.profile.small_look as usize;
        if at + look > target.len() {
            return Ok(());
        }
        if let Some(index) = &mut self.target_index {
            index.reset();
        }
        // Each pass starts behind a match that was taken for good.
        while at + look <= target.len() {
            match self.scan_to_match(target, at)? {
                Some(behind) => at = behind,
                None => break,
            }
        }
        Ok(())
    }

    /// Scans from `at` on until a match is taken for good; returns where it ends, or `None` at the end of the window.
    fn scan_to_match(&mut self, target: &[u8], mut at: usize) -> Result<Option<usize>, EncodeError> {
        let len = target.len();
        let small_look = self.profile.small_look as usize;
        let large_look = self.profile.large_look as usize;
        let max_lazy = self.profile.max_lazy as usize;
        let mut least = LEAST_MATCH.max((1 + self.queue.end()).saturating_sub(at));
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
                found = self.match_run(target, at, &mut run, least)?;
            }
            if found.is_none() && at + large_look <= len && self.source.is_some() {
                if at as u64 >= index_again {
                    index_again = self.index_source(at)?;
                }
                let position = self.source.as_ref().and_then(|source| source.index.find(checksum));
                if let Some(position) = position {
                    found = self.match_source(target, at, position, least)?;
                }
            }
            if found.is_none()
                && let Some(index) = &mut self.target_index
            {
                let earlier = index.find_and_enter(target, at, least > LEAST_MATCH);
                if let Some(earlier) = earlier.filter(|earlier| earlier.len >= least) {
                    self.push(target, at, earlier.len, earlier.at as u64, Operation::CopyTarget)?;
                    found = Some(earlier.len);
                }
            }
            match found {
                // A short match may be followed at once by a longer one; both wait in the queue.
                Some(found) if found < max_lazy && at + found + 2 <= len => least = found,
                Some(found) => return Ok(Some(at + found)),
                None => least = LEAST_MATCH.max(least - 1),
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
    ) -> Result<Option<usize>, EncodeError> {
        // Not undone when the run is refused: it is tried once, at its start.
        run.len += target[at + run.len..].iter().take_while(|&&byte| byte == run.byte).count();
        if run.len < least.max(LEAST_RUN) {
            return Ok(None);
        }
        self.push(target, at, run.len, 0, Operation::Run(run.byte))?;
        Ok(Some(run.len))
    }

    /// Has the index cover the source ahead of the target; returns the position in the window to do it again at.
    fn index_source(&mut self, at: usize) -> Result<u64, EncodeError> {
        let Some(source) = &mut self.source else { return Ok(u64::MAX) };
        let SourceSide { index, blocks, matched, .. } = source;
        let ahead = index.advance(blocks, self.passed + at as u64, *matched)?;
        Ok(ahead.saturating_add(at as u64))
    }

    /// Tries a match of `target[at..]` with the source at `position`; returns its length from `at` on.
    fn match_source(
        &mut self,
        target: &[u8],
        at: usize,
        position: u64,
        least: usize,
    ) -> Result<Option<usize>, EncodeError> {
        let Some(source) = &mut self.source else { return Ok(None) };
        let chosen = self.queue.writer.copy_window.chosen();
        // A short queue may have written a match that ends behind `at`. xdelta3's difference wraps around there, so
        // that nothing but the source and the window bounds what it looks at.
        let room_behind = at.checked_sub(self.queue.writer.written()).unwrap_or(at);
        let Some((behind, ahead)) = source.room(position, chosen.map(|span| (span.start, span.len))) else {
            return Ok(None);
        };
        let behind = behind.min(room_behind as u64) as usize;
        let ahead = ahead.min((target.len() - at) as u64) as usize;
        let Some(behind) = source.extend_back(&target[at - behind..at], position)? else { return Ok(None) };
        let ahead = source.extend_ahead(&target[at..at + ahead], position)?;
        if ahead < least {
            return Ok(None);
        }
        let start = position - behind as u64;
        let end = position + ahead as u64;
        if behind > 0 {
            self.queue.drop_from(at - behind);
        }
        source.matched = source.matched.max(end);
        source.resume = (at + ahead == target.len()).then_some(end);
        self.queue.writer.copy_window.include(start, end);
        self.push(target, at - behind, behind + ahead, start, Operation::CopySource)?;
        Ok(Some(ahead))
    }

    fn push(
        &mut self,
        target: &[u8],
        position: usize,
        size: usize,
        address: u64,
        operation: Operation,
    ) -> Result<(), EncodeError> {
        let source_end = self.source.as_ref().and_then(|source| source.blocks.end());
        let instruction = Instruction { address, position: position as u32, size: size as u32, operation };
        self.queue.push(instruction, target, source_end)
    }
}

/// Equal bytes at the end of what the small look sees.
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

/// The source and what is known of it, across windows.
#[derive(Debug)]
struct SourceSide<S> {
    blocks: SourceWindow<S>,
    index: SourceIndex,
    /// How far back from the end of the index a match may reach.
    window: u64,
    /// End of the match that reached farthest.
    matched: u64,
    /// The position tried last; it is not tried twice in a row.
    tried: u64,
    /// Where the next window starts by looking: behind the match that ended this one.
    resume: Option<u64>,
}

impl<S: Source> SourceSide<S> {
    fn new(source: S, plan: &Plan) -> io::Result<Self> {
        let blocks = SourceWindow::new(source, plan.source_window)?;
        let index = SourceIndex::new(plan.profile.large_look, plan.profile.large_step, plan.source_window);
        Ok(Self { blocks, index, window: plan.source_window, matched: 0, tried: 0, resume: Some(0) })
    }

    /// How far a match at `position` may extend back and ahead, `None` when it may not be tried.
    fn room(&mut self, position: u64, chosen: Option<(u64, u64)>) -> Option<(u64, u64)> {
        let again = position != 0 && position == self.tried;
        self.tried = position;
        self.resume = None;
        if again || self.index.covered().saturating_sub(position) > self.window {
            return None;
        }
        match chosen {
            None => Some((position, self.blocks.end().map_or(u64::MAX, |end| end.saturating_sub(position)))),
            Some((start, len)) => Some((position.checked_sub(start)?, (start + len).checked_sub(position)?)),
        }
    }

    /// How many bytes before `position` equal the end of `target`; `None` when the source there is no longer at hand.
    fn extend_back(&mut self, target: &[u8], position: u64) -> io::Result<Option<usize>> {
        let block_len = self.blocks.block_len();
        let mut back = 0;
        while back < target.len() {
            let last = position - back as u64 - 1;
            let within = (last % block_len) as usize + 1;
            let Some(block) = self.blocks.block(last / block_len)? else {
                return Ok((back > 0).then_some(back));
            };
            let rest = &target[..target.len() - back];
            let reach = within.min(rest.len());
            let equal = common_suffix(rest, block.get(..within).unwrap_or_default());
            back += equal;
            if equal < reach {
                break;
            }
        }
        Ok(Some(back))
    }

    /// How many bytes from `position` on equal the start of `target`.
    fn extend_ahead(&mut self, target: &[u8], position: u64) -> io::Result<usize> {
        let block_len = self.blocks.block_len();
        let mut ahead = 0;
        while ahead < target.len() {
            let next = position + ahead as u64;
            let Some(block) = self.blocks.block(next / block_len)? else { break };
            let rest = block.get((next % block_len) as usize..).unwrap_or_default();
            let equal = common_prefix(&target[ahead..], rest);
            ahead += equal;
            if equal < rest.len() || (block.len() as u64) < block_len {
                break;
            }
        }
        Ok(ahead)
    }
}
