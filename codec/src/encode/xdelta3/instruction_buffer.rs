//! xdelta3's instruction buffer: settles overlaps between matches and hands them over as
//! instructions.

use super::found::{Found, FoundKind};
use crate::encode::error::EncodeError;
use crate::encode::options::Plan;
use crate::encode::section_writer::SectionWriter;
use crate::format::instruction::{Instruction, Operation};
use crate::format::window::CopyWindow;

/// A COPY or RUN shorter than this is not worth its code.
const LEAST: u32 = 4;
/// Size up to which a COPY needs no size of its own in the default code table.
const CHEAP: u32 = 18;
/// An overlapped match that adds no more than this to its neighbour is dropped.
const LITTLE_GAIN: u32 = 2;

/// The reason for handing over instructions.
#[derive(Debug, Clone, Copy)]
enum FlushKind {
    /// The buffer was full; `source_end` is the length of the source if known.
    Scanning { target_len: usize, source_end: Option<u64> },
    /// All matches are made.
    Finishing,
}

/// The part of the source a window may copy from: open until the first COPY is handed over.
#[derive(Debug, Default)]
struct CopyRange {
    lowest: u64,
    /// End of the match that reaches farthest; 0 when there was none.
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
                // Matches to come have to fit as well, so it is a guess.
                FlushKind::Scanning { target_len, source_end } => {
                    let guess = matched.max((target_len + target_len / 4) as u64);
                    source_end.map_or(guess, |end| guess.min(end.saturating_sub(self.lowest)))
                }
            };
            CopyWindow { offset: self.lowest, len }
        })
    }
}

/// The matches of one window in the order they were found, which may overlap until they are handed
/// over.
#[derive(Debug)]
pub(super) struct InstructionBuffer {
    waiting: Vec<Found>,
    /// The maximum number of matches that wait, 0 for no limit.
    limit: usize,
    with_source: bool,
    allow_undecodable: bool,
    copy_range: CopyRange,
    /// Target bytes that the instructions handed over produce.
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

    /// Returns where the last waiting match ends, 0 when none waits.
    pub(super) fn end(&self) -> usize {
        self.waiting.last().map_or(0, |last| last.end() as usize)
    }

    /// Returns the number of target bytes that the instructions handed over produce.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Returns the part of the source the window copies from, once an instruction depends on it.
    pub(super) fn copy_window(&self) -> Option<CopyWindow> {
        self.copy_range.chosen
    }

    /// Widens the copy window by a match, which may yet be dropped.
    pub(super) fn include(&mut self, start: u64, end: u64) {
        self.copy_range.include(start, end);
    }

    /// Drops the last matches that start at `position` or after it.
    pub(super) fn drop_from(&mut self, position: usize) {
        while self.waiting.last().is_some_and(|last| last.position as usize >= position) {
            self.waiting.pop();
        }
    }

    /// Adds a match; when the buffer is full, half of it is handed over first. An instruction that
    /// waits in `sections` for its successor counts as one of the buffer's.
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
        // Two stay behind, since the next match may still change what they are cut to.
        let half = self.limit / 2 + 1;
        let count = self.waiting.len().saturating_sub(2).max(1).min(half).min(self.waiting.len());
        self.hand_over(
            count,
            target,
            FlushKind::Scanning { target_len: target.len(), source_end },
            sections,
        )
    }

    /// Hands over everything and the bytes between, and begins a new window.
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

    /// Hands over the first `count` matches, each behind an ADD of the bytes no instruction made.
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

/// Cuts or drops matches so that none overlaps its successor. When more are to come (not
/// `complete`), the last two are left as they are.
fn settle(queue: &mut Vec<Found>, complete: bool) {
    let Some(&first) = queue.first() else { return };
    // `queue[..kept]` is settled, `current` comes next, then `queue[next..]`.
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
            if together < 2 * LEAST
                || right.end() - left.end() <= LITTLE_GAIN
                || right.position - left.position <= LITTLE_GAIN
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
            let wanted = CHEAP.min(together - together / 2);
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
