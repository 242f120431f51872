//! Naive twins of the rules: whole texts compressed in the plainest way, position by position, with
//! every earlier position of a hash in a list. They know nothing of segments and flushes.

use std::collections::HashMap;

use deltaglider_deflate::{Family, Rule, Token};

/// Returns the tokens that a rule makes of a text.
pub fn tokens(rule: Rule, text: &[u8]) -> Vec<Token> {
    match (rule.family(), rule.level()) {
        (Family::Go, _) => Go::new(rule.level(), text).run(),
        (Family::Libdeflate, _) => super::naive_libdeflate::tokens(rule.level(), text),
        (Family::ZlibNg, 5..=6) => Zlib::new(rule, text).medium(),
        (Family::Miniz, _) => super::naive_miniz::tokens(rule.level(), text),
        (_, 1..=3) => Zlib::new(rule, text).greedy(),
        _ => Zlib::new(rule, text).lazy(),
    }
}

/// Returns how many bytes are equal at two positions, at most 258.
pub fn common(text: &[u8], a: usize, b: usize) -> usize {
    text[b..].iter().zip(&text[a..]).take(258).take_while(|(x, y)| x == y).count()
}

pub fn four(text: &[u8], at: usize) -> u32 {
    (0..4).map(|n| u32::from(*text.get(at + n).unwrap_or(&0)) << (8 * n)).sum()
}

/// A row of zlib's table: good, lazy, nice, chain.
fn row(level: u8) -> [usize; 4] {
    [
        [4, 4, 8, 4],
        [4, 5, 16, 8],
        [4, 6, 32, 32],
        [4, 4, 16, 16],
        [8, 16, 32, 32],
        [8, 16, 128, 128],
        [8, 32, 128, 256],
        [32, 128, 258, 1024],
        [32, 258, 258, 4096],
    ][usize::from(level) - 1]
}

struct Zlib<'a> {
    text: &'a [u8],
    rule: Rule,
    positions: HashMap<u32, Vec<usize>>,
    tokens: Vec<Token>,
}

impl<'a> Zlib<'a> {
    fn new(rule: Rule, text: &'a [u8]) -> Self {
        Self { text, rule, positions: HashMap::new(), tokens: Vec::new() }
    }

    fn hash(&self, at: usize) -> u32 {
        let bits = u32::from(self.rule.memory()) + 7;
        let four = four(self.text, at);
        let (hash, bits) = match self.rule.family() {
            Family::Chromium => (four.wrapping_mul(66521).wrapping_add(66521) >> 16, bits.max(15)),
            Family::ChromiumCrc => {
                let bytes = if self.rule.level() < 6 { four } else { four & 0xff_ffff };
                (castagnoli(bytes), bits.max(15))
            }
            Family::ZlibNg => (four.wrapping_mul(2_654_435_761) >> 16, 16),
            _ => {
                let shift = bits.div_ceil(3);
                let rolled = (0..3).fold(0, |hash, n| hash << shift ^ (four >> (8 * n) & 0xff));
                (rolled, bits)
            }
        };
        hash & ((1 << bits) - 1)
    }

    /// Enters a position and returns those of the same hash before it, the nearest first.
    fn enter(&mut self, at: usize) -> Vec<usize> {
        if at + 3 > self.text.len() {
            return Vec::new();
        }
        let list = self.positions.entry(self.hash(at)).or_default();
        let before = list.iter().rev().copied().collect();
        list.push(at);
        before
    }

    /// Returns the length and distance of the best match of more than `best` bytes.
    fn search(&self, at: usize, before: &[usize], best: usize, chain: usize) -> (usize, usize) {
        let [_, _, nice, _] = row(self.rule.level());
        let nice = nice.min(self.text.len() - at);
        let (mut best, mut distance) = (best, 0);
        for (n, &candidate) in before.iter().take(chain).enumerate() {
            let reach = if n == 0 { 32506 } else { 32505 };
            if candidate == 0 || at - candidate > reach {
                break;
            }
            let length = common(self.text, candidate, at);
            if length > best {
                (best, distance) = (length, at - candidate);
                if length >= nice {
                    break;
                }
            }
        }
        (best, distance)
    }

    /// Returns the match at a position of zlib-ng's medium strategy.
    fn match_of_four(&mut self, at: usize) -> Option<(usize, usize)> {
        let before = if at + 4 > self.text.len() { Vec::new() } else { self.enter(at) };
        let [_, _, _, chain] = row(self.rule.level());
        Some(self.search(at, &before, 2, chain)).filter(|found| found.0 >= 4)
    }

