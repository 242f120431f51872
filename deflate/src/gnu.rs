//! Deflate that makes the same choices as GNU gzip 1.12 at levels 6 and 9, bit for bit.
//!
//! GNU gzip and zlib have one origin and find matches in the same way, so this follows zlib's
//! `deflate_slow` and `trees.c`. Two things differ, each tested by the goldens: where blocks end,
//! and that matches near the end of the input depend on the bytes after it in the window.

use std::io::{self, Write};

use crate::bits::BitWriter;
use crate::block::{self, Counts};
use crate::rules::Progress;
use crate::rules::lazy::Level;
use crate::rules::plan::{self, Cut};
use crate::token::Token;

const HALF: usize = 1 << 15;
const WINDOW: usize = 2 * HALF;
const SHORTEST: usize = 3;
const LONGEST: usize = 258;
/// The minimum number of bytes ahead; with fewer, the window is refilled.
const AHEAD: usize = LONGEST + SHORTEST + 1;
/// The maximum distance of a match.
const REACH: usize = HALF - AHEAD;
/// The maximum distance of a match of the shortest length.
const FAR: usize = 4096;
const HASH_BITS: usize = 15;

/// The levels of GNU gzip that a [`GnuDeflater`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GnuLevel {
    /// The default, level 6.
    Default,
    /// The best, level 9.
    Best,
}

impl GnuLevel {
    fn number(self) -> u8 {
        match self {
            Self::Default => 6,
            Self::Best => 9,
        }
    }
}

/// A writer of raw deflate. Takes about 400 KiB.
///
/// ```
/// use deltaglider_deflate::{GnuDeflater, GnuLevel};
///
/// let mut deflater = GnuDeflater::new(Vec::new(), GnuLevel::Best);
/// deflater.write(b"a")?;
/// assert_eq!(deflater.finish()?, [0x4b, 0x04, 0x00]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct GnuDeflater<W> {
    to: W,
    engine: Engine,
}

impl<W: Write> GnuDeflater<W> {
    /// Creates a writer to `to`.
    pub fn new(to: W, level: GnuLevel) -> Self {
        Self { to, engine: Engine::new(level) }
    }

    /// Compresses input.
    ///
    /// # Errors
    ///
    /// Fails if the destination does.
    pub fn write(&mut self, mut input: &[u8]) -> io::Result<()> {
        while !input.is_empty() {
            let taken = self.engine.take(input);
            input = input.get(taken..).unwrap_or_default();
            self.to.write_all(&self.engine.bits.take())?;
        }
        Ok(())
    }

    /// Ends the stream and returns the destination.
    ///
    /// # Errors
    ///
    /// Fails if the destination does.
    pub fn finish(mut self) -> io::Result<W> {
        self.engine.end();
        self.to.write_all(&self.engine.bits.take())?;
        Ok(self.to)
    }
}

/// The work of a [`GnuDeflater`], whatever it writes to.
#[derive(Debug)]
struct Engine {
    effort: Level,
    cut: Cut,
    bits: BitWriter,
    tokens: Vec<Token>,
    progress: Progress,
    window: Box<[u8]>,
    /// The last position of each hash; 0 means none, so position 0 is never found.
    heads: Box<[u16]>,
    /// The previous position of the same hash, for each position.
    earlier: Box<[u16]>,
    /// The end of the input in the window.
    end: usize,
    /// The next byte to process.
    at: usize,
    /// The start of the block; `None` once that has left the window.
    block_start: Option<usize>,
    /// The number of bytes of the block that have left the window.
    block_gone: usize,
    /// The length of the match at the byte before `at`.
    length: usize,
    /// The position of that match; wraps if it has just left the window.
    start: usize,
    /// If `true`, the byte before `at` is not yet written, neither as a literal nor in a match.
    pending: bool,
}

impl Engine {
    fn new(level: GnuLevel) -> Self {
        let cut = Cut { tokens: 0x7fff, early: true };
        Self {
            effort: Level::of(level.number()),
            cut,
            bits: BitWriter::default(),
            tokens: Vec::new(),
            progress: Progress::default(),
            window: vec![0; WINDOW].into(),
            heads: vec![0; 1 << HASH_BITS].into(),
            earlier: vec![0; HALF].into(),
            end: 0,
            at: 0,
            block_start: Some(0),
            block_gone: 0,
            length: SHORTEST - 1,
            start: 0,
            pending: false,
        }
    }

    /// Compresses the beginning of `input` and returns its length, which is 0 only if `input` is
    /// empty.
    fn take(&mut self, input: &[u8]) -> usize {
        let taken = input.len().min(WINDOW - self.end);
        self.window[self.end..self.end + taken].copy_from_slice(&input[..taken]);
        self.end += taken;
        if self.end == WINDOW {
            self.run(AHEAD);
            self.slide();
        }
        taken
    }

