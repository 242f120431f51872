//! Sources and targets of the kinds that have broken encoders: adjacent runs, few letters, moved
//! blocks.

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

/// Returns `len` bytes of a kind the generator chooses.
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
                let line = format!(
                    "{:>8} {} = {}\n",
                    out.len() / 40,
                    random.pick(&WORDS),
                    random.below(1000)
                );
                out.extend_from_slice(line.as_bytes());
            }
            _ => {
                // A bit of everything, so that kinds are adjacent.
                let piece = random.length(5000);
                let piece = bytes(random, piece + 1);
                out.extend_from_slice(&piece);
            }
        }
    }
    out.truncate(len);
    out
}

/// Returns `len` bytes whose frequencies change repeatedly: even, halving from byte to byte, or
/// Fibonacci numbers, over an alphabet of any size.
pub fn skewed(random: &mut Random, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    let pieces = random.within(1, 5);
    for piece in 0..pieces {
        let end = len * (piece + 1) / pieces;
        let letters = random.within(1, 256);
        let first = random.next() as u8;
        let kind = random.below(5);
        let fibonacci = fibonacci_letters(24.min(letters));
        // Between even and very uneven.
        let mixed = random.below(100);
        while out.len() < end {
            let letter = match kind {
                0 => random.below(letters),
                1 => (random.next().trailing_zeros() as usize).min(letters - 1),
                2 => fibonacci[random.below(fibonacci.len())],
                3 if random.below(100) < mixed => random.below(letters),
                3 => 0,
                _ => (0..8).map(|_| random.below(letters)).min().unwrap_or(0),
            };
            out.push(first.wrapping_add(letter as u8));
        }
    }
    out
}

/// Returns `len` bytes of nearly the same frequency, a few of them more frequent, and different
/// ones in the second half.
pub fn even(random: &mut Random, len: usize) -> Vec<u8> {
    let letters = random.within(200, 256);
    let favour = random.below(30);
    let other = random.below(letters);
    let letter = |at: usize, random: &mut Random| match random.below(100) < favour {
        true => (if at * 2 < len { other } else { 0 }) + random.below(20),
        false => random.below(letters),
    };
    (0..len).map(|at| letter(at, random) as u8).collect()
}

/// Returns each letter as often as its Fibonacci number, up to one near 800,000, in random order,
/// and a few other bytes.
pub fn fibonacci(random: &mut Random) -> Vec<u8> {
    let letters = random.within(28, 30);
    let mut out: Vec<u8> =
        fibonacci_letters(letters).into_iter().map(|letter| letter as u8).collect();
    for at in 0..out.len() {
        let other = random.below(at + 1);
        out.swap(at, other);
    }
    let more = random.within(1, 3000);
    let kinds = random.within(1, 3);
    let more: Vec<u8> = (0..more).map(|_| 128 + random.below(kinds) as u8).collect();
    if random.once_in(2) { [out, more].concat() } else { [more, out].concat() }
}

/// Returns the Fibonacci number of each letter's place, the frequencies of the deepest Huffman
/// trees.
fn fibonacci_letters(letters: usize) -> Vec<usize> {
    let (mut now, mut next) = (1usize, 1usize);
    let mut all = Vec::new();
    for letter in 0..letters {
        all.extend(std::iter::repeat_n(letter, now));
        (now, next) = (next, now + next);
    }
    all
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

/// Returns a later version of `old`.
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
