//! Prefix codes: code words from lengths, and lengths from counts by the rules of compressors.

pub(crate) mod heap;
pub(crate) mod package;
pub(crate) mod sorted;

/// The maximum length of a code word in bits.
pub(crate) const LONGEST: usize = 15;

/// The code words of a prefix code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    /// The length of the code word of each symbol, 0 for none.
    pub(crate) lengths: Vec<u8>,
    /// The code words, first bit lowest.
    pub(crate) words: Vec<u16>,
}

impl Code {
    /// Assigns code words in order of length, then symbol (RFC 1951, 3.2.2). Lengths that no code
    /// can have give words that overlap.
    pub(crate) fn new(lengths: &[u8]) -> Self {
        let mut next = first_words(lengths);
        let mut take = |&length: &u8| {
            if length == 0 {
                return 0;
            }
            let next = &mut next[usize::from(length) & 15];
            let word = *next;
            *next = next.wrapping_add(1);
            word.reverse_bits() >> (16 - u16::from(length))
        };
        Self { words: lengths.iter().map(&mut take).collect(), lengths: lengths.to_vec() }
    }
}

impl Code {
    /// Returns the code word of a symbol and its length, 0 for none.
    pub(crate) fn word(&self, symbol: usize) -> (u16, u8) {
        let word = self.words.get(symbol).zip(self.lengths.get(symbol));
        word.map_or((0, 0), |(&word, &length)| (word, length))
    }
}

/// Counts the symbols of each length.
pub(crate) fn count_lengths(lengths: &[u8]) -> [u16; LONGEST + 1] {
    let mut counts = [0; LONGEST + 1];
    for &length in lengths {
        counts[usize::from(length) & 15] += 1;
    }
    counts[0] = 0;
    counts
}

/// Returns the first code word of each length.
fn first_words(lengths: &[u8]) -> [u16; LONGEST + 1] {
    let counts = count_lengths(lengths);
    let mut next = [0u16; LONGEST + 1];
    let mut word = 0u16;
    for bits in 1..=LONGEST {
        word = word.wrapping_add(counts[bits - 1]) << 1;
        next[bits] = word;
    }
    next
}

/// Returns the code lengths of the fixed literal code (RFC 1951, 3.2.6).
pub(crate) fn fixed_literal_lengths() -> [u8; 288] {
    let mut lengths = [8; 288];
    lengths[144..256].fill(9);
    lengths[256..280].fill(7);
    lengths
}

/// Returns the code lengths of the fixed distance code.
pub(crate) fn fixed_distance_lengths() -> [u8; 32] {
    [5; 32]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_rfc_example() {
        let code = Code::new(&[3, 3, 3, 3, 3, 2, 4, 4]);
        let first_bit_first: Vec<u16> = code
            .words
            .iter()
            .zip(&code.lengths)
            .map(|(word, &length)| word.reverse_bits() >> (16 - u16::from(length)))
            .collect();
        assert_eq!(first_bit_first, [2, 3, 4, 5, 6, 0, 14, 15]);
    }
}
