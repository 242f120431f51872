//! Collects the tokens of a deflate block, decides where it ends, and writes it in one of three
//! ways.

use std::sync::LazyLock;

use super::huffman::{Alphabet, Code, DISTANCES, LENGTH_CODES, LITERALS_AND_LENGTHS};

/// The maximum number of literals and matches in a block.
const MOST_TOKENS: usize = 0x8000 - 1;
/// The number of tokens between two checks of whether the block should end. zlib has the same check
/// in `_tr_tally`, switched off there and half as often.
const TOKENS_BETWEEN_QUESTIONS: usize = 0x1000;

const END: usize = 256;
const LENGTH_ORDER: [usize; LENGTH_CODES] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
const REPEAT: usize = 16;
const ZEROS: usize = 17;
const MANY_ZEROS: usize = 18;

const LITERAL_ALPHABET: Alphabet = Alphabet {
    extra: |symbol| symbol.checked_sub(END + 1).map_or(0, length_extra),
    fixed: Some(fixed_length),
    longest: 15,
};
const DISTANCE_ALPHABET: Alphabet =
    Alphabet { extra: distance_extra, fixed: Some(|_| 5), longest: 15 };
const LENGTHS_ALPHABET: Alphabet = Alphabet { extra: lengths_extra, fixed: None, longest: 7 };

static FIXED: LazyLock<(Code, Code)> = LazyLock::new(|| {
    (Code::fixed(LITERALS_AND_LENGTHS + 2, fixed_length), Code::fixed(DISTANCES, |_| 5))
});

fn fixed_length(symbol: usize) -> u8 {
    match symbol {
        0..=143 => 8,
        144..=255 => 9,
        256..=279 => 7,
        _ => 8,
    }
}

fn length_extra(code: usize) -> u8 {
    match code {
        0..=7 | 28 => 0,
        _ => (code / 4 - 1) as u8,
    }
}

fn distance_extra(code: usize) -> u8 {
    (code / 2).saturating_sub(1) as u8
}

fn lengths_extra(symbol: usize) -> u8 {
    match symbol {
        REPEAT => 2,
        ZEROS => 3,
        MANY_ZEROS => 7,
        _ => 0,
    }
}

/// Returns the code of a match length less 3, and the value of its extra bits.
fn length_code(length: u8) -> (usize, u32) {
    match length {
        0..=7 => (usize::from(length), 0),
        255 => (28, 0),
        _ => {
            let extra = length.ilog2() - 2;
            let code = usize::from(length >> extra) + 4 * extra as usize;
            (code, u32::from(length) & ((1 << extra) - 1))
        }
    }
}

/// Returns the code of a match distance less 1, and the value of its extra bits.
fn distance_code(distance: u16) -> (usize, u32) {
    if distance < 4 {
        return (usize::from(distance), 0);
    }
    let extra = distance.ilog2() - 1;
    let code = usize::from(distance >> extra) + 2 * extra as usize;
    (code, u32::from(distance) & ((1 << extra) - 1))
}

/// A writer of bits into bytes, the low bit first.
#[derive(Default)]
pub(super) struct Bits {
    pub(super) bytes: Vec<u8>,
    kept: u64,
    count: u32,
}

impl Bits {
    /// Appends `count` bits of `value`, at most 16.
    fn put(&mut self, value: u32, count: u8) {
        self.kept |= u64::from(value) << self.count;
        self.count += u32::from(count);
        while self.count >= 8 {
            self.bytes.push(self.kept as u8);
            self.kept >>= 8;
            self.count -= 8;
        }
    }

    fn put_symbol(&mut self, code: &Code, symbol: usize) {
        self.put(u32::from(code.codes[symbol]), code.lengths[symbol]);
    }

    /// Appends zero bits to the end of the byte.
    pub(super) fn align(&mut self) {
        if self.count > 0 {
            self.put(0, (8 - self.count) as u8);
        }
    }
}

/// A literal (distance 0, then the byte) or a match (its distance, then its length less 3).
#[derive(Clone, Copy)]
struct Token {
    distance: u16,
    rest: u8,
}

/// The block being collected.
pub(super) struct Block {
    tokens: Vec<Token>,
    matches: usize,
    literals: Vec<u16>,
    distances: Vec<u16>,
}

impl Block {
    pub(super) fn new() -> Self {
        let mut block = Self {
            tokens: Vec::with_capacity(MOST_TOKENS),
            matches: 0,
            literals: vec![0; LITERALS_AND_LENGTHS],
            distances: vec![0; DISTANCES],
        };
        block.literals[END] = 1;
        block
    }

    /// Adds a literal; returns whether the block ends here, with `covered` bytes of input so far.
    pub(super) fn literal(&mut self, byte: u8, covered: usize) -> bool {
        self.tokens.push(Token { distance: 0, rest: byte });
        self.literals[usize::from(byte)] += 1;
        self.ends(covered)
    }

    /// Adds a match of `length` 3 to 258 at `distance` 1 to 32768; returns whether the block ends
    /// here.
    pub(super) fn reuse(&mut self, distance: usize, length: usize, covered: usize) -> bool {
        let token = Token { distance: distance as u16, rest: (length - 3) as u8 };
        self.tokens.push(token);
        self.matches += 1;
        self.literals[END + 1 + length_code(token.rest).0] += 1;
        self.distances[distance_code(token.distance - 1).0] += 1;
        self.ends(covered)
    }

