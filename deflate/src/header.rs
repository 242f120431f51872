//! The header of a dynamic block (RFC 1951, 3.2.7): two lists of code lengths, cut into runs, and
//! the code for the runs.

use crate::bits::BitWriter;
use crate::huffman::Code;
use crate::huffman::{heap, package, sorted};

/// The order of the lengths of the code for runs.
pub(crate) const ORDER: [usize; 19] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// The maximum number of literal and distance lengths that a header can declare.
pub(crate) const MAX_LITERALS: usize = 257 + 31;
pub(crate) const MAX_DISTANCES: usize = 32;

/// A code length or a run of them, as one byte: 0 to 15 is a length; 16 to 19 repeats the last
/// length 3 to 6 times; 20 to 27 and 28 to 155 are runs of 3 to 10 and 11 to 138 zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run(pub(crate) u8);

impl Run {
    /// The maximum value of a run's byte.
    pub(crate) const MAX: u8 = 155;

    pub(crate) fn repeat(count: usize) -> Self {
        Self(16 + (count - 3) as u8)
    }

    pub(crate) fn zeros(count: usize) -> Self {
        Self(if count <= 10 { 20 + (count - 3) as u8 } else { 28 + (count - 11) as u8 })
    }

    /// Creates a run from its symbol and the value of its extra bits.
    pub(crate) fn from_symbol(symbol: u8, extra: u8) -> Self {
        Self(match symbol {
            16 => 16 + extra,
            17 => 20 + extra,
            18 => 28 + extra,
            _ => symbol,
        })
    }

    /// Returns the symbol, and the number and value of its extra bits.
    pub(crate) fn symbol(self) -> (usize, u8, u32) {
        match self.0 {
            symbol @ 0..=15 => (usize::from(symbol), 0, 0),
            byte @ 16..=19 => (16, 2, u32::from(byte - 16)),
            byte @ 20..=27 => (17, 3, u32::from(byte - 20)),
            byte => (18, 7, u32::from(byte - 28)),
        }
    }

    /// Returns how often a length is given, and that length, if it is not the last one again.
    pub(crate) fn expand(self) -> (usize, Option<u8>) {
        match self.0 {
            length @ 0..=15 => (1, Some(length)),
            byte @ 16..=19 => (usize::from(byte) - 13, None),
            byte @ 20..=27 => (usize::from(byte) - 17, Some(0)),
            byte => (usize::from(byte) - 17, Some(0)),
        }
    }
}

/// The header of a dynamic block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The lengths of the literal code, 257 to 288, then those of the distance code, 1 to 32.
    pub(crate) lengths: Vec<u8>,
    pub(crate) literals: usize,
    pub(crate) runs: Vec<Run>,
    /// The lengths of the code for runs, 4 to 19 in [`ORDER`].
    pub(crate) run_lengths: Vec<u8>,
}

impl Header {
    /// Creates the header for these lengths as zlib writes it.
    pub(crate) fn zlib(literals: &[u8], distances: &[u8]) -> Self {
        let lengths = [literals, distances].concat();
        let mut runs = Vec::new();
        push_runs(&mut runs, literals);
        push_runs(&mut runs, distances);
        let run_lengths = zlib_run_lengths(&runs);
        Self { lengths, literals: literals.len(), runs, run_lengths }
    }

    /// Creates the header for these lengths as Go, libdeflate and miniz write it: runs go on from
    /// one code to the next.
    pub(crate) fn joined(
        literals: &[u8],
        distances: &[u8],
        run_lengths: fn(&[Run]) -> Vec<u8>,
    ) -> Self {
        let lengths = [literals, distances].concat();
        let mut runs = Vec::new();
        for equal in lengths.chunk_by(|a, b| a == b) {
            push_equal(&mut runs, equal);
        }
        let run_lengths = run_lengths(&runs);
        Self { lengths, literals: literals.len(), runs, run_lengths }
    }

    pub(crate) fn literal_lengths(&self) -> &[u8] {
        self.lengths.get(..self.literals).unwrap_or_default()
    }

    pub(crate) fn distance_lengths(&self) -> &[u8] {
        self.lengths.get(self.literals..).unwrap_or_default()
    }

