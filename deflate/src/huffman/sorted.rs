//! Code lengths as libdeflate chooses them: a tree over symbols sorted by count, whose depth is
//! then limited without regard to counts.

use super::LONGEST;

/// Returns the code lengths for these counts, at most `longest` bits each.
pub(crate) fn lengths(counts: &[u32], longest: usize) -> Vec<u8> {
    let mut lengths = vec![0; counts.len()];
    let mut symbols: Vec<usize> = (0..counts.len()).filter(|&n| counts[n] != 0).collect();
    symbols.sort_by_key(|&symbol| (counts[symbol], symbol));
    match symbols[..] {
        [] => return lengths,
        // A code needs two symbols.
        [symbol] => {
            lengths[0] = 1;
            lengths[symbol.max(1)] = 1;
            return lengths;
        }
        _ => {}
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

/// Returns the number of code words of each length for a tree of inner nodes.
fn limit(parents: &[usize], longest: usize) -> [usize; LONGEST + 2] {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_keeps_the_code_complete() {
        let mut counts = [1u32; 24];
        for n in 2..24 {
            counts[n] = counts[n - 1] + counts[n - 2];
        }
        let lengths = lengths(&counts, 14);
        let room: u32 = lengths.iter().map(|&length| 1 << (14 - length)).sum();
        assert_eq!(room, 1 << 14);
        assert_eq!(lengths.iter().max(), Some(&14));
    }

    #[test]
    fn two_symbols_at_least() {
        assert_eq!(lengths(&[0, 0, 9], 15), [1, 0, 1]);
        assert_eq!(lengths(&[9, 0, 0], 15), [1, 1, 0]);
        assert_eq!(lengths(&[0, 0], 15), [0, 0]);
    }
}