    fn ends(&self, covered: usize) -> bool {
        let count = self.tokens.len();
        if count.is_multiple_of(TOKENS_BETWEEN_QUESTIONS) {
            let distances = self.distances.iter().enumerate();
            let bits: usize = distances
                .map(|(code, &n)| usize::from(n) * (5 + usize::from(distance_extra(code))))
                .sum();
            let bytes = (count * 8 + bits) / 8;
            if self.matches < count / 2 && bytes < covered / 2 {
                return true;
            }
        }
        count == MOST_TOKENS
    }

    /// Writes the block in the shortest of three ways and starts the next. `raw` is its input, if
    /// still at hand, and `covered` the number of its bytes.
    pub(super) fn write(&mut self, to: &mut Bits, raw: Option<&[u8]>, covered: usize, last: bool) {
        let literals = Code::of(&self.literals, &LITERAL_ALPHABET);
        let distances = Code::of(&self.distances, &DISTANCE_ALPHABET);
        let lengths = Lengths::of(&literals, &distances);
        let fixed = (literals.fixed_bits + distances.fixed_bits + 3).div_ceil(8);
        let shortest = fixed.min((literals.bits + distances.bits + lengths.bits() + 3).div_ceil(8));
        let raw = raw.filter(|_| covered as u64 + 4 <= shortest);
        let header = |way: u32| way << 1 | u32::from(last);
        match (raw, raw.map(|raw| u16::try_from(raw.len()))) {
            (Some(raw), Some(Ok(length))) => {
                to.put(header(0), 3);
                to.align();
                to.bytes.extend(length.to_le_bytes());
                to.bytes.extend((!length).to_le_bytes());
                to.bytes.extend(raw);
            }
            _ if shortest == fixed => {
                to.put(header(1), 3);
                self.write_tokens(to, &FIXED.0, &FIXED.1);
            }
            _ => {
                to.put(header(2), 3);
                to.put((literals.last - 256) as u32, 5);
                to.put(distances.last as u32, 5);
                lengths.write(to);
                self.write_tokens(to, &literals, &distances);
            }
        }
        *self = Self::new();
    }

    fn write_tokens(&self, to: &mut Bits, literals: &Code, distances: &Code) {
        for token in &self.tokens {
            if token.distance == 0 {
                to.put_symbol(literals, usize::from(token.rest));
                continue;
            }
            let (code, extra) = length_code(token.rest);
            to.put_symbol(literals, END + 1 + code);
            to.put(extra, length_extra(code));
            let (code, extra) = distance_code(token.distance - 1);
            to.put_symbol(distances, code);
            to.put(extra, distance_extra(code));
        }
        to.put_symbol(literals, END);
    }
}

/// The code lengths of a block's two codes, run-length coded, and the code for them.
struct Lengths {
    /// A symbol and the value of its extra bits.
    runs: Vec<(usize, u32)>,
    code: Code,
    /// The number of entries of [`LENGTH_ORDER`] written.
    written: usize,
}

impl Lengths {
    fn of(literals: &Code, distances: &Code) -> Self {
        let mut runs = Vec::new();
        for code in [literals, distances] {
            push_runs(&mut runs, &code.lengths[..=code.last]);
        }
        let mut frequencies = [0; LENGTH_CODES];
        for &(symbol, _) in &runs {
            frequencies[symbol] += 1;
        }
        let code = Code::of(&frequencies, &LENGTHS_ALPHABET);
        let written = LENGTH_ORDER.iter().rposition(|&symbol| code.lengths[symbol] != 0);
        Self { runs, code, written: written.map_or(4, |last| (last + 1).max(4)) }
    }

    fn bits(&self) -> u64 {
        self.code.bits + 3 * self.written as u64 + 5 + 5 + 4
    }

    fn write(&self, to: &mut Bits) {
        to.put(self.written as u32 - 4, 4);
        for &symbol in &LENGTH_ORDER[..self.written] {
            to.put(u32::from(self.code.lengths[symbol]), 3);
        }
        for &(symbol, extra) in &self.runs {
            to.put_symbol(&self.code, symbol);
            to.put(extra, lengths_extra(symbol));
        }
    }
}

/// Cuts code lengths into runs; a run longer than one symbol can hold continues in another.
fn push_runs(runs: &mut Vec<(usize, u32)>, lengths: &[u8]) {
    let mut previous = None;
    let mut at = 0;
    while at < lengths.len() {
        let length = lengths[at];
        let (most, least) = match length {
            0 => (138, 3),
            _ if previous == Some(length) => (6, 3),
            _ => (7, 4),
        };
        let count = lengths[at..].iter().take(most).take_while(|&&next| next == length).count();
        at += count;
        let symbol = usize::from(length);
        if count < least {
            runs.extend(std::iter::repeat_n((symbol, 0), count));
        } else if length != 0 {
            let mut repeated = count;
            if previous != Some(length) {
                runs.push((symbol, 0));
                repeated -= 1;
            }
            runs.push((REPEAT, repeated as u32 - 3));
        } else if count <= 10 {
            runs.push((ZEROS, count as u32 - 3));
        } else {
            runs.push((MANY_ZEROS, count as u32 - 11));
        }
        previous = Some(length);
    }
}
