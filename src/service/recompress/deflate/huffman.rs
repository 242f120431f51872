//! Code lengths and codes from frequencies, with ties broken as zlib and GNU gzip break them.

/// The number of symbols for literals, lengths and the end of a block.
pub(super) const LITERALS_AND_LENGTHS: usize = 286;
/// The number of symbols for distances.
pub(super) const DISTANCES: usize = 30;
/// The number of symbols for the code lengths of the other two codes.
pub(super) const LENGTH_CODES: usize = 19;

const LONGEST: usize = 15;

/// One of the three alphabets of a deflate block.
pub(super) struct Alphabet {
    /// The number of extra bits that follow a symbol.
    pub(super) extra: fn(usize) -> u8,
    /// The code lengths of the fixed code, if there is one.
    pub(super) fixed: Option<fn(usize) -> u8>,
    /// The maximum code length in bits.
    pub(super) longest: usize,
}

/// A prefix code, and the size in bits of the data it codes.
pub(super) struct Code {
    pub(super) lengths: Vec<u8>,
    pub(super) codes: Vec<u16>,
    /// The last symbol that has a code.
    pub(super) last: usize,
    /// The number of bits of all counted symbols, with their extra bits.
    pub(super) bits: u64,
    /// The same number with the fixed code.
    pub(super) fixed_bits: u64,
}

impl Code {
    /// Creates the code for these frequencies, whose sum is below 65536.
    pub(super) fn of(frequencies: &[u16], alphabet: &Alphabet) -> Self {
        let (heap, last, added) = Heap::of(frequencies);
        let tree = heap.tree(frequencies.len());
        let mut frequencies = frequencies.to_vec();
        for &symbol in &added {
            frequencies[symbol] = 1;
        }
        let (lengths, counts) = tree.limit(&frequencies, last, alphabet.longest);
        let cost = |length_of: &dyn Fn(usize) -> u8| -> u64 {
            let coded =
                (0..=last).filter(|symbol| frequencies[*symbol] != 0 && !added.contains(symbol));
            coded
                .map(|n| u64::from(frequencies[n]) * u64::from(length_of(n) + (alphabet.extra)(n)))
                .sum()
        };
        // A symbol added only to complete the tree is never counted, and its one bit in the code is
        // subtracted.
        let added_bits: u64 =
            added.iter().map(|&n| u64::from(lengths[n]) + u64::from((alphabet.extra)(n)) - 1).sum();
        let added_fixed: u64 = added.iter().map(|&n| u64::from((alphabet.extra)(n))).sum();
        let bits = cost(&|n| lengths[n]) + added_bits;
        let fixed_bits = alphabet.fixed.map_or(0, |fixed| cost(&|n| fixed(n)) + added_fixed);
        let codes = assign(&lengths, &counts);
        Self { lengths, codes, last, bits, fixed_bits }
    }

    /// Creates the fixed code of these lengths.
    pub(super) fn fixed(symbols: usize, length_of: fn(usize) -> u8) -> Self {
        let lengths: Vec<u8> = (0..symbols).map(length_of).collect();
        let mut counts = [0; LONGEST + 1];
        for &length in &lengths {
            counts[usize::from(length)] += 1;
        }
        let codes = assign(&lengths, &counts);
        Self { lengths, codes, last: symbols - 1, bits: 0, fixed_bits: 0 }
    }
}

/// Assigns codes in order of length, then symbol; their bits are reversed, since deflate sends the
/// first bit of a code first.
fn assign(lengths: &[u8], counts: &[u16; LONGEST + 1]) -> Vec<u16> {
    let mut next = [0u16; LONGEST + 1];
    let mut code = 0;
    for bits in 1..=LONGEST {
        code = (code + counts[bits - 1]) << 1;
        next[bits] = code;
    }
    let mut take = |length: u8| {
        if length == 0 {
            return 0;
        }
        let next = &mut next[usize::from(length)];
        *next += 1;
        (*next - 1).reverse_bits() >> (16 - length)
    };
    lengths.iter().map(|&length| take(length)).collect()
}

/// A heap of nodes, ordered by frequency, then depth.
struct Heap {
    /// The nodes from index 1, so that the children of `k` are `2k` and `2k + 1`.
    nodes: Vec<usize>,
    frequencies: Vec<u16>,
    depths: Vec<u8>,
}

impl Heap {
    /// Creates the heap; also returns the last symbol in it and the symbols added to have at least
    /// two.
    fn of(frequencies: &[u16]) -> (Self, usize, Vec<usize>) {
        let mut heap = Self {
            nodes: vec![0],
            frequencies: frequencies.to_vec(),
            depths: vec![0; frequencies.len()],
        };
        heap.nodes.extend((0..frequencies.len()).filter(|&symbol| frequencies[symbol] != 0));
        let mut last = frequencies.iter().rposition(|&frequency| frequency != 0);
        let mut added = Vec::new();
        while heap.nodes.len() < 3 {
            let symbol = match last {
                Some(last) if last < 2 => last + 1,
                _ => 0,
            };
            last = last.max(Some(symbol));
            heap.nodes.push(symbol);
            heap.frequencies[symbol] = 1;
            added.push(symbol);
        }
        for k in (1..=(heap.nodes.len() - 1) / 2).rev() {
            heap.sift(k);
        }
        (heap, last.unwrap_or(0), added)
    }

    fn smaller(&self, a: usize, b: usize) -> bool {
        (self.frequencies[a], self.depths[a]) <= (self.frequencies[b], self.depths[b])
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
            let joined = self.frequencies.len();
            self.frequencies.push(self.frequencies[first] + self.frequencies[second]);
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
    /// Returns the code lengths of the symbols, at most `longest` bits each, and the number of
    /// symbols of each length.
    fn limit(
        &self,
        frequencies: &[u16],
        last: usize,
        longest: usize,
    ) -> (Vec<u8>, [u16; LONGEST + 1]) {
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
            // The rarest symbols take the longest codes.
            let mut symbols = self.order.iter().filter(|&&node| node <= last);
            for bits in (1..=longest).rev() {
                for &symbol in symbols.by_ref().take(usize::from(counts[bits])) {
                    lengths[symbol] = bits as u8;
                }
            }
        }
        lengths.truncate(frequencies.len());
        (lengths, counts)
    }
}
