//! xdelta3's instruction buffer: resolves overlaps between matches and writes them as instructions.

use super::found::{Found, FoundKind};
use crate::encode::error::EncodeError;
use crate::encode::options::Plan;
use crate::encode::section_writer::SectionWriter;
use crate::format::instruction::{Instruction, Operation};
use crate::format::window::CopyWindow;

/// The minimum size of a COPY or RUN; a shorter one is not worth its code.
const MIN_SIZE: u32 = 4;
/// The greatest size of a COPY that is part of its code in the default code table.
const MAX_SIZE_IN_CODE: u32 = 18;
/// The greatest gain over its neighbour for which an overlapped match is dropped.
const MAX_GAIN_DROPPED: u32 = 2;

/// The reason for writing instructions.
#[derive(Debug, Clone, Copy)]
enum FlushKind {
    /// The buffer was full; `source_end` is the length of the source if known.
    Scanning { target_len: usize, source_end: Option<u64> },
    /// All matches are found.
    Finishing,
}

/// The part of the source a window may copy from: open until the first COPY is written.
#[derive(Debug, Default)]
struct CopyRange {
    lowest: u64,
    /// The end of the match that reaches farthest; 0 without a match.
    highest: u64,
    chosen: Option<CopyWindow>,
}

impl CopyRange {
    fn include(&mut self, start: u64, end: u64) {
        if self.highest == 0 || start < self.lowest {
            self.lowest = start;
        }
        self.highest = self.highest.max(end);
    }

    fn choose(&mut self, flush: FlushKind) -> CopyWindow {
        *self.chosen.get_or_insert_with(|| {
            let matched = self.highest - self.lowest;
            let len = match flush {
                FlushKind::Finishing => matched,
                // This is an estimate, since later matches have to fit as well.
                FlushKind::Scanning { target_len, source_end } => {
                    let guess = matched.max((target_len + target_len / 4) as u64);
                    source_end.map_or(guess, |end| guess.min(end.saturating_sub(self.lowest)))
                }
            };
            CopyWindow { offset: self.lowest, len }
        })
    }
}

/// The matches of one window in the order they were found. They may overlap until they are written.
#[derive(Debug)]
pub(super) struct InstructionBuffer {
    waiting: Vec<Found>,
    /// The maximum number of waiting matches, 0 for no limit.
    limit: usize,
    with_source: bool,
    allow_undecodable: bool,
    copy_range: CopyRange,
    /// The number of target bytes that the written instructions produce.
    written: usize,
}

impl InstructionBuffer {
    pub(super) fn new(plan: &Plan, with_source: bool) -> Self {
        Self {
            waiting: Vec::new(),
            limit: plan.instruction_buffer,
            with_source,
            allow_undecodable: plan.undecodable,
            copy_range: CopyRange::default(),
            written: 0,
        }
    }

    /// Returns the end of the last waiting match, 0 if none waits.
    pub(super) fn end(&self) -> usize {
        self.waiting.last().map_or(0, |last| last.end() as usize)
    }

    /// Returns the number of target bytes that the written instructions produce.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Returns the part of the source the window copies from, once an instruction depends on it.
    pub(super) fn copy_window(&self) -> Option<CopyWindow> {
        self.copy_range.chosen
    }

    /// Widens the copy window by a match, even if the match is dropped later.
    pub(super) fn include(&mut self, start: u64, end: u64) {
        self.copy_range.include(start, end);
    }

    /// Drops the last matches that start at `position` or after it.
    pub(super) fn drop_from(&mut self, position: usize) {
        while self.waiting.last().is_some_and(|last| last.position as usize >= position) {
            self.waiting.pop();
        }
    }

    /// Adds a match; when the buffer is full, half of it is written first. An instruction held back
    /// in `sections` counts as one of the buffer's.
    pub(super) fn push(
        &mut self,
        found: Found,
        target: &[u8],
        source_end: Option<u64>,
        sections: &mut SectionWriter,
    ) -> Result<(), EncodeError> {
        if self.limit != 0 && self.waiting.len() + usize::from(sections.is_holding()) == self.limit
        {
            self.hand_over_half(target, source_end, sections)?;
        }
        self.waiting.push(found);
        Ok(())
    }

