//! The naive twin of miniz's rules.

use std::collections::HashMap;

use deltaglider_deflate::Token;

use super::naive::{common, four};

/// Returns the positions before each position that share its hash, the nearest first.
fn chains(text: &[u8]) -> Vec<Vec<usize>> {
    let mut of_hash: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut before = Vec::new();
    for at in 0..text.len() {
        let bytes = four(text, at);
        let hash = (bytes & 0xff) << 10 ^ (bytes >> 8 & 0xff) << 5 ^ (bytes >> 16 & 0xff);
        let list = of_hash.entry(hash & 0x7fff).or_default();
        before.push(list.iter().rev().take(3000).copied().collect());
        list.push(at);
    }
    before
}

struct Twin<'a> {
    text: &'a [u8],
    before: Vec<Vec<usize>>,
    probes: usize,
}

impl Twin<'_> {
    /// Returns the length and distance of the longest match of more than `best` bytes.
    fn search(&self, at: usize, best: usize) -> Option<(usize, usize)> {
        let ahead = (self.text.len() - at).min(258);
        let (mut length, mut distance) = (best, 0);
        let all = if best < 32 { self.probes } else { self.probes / 4 };
        let (mut probes, mut in_probe) = (all.div_ceil(3), 0);
        let within = |&&n: &&usize| n != 0 && n % 65536 != 0 && at - n <= 32768 - ahead;
        for &candidate in self.before[at].iter().take_while(within) {
            if ahead <= length || probes == 0 {
                break;
            }
            in_probe += 1;
            let end = |from: usize| self.text.get(from + length - 1..from + length + 1);
            let alike = end(candidate) == end(at);
            if alike || in_probe == 3 {
                (probes, in_probe) = (probes - 1, 0);
            }
            let found = common(self.text, candidate, at);
            if alike && found > length {
                (length, distance) = (found, at - candidate);
            }
        }
        let far = length == 3 && distance >= 8192;
        let at_start = at % 32768 == distance;
        (distance != 0 && !far && !at_start).then_some((length, distance))
    }
}

/// Returns the tokens of a text.
pub fn tokens(level: u8, text: &[u8]) -> Vec<Token> {
    let probes = [6, 32, 16, 32, 128, 256, 512, 768][usize::from(level) - 2];
    let twin = Twin { text, before: chains(text), probes };
    let (mut at, mut tokens) = (0, Vec::new());
    let mut saved: Option<(usize, usize)> = None;
    while at < text.len() {
        let found = twin.search(at, saved.map_or(2, |(length, _)| length));
        let found = found.filter(|found| saved.is_none_or(|saved| found.0 > saved.0));
        match (saved.take(), found) {
            (Some((length, distance)), None) => {
                tokens.push(Token::reuse(length, distance));
                at += length - 1;
                continue;
            }
            (Some(_), Some(_)) => tokens.push(Token::literal(text[at - 1])),
            (None, None) => tokens.push(Token::literal(text[at])),
            (None, Some(_)) => {}
        }
        match found {
            Some((length, distance)) if level <= 3 || length >= 128 => {
                tokens.push(Token::reuse(length, distance));
                at += length;
            }
            found => {
                saved = found;
                at += 1;
            }
        }
    }
    if let Some((length, distance)) = saved {
        tokens.push(Token::reuse(length, distance));
    }
    tokens
}