    /// Returns the number of bits of the header after the block type.
    pub(crate) fn bits(&self) -> u64 {
        let code = self.run_code();
        let runs = self.runs.iter().map(|run| {
            let (symbol, extra, _) = run.symbol();
            u64::from(code.lengths[symbol]) + u64::from(extra)
        });
        14 + 3 * self.run_lengths.len() as u64 + runs.sum::<u64>()
    }

    fn run_code(&self) -> Code {
        let mut lengths = [0; 19];
        for (&symbol, &length) in ORDER.iter().zip(&self.run_lengths) {
            lengths[symbol] = length;
        }
        Code::new(&lengths)
    }

    /// Writes the header after the block type; returns `false` if a run has no code word.
    pub(crate) fn write(&self, bits: &mut BitWriter) -> bool {
        bits.put((self.literals - 257) as u32, 5);
        bits.put((self.lengths.len() - self.literals - 1) as u32, 5);
        bits.put((self.run_lengths.len() - 4) as u32, 4);
        for &length in &self.run_lengths {
            bits.put(u32::from(length), 3);
        }
        let code = self.run_code();
        for run in &self.runs {
            let (symbol, extra, value) = run.symbol();
            if code.lengths[symbol] == 0 {
                return false;
            }
            bits.put(u32::from(code.words[symbol]), code.lengths[symbol]);
            bits.put(value, extra);
        }
        true
    }
}

/// Returns the lengths of the code for runs, in [`ORDER`] and without trailing zeros, as zlib
/// chooses them.
pub(crate) fn zlib_run_lengths(runs: &[Run]) -> Vec<u8> {
    let lengths = heap::lengths(&count_runs(runs), 7);
    in_order(&lengths)
}

/// Returns the lengths of the code for runs as Go chooses them.
pub(crate) fn go_run_lengths(runs: &[Run]) -> Vec<u8> {
    in_order(&package::lengths(&count_runs(runs), 7))
}

/// Returns the lengths of the code for runs as libdeflate chooses them.
pub(crate) fn libdeflate_run_lengths(runs: &[Run]) -> Vec<u8> {
    in_order(&sorted::libdeflate(&count_runs(runs), 7))
}

/// Returns the lengths of the code for runs as miniz chooses them.
pub(crate) fn miniz_run_lengths(runs: &[Run]) -> Vec<u8> {
    in_order(&sorted::miniz(&count_runs(runs), 7))
}

/// Cuts equal code lengths into runs as Go, libdeflate and miniz do: as long ones as possible
/// first.
fn push_equal(runs: &mut Vec<Run>, equal: &[u8]) {
    let Some((&length, rest)) = equal.split_first() else { return };
    let (mut left, least, most) =
        if length == 0 { (equal.len(), 11, 138) } else { (rest.len(), 3, 6) };
    if length != 0 {
        runs.push(Run(length));
    }
    while left >= least {
        let count = left.min(most);
        runs.push(if length == 0 { Run::zeros(count) } else { Run::repeat(count) });
        left -= count;
    }
    if length == 0 && left >= 3 {
        runs.push(Run::zeros(left));
        left = 0;
    }
    runs.extend(std::iter::repeat_n(Run(length), left));
}

/// Counts the symbols of the runs.
pub(crate) fn count_runs(runs: &[Run]) -> [u32; 19] {
    let mut counts = [0u32; 19];
    for run in runs {
        counts[run.symbol().0] += 1;
    }
    counts
}

/// Puts the lengths of the code for runs in [`ORDER`], without zeros at the end but at least four.
pub(crate) fn in_order(lengths: &[u8]) -> Vec<u8> {
    let mut ordered: Vec<u8> =
        ORDER.iter().map(|&symbol| lengths.get(symbol).copied().unwrap_or(0)).collect();
    let last = ordered.iter().rposition(|&length| length != 0);
    ordered.truncate(last.map_or(4, |last| (last + 1).max(4)));
    ordered
}

/// Cuts code lengths into runs as zlib does; a run longer than one symbol can hold continues in
/// another.
fn push_runs(runs: &mut Vec<Run>, lengths: &[u8]) {
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
        if count < least {
            runs.extend(std::iter::repeat_n(Run(length), count));
        } else if length == 0 {
            runs.push(Run::zeros(count));
        } else if previous == Some(length) {
            runs.push(Run::repeat(count));
        } else {
            runs.extend([Run(length), Run::repeat(count - 1)]);
        }
        previous = Some(length);
    }
}
