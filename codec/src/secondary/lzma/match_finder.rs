//! The match finder: a sliding window over a stream, with liblzma's hash chains over it ("HC3").

/// The size of the dictionary in bytes, the maximum distance of a match.
pub(super) const DICTIONARY: usize = 1 << 18;
/// The length of the longest match in the format.
pub(super) const LONGEST_MATCH: usize = 273;
/// The length from which a match is taken without further search.
pub(super) const LONG_ENOUGH: usize = 128;

/// The number of bytes kept when the window slides: the dictionary before the earliest byte still
/// to be encoded or entered, which is at most two before the next. (A chunk that is stored instead
/// of encoded reaches back 64 KiB, less than that.)
const HISTORY: usize = DICTIONARY + 16;
/// The maximum number of bytes beyond the next position that a choice looks at: two searches and
/// the longest match.
const LOOK_AHEAD: usize = 1024;
const WINDOW: usize = 1 << 20;
/// The number of bytes compared at a time, which may read past the data but not past the buffer.
const STRIDE: usize = 8;

const PAIR_SLOTS: usize = 1 << 10;
const TRIPLE_SLOTS: usize = 1 << 17;
/// The number of candidates tried along a chain.
const CHAIN_DEPTH: usize = 4;

/// The first position, far enough from 0 for 0 to mean "none" by its distance alone. It is a
/// multiple of the dictionary size, as chains are stored at the position modulo that.
const FIRST_POSITION: u32 = 2 * DICTIONARY as u32;

/// An earlier place with the same bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Match {
    pub(super) len: usize,
    /// The distance back; 0 is the byte just before.
    pub(super) distance: u32,
}

/// The matches at one position, of growing length (and distance).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Found {
    matches: [Match; CHAIN_DEPTH + 1],
    count: usize,
    /// The length of the last match, compared beyond [`LONG_ENOUGH`], which the entry itself never
    /// exceeds.
    pub(super) longest: usize,
}

impl Found {
    pub(super) fn matches(&self) -> &[Match] {
        &self.matches[..self.count]
    }

    #[inline(always)]
    fn push(&mut self, len: usize, distance: u32) {
        self.matches[self.count] = Match { len, distance };
        self.count += 1;
        self.longest = len;
    }
}

/// The window and the index of its bytes. A *position* counts from the start of the stream in 32
/// bits, an index is a place in the buffer.
#[derive(Debug)]
pub(super) struct MatchFinder {
    bytes: Box<[u8]>,
    filled: usize,
    /// The index of the first byte not yet searched or skipped.
    next: usize,
    /// The index from which on the next search needs more data.
    ready_until: usize,
    /// The position of index 0.
    offset: u32,
    /// The number of bytes before `next` that could not be entered, because fewer than three were
    /// known from there on.
    pending: usize,
    pairs: Box<[u32; PAIR_SLOTS]>,
    triples: Box<[u32; TRIPLE_SLOTS]>,
    chain: Box<[u32; DICTIONARY]>,
}

impl MatchFinder {
    pub(super) fn new() -> Self {
        Self::starting_at(FIRST_POSITION)
    }

