//! Finds the method that a stream was compressed with.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::block::{Block, BlockKind};
use crate::corrections::{Corrections, Method, corrections};
use crate::rules::{Family, Rule, Span};
use crate::segment::Segment;

/// The number of tokens that each round looks at, and the number of methods left after it.
const ROUNDS: [(usize, usize); 3] = [(3_000, 8), (20_000, 3), (usize::MAX, 1)];
/// The block length of pigz.
const PIGZ_BLOCK: u64 = 1 << 17;

/// Returns the method with the fewest corrections for a segment, and these. `likely` are methods to
/// try first, such as the one of the entry before: one that needs no correction is taken at once.
pub fn detect(segment: &Segment, likely: &[Method]) -> Option<(Method, Corrections)> {
    for &method in likely {
        let made = corrections(method, segment);
        if made.is_empty() {
            return Some((method, made));
        }
    }
    let flush_every = regular_flush(segment);
    let mut methods: Vec<Method> = candidates(segment)
        .into_iter()
        .map(|rule| Method { rule, flush_every })
        .chain(likely.iter().copied())
        .collect();
    let mut best = None;
    for (tokens, left) in ROUNDS {
        let start = prefix(segment, tokens);
        let mut scored: Vec<(usize, Method, Corrections)> = methods
            .iter()
            .map(|&method| (method, corrections(method, &start)))
            .map(|(method, made)| {
                (made.tokens.len().saturating_add(made.blocks.len()), method, made)
            })
            .collect();
        scored.sort_by_key(|&(len, ..)| len);
        scored.truncate(left);
        methods = scored.iter().map(|&(_, method, _)| method).collect();
        if start.blocks.len() == segment.blocks.len() || left == 1 {
            best = scored.into_iter().next().map(|(_, method, made)| (method, made));
            if start.end == segment.end {
                break;
            }
        }
    }
    best
}

/// Returns the rules that can have made such blocks, the most usual first.
fn candidates(segment: &Segment) -> Vec<Rule> {
    let most = segment.blocks.iter().map(|block| block.tokens.len()).max().unwrap_or(0);
    let not_last = segment.blocks.iter().rev().skip(usize::from(segment.last));
    let full = not_last.map(|block| block.tokens.len()).max().unwrap_or(0);
    let memory = (1..=9u8).find(|&memory| zlib_tokens(memory) == full);
    let memories = match memory {
        Some(memory) => vec![memory],
        None => (8..=9).filter(|&memory| most <= zlib_tokens(memory)).collect(),
    };
    let mut rules = Vec::new();
    for level in [6, 9, 1, 5, 8, 7, 4, 3, 2] {
        for &memory in &memories {
            rules.extend(Rule::new(Family::Zlib, level, memory));
            rules.extend(Rule::new(Family::Chromium, level, memory));
            rules.extend(Rule::new(Family::ChromiumCrc, level, memory));
        }
        rules.extend(Rule::new(Family::Gzip, level, 8));
        rules.extend(Rule::new(Family::Go, level, 8));
        rules.extend(Rule::new(Family::Libdeflate, level, 8));
        rules.extend(Rule::new(Family::Miniz, level, 8));
        rules.extend(Rule::new(Family::ZlibNg, level, 8));
    }
    rules
}

/// Returns the maximum number of tokens in a block of zlib's at a memory level.
fn zlib_tokens(memory: u8) -> usize {
    (64usize << (memory & 15)).saturating_sub(1)
}

/// Returns the number of bytes after which the stream is flushed each time; 0 if it is not.
fn regular_flush(segment: &Segment) -> u32 {
    let mut offset = segment.offset;
    let mut flushes = Vec::new();
    for block in &segment.blocks {
        if block.text_len == 0 && !block.last {
            flushes.push(offset);
        }
        offset = offset.saturating_add(block.text_len as u64);
    }
    flushes.dedup();
    let regular = |flush: &u64| flush.is_multiple_of(PIGZ_BLOCK);
    if !flushes.is_empty() && flushes.iter().all(regular) { PIGZ_BLOCK as u32 } else { 0 }
}

/// Returns the start of a segment with at most this many tokens.
fn prefix(segment: &Segment, tokens: usize) -> Segment {
    let mut left = tokens;
    let mut blocks: Vec<Block> = Vec::new();
    let mut end = segment.start;
    for block in &segment.blocks {
        let stored = matches!(block.kind, BlockKind::Stored { .. });
        let weight = if stored { block.text_len } else { block.tokens.len() };
        if left == 0 {
            break;
        }
        let mut block = block.clone();
        if weight > left && !stored {
            block.tokens.truncate(left);
            block.text_len = block.tokens.iter().map(|token| token.length()).sum();
            // The header of a block that is cut is not worth comparing.
            block.kind = BlockKind::Fixed;
        }
        left = left.saturating_sub(weight);
        end = end.saturating_add(block.text_len);
        blocks.push(block);
    }
    let whole = end == segment.end && blocks.len() == segment.blocks.len();
    let bytes = segment.bytes.get(..segment.bytes.len().min(end.saturating_add(Span::AHEAD)));
    Segment {
        bytes: bytes.unwrap_or_default().to_vec(),
        end,
        rest: segment.end.saturating_sub(end).saturating_add(segment.rest).min(Span::REST),
        blocks,
        last: segment.last && whole,
        ..segment.clone_frame()
    }
}