    fn hand_over_half(
        &mut self,
        target: &[u8],
        source_end: Option<u64>,
        sections: &mut SectionWriter,
    ) -> Result<(), EncodeError> {
        settle(&mut self.waiting, false);
        // Two are kept, since the next match may still change where they are cut.
        let half = self.limit / 2 + 1;
        let count = self.waiting.len().saturating_sub(2).max(1).min(half).min(self.waiting.len());
        self.hand_over(
            count,
            target,
            FlushKind::Scanning { target_len: target.len(), source_end },
            sections,
        )
    }

    /// Writes all matches and the bytes between them, and begins a new window.
    pub(super) fn finish(
        &mut self,
        target: &[u8],
        sections: &mut SectionWriter,
    ) -> Result<(), EncodeError> {
        settle(&mut self.waiting, true);
        self.hand_over(self.waiting.len(), target, FlushKind::Finishing, sections)?;
        self.add_up_to(target.len(), target, sections);
        self.copy_range = CopyRange::default();
        self.written = 0;
        Ok(())
    }

    /// Writes the first `count` matches, each after an ADD of the bytes that no instruction
    /// produces.
    fn hand_over(
        &mut self,
        count: usize,
        target: &[u8],
        flush: FlushKind,
        sections: &mut SectionWriter,
    ) -> Result<(), EncodeError> {
        for index in 0..count {
            let Found { address, position, size, kind } = self.waiting[index];
            if (position as usize) < self.written && !self.allow_undecodable {
                return Err(EncodeError::InstructionBufferExhausted);
            }
            self.add_up_to(position as usize, target, sections);
            let operation = match kind {
                FoundKind::Run(byte) => Operation::Run(byte),
                FoundKind::CopySource => Operation::CopySource {
                    address: address - self.choose_copy_window(flush, sections).offset,
                },
                FoundKind::CopyTarget => {
                    self.choose_copy_window(flush, sections);
                    Operation::CopyTarget { position: address }
                }
            };
            sections.write(Instruction {
                position: u64::from(position),
                size: u64::from(size),
                operation,
            });
            self.written += size as usize;
        }
        self.waiting.drain(..count);
        Ok(())
    }

    fn add_up_to(&mut self, position: usize, target: &[u8], sections: &mut SectionWriter) {
        let added = target.get(self.written..position).unwrap_or_default();
        if !added.is_empty() {
            let (position, size) = (self.written as u64, added.len() as u64);
            sections.write(Instruction { position, size, operation: Operation::Add(added) });
            self.written += added.len();
        }
    }

    fn choose_copy_window(&mut self, flush: FlushKind, sections: &mut SectionWriter) -> CopyWindow {
        if !self.with_source {
            return CopyWindow::default();
        }
        let window = self.copy_range.choose(flush);
        sections.copy_from(window);
        window
    }
}

/// Cuts or drops matches so that none overlaps its successor. If more are to come (not `complete`),
/// the last two are left as they are.
fn settle(queue: &mut Vec<Found>, complete: bool) {
    let Some(&first) = queue.first() else { return };
    // `queue[..kept]` is resolved, `current` comes next, then `queue[next..]`.
    let mut current = Some(first);
    let mut kept = 0;
    let mut next = 1;
    while let (Some(mut left), Some(&(mut right))) = (current, queue.get(next)) {
        if left.end() > right.position {
            match queue.get(next + 1) {
                Some(after) if after.position <= left.end() + 1 => {
                    next += 1;
                    continue;
                }
                None if !complete => break,
                _ => {}
            }
            let together = right.end() - left.position;
            if together < 2 * MIN_SIZE
                || right.end() - left.end() <= MAX_GAIN_DROPPED
                || right.position - left.position <= MAX_GAIN_DROPPED
            {
                if left.size < right.size {
                    current = Some(right);
                    next += 1;
                } else {
                    queue[kept] = left;
                    kept += 1;
                    current = queue.get(next + 1).copied();
                    next += 2;
                }
                continue;
            }
            let wanted = MAX_SIZE_IN_CODE.min(together - together / 2);
            let overlap = left.end() - right.position;
            if wanted > left.size {
                right.cut_head(overlap);
            } else if wanted > right.size {
                left.size -= overlap;
            } else {
                let end = right.position.max(left.position + wanted);
                left.size = end - left.position;
                right.cut_head(end - right.position);
            }
        }
        queue[kept] = left;
        kept += 1;
        current = Some(right);
        next += 1;
    }
    if let Some(current) = current {
        queue[kept] = current;
        kept += 1;
    }
    queue.drain(kept..next.min(queue.len()));
}