    /// Creates a finder with another number for the first position, at least [`FIRST_POSITION`].
    pub(super) fn starting_at(offset: u32) -> Self {
        Self {
            bytes: vec![0; WINDOW + STRIDE].into_boxed_slice(),
            filled: 0,
            next: 0,
            ready_until: 0,
            offset,
            pending: 0,
            pairs: zeros(),
            triples: zeros(),
            chain: zeros(),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn next(&self) -> usize {
        self.next
    }

    #[cfg(test)]
    pub(super) fn position(&self) -> u32 {
        self.offset + self.next as u32
    }

    /// Returns the number of known bytes from `next` on.
    pub(super) fn available(&self) -> usize {
        self.filled - self.next
    }

    /// Takes in more of the section if few known bytes are left. Afterwards all bytes a choice can
    /// look at are in the window, as if the whole section were.
    #[inline]
    pub(super) fn refill(&mut self, section: &mut &[u8]) {
        if self.next >= self.ready_until && !section.is_empty() {
            self.fill(section);
        }
    }

    fn fill(&mut self, section: &mut &[u8]) {
        if section.len() > WINDOW - self.filled {
            self.slide();
        }
        let (head, rest) = section.split_at(section.len().min(WINDOW - self.filled));
        self.bytes[self.filled..self.filled + head.len()].copy_from_slice(head);
        self.filled += head.len();
        *section = rest;
        self.ready_until = if rest.is_empty() { self.filled } else { self.filled - LOOK_AHEAD };
        let pending = std::mem::take(&mut self.pending);
        self.next -= pending;
        self.skip(pending);
    }

    fn slide(&mut self) {
        let gone = self.next.saturating_sub(HISTORY);
        self.bytes.copy_within(gone..self.filled, 0);
        self.filled -= gone;
        self.next -= gone;
        self.offset += gone as u32;
        if self.offset > u32::MAX - WINDOW as u32 {
            self.rebase();
        }
    }

    /// Moves all positions down before they exceed 32 bits. Only differences of positions are ever
    /// used, and an entry that becomes 0 was already out of reach, so the matches found do not
    /// change.
    fn rebase(&mut self) {
        let position = self.offset + self.next as u32;
        let drop = (position - FIRST_POSITION) & !(DICTIONARY as u32 - 1);
        for table in [&mut self.pairs[..], &mut self.triples[..], &mut self.chain[..]] {
            for entry in table {
                *entry = entry.saturating_sub(drop);
            }
        }
        self.offset -= drop;
    }

    /// Enters the next position and returns the matches there.
    pub(super) fn find(&mut self) -> Found {
        let mut found = Found::default();
        let at = self.next;
        let available = self.filled - at;
        let limit = available.min(LONG_ENOUGH);
        if available < 3 {
            self.next += 1;
            self.pending += 1;
            return found;
        }
        let position = self.offset + at as u32;
        let (latest_pair, mut candidate) = self.enter(at, position);
        let bytes = &self.bytes[..];

        let reach = position - latest_pair;
        if reach <= DICTIONARY as u32 && bytes[at - reach as usize] == bytes[at] {
            let len = common_len(bytes, at - reach as usize, at, 2, limit);
            found.push(len, reach - 1);
        }
        let mut best = found.longest.max(2);
        for _ in 0..CHAIN_DEPTH {
            let reach = position - candidate;
            if reach > DICTIONARY as u32 || best == limit {
                break;
            }
            let earlier = at - reach as usize;
            if bytes[earlier + best] == bytes[at + best] && bytes[earlier] == bytes[at] {
                let len = common_len(bytes, earlier, at, 1, limit);
                if len > best {
                    best = len;
                    found.push(len, reach - 1);
                }
            }
            if reach == DICTIONARY as u32 {
                // The position searched for has just taken its place in the chain; the following
                // entries are farther.
                break;
            }
            candidate = self.chain[candidate as usize % DICTIONARY];
        }
        if found.longest == LONG_ENOUGH {
            let distance = found.matches[found.count - 1].distance as usize;
            found.longest =
                common_len(bytes, at - distance - 1, at, LONG_ENOUGH, available.min(LONGEST_MATCH));
        }
        found
    }

    /// Enters `count` positions without searching.
    pub(super) fn skip(&mut self, count: usize) {
        for at in self.next..self.next + count {
            if self.filled - at < 3 {
                self.next += 1;
                self.pending += 1;
            } else {
                self.enter(at, self.offset + at as u32);
            }
        }
    }

    /// Enters `at` as the latest with its first two and its first three bytes; returns the previous
    /// ones.
    #[inline(always)]
    fn enter(&mut self, at: usize, position: u32) -> (u32, u32) {
        let &[first, second, third] = self.bytes[at..].first_chunk().unwrap_or(&[0; 3]);
        let mixed = CRC32[usize::from(first)] ^ u32::from(second);
        let pair = &mut self.pairs[mixed as usize % PAIR_SLOTS];
        let triple = &mut self.triples[(mixed ^ (u32::from(third) << 8)) as usize % TRIPLE_SLOTS];
        let latest = (*pair, *triple);
        *pair = position;
        *triple = position;
        self.chain[position as usize % DICTIONARY] = latest.1;
        self.next += 1;
        latest
    }
}

/// Returns the number of equal bytes at `earlier` and `later`, at most `limit`; the first `len` are
/// known to be equal.
#[inline(always)]
pub(super) fn common_len(
    bytes: &[u8],
    earlier: usize,
    later: usize,
    mut len: usize,
    limit: usize,
) -> usize {
    while len < limit {
        let (Some(a), Some(b)) = (eight(bytes, earlier + len), eight(bytes, later + len)) else {
            break;
        };
        let difference = a ^ b;
        if difference != 0 {
            len += difference.trailing_zeros() as usize / 8;
            break;
        }
        len += STRIDE;
    }
    len.min(limit)
}

#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..at + STRIDE)?.first_chunk()?))
}

/// Returns zeros allocated directly on the heap: these tables are too large for a small stack.
fn zeros<const N: usize>() -> Box<[u32; N]> {
    vec![0; N].try_into().unwrap_or_else(|_| Box::new([0; N]))
}

/// The first table of CRC-32 (reflected polynomial 0xEDB88320), which liblzma hashes with.
const CRC32: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 0 { value >> 1 } else { (value >> 1) ^ 0xedb8_8320 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};
