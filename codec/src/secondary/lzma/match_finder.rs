//! The match finder: a sliding window over a stream, with an index of its bytes that finds what
//! liblzma's hash chains find ("HC3").

mod batch;
mod index;

use batch::Batch;
pub(super) use index::LAST_POSITION;
use index::{CANDIDATES, FIRST_POSITION, Index};

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
/// The number of bytes that the index hashes: a position is entered once they are known.
const HASHED: usize = 3;

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
    matches: [Match; CANDIDATES + 1],
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

/// The window and the index of its bytes. A *position* counts from the start of the stream, modulo
/// what [`Index::rebase`] takes off; an index into the buffer is called `at`.
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
    /// The index of the first byte not yet entered: at least `next`, except that the last two
    /// bytes of a section wait for the next section.
    entered: usize,
    index: Index,
    /// Entered positions, the last at `entered - 1`.
    batch: Batch,
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
            entered: 0,
            index: Index::new(),
            batch: Batch::new(),
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
        self.index.prepare(section.len());
        let (head, rest) = section.split_at(section.len().min(WINDOW - self.filled));
        self.bytes[self.filled..self.filled + head.len()].copy_from_slice(head);
        self.filled += head.len();
        *section = rest;
        self.ready_until = if rest.is_empty() { self.filled } else { self.filled - LOOK_AHEAD };
    }

    fn slide(&mut self) {
        let gone = self.next.saturating_sub(HISTORY);
        self.bytes.copy_within(gone..self.filled, 0);
        self.filled -= gone;
        self.next -= gone;
        self.entered -= gone;
        self.offset += gone as u32;
        if self.offset > LAST_POSITION - WINDOW as u32 {
            let drop = self.offset + self.next as u32 - FIRST_POSITION;
            self.index.rebase(drop);
            self.batch.rebase(drop);
            self.offset -= drop;
        }
    }

    /// Moves past the next position and returns the matches there.
    #[inline]
    pub(super) fn find(&mut self) -> Found {
        let at = self.next;
        let place = self.batched();
        self.next += 1;
        if place == 0 {
            return Found::default();
        }
        let own = index::entry(self.offset + at as u32, self.bytes[at]);
        let (pair, triples) = self.batch.candidates(place);
        if batch::any_in_reach(own, pair, &triples) {
            self.compare(at, own, pair, triples)
        } else {
            Found::default()
        }
    }

    /// Returns the number of entered positions from the next on, more than 0 unless fewer than
    /// three bytes are known.
    #[inline(always)]
    fn batched(&mut self) -> usize {
        if self.next >= self.entered && self.available() >= HASHED {
            self.enter_batch(self.next);
        }
        self.entered.saturating_sub(self.next)
    }

    /// Returns a number of positions from the next on, at most 7, at which neither a search nor a
    /// comparison with one of the `recent` distances finds two equal bytes. There may be more.
    #[inline]
    pub(super) fn unmatched(&mut self, recent: &[u32; 4]) -> usize {
        let place = self.batched();
        if place == 0 {
            return 0;
        }
        let at = self.next;
        let position = self.offset + at as u32;
        let Some(ahead) = self.bytes[at..].first_chunk::<{ batch::RUN }>() else {
            return 0;
        };
        let owns = std::array::from_fn(|k| index::entry(position + k as u32, ahead[k]));
        let unmatched = self.batch.unmatched(place, owns);
        if unmatched == 0 {
            return 0;
        }
        let mut equal_pairs = 0;
        for &distance in recent {
            let earlier = at - distance as usize - 1;
            let (Some(a), Some(b)) = (eight(&self.bytes, earlier), eight(&self.bytes, at)) else {
                return 0;
            };
            let equal = zero_bytes(a ^ b);
            equal_pairs |= equal & (equal >> 8);
        }
        unmatched.min(equal_pairs.trailing_zeros() as usize / 8)
    }

    /// Moves past positions that [`unmatched`](Self::unmatched) counted.
    #[inline(always)]
    pub(super) fn pass(&mut self, count: usize) {
        self.next += count;
    }

    /// Enters all positions before `at` and a batch of those from there on.
    fn enter_batch(&mut self, at: usize) {
        self.enter_until(at);
        let end = at + batch::LEN.min(self.filled - at - (HASHED - 1));
        let position = self.offset + at as u32;
        self.batch.fill(&mut self.index, &self.bytes[at..end + HASHED - 1], position);
        self.entered = end;
    }

    /// Enters the positions before `end` whose bytes are known.
    fn enter_until(&mut self, end: usize) {
        let end = end.min((self.filled + 1).saturating_sub(HASHED));
        if end > self.entered {
            let position = self.offset + self.entered as u32;
            self.index.enter(&self.bytes[self.entered..end + HASHED - 1], position);
            self.entered = end;
        }
    }

    /// Returns the matches at `at`, whose own entry is `own`.
    fn compare(&self, at: usize, own: u32, pair: u32, triples: [u32; CANDIDATES]) -> Found {
        let mut found = Found::default();
        let bytes = &self.bytes[..];
        let available = self.filled - at;
        let limit = available.min(LONG_ENOUGH);
        let reach = index::distance(own, pair);
        if reach <= DICTIONARY as u32 {
            let len = common_len(bytes, at - reach as usize, at, 2, limit);
            found.push(len, reach - 1);
        }
        let mut best = found.longest.max(2);
        for candidate in triples {
            if best == limit {
                break;
            }
            let reach = index::distance(own, candidate);
            if reach > DICTIONARY as u32 {
                continue;
            }
            let earlier = at - reach as usize;
            if bytes[earlier + best] == bytes[at + best] {
                let len = common_len(bytes, earlier, at, HASHED, limit);
                if len > best {
                    best = len;
                    found.push(len, reach - 1);
                }
            }
        }
        if found.longest == LONG_ENOUGH {
            let distance = found.matches[found.count - 1].distance as usize;
            found.longest =
                common_len(bytes, at - distance - 1, at, LONG_ENOUGH, available.min(LONGEST_MATCH));
        }
        found
    }

    /// Moves past `count` positions without searching.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.next += count;
        if self.next > self.entered {
            self.enter_until(self.next);
        }
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

/// Returns the highest bit of each byte that is 0, and perhaps of bytes above such a byte.
#[inline(always)]
fn zero_bytes(value: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    value.wrapping_sub(ONES) & !value & (ONES << 7)
}

#[inline(always)]
fn eight(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..at + STRIDE)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
