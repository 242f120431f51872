//! Sources and targets of the kinds that have broken encoders: runs next to runs, few letters, moved blocks.

use super::random::Random;

const WORDS: [&str; 24] = [
    "window",
    "source",
    "target",
    "delta",
    "a",
    "the",
    "instruction",
    "address",
    "copy",
    "add",
    "run",
    "\n",
    ", ",
    "of",
    "checksum",
    "cache",
    "near",
    "same",
    "{",
    "}",
    "    ",
    "return",
    "0",
    "1234567890",
];

/// `len` bytes of a kind the generator chooses.
pub fn bytes(random: &mut Random, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 64);
    let kind = random.below(8);
    while out.len() < len {
        match kind {
            0 => out.extend_from_slice(&random.next().to_le_bytes()),
            1 => out.push(b"acgt"[random.below(4)]),
            2 => {
                let byte = random.below(3) as u8;
                let run = random.length(300);
                out.extend(std::iter::repeat_n(byte, run + 1));
            }
            3 => {
                out.extend_from_slice(random.pick(&WORDS).as_bytes());
                out.push(b' ');
            }
            4 => self_similar(random, &mut out),
            5 => out.push(0),
            6 => {
                let line = format!("{:>8} {} = {}\n", out.len() / 40, random.pick(&WORDS), random.below(1000));
                out.extend_from_slice(line.as_bytes());
            }
            _ => {
                // A bit of everything, so that kinds meet.
                let piece = random.length(5000);
                let piece = bytes(random, piece + 1);
                out.extend_from_slice(&piece);
            }
        }
    }
    out.truncate(len);
    out
}

fn self_similar(random: &mut Random, out: &mut Vec<u8>) {
    if out.len() < 16 || random.once_in(20) {
        out.extend_from_slice(&random.next().to_le_bytes());
        return;
    }
    let from = random.below(out.len());
    let len = random.length(out.len() - from);
    let piece = out[from..from + len].to_vec();
    out.extend_from_slice(&piece);
    if random.once_in(3) {
        out.push(random.next() as u8);
    }
}

/// A later version of `old`.
pub fn edited(random: &mut Random, old: &[u8]) -> Vec<u8> {
    let mut new = old.to_vec();
    let edits = random.length(200);
    for _ in 0..edits {
        let at = random.below(new.len() + 1);
        let len = random.length(new.len() - at);
        match random.below(6) {
            0 | 1 => {
                if let Some(byte) = new.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            2 => {
                let len = random.length(100);
                let piece = bytes(random, len);
                new.splice(at..at, piece);
            }
            3 => {
                new.drain(at..at + len.min(500));
            }
            4 => {
                let piece: Vec<u8> = new.drain(at..at + len).collect();
                let to = random.below(new.len() + 1);
                new.splice(to..to, piece);
            }
            _ => {
                let len = len.min(50);
                let byte = random.next() as u8;
                new[at..at + len].fill(byte);
            }
        }
    }
    new
}
