//! Code lengths as Go's compress/flate chooses them: optimal ones of limited length
//! (package-merge), pairs before leaves of the same count.

/// Returns the code lengths for these counts, at most `longest` bits each.
pub(crate) fn lengths(counts: &[u32], longest: usize) -> Vec<u8> {
    let mut lengths = vec![0; counts.len()];
    let mut symbols: Vec<usize> = (0..counts.len()).filter(|&n| counts[n] != 0).collect();
    if symbols.len() <= 2 {
        for symbol in symbols {
            lengths[symbol] = 1;
        }
        return lengths;
    }
    symbols.sort_by_key(|&symbol| (counts[symbol], symbol));
    let leaves: Vec<u64> = symbols.iter().map(|&symbol| u64::from(counts[symbol])).collect();
    for taken in leaves_taken(&leaves, longest.min(leaves.len() - 1)) {
        for &symbol in &symbols[..taken] {
            lengths[symbol] += 1;
        }
    }
    lengths
}

/// Returns how many of the rarest leaves are in each of `levels` lists, the last list first.
fn leaves_taken(leaves: &[u64], levels: usize) -> Vec<usize> {
    let mut lists: Vec<Vec<Item>> = Vec::with_capacity(levels);
    for _ in 0..levels {
        let pairs = lists.last().map_or(Vec::new(), |list| pairs(list));
        lists.push(merge(leaves, &pairs));
    }
    let mut taken = Vec::with_capacity(levels);
    let mut items = 2 * leaves.len() - 2;
    for list in lists.iter().rev() {
        let leaves = list[..items].iter().filter(|item| item.is_leaf).count();
        taken.push(leaves);
        items = 2 * (items - leaves);
    }
    taken
}

struct Item {
    count: u64,
    is_leaf: bool,
}

fn pairs(list: &[Item]) -> Vec<u64> {
    list.chunks_exact(2).map(|pair| pair[0].count + pair[1].count).collect()
}

fn merge(leaves: &[u64], pairs: &[u64]) -> Vec<Item> {
    let (mut leaves, mut pairs) = (leaves, pairs);
    let mut merged = Vec::with_capacity(leaves.len() + pairs.len());
    loop {
        let is_leaf = match (leaves.first(), pairs.first()) {
            (None, None) => return merged,
            (Some(leaf), Some(pair)) => leaf < pair,
            (leaf, _) => leaf.is_some(),
        };
        let from = if is_leaf { &mut leaves } else { &mut pairs };
        if let Some((&count, rest)) = from.split_first() {
            merged.push(Item { count, is_leaf });
            *from = rest;
        }
    }
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
        let lengths = lengths(&counts, 15);
        let room: u32 = lengths.iter().map(|&length| 1 << (15 - length)).sum();
        assert_eq!(room, 1 << 15);
        assert_eq!(lengths.iter().max(), Some(&15));
    }

    #[test]
    fn one_symbol_has_one_bit() {
        assert_eq!(lengths(&[0, 9, 0], 15), [0, 1, 0]);
    }
}
