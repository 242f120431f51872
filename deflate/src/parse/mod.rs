//! Parses a deflate stream block by block: text, tokens and headers (RFC 1951).
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod header;
mod table;

use std::sync::LazyLock;

use crate::bits::BitReader;
use crate::block::{Block, BlockKind};
use crate::error::{ParseError, ParseErrorKind};
use crate::huffman::{fixed_distance_lengths, fixed_literal_lengths};
use crate::limits::{Limit, Limits};
use crate::token::{
    END, MAX_MATCH, Token, WINDOW, distance_base, distance_extra, length_base, literal_extra,
};
use table::Table;

/// The number of bytes that any block header fits in.
const HEADER_BYTES: usize = 640;
/// The plain size from which the ratio is limited.
const RATIO_FROM: u64 = 1 << 20;

/// The fixed codes.
static FIXED: LazyLock<Option<Codes>> = LazyLock::new(|| {
    let literals = Table::new(&fixed_literal_lengths()).ok()?;
    Some(Codes { literals, distances: Table::new(&fixed_distance_lengths()).ok()? })
});

#[derive(Clone, Debug)]
struct Codes {
    literals: Table,
    distances: Table,
}

/// A result of [`Parser::step`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Step {
    /// More input is needed: [`Parser::push`] or [`Parser::end_input`].
    NeedInput,
    /// A block; its text is [`Parser::text`].
    Block(Block),
    /// The stream is complete.
    End {
        /// The value of the bits after the last block, up to the end of the byte.
        padding: u8,
        /// The number of bytes of the stream.
        len: u64,
    },
}

/// The place in the stream that the next bits belong to.
#[derive(Debug)]
enum State {
    Header,
    Stored { left: usize },
    Tokens(Option<Box<Codes>>),
    End,
}

/// A parser of one deflate stream that takes input in pieces and returns blocks.
///
/// It holds the input not yet parsed, one block, and 32 KiB of text before it.
///
/// ```
/// use deltaglider_deflate::{Limits, Parser, Step};
///
/// let mut parser = Parser::new(&Limits::default());
/// parser.push(&[0x4b, 0x04, 0x00, 0xff]);
/// parser.end_input();
/// let Step::Block(block) = parser.step()? else { panic!("no block") };
/// assert_eq!((parser.text(), block.tokens.len()), (&b"a"[..], 1));
/// assert!(matches!(parser.step()?, Step::End { padding: 0, len: 3 }));
/// assert_eq!(parser.rest(), [0xff]);
/// # Ok::<(), deltaglider_deflate::ParseError>(())
/// ```
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    input: Vec<u8>,
    /// The next byte of `input` that `bits` has not taken.
    at: usize,
    /// The number of bytes of the stream before `input`.
    before: u64,
    ended: bool,
    bits: BitReader,
    state: State,
    block: Block,
    empty_blocks: u64,
    /// The text of the block, after at most 32 KiB of text before it.
    text: Vec<u8>,
    history: usize,
    /// The number of bytes of text before this block.
    text_before: u64,
}

