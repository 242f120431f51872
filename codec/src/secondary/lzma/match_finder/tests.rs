//! Compares the match finder with one that keeps the whole stream and a chain through all of it.

use super::index::{FIRST_POSITION, LAST_POSITION, distance, entry};
use super::{DICTIONARY, LONG_ENOUGH, LONGEST_MATCH, MatchFinder};

/// A match finder as liblzma's.
struct Chains {
    bytes: Vec<u8>,
    next: usize,
    entered: usize,
    /// The latest position with a hash, plus 1.
    pairs: Vec<usize>,
    triples: Vec<usize>,
    /// For each position, the one before it with the same hash of three bytes, plus 1.
    previous: Vec<usize>,
}

impl Chains {
    fn new() -> Self {
        Self {
            bytes: Vec::new(),
            next: 0,
            entered: 0,
            pairs: vec![0; 1 << 10],
            triples: vec![0; 1 << 17],
            previous: Vec::new(),
        }
    }

    /// Enters the positions before `end` for which three bytes are known.
    fn enter_until(&mut self, end: usize) {
        while self.entered < end && self.entered + 3 <= self.bytes.len() {
            let (pair, triple) = self.slots(self.entered);
            self.previous.push(self.triples[triple]);
            self.entered += 1;
            self.pairs[pair] = self.entered;
            self.triples[triple] = self.entered;
        }
    }

    fn slots(&self, at: usize) -> (usize, usize) {
        let [first, second, third] = [0, 1, 2].map(|k| u32::from(self.bytes[at + k]));
        let mut hash = first;
        for _ in 0..8 {
            hash = (hash >> 1) ^ (0xedb8_8320 & (hash & 1).wrapping_neg());
        }
        let mixed = hash ^ second;
        (mixed as usize % (1 << 10), (mixed ^ (third << 8)) as usize % (1 << 17))
    }

    fn len(&self, earlier: usize, at: usize, limit: usize) -> usize {
        (0..limit).take_while(|k| self.bytes[earlier + k] == self.bytes[at + k]).count()
    }

    /// Returns lengths and distances of the matches at the next position, and the longest length.
    fn find(&mut self) -> (Vec<(usize, u32)>, usize) {
        let at = self.next;
        self.next += 1;
        self.enter_until(at);
        let available = self.bytes.len() - at;
        let mut found = Vec::new();
        if available < 3 {
            return (found, 0);
        }
        let limit = available.min(LONG_ENOUGH);
        let (pair, triple) = self.slots(at);
        let mut best = 2;
        let candidate = self.pairs[pair];
        if candidate > 0 && at + 1 - candidate <= DICTIONARY {
            let len = self.len(candidate - 1, at, limit);
            if len > 0 {
                found.push((len, (at - candidate) as u32));
                best = best.max(len);
            }
        }
        let mut candidate = self.triples[triple];
        for _ in 0..4 {
            if candidate == 0 || at + 1 - candidate > DICTIONARY || best == limit {
                break;
            }
            let len = self.len(candidate - 1, at, limit);
            if len > best {
                best = len;
                found.push((len, (at - candidate) as u32));
            }
            candidate = self.previous[candidate - 1];
        }
        self.enter_until(self.next);
        let longest = found.last().map_or(0, |&(len, distance)| {
            if len < LONG_ENOUGH {
                return len;
            }
            self.len(at - distance as usize - 1, at, available.min(LONGEST_MATCH))
        });
        (found, longest)
    }

    fn skip(&mut self, count: usize) {
        self.next += count;
        self.enter_until(self.next);
    }
}

/// An xorshift generator.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 as usize % bound
    }
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Noise,
    Skewed,
    Periodic,
    Text,
    Zeros,
}

fn section(shape: Shape, len: usize, random: &mut Random) -> Vec<u8> {
    let period = 1 + random.below(500);
    let mut made: Vec<u8> = Vec::with_capacity(len + 8);
    while made.len() < len {
        match shape {
            Shape::Noise => made.push(random.below(256) as u8),
            Shape::Skewed => made.push((random.below(16) * random.below(16)) as u8 & 0xfc),
            Shape::Periodic if made.len() < period || random.below(1000) == 0 => {
                made.push(random.below(256) as u8);
            }
            Shape::Periodic => made.push(made[made.len() - period]),
            Shape::Text => {
                let word = random.below(300);
                made.extend((0..1 + word % 7).map(|k| b'a' + (word * (k + 3) % 26) as u8));
                made.push(b' ');
            }
            Shape::Zeros => made.push(0),
        }
    }
    made.truncate(len);
    made
}

/// Both finders search, skip and pass the same positions of a stream.
struct Twins {
    chains: Chains,
    finder: MatchFinder,
    random: Random,
    /// The number of searches among 100 steps.
    searches: usize,
    rebases: usize,
    passed: usize,
}

