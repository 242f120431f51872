//! Matches waiting to become instructions: overlaps between them are settled here.

use super::error::EncodeError;
use super::instruction::Instruction;
use super::section_writer::{FlushKind, SectionWriter, Sections};

/// A COPY or RUN shorter than this is not worth its code.
const LEAST: u32 = 4;
/// Size up to which a COPY needs no size of its own in the default code table.
const CHEAP: u32 = 18;
/// An overlapped match that adds no more than this to its neighbour is dropped.
const LITTLE_GAIN: u32 = 2;

/// The matches of one window in the order they were found, which may overlap until they are written.
#[derive(Debug)]
pub(super) struct InstructionBuffer {
    waiting: Vec<Instruction>,
    /// Most that may wait, 0 for unlimited.
    limit: usize,
    pub(super) writer: SectionWriter,
}

impl InstructionBuffer {
    pub(super) fn new(limit: usize, writer: SectionWriter) -> Self {
        Self { waiting: Vec::new(), limit, writer }
    }

    /// Where the last match ends, 0 when none waits.
    pub(super) fn end(&self) -> usize {
        self.waiting.last().map_or(0, |last| last.end() as usize)
    }

    /// Drops the last matches that start at `position` or after it.
    pub(super) fn drop_from(&mut self, position: usize) {
        while self.waiting.last().is_some_and(|last| last.position as usize >= position) {
            self.waiting.pop();
        }
    }

    /// Adds a match; when the queue is full, half of it is written first.
    pub(super) fn push(
        &mut self,
        instruction: Instruction,
        target: &[u8],
        source_end: Option<u64>,
    ) -> Result<(), EncodeError> {
        if self.limit != 0 && self.waiting.len() + usize::from(self.writer.holds()) == self.limit {
            self.write_half(target, source_end)?;
        }
        self.waiting.push(instruction);
        Ok(())
    }

    fn write_half(&mut self, target: &[u8], source_end: Option<u64>) -> Result<(), EncodeError> {
        settle(&mut self.waiting, false);
        // Two stay behind, since the next match may still change what they are cut to.
        let half = self.limit / 2 + 1;
        let count = self.waiting.len().saturating_sub(2).max(1).min(half).min(self.waiting.len());
        let flush = FlushKind::Scanning { target_len: target.len(), source_end };
        for instruction in &self.waiting[..count] {
            self.writer.write(instruction, target, flush)?;
        }
        self.waiting.drain(..count);
        Ok(())
    }

    /// Writes everything and the bytes between, and hands over the sections of the window.
    pub(super) fn finish(&mut self, target: &[u8]) -> Result<Sections, EncodeError> {
        settle(&mut self.waiting, true);
        for instruction in &self.waiting {
            self.writer.write(instruction, target, FlushKind::Finishing)?;
        }
        self.waiting.clear();
        Ok(self.writer.finish(target))
    }
}

/// Cuts or drops matches so that none overlaps its successor. When more are to come (not `complete`), the last two are
/// left as they are.
fn settle(queue: &mut Vec<Instruction>, complete: bool) {
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
