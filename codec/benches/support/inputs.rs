//! Generated contents; equal seeds give equal bytes.

use super::random::Random;

/// Returns bytes without a pattern.
pub fn noise(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(len).collect()
}

/// Returns code-like text of many short files one after the other.
pub fn text(random: &mut Random, len: usize) -> Vec<u8> {
    let words: Vec<String> = (0..4000)
        .map(|_| {
            (0..random.within(2, 10)).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
        })
        .collect();
    let mut text = String::with_capacity(len + 100);
    while text.len() < len {
        let rank = random.length(words.len() - 1);
        text.push_str(&words[rank]);
        let separator: &&str = random.pick(&[" ", " ", " ", ", ", "(", ") ", ";\n    ", "\n\n"]);
        text.push_str(separator);
    }
    text.truncate(len);
    text.into_bytes()
}

/// Returns `old` with up to 39 bytes replaced by up to 39 others at each of `edits` places.
pub fn with_edits(random: &mut Random, old: &[u8], edits: usize) -> Vec<u8> {
    let mut new = old.to_vec();
    for _ in 0..edits {
        let at = random.below(new.len() - 100);
        let end = at + random.below(40);
        let len = random.below(40);
        let piece = noise(random, len);
        new.splice(at..end, piece);
    }
    new
}

/// Returns `old` with up to 2999 new bytes after every 100,003.
pub fn with_insertions(random: &mut Random, old: &[u8]) -> Vec<u8> {
    let mut new = Vec::new();
    for block in old.chunks(100_003) {
        let len = random.below(3000);
        new.extend_from_slice(block);
        new.extend(noise(random, len));
    }
    new
}

/// Returns `len` bytes of pieces of 8 to 40 bytes, each from a random place of `old`.
pub fn pieces(random: &mut Random, old: &[u8], len: usize) -> Vec<u8> {
    let mut new = Vec::with_capacity(len + 40);
    while new.len() < len {
        let piece = random.within(8, 40);
        let at = random.below(old.len() - piece);
        new.extend_from_slice(&old[at..at + piece]);
    }
    new.truncate(len);
    new
}
