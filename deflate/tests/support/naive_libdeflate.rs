//! The naive twin of libdeflate's rules.

use std::collections::HashMap;

use deltaglider_deflate::Token;

use super::naive::{common, four};

/// The constants of a level: candidates, nice length, bytes to look ahead.
fn constants(level: u8) -> (usize, usize, usize) {
    match level {
        1 => (2, 32, 0),
        2 => (6, 10, 0),
        3 => (12, 14, 0),
        4 => (16, 30, 0),
        5 => (16, 30, 1),
        6 => (35, 65, 1),
        7 => (100, 130, 1),
        8 => (300, 258, 2),
        _ => (600, 258, 2),
    }
}

fn hash(bytes: u32, bits: u32) -> u32 {
    bytes.wrapping_mul(0x1e35_a7bd) >> (32 - bits)
}

/// A text with all positions of each hash of four bytes and of three.
struct Text<'a> {
    bytes: &'a [u8],
    level: u8,
    fours: HashMap<u32, Vec<usize>>,
    threes: HashMap<u32, Vec<usize>>,
}

impl<'a> Text<'a> {
    fn new(level: u8, bytes: &'a [u8]) -> Self {
        let mut text = Self { bytes, level, fours: HashMap::new(), threes: HashMap::new() };
        // Position 0 is entered under no hash.
        for at in 1..bytes.len() {
            text.fours.entry(text.hash_four(at)).or_default().push(at);
            text.threes.entry(hash(text.three(at), 15)).or_default().push(at);
        }
        text
    }

    fn three(&self, at: usize) -> u32 {
        four(self.bytes, at) & 0xff_ffff
    }

    fn hash_four(&self, at: usize) -> u32 {
        hash(four(self.bytes, at), if self.level == 1 { 15 } else { 16 })
    }

    /// Returns the best match of more than `best` bytes.
    fn search(&self, at: usize, best: usize, depth: usize) -> Option<(usize, usize)> {
        let (_, nice, _) = constants(self.level);
        if self.bytes.len() - at < 5 {
            return None;
        }
        let nice = nice.min(self.bytes.len() - at);
        let near = |&n: &usize| at - n < 32768;
        let mut found = None;
        let mut best = best;
        if self.level > 1 && best < 4 {
            let list = self.threes.get(&hash(self.three(at), 15))?;
            let same = list.iter().rev().copied().find(|&n| n < at).filter(near)?;
            if best < 3 && self.three(same) == self.three(at) {
                found = Some((3, at - same));
            }
        }
        if best >= 4 && best >= nice {
            return None;
        }
        best = best.max(3);
        let chain = self.fours.get(&self.hash_four(at)).into_iter().flatten().rev().copied();
        for candidate in chain.filter(|&n| n < at).take_while(near).take(depth) {
            let length = common(self.bytes, candidate, at);
            if length > best {
                best = length;
                found = Some((length, at - candidate));
                if length >= nice {
                    break;
                }
            }
        }
        found
    }
}

/// Returns the minimum length of a match for a number of different literals.
fn min_length(different: usize, depth: usize) -> usize {
    let lengths = [(6, 9), (8, 8), (10, 7), (16, 6), (45, 5), (80, 4), (257, 3)];
    let (_, length) = *lengths.iter().find(|(end, _)| different < *end).unwrap_or(&(0, 3));
    let most = [(5, 4), (10, 5), (16, 7)].into_iter().find(|(end, _)| depth < *end);
    length.min(most.map_or(9, |(_, most)| most))
}

/// Counts of tokens by kind, for the end of a block.
#[derive(Default)]
struct Kinds {
    old: [u64; 10],
    new: [u64; 10],
}

impl Kinds {
    fn ends(&mut self, text: u64, left: u64) -> bool {
        let (old, new): (u64, u64) = (self.old.iter().sum(), self.new.iter().sum());
        if new < 512 || text < 5000 || left < 5000 {
            return false;
        }
        let pairs = self.old.iter().zip(&self.new);
        let difference: u64 = pairs.map(|(a, b)| (a * new).abs_diff(b * old)).sum();
        let mut cutoff = new * 200 / 512 * old;
        if text < 10_000 && old + new < 8192 {
            cutoff += cutoff * (8192 - old - new) / 8192;
        }
        if old > 0 && difference + text / 4096 * old >= cutoff {
            return true;
        }
        for (old, new) in self.old.iter_mut().zip(&mut self.new) {
            *old += std::mem::take(new);
        }
        false
    }
}

/// Returns the tokens of a text.
pub fn tokens(level: u8, text: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    let text = Text::new(level, text);
    while at < text.bytes.len() {
        at = block(&text, at, &mut tokens);
    }
    tokens
}

/// Adds the tokens of a block and returns its end.
fn block(whole: &Text<'_>, start: usize, tokens: &mut Vec<Token>) -> usize {
    let (level, text) = (whole.level, whole.bytes);
    let (depth, nice, look) = constants(level);
    let (soft, most) = if level == 1 { (65_535, 8192) } else { (300_000, 50_000) };
    let left = text.len() - start;
    let end = if left < soft + 5000 { text.len() } else { start + soft };
    let mut used = text[start..end.min(start + 4096)].to_vec();
    used.sort_unstable();
    used.dedup();
    let mut min = if level == 1 { 4 } else { min_length(used.len(), depth) };
    let mut recalculate = start + left.min(10_000);
    let (mut kinds, mut literals, mut matches) = (Kinds::default(), [0u32; 256], 0);
    let mut at = start;
    loop {
        if look > 0 && at >= recalculate {
            let rare = literals.iter().sum::<u32>() >> 10;
            min = min_length(literals.iter().filter(|&&count| count > rare).count(), depth);
            recalculate += (text.len() - recalculate).min(at - start);
        }
        let far = if look > 0 { 8192 } else { 4096 };
        let first = whole.search(at, min - 1, depth);
        let first = first.filter(|&(length, distance)| length > 3 || distance <= far);
        let (skipped, chosen) = match first {
            None => (1, None),
            Some(found) => improve(whole, at, found, (depth, nice, look)),
        };
        for &byte in &text[at..at + skipped] {
            tokens.push(Token::literal(byte));
            literals[usize::from(byte)] += 1;
            kinds.new[usize::from(byte >> 5 & 6 | byte & 1)] += 1;
        }
        at += skipped;
        if let Some((length, distance)) = chosen {
            tokens.push(Token::reuse(length, distance));
            kinds.new[if length >= 9 { 9 } else { 8 }] += 1;
            matches += 1;
            at += length;
        }
        let full = at >= end || matches == most;
        if full || level > 1 && kinds.ends((at - start) as u64, (text.len() - at) as u64) {
            return at;
        }
    }
}

/// Returns the match chosen in the end, and the number of literals before it.
fn improve(
    text: &Text<'_>,
    at: usize,
    mut found: (usize, usize),
    (depth, nice, look): (usize, usize, usize),
) -> (usize, Option<(usize, usize)>) {
    let mut skipped = 0;
    'better: loop {
        let here = at + skipped;
        if found.0 < nice.min(text.bytes.len() - here) {
            for after in 1..=look {
                let Some(next) = text.search(here + after, found.0 - 1, depth >> after) else {
                    continue;
                };
                let gain = 4 * (next.0 as i64 - found.0 as i64) + i64::from(found.1.ilog2())
                    - i64::from(next.1.ilog2());
                if next.0 >= found.0 && gain > [2, 6][after - 1] {
                    (found, skipped) = (next, skipped + after);
                    continue 'better;
                }
            }
        }
        return (skipped, Some(found));
    }
}
