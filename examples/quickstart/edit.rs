//! Edits of one file between releases: a text is revised, a binary is rebuilt.

use std::ops::Range;

use super::random::Random;

/// Applies one to six edits: changed lines, new blocks in the style of the file, removed lines.
pub(crate) fn work_on_text(content: &[u8], random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> =
        content.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..random.between(1, 6) {
        let at = random.below(lines.len());
        match random.below(5) {
            0 | 1 => {
                let changed = reworded(&lines, at, random);
                lines.splice(at..(at + 1).min(lines.len()), changed);
            }
            2 | 3 => {
                let from = random.below(lines.len());
                let block = from..(from + random.between(4, 24)).min(lines.len());
                let written: Vec<_> =
                    block.filter_map(|line| reworded(&lines, line, random)).collect();
                lines.splice(at..at, written);
            }
            _ => {
                let end = (at + random.between(1, 10)).min(lines.len());
                lines.drain(at..end);
            }
        }
    }
    lines.concat()
}

/// Returns a line with one of its words replaced by one from elsewhere in the file and a number.
fn reworded(lines: &[Vec<u8>], at: usize, random: &mut Random) -> Option<Vec<u8>> {
    let mut line = lines.get(at)?.clone();
    let Some(word) = random.choose(&words(&line)).cloned() else { return Some(line) };
    let elsewhere = random.choose(lines)?;
    let mut other = random
        .choose(&words(elsewhere))
        .map_or(&b"value"[..], |word| &elsewhere[word.clone()])
        .to_vec();
    other.extend(random.below(100).to_string().bytes());
    line.splice(word, other);
    Some(line)
}

fn words(line: &[u8]) -> Vec<Range<usize>> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut words = Vec::new();
    let mut at = 0;
    for run in line.chunk_by(|a, b| is_word(a) == is_word(b)) {
        if run.first().is_some_and(is_word) {
            words.push(at..at + run.len());
        }
        at += run.len();
    }
    words
}

/// Imitates a compiler after a function was added: new code at one place, and changed addresses
/// every few KiB after it.
pub(crate) fn rebuild_binary(content: &[u8], random: &mut Random) -> Vec<u8> {
    let at = random.below(content.len()) & !15;
    let from = random.below(content.len());
    let like =
        content.get(from..(from + random.between(64, 2048)).min(content.len())).unwrap_or_default();
    let mut code = like.to_vec();
    for instruction in code.chunks_mut(8) {
        let [first, second] = random.bytes();
        instruction[0] = first;
        let last = instruction.len() - 1;
        instruction[last] = second;
    }
    let mut built = content.to_vec();
    let mut address = at + code.len();
    built.splice(at..at, code);
    loop {
        address += random.between(512, 8192);
        let Some(word) = built.get_mut(address..address + 4) else { break built };
        word.copy_from_slice(&random.bytes::<4>());
    }
}