    /// zlib-ng's medium strategy: the next match is known before the current one is written, and
    /// takes its bytes if it can have all of them but one.
    fn medium(mut self) -> Vec<Token> {
        let (mut at, mut next) = (0, None);
        // The first position that is not entered yet.
        let mut entered = 0;
        while at < self.text.len() {
            let current = match next.take() {
                Some(found) => Some(found),
                None => self.match_of_four(at),
            };
            entered = entered.max(at + 1);
            let Some((length, distance)) = current else {
                self.tokens.push(Token::literal(self.text[at]));
                at += 1;
                continue;
            };
            let end = at + length;
            if length > 256 {
                entered = entered.max(end - 1);
            }
            for inside in entered..end {
                self.enter(inside);
            }
            entered = entered.max(end);
            let window_end = ((at + 262).div_ceil(32768) * 32768).max(65536);
            let ahead = window_end.min(self.text.len()) - at;
            if ahead > 262 && end < window_end - 262 {
                let found = self.match_of_four(end);
                entered = entered.max(end + 1);
                if let Some((next_length, next_distance)) = found {
                    let mut moved = 0;
                    let source = end - next_distance;
                    let start = window_end - 65536;
                    while moved < length
                        && next_length + moved < 256
                        && source - moved > start + 1
                        && self.text[source - moved - 1] == self.text[end - moved - 1]
                    {
                        moved += 1;
                    }
                    if moved + 1 >= length && length <= 1 + source - start {
                        if moved < length {
                            self.tokens.push(Token::literal(self.text[at]));
                        }
                        next = Some((next_length + moved, next_distance));
                        at = end - moved;
                        continue;
                    }
                }
                // The position is entered, so its match is not searched again.
                self.tokens.push(Token::reuse(length, distance));
                at = end;
                next = found;
                if found.is_none() && at < self.text.len() {
                    self.tokens.push(Token::literal(self.text[at]));
                    at += 1;
                }
                continue;
            }
            self.tokens.push(Token::reuse(length, distance));
            at = end;
        }
        self.tokens
    }

    fn greedy(mut self) -> Vec<Token> {
        let [_, most, _, chain] = row(self.rule.level());
        let mut at = 0;
        while at < self.text.len() {
            let before = self.enter(at);
            let (length, distance) = self.search(at, &before, 2, chain);
            if length < 3 {
                self.tokens.push(Token::literal(self.text[at]));
                at += 1;
                continue;
            }
            self.tokens.push(Token::reuse(length, distance));
            if length <= most && self.text.len() - at - length >= 3 {
                for inside in at + 1..at + length {
                    self.enter(inside);
                }
            }
            at += length;
        }
        self.tokens
    }

    fn lazy(mut self) -> Vec<Token> {
        let [good, lazy, _, chain] = row(self.rule.level());
        // The match at the position before, and whether that position is still to be written.
        let (mut before, mut pending) = ((2, 0), false);
        let mut at = 0;
        while at < self.text.len() {
            let earlier = self.enter(at);
            let mut here = (2, 0);
            if before.0 < lazy {
                let chain = if before.0 >= good { chain / 4 } else { chain };
                here = self.search(at, &earlier, before.0, chain);
                if here.0 == 3 && here.1 > 4096 && self.rule.family() != Family::ZlibNg {
                    here.0 = 2;
                }
            }
            if before.0 >= 3 && here.0 <= before.0 {
                self.tokens.push(Token::reuse(before.0, before.1));
                let end = at - 1 + before.0;
                for inside in at + 1..end {
                    self.enter(inside);
                }
                (at, before, pending) = (end, (2, 0), false);
                continue;
            }
            if pending {
                self.tokens.push(Token::literal(self.text[at - 1]));
            }
            (at, before, pending) = (at + 1, here, true);
        }
        if pending {
            self.tokens.push(Token::literal(self.text[at - 1]));
        }
        self.tokens
    }
}

fn castagnoli(bytes: u32) -> u32 {
    (0..32).fold(bytes, |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
}

struct Go<'a> {
    text: &'a [u8],
    level: u8,
    positions: HashMap<u32, Vec<usize>>,
}

impl<'a> Go<'a> {
    fn new(level: u8, text: &'a [u8]) -> Self {
        Self { text, level, positions: HashMap::new() }
    }

    fn enter(&mut self, at: usize) -> Vec<usize> {
        if at + 4 > self.text.len() {
            return Vec::new();
        }
        let hash = four(self.text, at).swap_bytes().wrapping_mul(0x1e35_a7bd) >> 15;
        let list = self.positions.entry(hash).or_default();
        let before = list.iter().rev().copied().collect();
        list.push(at);
        before
    }

    fn search(&mut self, at: usize) -> (usize, usize) {
        let [_, _, nice, chain] = row(self.level);
        let nice = nice.min(self.text.len() - at);
        let before = self.enter(at);
        // The window moves on, 261 bytes before the end of each 32 KiB.
        let phase = at % 32768;
        let first = if phase >= 32507 { at - phase } else { at.saturating_sub(32768) };
        let mut best = (3, 0);
        for &candidate in before.iter().take(chain).take_while(|&&candidate| candidate >= first) {
            let (length, distance) = (common(self.text, candidate, at), at - candidate);
            if length > best.0 && (length > 4 || distance <= 4096) {
                best = (length, distance);
                if length >= nice {
                    break;
                }
            }
        }
        best
    }

    fn run(mut self) -> Vec<Token> {
        let [_, lazy, _, _] = row(self.level);
        let is_lazy = self.level > 3;
        let (mut at, mut tokens) = (0, Vec::new());
        let mut known = None;
        while at < self.text.len() {
            let here = known.take().unwrap_or_else(|| self.search(at));
            let literal = Token::literal(self.text[at]);
            if here.0 < 4 {
                tokens.push(literal);
                at += 1;
                continue;
            }
            let mut entered = at + 1;
            if is_lazy && here.0 < lazy && self.text.len() - at - 1 > here.0 {
                let next = self.search(at + 1);
                entered += 1;
                if next.0 > here.0 {
                    tokens.push(literal);
                    known = Some(next);
                    at += 1;
                    continue;
                }
            }
            tokens.push(Token::reuse(here.0, here.1));
            if is_lazy || here.0 <= usize::from(self.level) + 3 {
                for inside in entered..at + here.0 {
                    self.enter(inside);
                }
            }
            at += here.0;
        }
        tokens
    }
}
