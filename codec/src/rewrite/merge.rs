//! Merges consecutive deltas into one, without the intermediate files.

use std::io::Read;

use super::rewriter::{Rewriter, inspect_xdelta3};
use super::{RecodeError, RecodeOptions};
use crate::DecodeLimits;
use crate::encode::SectionWriter;
use crate::format::instruction::{Instruction, Operation};
use crate::format::window::{CopyWindow, VCD_TARGET};
use crate::inspect::{CopyFrom, Operation as Inspected};

/// Merges deltas as `xdelta3 merge` does; the delta against the first source comes first. The
/// windows and checksums are those of the last delta, and its copies are traced back to the first
/// source. Nothing is matched again.
pub fn merge(deltas: &[&[u8]], options: &RecodeOptions) -> Result<Vec<u8>, RecodeError> {
    let mut merger = Merger::new(options);
    for delta in deltas {
        merger.push(*delta)?;
    }
    merger.finish()
}

/// A merge of deltas as [`merge`] does it, reading one after the other. It holds the instructions
/// of two deltas in memory, 40 bytes each, and the bytes they add.
#[derive(Debug)]
pub struct Merger {
    options: RecodeOptions,
    merged: Option<Whole>,
}

impl Merger {
    /// Creates a merger without a delta.
    pub fn new(options: &RecodeOptions) -> Self {
        Self { options: options.clone(), merged: None }
    }

    /// Reads the delta that follows those read before. After an error the merged delta so far is
    /// lost.
    pub fn push(&mut self, delta: impl Read) -> Result<(), RecodeError> {
        let next = Whole::read(delta, &self.options.limits)?;
        self.merged = Some(match self.merged.take() {
            Some(before) => next.traced_through(&before, self.options.limits.instructions)?,
            None => next,
        });
        Ok(())
    }

    /// Returns the merged delta.
    pub fn finish(self) -> Result<Vec<u8>, RecodeError> {
        self.merged.ok_or(RecodeError::Nothing)?.write(&self.options)
    }
}

/// The origin of a piece of the target.
#[derive(Debug, Clone, Copy)]
enum Origin {
    /// Added bytes, from this index on.
    Added(usize),
    Run(u8),
    /// The source, from this offset on.
    Source(u64),
    /// The target itself, from this offset on.
    Target(u64),
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    position: u64,
    size: u64,
    origin: Origin,
}

#[derive(Debug, Clone, Copy)]
struct WindowShape {
    len: u64,
    checksum: Option<u32>,
    /// The number of pieces in this window and the previous ones.
    pieces: usize,
}

/// A delta as one list of pieces.
#[derive(Debug, Default)]
struct Whole {
    pieces: Vec<Piece>,
    added: Vec<u8>,
    windows: Vec<WindowShape>,
    len: u64,
}

impl Whole {
    fn read(delta: impl Read, limits: &DecodeLimits) -> Result<Self, RecodeError> {
        let mut whole = Self::default();
        for window in inspect_xdelta3(delta, limits)? {
            let window = window?;
            if window.indicator() & VCD_TARGET != 0 {
                return Err(RecodeError::NotXdelta3);
            }
            for instruction in window.instructions() {
                let instruction = instruction?;
                let origin = match instruction.operation {
                    Inspected::Add { bytes } => whole.add(bytes),
                    Inspected::Run { byte } => Origin::Run(byte),
                    Inspected::Copy { from: CopyFrom::Source(offset), .. } => {
                        Origin::Source(offset)
                    }
                    Inspected::Copy { from: CopyFrom::Window(position), .. } => {
                        Origin::Target(window.target_offset().saturating_add(position))
                    }
                    Inspected::Copy { from: CopyFrom::Target(offset), .. } => {
                        Origin::Target(offset)
                    }
                };
                whole.push(instruction.size, origin);
            }
            whole.end_window(window.target_len(), window.checksum());
        }
        Ok(whole)
    }

    fn add(&mut self, bytes: &[u8]) -> Origin {
        let start = self.added.len();
        self.added.extend_from_slice(bytes);
        Origin::Added(start)
    }

    fn push(&mut self, size: u64, origin: Origin) {
        if size > 0 {
            self.pieces.push(Piece { position: self.len, size, origin });
            self.len = self.len.saturating_add(size);
        }
    }

    fn end_window(&mut self, len: u64, checksum: Option<u32>) {
        self.windows.push(WindowShape { len, checksum, pieces: self.pieces.len() });
    }

    fn bytes(&self, start: usize, size: u64) -> &[u8] {
        self.added.get(start..start.saturating_add(size as usize)).unwrap_or_default()
    }

    /// Returns the piece at an offset of the target, which must be before its end.
    fn piece_at(&self, offset: u64) -> Option<&Piece> {
        let behind = self.pieces.partition_point(|piece| piece.position <= offset);
        self.pieces.get(behind.checked_sub(1)?)
    }

