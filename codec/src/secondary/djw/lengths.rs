//! Lengths of Huffman codes, with ties resolved as in xdelta3, and the canonical codes of these
//! lengths.

/// Returns code lengths for symbols of these frequencies, none longer than `longest`, and the total
/// number of bits of all symbols.
pub(super) fn code_lengths(frequencies: &[u32], longest: usize) -> (Vec<u8>, u32) {
    let mut weights = frequencies.to_vec();
    if weights.iter().filter(|&&weight| weight > 0).count() == 1 {
        // A code needs two symbols.
        let other = if frequencies[0] != 0 { frequencies.len() - 1 } else { 0 };
        weights[other] = 1;
    }
    loop {
        let lengths = tree_depths(&weights);
        if lengths.iter().all(|&len| usize::from(len) <= longest) {
            let total = lengths
                .iter()
                .zip(frequencies)
                .map(|(&len, &frequency)| u32::from(len).wrapping_mul(frequency));
            let total = total.fold(0, u32::wrapping_add);
            return (lengths, total);
        }
        // This gives symbols that do not occur a code as well.
        weights.iter_mut().for_each(|weight| *weight = *weight / 2 + 1);
    }
}

/// Weight, then depth: of equally heavy trees the flatter one is taken first.
type Rank = (u32, u32);

fn tree_depths(weights: &[u32]) -> Vec<u8> {
    let leaves = weights.len();
    let mut heap = Heap::default();
    let mut parents = vec![0; 2 * leaves];
    for (symbol, &weight) in weights.iter().enumerate().filter(|&(_, &weight)| weight > 0) {
        heap.insert(((weight, 0), symbol));
    }
    let mut next = leaves;
    while let (Some((first, x)), Some((second, y))) = (heap.take(), heap.take()) {
        parents[x] = next;
        parents[y] = next;
        let rank = (first.0.wrapping_add(second.0), 1 + first.1.max(second.1));
        let last = heap.is_empty();
        heap.insert((rank, next));
        if last {
            break;
        }
        next += 1;
    }
    let root = next;
    let depth = |symbol: usize| {
        let mut at = symbol;
        let mut depth = 0;
        while at != root {
            at = parents[at];
            depth += 1;
        }
        depth
    };
    weights
        .iter()
        .enumerate()
        .map(|(symbol, &weight)| if weight > 0 { depth(symbol) } else { 0 })
        .collect()
}

/// A binary heap that resolves ties by the position of its entries, which determines the choice
/// between codes of equal cost.
#[derive(Default)]
struct Heap(Vec<(Rank, usize)>);

impl Heap {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn insert(&mut self, entry: (Rank, usize)) {
        let mut at = self.0.len();
        self.0.push(entry);
        // The parent of entry `at` is entry `(at - 1) / 2`.
        while at > 0 && self.0[at].0 < self.0[(at - 1) / 2].0 {
            self.0.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn take(&mut self) -> Option<(Rank, usize)> {
        if self.0.is_empty() {
            return None;
        }
        let first = self.0.swap_remove(0);
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let Some(of_left) = self.0.get(left) else { break };
            let child = if self.0.get(right).is_some_and(|of_right| of_right.0 < of_left.0) {
                right
            } else {
                left
            };
            if self.0[child].0 >= self.0[at].0 {
                break;
            }
            self.0.swap(at, child);
            at = child;
        }
        Some(first)
    }
}

/// Returns the canonical code of each symbol: shorter ones first, symbols in order.
pub(super) fn codes(lengths: &[u8]) -> Vec<u32> {
    let mut codes = vec![0; lengths.len()];
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let mut code = 0u32;
    for len in 1..=longest {
        for (symbol, _) in lengths.iter().enumerate().filter(|&(_, &other)| other == len) {
            codes[symbol] = code;
            code = code.wrapping_add(1);
        }
        code = code.wrapping_shl(1);
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sum of 2^-len over all codes, in units of 2^-20.
    fn space(lengths: &[u8]) -> u32 {
        lengths.iter().filter(|&&len| len > 0).map(|&len| 1 << (20 - len)).sum()
    }

    #[test]
    fn codes_are_complete_and_bounded() {
        let fibonacci: Vec<u32> =
            std::iter::successors(Some((1u32, 1u32)), |&(a, b)| Some((b, a + b)))
                .map(|pair| pair.0)
                .take(30)
                .collect();
        for (frequencies, longest) in [
            (fibonacci, 20),
            (vec![0, 5, 0, 0], 7),
            (vec![5, 0, 0], 7),
            (vec![1; 256], 20),
            (vec![9, 0, 3, 3, 0, 1], 15),
        ] {
            let (lengths, total) = code_lengths(&frequencies, longest);
            assert_eq!(space(&lengths), 1 << 20, "{lengths:?}");
            assert!(lengths.iter().all(|&len| usize::from(len) <= longest));
            let sum: u32 = lengths
                .iter()
                .zip(&frequencies)
                .map(|(&len, &frequency)| u32::from(len) * frequency)
                .sum();
            assert_eq!(total, sum);
        }
    }

    /// The lengths are as short as those of a plain Huffman code.
    #[test]
    fn lengths_are_optimal() {
        let mut state = 1u32;
        for round in 0..200 {
            let frequencies: Vec<u32> = (0..40)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8) % (1 + round)
                })
                .collect();
            let mut sorted: Vec<u32> =
                frequencies.iter().copied().filter(|&frequency| frequency > 0).collect();
            if sorted.len() < 2 {
                continue;
            }
            let mut best = 0;
            while sorted.len() > 1 {
                sorted.sort_unstable();
                let two = sorted[0] + sorted[1];
                best += two;
                sorted.splice(..2, [two]);
            }
            assert_eq!(code_lengths(&frequencies, 20).1, best);
        }
    }

    #[test]
    fn canonical_codes_count_up() {
        assert_eq!(codes(&[2, 0, 1, 3, 3]), [0b10, 0, 0b0, 0b110, 0b111]);
    }
}
