//! Code lengths as libdeflate and miniz choose them: a tree over symbols sorted by count, whose
//! depth is then limited without regard to counts.

use super::LONGEST;

/// Returns the code lengths that libdeflate chooses, at most `longest` bits each.
pub(crate) fn libdeflate(counts: &[u32], longest: usize) -> Vec<u8> {
    let symbols = by_count(counts);
    if let [symbol] = symbols[..] {
        // A code needs two symbols.
        let mut lengths = vec![0; counts.len()];
        lengths[0] = 1;
        lengths[symbol.max(1)] = 1;
        return lengths;
    }
    assign(counts, &symbols, longest, limit_on_the_way)
}

/// Returns the code lengths that miniz chooses, at most `longest` bits each.
pub(crate) fn miniz(counts: &[u32], longest: usize) -> Vec<u8> {
    let symbols = by_count(counts);
    if let [symbol] = symbols[..] {
        let mut lengths = vec![0; counts.len()];
        lengths[symbol] = 1;
        return lengths;
    }
    assign(counts, &symbols, longest, limit_afterwards)
}

/// Returns the symbols that occur, the rarest first.
fn by_count(counts: &[u32]) -> Vec<usize> {
    let mut symbols: Vec<usize> = (0..counts.len()).filter(|&n| counts[n] != 0).collect();
    symbols.sort_by_key(|&symbol| (counts[symbol], symbol));
    symbols
}

/// Assigns the longest code words to the rarest symbols.
fn assign(
    counts: &[u32],
    symbols: &[usize],
    longest: usize,
    limit: fn(&[usize], usize) -> [usize; LONGEST + 2],
) -> Vec<u8> {
    let mut lengths = vec![0; counts.len()];
    if symbols.is_empty() {
        return lengths;
    }
    let leaves: Vec<u64> = symbols.iter().map(|&symbol| u64::from(counts[symbol])).collect();
    let of_length = limit(&parents(&leaves), longest);
    let mut rarest_first = symbols.iter();
    for bits in (1..=longest).rev() {
        for &symbol in rarest_first.by_ref().take(of_length[bits]) {
            lengths[symbol] = bits as u8;
        }
    }
    lengths
}

/// Joins leaves and inner nodes and returns the parent of each inner node; the root, which is the
/// last one, is its own.
fn parents(leaves: &[u64]) -> Vec<usize> {
    let nodes = leaves.len() - 1;
    let (mut counts, mut parents) = (Vec::with_capacity(nodes), vec![nodes - 1; nodes]);
    // The next leaf and the next inner node without a parent.
    let (mut leaf, mut inner) = (0, 0);
    for node in 0..nodes {
        let two_leaves =
            leaf + 1 < leaves.len() && (inner == node || leaves[leaf + 1] <= counts[inner]);
        let two_inner =
            inner + 2 <= node && (leaf == leaves.len() || counts[inner + 1] < leaves[leaf]);
        let (from_leaves, from_inner) = match (two_leaves, two_inner) {
            (true, _) => (2, 0),
            (false, true) => (0, 2),
            (false, false) => (1, 1),
        };
        let count = leaves[leaf..leaf + from_leaves].iter().sum::<u64>()
            + counts[inner..inner + from_inner].iter().sum::<u64>();
        parents[inner..inner + from_inner].fill(node);
        counts.push(count);
        leaf += from_leaves;
        inner += from_inner;
    }
    parents
}

/// Returns the number of code words of each length for a tree of inner nodes. A node that is too
/// deep goes below another one, as in libdeflate.
fn limit_on_the_way(parents: &[usize], longest: usize) -> [usize; LONGEST + 2] {
    let mut of_length = [0; LONGEST + 2];
    of_length[1] = 2;
    let mut depths = vec![0; parents.len()];
    for node in (0..parents.len() - 1).rev() {
        let mut depth = depths[parents[node]] + 1;
        depths[node] = depth;
        if depth >= longest {
            depth = longest - 1;
            while of_length[depth] == 0 {
                depth -= 1;
            }
        }
        of_length[depth] -= 1;
        of_length[depth + 1] += 2;
    }
    of_length
}

/// Returns the number of code words of each length for a tree of inner nodes. Words that are too
/// long are cut, and then others made longer until there is room, as in miniz.
fn limit_afterwards(parents: &[usize], longest: usize) -> [usize; LONGEST + 2] {
    let mut of_length = [0; LONGEST + 2];
    let mut depths = vec![0usize; parents.len()];
    // Both children of each node are leaves until one turns out to be a node.
    let mut leaves = vec![2usize; parents.len()];
    for node in (0..parents.len() - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
        leaves[parents[node]] -= 1;
    }
    for (&depth, &leaves) in depths.iter().zip(&leaves) {
        of_length[(depth + 1).min(longest)] += leaves;
    }
    let room = |of_length: &[usize; LONGEST + 2]| -> usize {
        (1..=longest).map(|bits| of_length[bits] << (longest - bits)).sum()
    };
    for _ in 1 << longest..room(&of_length) {
        of_length[longest] -= 1;
        if let Some(bits) = (1..longest).rev().find(|&bits| of_length[bits] != 0) {
            of_length[bits] -= 1;
            of_length[bits + 1] += 2;
        }
    }
    of_length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_keep_the_code_complete() {
        let mut counts = [1u32; 24];
        for n in 2..24 {
            counts[n] = counts[n - 1] + counts[n - 2];
        }
        for lengths in [libdeflate(&counts, 14), miniz(&counts, 14)] {
            let room: u32 = lengths.iter().map(|&length| 1 << (14 - length)).sum();
            assert_eq!(room, 1 << 14);
            assert_eq!(lengths.iter().max(), Some(&14));
        }
    }

    #[test]
    fn one_symbol_or_two() {
        assert_eq!(libdeflate(&[0, 0, 9], 15), [1, 0, 1]);
        assert_eq!(libdeflate(&[9, 0, 0], 15), [1, 1, 0]);
        assert_eq!(miniz(&[9, 0, 0], 15), [1, 0, 0]);
        assert_eq!(miniz(&[0, 4, 9], 15), [0, 1, 1]);
        assert_eq!(libdeflate(&[0, 0], 15), [0, 0]);
    }
}