impl Parser {
    /// Creates a parser at the start of a stream.
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            input: Vec::new(),
            at: 0,
            before: 0,
            ended: false,
            bits: BitReader::default(),
            state: State::Header,
            block: empty_block(0),
            empty_blocks: 0,
            text: Vec::new(),
            history: 0,
            text_before: 0,
        }
    }

    /// Adds input.
    pub fn push(&mut self, input: &[u8]) {
        self.input.drain(..self.at);
        self.before = self.before.saturating_add(self.at as u64);
        self.at = 0;
        self.input.extend_from_slice(input);
    }

    /// Declares that no more input follows.
    pub fn end_input(&mut self) {
        self.ended = true;
    }

    /// Returns the text of the block that [`step`](Self::step) returned last.
    pub fn text(&self) -> &[u8] {
        self.text.get(self.history..).unwrap_or_default()
    }

    /// Returns the input after the end of the stream.
    pub fn rest(&self) -> &[u8] {
        let kept = self.bits.count() as usize / 8;
        self.input.get(self.at.saturating_sub(kept)..).unwrap_or_default()
    }

    /// Returns the offset of the next bit in the stream.
    pub fn bit(&self) -> u64 {
        let taken = self.before.saturating_add(self.at as u64).saturating_mul(8);
        taken.saturating_sub(u64::from(self.bits.count()))
    }

    /// Parses up to the end of the next block.
    ///
    /// # Errors
    ///
    /// Fails if the input is no deflate stream or exceeds a limit. The parser is of no use then.
    pub fn step(&mut self) -> Result<Step, ParseError> {
        self.advance().map_err(|kind| ParseError { kind, bit: self.bit() })
    }

    fn advance(&mut self) -> Result<Step, ParseErrorKind> {
        loop {
            match &mut self.state {
                State::End => return self.end(),
                State::Header => {
                    if !self.ended && self.left() < HEADER_BYTES {
                        return Ok(Step::NeedInput);
                    }
                    self.begin_block()?;
                }
                State::Stored { left } => {
                    let left = *left;
                    if !self.copy_stored(left) {
                        return if self.ended {
                            Err(ParseErrorKind::Truncated)
                        } else {
                            Ok(Step::NeedInput)
                        };
                    }
                    return self.end_block();
                }
                State::Tokens(codes) => {
                    let codes = codes.take();
                    let done = match (&codes, FIXED.as_ref()) {
                        (Some(codes), _) => self.read_tokens(codes)?,
                        (None, Some(fixed)) => self.read_tokens(fixed)?,
                        (None, None) => return Err(ParseErrorKind::OverSubscribed),
                    };
                    if !done {
                        self.state = State::Tokens(codes);
                        return if self.ended {
                            Err(ParseErrorKind::Truncated)
                        } else {
                            Ok(Step::NeedInput)
                        };
                    }
                    return self.end_block();
                }
            }
        }
    }

    /// Returns the number of bytes of input that are left.
    fn left(&self) -> usize {
        self.input.len().saturating_sub(self.at)
    }

    /// Returns the number of bytes of text in the block so far.
    #[inline]
    fn block_text(&self) -> usize {
        self.text.len().saturating_sub(self.history)
    }

    fn take(&mut self, count: u32) -> Result<u32, ParseErrorKind> {
        self.bits.refill(&self.input, &mut self.at);
        self.bits.take(count).ok_or(ParseErrorKind::Truncated)
    }

    fn begin_block(&mut self) -> Result<(), ParseErrorKind> {
        self.text_before = self.text_before.saturating_add(self.block_text() as u64);
        self.text.drain(..self.text.len().saturating_sub(WINDOW));
        self.history = self.text.len();
        self.block = empty_block(self.bit());
        self.block.last = self.take(1)? == 1;
        match self.take(2)? {
            0 => {
                let padding = self.take(self.bits.count() % 8)? as u8;
                self.block.kind = BlockKind::Stored { padding };
                let (length, complement) = (self.take(16)? as u16, self.take(16)? as u16);
                if length != !complement {
                    return Err(ParseErrorKind::StoredLength { length, complement });
                }
                self.state = State::Stored { left: usize::from(length) };
            }
            1 => self.state = State::Tokens(None),
            2 => {
                let header = header::read(|count| self.take(count))?;
                let literals = Table::new(header.literal_lengths())?;
                let distances = Table::new(header.distance_lengths())?;
                if header.literal_lengths().get(END).is_none_or(|&length| length == 0) {
                    return Err(ParseErrorKind::NoEndOfBlock);
                }
                self.block.kind = BlockKind::Dynamic(header);
                self.state = State::Tokens(Some(Box::new(Codes { literals, distances })));
            }
            _ => return Err(ParseErrorKind::BlockType),
        }
        Ok(())
    }

    /// Copies what is there of a stored block; returns whether it is complete.
    fn copy_stored(&mut self, mut left: usize) -> bool {
        while left > 0 && self.bits.count() >= 8 {
            self.text.extend(self.bits.take(8).map(|byte| byte as u8));
            left = left.saturating_sub(1);
        }
        let rest = self.input.get(self.at..).unwrap_or_default();
        let taken = rest.get(..left.min(rest.len())).unwrap_or_default();
        self.text.extend_from_slice(taken);
        self.at = self.at.saturating_add(taken.len());
        left = left.saturating_sub(taken.len());
        self.state = State::Stored { left };
        left == 0
    }

    /// Reads tokens until the block ends or the input does; returns whether the block ended.
    fn read_tokens(&mut self, codes: &Codes) -> Result<bool, ParseErrorKind> {
        let most_tokens = usize::try_from(self.limits.block_tokens).unwrap_or(usize::MAX);
        let most_text = usize::try_from(self.limits.block_text).unwrap_or(usize::MAX);
        loop {
            if self.left() < 8 && !self.ended {
                return Ok(false);
            }
            self.bits.refill(&self.input, &mut self.at);
            let symbol = codes.literals.read(&mut self.bits)?;
            if symbol < END as u16 {
                self.text.push(symbol as u8);
                self.block.tokens.push(Token::literal(symbol as u8));
            } else if symbol == END as u16 {
                return Ok(true);
            } else {
                let token = self.read_match(symbol, codes)?;
                self.block.tokens.push(token);
            }
            if self.block.tokens.len() > most_tokens {
                return Err(over(Limit::BlockTokens, most_tokens));
            }
            if self.block_text() > most_text {
                return Err(over(Limit::BlockText, most_text));
            }
        }
    }

    #[inline]
    fn read_match(&mut self, symbol: u16, codes: &Codes) -> Result<Token, ParseErrorKind> {
        if symbol > 285 {
            return Err(ParseErrorKind::Symbol(symbol));
        }
        let symbol = usize::from(symbol);
        let extra = self.bits.take(u32::from(literal_extra(symbol)));
        let extra = extra.ok_or(ParseErrorKind::Truncated)? as usize;
        let length = length_base(symbol).saturating_add(extra);
        let far = codes.distances.read(&mut self.bits)?;
        if far > 29 {
            return Err(ParseErrorKind::Symbol(far));
        }
        let extra = self.bits.take(u32::from(distance_extra(usize::from(far))));
        let extra = extra.ok_or(ParseErrorKind::Truncated)? as usize;
        let distance = distance_base(usize::from(far)).saturating_add(extra);
        copy(&mut self.text, distance, length).ok_or(ParseErrorKind::Distance {
            distance: distance as u16,
            available: self.text.len() as u64,
        })?;
        let long = symbol == 284 && length == MAX_MATCH;
        Ok(if long { Token::long_258(distance) } else { Token::reuse(length, distance) })
    }

    fn end_block(&mut self) -> Result<Step, ParseErrorKind> {
        self.state = if self.block.last { State::End } else { State::Header };
        self.block.text_len = self.block_text();
        let text = self.text_before.saturating_add(self.block.text_len as u64);
        if text > self.limits.text {
            return Err(over(Limit::Text, self.limits.text as usize));
        }
        let allowed = RATIO_FROM.saturating_add(self.limits.ratio.saturating_mul(self.bit() / 8));
        if text > allowed {
            return Err(ParseErrorKind::Limit { limit: Limit::Ratio, needed: text, allowed });
        }
        let empty = self.block.text_len == 0;
        self.empty_blocks = if empty { self.empty_blocks.saturating_add(1) } else { 0 };
        if self.empty_blocks > self.limits.empty_blocks {
            return Err(over(Limit::EmptyBlocks, self.limits.empty_blocks as usize));
        }
        let next = empty_block(self.bit());
        Ok(Step::Block(std::mem::replace(&mut self.block, next)))
    }

    fn end(&mut self) -> Result<Step, ParseErrorKind> {
        let padding = self.take(self.bits.count() % 8)? as u8;
        Ok(Step::End { padding, len: self.bit() / 8 })
    }
}

fn empty_block(bit: u64) -> Block {
    Block { last: false, kind: BlockKind::Fixed, tokens: Vec::new(), text_len: 0, bit }
}

fn over(limit: Limit, allowed: usize) -> ParseErrorKind {
    let allowed = allowed as u64;
    ParseErrorKind::Limit { limit, needed: allowed.saturating_add(1), allowed }
}

/// Appends `length` bytes from `distance` back; `None` if there are fewer.
#[inline]
pub(crate) fn copy(text: &mut Vec<u8>, distance: usize, length: usize) -> Option<()> {
    let start = text.len().checked_sub(distance)?;
    if distance >= length {
        text.extend_from_within(start..start.saturating_add(length));
    } else if distance == 1 {
        let byte = *text.last()?;
        text.resize(text.len().saturating_add(length), byte);
    } else {
        let mut left = length;
        while left > 0 {
            let piece = left.min(text.len().saturating_sub(start));
            text.extend_from_within(start..start.saturating_add(piece));
            left = left.saturating_sub(piece);
        }
    }
    Some(())
}
