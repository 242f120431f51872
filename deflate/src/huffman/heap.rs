//! Code lengths as zlib and GNU gzip choose them: a heap ordered by count, then depth.

use super::LONGEST;

/// Returns the code lengths for these counts, at most `longest` bits each, up to the last symbol
/// with a code word. There are at least two: zlib adds symbols that do not occur.
pub(crate) fn lengths(counts: &[u32], longest: usize) -> Vec<u8> {
    let (heap, last) = Heap::of(counts);
    let mut lengths = heap.tree(counts.len()).limit(last, longest);
    lengths.truncate(last + 1);
    lengths
}

/// A heap of nodes, ordered by count, then depth.
struct Heap {
    /// The nodes from index 1, so that the children of `k` are `2k` and `2k + 1`.
    nodes: Vec<usize>,
    counts: Vec<u32>,
    depths: Vec<u16>,
}

impl Heap {
    /// Creates the heap of at least two symbols; also returns the last one.
    fn of(counts: &[u32]) -> (Self, usize) {
        let mut heap =
            Self { nodes: vec![0], counts: counts.to_vec(), depths: vec![0; counts.len()] };
        heap.nodes.extend((0..counts.len()).filter(|&symbol| counts[symbol] != 0));
        let mut last = counts.iter().rposition(|&count| count != 0);
        while heap.nodes.len() < 3 {
            let symbol = match last {
                None => 0,
                Some(last) if last < 2 => last + 1,
                Some(_) => 0,
            };
            last = last.max(Some(symbol));
            heap.nodes.push(symbol);
            heap.counts[symbol] = 1;
        }
        for k in (1..=(heap.nodes.len() - 1) / 2).rev() {
            heap.sift(k);
        }
        (heap, last.unwrap_or(0))
    }

    fn smaller(&self, a: usize, b: usize) -> bool {
        (self.counts[a], self.depths[a]) <= (self.counts[b], self.depths[b])
    }

    fn sift(&mut self, mut k: usize) {
        let moved = self.nodes[k];
        let mut child = 2 * k;
        while child < self.nodes.len() {
            if child + 1 < self.nodes.len()
                && self.smaller(self.nodes[child + 1], self.nodes[child])
            {
                child += 1;
            }
            if self.smaller(moved, self.nodes[child]) {
                break;
            }
            self.nodes[k] = self.nodes[child];
            k = child;
            child *= 2;
        }
        self.nodes[k] = moved;
    }

    fn take(&mut self) -> usize {
        let smallest = self.nodes[1];
        self.nodes.swap_remove(1);
        if self.nodes.len() > 1 {
            self.sift(1);
        }
        smallest
    }

    /// Joins the two smallest nodes until one is left.
    fn tree(mut self, symbols: usize) -> Tree {
        let mut parents = vec![0; symbols];
        let mut order = Vec::with_capacity(2 * symbols);
        while self.nodes.len() > 2 {
            let (first, second) = (self.take(), self.nodes[1]);
            order.extend([first, second]);
            let joined = self.counts.len();
            self.counts.push(self.counts[first].saturating_add(self.counts[second]));
            self.depths.push(self.depths[first].max(self.depths[second]) + 1);
            parents.push(0);
            parents[first] = joined;
            parents[second] = joined;
            self.nodes[1] = joined;
            self.sift(1);
        }
        order.push(self.nodes[1]);
        Tree { parents, order }
    }
}

/// The nodes in the order in which they were joined, the root last.
struct Tree {
    parents: Vec<usize>,
    order: Vec<usize>,
}

impl Tree {
    /// Returns the depths of the nodes, those of symbols limited to `longest`.
    fn limit(&self, last: usize, longest: usize) -> Vec<u8> {
        let mut lengths = vec![0u8; self.parents.len()];
        let mut counts = [0u16; LONGEST + 1];
        let mut over = 0i32;
        for &node in self.order.iter().rev().skip(1) {
            let mut bits = usize::from(lengths[self.parents[node]]) + 1;
            if bits > longest {
                bits = longest;
                over += 1;
            }
            lengths[node] = bits as u8;
            if node <= last {
                counts[bits] += 1;
            }
        }
        if over > 0 {
            self.shorten(&mut lengths, &mut counts, over, last, longest);
        }
        lengths
    }

    /// Repairs the `over` nodes that were cut to `longest`, as zlib does: a leaf moves down to make
    /// room for two of them, and the rarest symbols take the longest codes.
    fn shorten(
        &self,
        lengths: &mut [u8],
        counts: &mut [u16; LONGEST + 1],
        mut over: i32,
        last: usize,
        longest: usize,
    ) {
        while over > 0 {
            let mut bits = longest - 1;
            while counts[bits] == 0 {
                bits -= 1;
            }
            counts[bits] -= 1;
            counts[bits + 1] += 2;
            counts[longest] -= 1;
            over -= 2;
        }
        let mut symbols = self.order.iter().filter(|&&node| node <= last);
        for bits in (1..=longest).rev() {
            for &symbol in symbols.by_ref().take(usize::from(counts[bits])) {
                lengths[symbol] = bits as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_symbols_at_least() {
        assert_eq!(lengths(&[0; 30], 15), [1, 1]);
        assert_eq!(lengths(&[0, 0, 0, 7], 15), [1, 0, 0, 1]);
        assert_eq!(lengths(&[5, 0, 0, 0], 15), [1, 1]);
    }

    #[test]
    fn overflow_keeps_the_code_complete() {
        let mut counts = [1u32; 24];
        for n in 2..24 {
            counts[n] = counts[n - 1] + counts[n - 2];
        }
        let lengths = lengths(&counts, 15);
        let room: u32 = lengths.iter().map(|&length| 1 << (15 - length)).sum();
        assert_eq!(room, 1 << 15);
        assert_eq!(lengths.iter().max(), Some(&15));
    }
}
