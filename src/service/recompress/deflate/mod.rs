//! Deflate that makes the same choices as GNU gzip 1.12 at levels 6 and 9, bit for bit.
//!
//! GNU gzip and zlib have one origin and find matches in the same way, so this follows zlib's
//! `deflate_slow` and `trees.c`. Two things differ, each tested by the goldens: where blocks end,
//! and that matches near the end of the input depend on the bytes after it in the window.

#[allow(clippy::disallowed_methods, reason = "lengths of a table and counts of a block")]
mod block;
#[allow(clippy::disallowed_methods, reason = "lengths of a table and counts of a block")]
mod huffman;

use std::io::{self, Write};

use block::{Bits, Block};

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

/// The effort of a match search: a row of zlib's table of levels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// The length of the previous match from which the search is cut to a quarter.
    good: usize,
    /// The length of the previous match from which no better one is searched.
    lazy: usize,
    /// The length of a match that ends the search.
    nice: usize,
    /// The maximum number of positions tried.
    chain: usize,
}

impl Effort {
    pub(super) const LEVEL_6: Self = Self { good: 8, lazy: 16, nice: 128, chain: 128 };
    pub(super) const LEVEL_9: Self = Self { good: 32, lazy: 258, nice: 258, chain: 4096 };
}

/// A writer of raw deflate. Takes about 400 KiB.
pub(super) struct Deflater<W> {
    to: W,
    effort: Effort,
    bits: Bits,
    block: Block,
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
    /// The byte before `at` is not yet written, neither as a literal nor in a match.
    pending: bool,
}

impl<W: Write> Deflater<W> {
    pub(super) fn new(to: W, effort: Effort) -> Self {
        Self {
            to,
            effort,
            bits: Bits::default(),
            block: Block::new(),
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

    pub(super) fn write(&mut self, mut input: &[u8]) -> io::Result<()> {
        while !input.is_empty() {
            let (taken, rest) = input.split_at(input.len().min(WINDOW - self.end));
            self.window[self.end..self.end + taken.len()].copy_from_slice(taken);
            self.end += taken.len();
            input = rest;
            if self.end == WINDOW {
                self.run(AHEAD)?;
                self.slide();
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.run(AHEAD)?;
        if self.at >= HALF + REACH {
            self.slide();
        }
        // The last hashes read these bytes after the end. Matches there read on into earlier bytes
        // of the window.
        self.window[self.end..self.end + SHORTEST - 1].fill(0);
        self.run(1)?;
        if self.pending {
            self.block.literal(self.window[self.at - 1], self.covered());
        }
        self.end_block(true)?;
        Ok(self.to)
    }

    /// Processes the input while at least `ahead` bytes are left.
    fn run(&mut self, ahead: usize) -> io::Result<()> {
        while self.end - self.at >= ahead {
            self.step()?;
        }
        Ok(())
    }

    fn step(&mut self) -> io::Result<()> {
        let candidate = self.insert(self.at);
        let (before, before_start) = (self.length, self.start);
        self.length = SHORTEST - 1;
        let in_reach = candidate != 0 && self.at - candidate <= REACH && self.at <= WINDOW - AHEAD;
        if in_reach && before < self.effort.lazy {
            self.search(candidate, before);
        }
        if before >= SHORTEST && self.length <= before {
            let ends =
                self.block.reuse((self.at - 1).wrapping_sub(before_start), before, self.covered());
            for _ in 0..before - 2 {
                self.at += 1;
                self.insert(self.at);
            }
            self.pending = false;
            self.length = SHORTEST - 1;
            self.at += 1;
            if ends {
                self.end_block(false)?;
            }
        } else {
            if self.pending && self.block.literal(self.window[self.at - 1], self.covered()) {
                self.end_block(false)?;
            }
            self.pending = true;
            self.at += 1;
        }
        Ok(())
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

    fn covered(&self) -> usize {
        self.block_gone + self.at - self.block_start.unwrap_or(0)
    }

    fn end_block(&mut self, last: bool) -> io::Result<()> {
        let covered = self.covered();
        let raw = self.block_start.map(|start| &self.window[start..self.at]);
        self.block.write(&mut self.bits, raw, covered, last);
        self.block_start = Some(self.at);
        self.block_gone = 0;
        if last {
            self.bits.align();
        }
        self.to.write_all(&self.bits.bytes)?;
        self.bits.bytes.clear();
        Ok(())
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
