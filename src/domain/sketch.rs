//! Sketches, which estimate the content that two files share from 4 KiB about each: a sample of
//! their content at any offset.

/// The maximum number of prints in a sketch. With 512, a share is known to about a twentieth of
/// itself, and a sketch has 4 KiB.
const PRINTS: usize = 512;
/// The magic bytes of a stored sketch. The last is the version, which also covers the table and the
/// choice of prints.
const MAGIC: &[u8; 9] = b"dgsketch\x01";

/// The fingerprints of a sample of a file's content.
///
/// Each print is a hash of 64 successive bytes, and the 512 smallest prints of a file are kept. Two
/// files with the same content, at whatever offsets, have the same prints, and the share of one
/// sketch found in the other estimates the share of common content (Broder, "On the resemblance
/// and containment of documents", 1997).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// The prints, in ascending order.
    prints: Vec<u64>,
    /// `true` if deltas may be made against the file.
    base: bool,
}

impl Sketch {
    /// Returns the sketch of a reference that no delta may be made against: one that other tools
    /// would decompress.
    pub fn unusable() -> Self {
        Self { prints: Vec::new(), base: false }
    }

    /// Returns whether deltas may be made against the file.
    pub fn is_usable(&self) -> bool {
        self.base
    }

    /// Estimates the share of this file's content that `other` has too, 0 to 1; 0 if unknown.
    pub fn share_in(&self, other: &Self) -> f64 {
        // Of a full sketch, larger prints are unknown.
        let end = |sketch: &Self| match sketch.prints.get(PRINTS - 1) {
            Some(&last) => last,
            None => u64::MAX,
        };
        let end = end(self).min(end(other));
        let known: Vec<&u64> = self.prints.iter().take_while(|&&print| print <= end).collect();
        if known.is_empty() {
            return 0.0;
        }
        let common = known.iter().filter(|print| other.prints.binary_search(print).is_ok()).count();
        common as f64 / known.len() as f64
    }

    /// Encodes the sketch for storage.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(self.base.into());
        bytes.extend(self.prints.iter().flat_map(|print| print.to_le_bytes()));
        bytes
    }

    /// Decodes a stored sketch; `None` if it is malformed or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&base, prints) = bytes.strip_prefix(MAGIC)?.split_first()?;
        if prints.len() > PRINTS * 8 || prints.len() % 8 != 0 || base > 1 {
            return None;
        }
        let prints: Vec<u64> = prints
            .chunks_exact(8)
            .filter_map(|print| Some(u64::from_le_bytes(print.try_into().ok()?)))
            .collect();
        prints.is_sorted_by(|a, b| a < b).then_some(Self { prints, base: base == 1 })
    }
}

/// The maximum size of a stored sketch in bytes.
pub const MAX_SKETCH_BYTES: u64 = (MAGIC.len() + 1 + PRINTS * 8) as u64;

/// Finds prints in a stream of bytes: hashes of the 64 bytes before one offset in 64, which the
/// bytes themselves choose.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrintFinder {
    /// The rolling hash of the last 64 bytes.
    rolling: u64,
    /// The number of bytes so far.
    seen: u64,
}

impl PrintFinder {
    /// Adds bytes, and passes the prints that end in them to `take`.
    pub(crate) fn update(&mut self, bytes: &[u8], mut take: impl FnMut(u64)) {
        for &byte in bytes {
            // The bits of a byte are shifted out after 64 more bytes.
            self.rolling = (self.rolling << 1).wrapping_add(GEAR[usize::from(byte)]);
            self.seen += 1;
            // Samples one offset in 64, by the bits that most bytes contribute to.
            if self.rolling >> 58 == 0 && self.seen >= 64 {
                take(mixed(self.rolling));
            }
        }
    }
}

/// A streaming builder of a sketch.
#[derive(Debug, Clone)]
pub struct Sketcher {
    finder: PrintFinder,
    smallest: Smallest,
}

/// The smallest prints of those found.
#[derive(Debug, Clone)]
struct Smallest {
    /// The largest print that can still be among the smallest.
    end: u64,
    prints: Vec<u64>,
}

impl Default for Sketcher {
    fn default() -> Self {
        let smallest = Smallest { end: u64::MAX, prints: Vec::with_capacity(2 * PRINTS) };
        Self { finder: PrintFinder::default(), smallest }
    }
}

impl Sketcher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.finder.update(bytes, |print| self.smallest.add(print));
    }

    /// Returns the sketch of all bytes added.
    pub fn finish(mut self) -> Sketch {
        self.smallest.keep_smallest();
        Sketch { prints: self.smallest.prints, base: true }
    }
}

impl Smallest {
    fn add(&mut self, print: u64) {
        if print <= self.end {
            self.prints.push(print);
            if self.prints.len() == 2 * PRINTS {
                self.keep_smallest();
            }
        }
    }

    fn keep_smallest(&mut self) {
        self.prints.sort_unstable();
        self.prints.dedup();
        self.prints.truncate(PRINTS);
        if let Some(&last) = self.prints.get(PRINTS - 1) {
            self.end = last;
        }
    }
}

/// A pseudo-random number for each byte (the sequence of SplitMix64 from 0).
const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut state = 0u64;
    let mut at = 0;
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        table[at] = mixed(state);
        at += 1;
    }
    table
};

/// Applies the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
const fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(bytes: &[u8]) -> Sketch {
        let mut sketcher = Sketcher::default();
        sketcher.update(bytes);
        sketcher.finish()
    }

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        (0..len as u64 / 8)
            .flat_map(|n| mixed(seed.wrapping_mul(1 << 40).wrapping_add(n + 1)).to_le_bytes())
            .collect()
    }

    /// The share of common content is estimated at whatever offsets it is.
    #[test]
    fn shared_content_is_estimated() {
        let (a, b) = (noise(2 << 20, 1), noise(2 << 20, 2));
        let mixture = [&b[..1_000_000], &a[300_000..1_300_000], &b[1_000_000..]].concat();
        let share = sketch(&mixture).share_in(&sketch(&a));
        assert!((share - 1_000_000.0 / mixture.len() as f64).abs() < 0.06, "{share}");
        assert_eq!(sketch(&a).share_in(&sketch(&a)), 1.0);
        assert_eq!(sketch(&b).share_in(&sketch(&a)), 0.0);
    }

    #[test]
    fn a_part_of_a_file_is_all_in_it() {
        let whole = noise(4 << 20, 3);
        let share = sketch(&whole[1 << 20..(1 << 20) + 200_000]).share_in(&sketch(&whole));
        assert!(share > 0.9, "{share}");
    }

    #[test]
    fn chunking_does_not_matter() {
        let bytes = noise(100_000, 4);
        let mut sketcher = Sketcher::default();
        bytes.chunks(77).for_each(|piece| sketcher.update(piece));
        assert_eq!(sketcher.finish(), sketch(&bytes));
    }

    #[test]
    fn stored_sketch_reads_back() {
        for sketch in [sketch(&noise(1 << 20, 5)), sketch(b"short"), Sketch::unusable()] {
            let bytes = sketch.to_bytes();
            assert!(bytes.len() as u64 <= MAX_SKETCH_BYTES);
            assert_eq!(Sketch::from_bytes(&bytes), Some(sketch));
            assert_eq!(Sketch::from_bytes(&bytes[..bytes.len() - 1]), None);
        }
        assert_eq!(Sketch::from_bytes(b""), None);
        // The table is part of the format: other prints are those of another version.
        assert_eq!(
            sketch(&noise(1 << 20, 5)).prints[..2],
            [1_028_467_572_031_041, 1_905_263_081_164_467]
        );
    }
}