    /// Rewrites this delta, whose source is the target of `before`, against the source of `before`.
    fn traced_through(&self, before: &Self, allowed: u64) -> Result<Self, RecodeError> {
        let mut traced = Self::default();
        let mut pieces = self.pieces.iter();
        let mut taken = 0usize;
        for window in &self.windows {
            let mut steps = allowed;
            for piece in pieces.by_ref().take(window.pieces.saturating_sub(taken)) {
                match piece.origin {
                    Origin::Added(start) => {
                        let origin = traced.add(self.bytes(start, piece.size));
                        traced.push(piece.size, origin);
                    }
                    Origin::Source(offset) => {
                        before.trace(offset, piece.size, &mut traced, &mut steps, allowed)?
                    }
                    origin => traced.push(piece.size, origin),
                }
            }
            taken = window.pieces;
            traced.end_window(window.len, window.checksum);
        }
        Ok(traced)
    }

    /// Appends to `traced` the pieces that make `size` bytes of this target from `offset` on.
    fn trace(
        &self,
        offset: u64,
        size: u64,
        traced: &mut Self,
        steps: &mut u64,
        allowed: u64,
    ) -> Result<(), RecodeError> {
        let needed = offset.saturating_add(size);
        if needed > self.len {
            return Err(RecodeError::Apart { needed, available: self.len });
        }
        let mut done = 0u64;
        while done < size {
            let mut at = offset.saturating_add(done);
            let mut len = size.saturating_sub(done);
            // Copies within this target lead to earlier pieces of it.
            let origin = loop {
                *steps = steps.checked_sub(1).ok_or(RecodeError::Instructions { allowed })?;
                let Some(piece) = self.piece_at(at) else { break Origin::Run(0) };
                let mut within = at.saturating_sub(piece.position);
                len = len.min(piece.size.saturating_sub(within));
                match piece.origin {
                    Origin::Target(start) => {
                        // A copy that overlaps itself repeats the bytes in between.
                        let distance = piece.position.saturating_sub(start).max(1);
                        within = within.checked_rem(distance).unwrap_or_default();
                        len = len.min(distance.saturating_sub(within));
                        at = start.saturating_add(within);
                    }
                    Origin::Added(start) => {
                        let start = start.saturating_add(within as usize);
                        break traced.add(self.bytes(start, len));
                    }
                    Origin::Source(start) => break Origin::Source(start.saturating_add(within)),
                    Origin::Run(byte) => break Origin::Run(byte),
                }
            };
            traced.push(len, origin);
            done = done.saturating_add(len);
        }
        Ok(())
    }

    fn write(&self, options: &RecodeOptions) -> Result<Vec<u8>, RecodeError> {
        let mut out = Vec::new();
        let application_header = options.application_header.clone().flatten();
        let mut rewriter = Rewriter::new(application_header, options);
        let mut start = 0u64;
        let mut taken = 0usize;
        for window in &self.windows {
            let pieces = self.pieces.get(taken..window.pieces).unwrap_or_default();
            taken = window.pieces;
            let copy_window = copy_window(pieces);
            let mut writer = SectionWriter::new();
            writer.copy_from(copy_window);
            let mut pieces = pieces.iter().peekable();
            while let Some(&Piece { position, mut size, origin }) = pieces.next() {
                let operation = match origin {
                    Origin::Added(from) => {
                        // Adjacent added bytes are stored together.
                        while let Some(next) =
                            pieces.next_if(|next| matches!(next.origin, Origin::Added(_)))
                        {
                            size = size.saturating_add(next.size);
                        }
                        Operation::Add(self.bytes(from, size))
                    }
                    Origin::Run(byte) => Operation::Run(byte),
                    Origin::Source(offset) => {
                        Operation::CopySource { address: offset.saturating_sub(copy_window.offset) }
                    }
                    Origin::Target(offset) => {
                        Operation::CopyTarget { position: offset.saturating_sub(start) }
                    }
                };
                writer.write(Instruction {
                    position: position.saturating_sub(start),
                    size,
                    operation,
                });
            }
            let sections = writer.finish();
            let checksum = window.checksum.filter(|_| !options.drop_checksums);
            rewriter.window(sections.parts(window.len, checksum), &mut out)?;
            start = start.saturating_add(window.len);
        }
        rewriter.finish(&mut out);
        Ok(out)
    }
}

/// Returns the part of the source that the pieces of a window copy from.
fn copy_window(pieces: &[Piece]) -> CopyWindow {
    let mut range: Option<(u64, u64)> = None;
    for piece in pieces {
        if let Origin::Source(offset) = piece.origin {
            let end = offset.saturating_add(piece.size);
            range = Some(
                range.map_or((offset, end), |(first, last)| (first.min(offset), last.max(end))),
            );
        }
    }
    let (offset, end) = range.unwrap_or_default();
    CopyWindow { offset, len: end.saturating_sub(offset) }
}