    /// Ends the stream.
    fn end(&mut self) {
        self.run(AHEAD);
        if self.at >= HALF + REACH {
            self.slide();
        }
        // The last hashes read these bytes after the end. Matches there read on into earlier bytes
        // of the window.
        self.window[self.end..self.end + SHORTEST - 1].fill(0);
        self.run(1);
        if self.pending {
            self.add(Token::literal(self.window[self.at - 1]));
        }
        self.end_block(true);
    }

    /// Processes the input while at least `ahead` bytes are left.
    fn run(&mut self, ahead: usize) {
        while self.end - self.at >= ahead {
            self.step();
        }
    }

    fn step(&mut self) {
        let candidate = self.insert(self.at);
        let (before, before_start) = (self.length, self.start);
        self.length = SHORTEST - 1;
        let in_reach = candidate != 0 && self.at - candidate <= REACH && self.at <= WINDOW - AHEAD;
        if in_reach && before < self.effort.lazy {
            self.search(candidate, before);
        }
        if before >= SHORTEST && self.length <= before {
            let distance = (self.at - 1).wrapping_sub(before_start);
            let ends = self.add(Token::reuse(before, distance));
            for _ in 0..before - 2 {
                self.at += 1;
                self.insert(self.at);
            }
            self.pending = false;
            self.length = SHORTEST - 1;
            self.at += 1;
            if ends {
                self.end_block(false);
            }
        } else {
            if self.pending && self.add(Token::literal(self.window[self.at - 1])) {
                self.end_block(false);
            }
            self.pending = true;
            self.at += 1;
        }
    }

    /// Enters `at` in the hash table and returns the last position of the same hash.
    fn insert(&mut self, at: usize) -> usize {
        let [a, b, c] = [0, 1, 2].map(|n| usize::from(self.window[at + n]));
        let hash = ((a << 10) ^ (b << 5) ^ c) & ((1 << HASH_BITS) - 1);
        let found = self.heads[hash];
        self.earlier[at % HALF] = found;
        self.heads[hash] = at as u16;
        usize::from(found)
    }

    /// Finds the longest match of more than `best` bytes, going back from `candidate`.
    fn search(&mut self, mut candidate: usize, mut best: usize) {
        let mut tries =
            if best >= self.effort.good { self.effort.chain / 4 } else { self.effort.chain };
        let limit = self.at.saturating_sub(REACH);
        let here = &self.window[self.at..self.at + LONGEST];
        loop {
            let there = &self.window[candidate..candidate + LONGEST];
            if there[best] == here[best]
                && there[best - 1] == here[best - 1]
                && there[..2] == here[..2]
            {
                let length = here.iter().zip(there).take_while(|(a, b)| a == b).count();
                if length > best {
                    self.start = candidate;
                    best = length;
                    if length >= self.effort.nice {
                        break;
                    }
                }
            }
            candidate = usize::from(self.earlier[candidate % HALF]);
            tries -= 1;
            if candidate <= limit || tries == 0 {
                break;
            }
        }
        self.length = best.min(self.end - self.at);
        if self.length == SHORTEST && self.at.wrapping_sub(self.start) > FAR {
            self.length -= 1;
        }
    }

    /// Adds a token to the block; returns whether the block ends here.
    fn add(&mut self, token: Token) -> bool {
        self.tokens.push(token);
        self.progress.add(token);
        self.cut.ends(&self.progress, self.covered())
    }

    fn covered(&self) -> usize {
        self.block_gone + self.at - self.block_start.unwrap_or(0)
    }

    fn end_block(&mut self, last: bool) {
        let raw = self.block_start.map(|start| &self.window[start..self.at]);
        // A block whose text has left the window cannot be stored.
        let text = raw.map_or(usize::MAX / 2, <[u8]>::len);
        let kind = plan::zlib(&Counts::of(&self.tokens), text);
        block::write(&mut self.bits, last, &kind, &self.tokens, raw.unwrap_or_default());
        self.tokens.clear();
        self.progress = Progress::default();
        self.block_start = Some(self.at);
        self.block_gone = 0;
        if last {
            self.bits.align(0);
        }
    }

    /// Discards the older half of the window.
    fn slide(&mut self) {
        self.window.copy_within(HALF.., 0);
        self.end -= HALF;
        self.at -= HALF;
        self.start = self.start.wrapping_sub(HALF);
        match self.block_start {
            Some(start) if start >= HALF => self.block_start = Some(start - HALF),
            Some(start) => {
                self.block_gone = HALF - start;
                self.block_start = None;
            }
            None => self.block_gone += HALF,
        }
        for position in self.heads.iter_mut().chain(self.earlier.iter_mut()) {
            *position = position.saturating_sub(HALF as u16);
        }
    }
}
