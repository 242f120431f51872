//! Segments: about 2 MiB of text each, which begin and end between two blocks.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::block::Block;
use crate::error::ParseError;
use crate::limits::Limits;
use crate::parse::{Parser, Step};
use crate::rules::Span;

/// A part of a stream that is rebuilt on its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Segment {
    /// The text, after up to [`Span::HISTORY`] bytes before it and before up to [`Span::AHEAD`]
    /// bytes after it.
    pub bytes: Vec<u8>,
    /// The start of the text in `bytes`.
    pub start: usize,
    /// The end of the text in `bytes`.
    pub end: usize,
    /// The offset of the text in that of the stream.
    pub offset: u64,
    /// The number of bytes of text after the segment, at most [`Span::REST`].
    pub rest: usize,
    /// The offset of the first bit in the stream.
    pub bit: u64,
    /// The offset of the bit after the last one.
    pub end_bit: u64,
    /// The blocks.
    pub blocks: Vec<Block>,
    /// `true` for the last segment of the stream.
    pub last: bool,
    /// The bits after the last block of the stream; zlib writes zeros.
    pub padding: u8,
}

impl Segment {
    /// Returns the text.
    pub fn text(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the segment without its text and blocks.
    pub(crate) fn clone_frame(&self) -> Self {
        Self {
            bytes: Vec::new(),
            start: self.start,
            end: self.end,
            offset: self.offset,
            rest: self.rest,
            bit: self.bit,
            end_bit: self.end_bit,
            blocks: Vec::new(),
            last: self.last,
            padding: self.padding,
        }
    }

    /// Returns the text between what is around it.
    pub fn span(&self) -> Span<'_> {
        let Self { ref bytes, start, end, offset, rest, .. } = *self;
        let empty = Span { bytes, start: 0, end: 0, offset, rest: 0 };
        Span::new(bytes, start, end, offset, rest as u64).unwrap_or(empty)
    }
}

/// Collects the blocks of a stream into segments.
#[derive(Debug)]
pub struct Segmenter {
    /// The minimum number of bytes of text in a segment but the last.
    size: usize,
    /// The history and the text of the blocks.
    bytes: Vec<u8>,
    start: usize,
    offset: u64,
    blocks: Vec<Block>,
    /// The end of the segment in `bytes`, and the number of its blocks.
    cut: Option<(usize, usize)>,
}

impl Default for Segmenter {
    fn default() -> Self {
        Self::new(Self::SIZE)
    }
}

impl Segmenter {
    /// The usual size of a segment in bytes of text.
    pub const SIZE: usize = 2 << 20;

    /// Creates a segmenter whose segments have at least `size` bytes of text, but for the last.
    pub fn new(size: usize) -> Self {
        Self { size, bytes: Vec::new(), start: 0, offset: 0, blocks: Vec::new(), cut: None }
    }

    /// Adds a block and its text, and returns the segment before it once enough text follows.
    pub fn push(&mut self, block: Block, text: &[u8]) -> Option<Segment> {
        // Empty blocks belong to the text before them.
        if self.cut.is_none()
            && !text.is_empty()
            && self.bytes.len().saturating_sub(self.start) >= self.size
        {
            self.cut = Some((self.bytes.len(), self.blocks.len()));
        }
        self.blocks.push(block);
        self.bytes.extend_from_slice(text);
        let (end, _) = self.cut?;
        (self.bytes.len().saturating_sub(end) >= Span::REST).then(|| self.emit(None)).flatten()
    }

    /// Returns the segments left at the end of the stream: one or two. `padding` and `end_bit` are
    /// the bits after the last block and their offset.
    pub fn finish(mut self, padding: u8, end_bit: u64) -> Vec<Segment> {
        let before = self.emit(None);
        self.cut = Some((self.bytes.len(), self.blocks.len()));
        before.into_iter().chain(self.emit(Some((padding, end_bit)))).collect()
    }

    /// Removes the segment before the cut.
    fn emit(&mut self, last: Option<(u8, u64)>) -> Option<Segment> {
        let (end, count) = self.cut.take()?;
        let after = self.blocks.split_off(count);
        let blocks = std::mem::replace(&mut self.blocks, after);
        let history = end.saturating_sub(Span::HISTORY);
        let rest = self.bytes.get(history..).unwrap_or_default().to_vec();
        let mut bytes = std::mem::replace(&mut self.bytes, rest);
        let rest_len = bytes.len().saturating_sub(end).min(Span::REST);
        bytes.truncate(end.saturating_add(Span::AHEAD));
        let next_bit = self.blocks.first().map_or(0, |block| block.bit);
        let (padding, end_bit) = last.unwrap_or((0, next_bit));
        let segment = Segment {
            start: self.start,
            end,
            offset: self.offset,
            rest: rest_len,
            bit: blocks.first().map_or(0, |block| block.bit),
            end_bit,
            last: last.is_some(),
            padding,
            blocks,
            bytes,
        };
        self.offset = self.offset.saturating_add(end.saturating_sub(self.start) as u64);
        self.start = end.saturating_sub(history);
        Some(segment)
    }
}

/// Parses a whole stream in memory; also returns its length, since other bytes may follow it.
///
/// # Errors
///
/// Fails if the input does not begin with a deflate stream or exceeds a limit.
pub fn segments(input: &[u8], limits: &Limits) -> Result<(Vec<Segment>, u64), ParseError> {
    let mut parser = Parser::new(limits);
    parser.push(input);
    parser.end_input();
    let (mut segments, mut segmenter) = (Vec::new(), Segmenter::default());
    let mut end_bit = 0;
    loop {
        match parser.step()? {
            Step::Block(block) => {
                end_bit = parser.bit();
                segments.extend(segmenter.push(block, parser.text()));
            }
            Step::End { padding, len } => {
                segments.extend(segmenter.finish(padding, end_bit));
                return Ok((segments, len));
            }
            Step::NeedInput => {}
        }
    }
}