impl Twins {
    fn new(first: u32, searches: usize) -> Self {
        let finder = MatchFinder::starting_at(first);
        let (chains, random) = (Chains::new(), Random(1 + first));
        Self { chains, finder, random, searches, rebases: 0, passed: 0 }
    }

    fn compare(&mut self, mut section: &[u8]) {
        self.chains.bytes.extend_from_slice(section);
        loop {
            let before = self.finder.position();
            self.finder.refill(&mut section);
            self.rebases += usize::from(self.finder.position() < before);
            let available = self.chains.bytes.len() - self.chains.next;
            if self.finder.available() == 0 {
                assert_eq!(available, 0);
                return;
            }
            if self.random.below(100) < self.searches {
                self.search();
            } else if self.random.below(2) == 0 {
                self.pass();
            } else {
                let count = (1 + self.random.below(LONGEST_MATCH)).min(available);
                self.finder.skip(count);
                self.chains.skip(count);
            }
        }
    }

    fn search(&mut self) {
        let found = self.finder.find();
        let matches: Vec<_> = found.matches().iter().map(|one| (one.len, one.distance)).collect();
        assert_eq!((matches, found.longest), self.chains.find(), "before {}", self.chains.next);
    }

    fn pass(&mut self) {
        let next = self.chains.next;
        if next == 0 {
            return;
        }
        let random = &mut self.random;
        let recent = [(); 4].map(|()| random.below(next.min(DICTIONARY)) as u32);
        let count = self.finder.unmatched(&recent);
        for at in next..next + count {
            for distance in recent {
                let earlier = at - distance as usize - 1;
                assert_ne!(self.chains.bytes[earlier..][..2], self.chains.bytes[at..][..2]);
            }
            assert_eq!(self.chains.find(), (vec![], 0), "before {}", self.chains.next);
        }
        self.finder.pass(count);
        self.passed += count;
    }
}

const SHAPES: [Shape; 5] =
    [Shape::Noise, Shape::Skewed, Shape::Periodic, Shape::Text, Shape::Zeros];

#[test]
fn matches_equal_those_of_chains() {
    for (number, shape) in SHAPES.into_iter().enumerate() {
        let mut twins = Twins::new(FIRST_POSITION, 60);
        let mut random = Random(100 + number as u32);
        for len in [1, 300_000, 0, 33, 1_500_000, 2, 3, 400_000] {
            twins.compare(&section(shape, len, &mut random));
        }
        assert!(twins.passed > 0 || matches!(shape, Shape::Zeros | Shape::Periodic));
    }
}

/// Sections that end inside a batch or before three bytes are known.
#[test]
fn short_sections_equal_chains() {
    for (number, shape) in SHAPES.into_iter().enumerate() {
        for bound in [2, 4, 40, 100] {
            let mut twins = Twins::new(FIRST_POSITION, 70);
            let mut random = Random(200 + number as u32);
            for _ in 0..2000 {
                let len = random.below(bound);
                twins.compare(&section(shape, len, &mut random));
            }
        }
    }
}

/// The shapes change, so that the matches of one section are in the last of the same shape.
#[test]
fn rebases_change_no_match() {
    let mut twins = Twins::new(LAST_POSITION - (3 << 20), 40);
    let mut random = Random(300);
    while twins.rebases < 3 {
        let shape = SHAPES[random.below(SHAPES.len())];
        let len = random.below(300_000);
        twins.compare(&section(shape, len, &mut random));
    }
}

/// The distance of two entries is in reach only if their bytes are equal.
#[test]
fn entry_tells_bytes_apart() {
    let position = FIRST_POSITION;
    for (first, other) in [(0, 1), (1, 0), (0, 255), (255, 0), (7, 8)] {
        for reach in [1, DICTIONARY as u32, position] {
            let own = entry(LAST_POSITION, first);
            assert_eq!(distance(own, entry(LAST_POSITION - reach, first)), reach);
            let different = entry(LAST_POSITION - reach, other);
            assert!(distance(own, different) > DICTIONARY as u32);
        }
        assert!(distance(entry(position, first), 0) > DICTIONARY as u32);
    }
}

/// Bytes that share a slot differ in the first one.
#[test]
fn slots_tell_other_bytes_apart() {
    let mut chains = Chains::new();
    for first in [0, 1, 97, 255] {
        let mut pairs = vec![false; 1 << 10];
        let mut triples = vec![false; 1 << 17];
        for second in 0..=255 {
            for third in 0..=255 {
                chains.bytes = vec![first, second, third];
                let (pair, triple) = chains.slots(0);
                assert!(!std::mem::replace(&mut triples[triple], true));
                assert!(third != 0 || !std::mem::replace(&mut pairs[pair], true));
            }
        }
    }
}
