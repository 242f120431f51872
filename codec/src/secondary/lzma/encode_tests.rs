//! Compares the encoder with liblzma 5.4.1: sections made here, with digests of the output of
//! `lzma_stream_encoder` (preset 0, no check, `LZMA_SYNC_FLUSH` after each section).

use super::super::match_finder::{DICTIONARY, LAST_POSITION, MatchFinder};
use super::LzmaEncoder;
use sha2::{Digest, Sha256};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Zeros,
    Noise,
    Words,
    Addresses,
    FourLetters,
    /// Small values more often than large ones.
    Skewed,
    /// A few bytes again and again, with errors.
    Periodic,
    /// Noise that does not compress, with near copies of two bytes, the second of which begins a
    /// far copy of four: a literal and a search ahead.
    Lures,
    Runs,
    /// Copies from as far back as the dictionary reaches, and slightly further.
    Edge,
    /// The same with only zeros in between.
    LonelyEdge,
    /// All of these in turn, with copies.
    Mixed,
}

fn bytes(shape: Shape, len: usize, random: &mut Random) -> Vec<u8> {
    let mut made = Vec::with_capacity(len + 1024);
    let mut address = 0u32;
    let words: Vec<Vec<u8>> = (0..200)
        .map(|_| {
            (0..1 + random.below(9)).map(|_| b'a' + random.below(26) as u8).chain([b' ']).collect()
        })
        .collect();
    while made.len() < len {
        match shape {
            Shape::Zeros => made.push(0),
            Shape::Noise => made.extend(random.next().to_le_bytes()),
            Shape::Words => made.extend(&words[random.below(200)]),
            Shape::Addresses => {
                let jump = if random.below(20) == 0 { 1 << 24 } else { 5000 };
                address = address.wrapping_add(random.below(jump) as u32);
                made.extend(address.to_be_bytes());
            }
            Shape::FourLetters => made.push(b'a' + random.below(4) as u8),
            Shape::Skewed => made.push((random.below(16) * random.below(16)) as u8),
            Shape::Periodic if made.len() < 37 || random.below(500) == 0 => {
                made.push(random.next() as u8);
            }
            Shape::Periodic => copy(&mut made, 37, 1 + random.below(300)),
            Shape::Lures if made.len() < 100_000 => made.push(random.next() as u8),
            Shape::Lures => {
                let far = made.len() - 4 - random.below(90_000);
                let (pair, rest) = ([random.next() as u8, made[far]], far + 1..far + 4);
                made.extend((0..30).map(|_| random.next() as u8));
                made.extend(pair);
                made.extend((0..30).map(|_| random.next() as u8));
                made.extend(pair);
                made.extend_from_within(rest);
            }
            Shape::Runs => {
                let value = random.below(3) as u8;
                made.resize(made.len() + 1 + random.below(if value == 0 { 600 } else { 4 }), value);
            }
            Shape::Edge if made.len() < DICTIONARY + 100 || random.below(3) == 0 => {
                for _ in 0..random.below(400) {
                    made.push(random.next() as u8 & 0x1f);
                }
            }
            Shape::Edge => {
                copy(&mut made, DICTIONARY - 4 + random.below(10), 2 + random.below(300))
            }
            Shape::LonelyEdge => {
                let (start, len) = (made.len(), 2 + random.below(40));
                made.extend((0..len).map(|_| random.next() as u8));
                made.resize(start + DICTIONARY - 2 + random.below(4), 0);
                made.extend_from_within(start..start + len);
                made.resize(made.len() + 1000, 0);
            }
            Shape::Mixed => {
                let part =
                    [Shape::Zeros, Shape::Noise, Shape::Words, Shape::Addresses, Shape::Runs]
                        [random.below(5)];
                let len = 1 + random.below(70_000);
                made.extend(bytes(part, len, random));
                let distance = 1 + random.below(made.len().min(300_000));
                copy(&mut made, distance, random.below(5000));
            }
        }
    }
    made.truncate(len);
    made
}

fn copy(made: &mut Vec<u8>, distance: usize, len: usize) {
    for _ in 0..len {
        made.push(made[made.len() - distance]);
    }
}

fn sections(seed: u64, shape: Shape, lens: &[usize]) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    lens.iter().map(|&len| bytes(shape, len, &mut random)).collect()
}

fn lures_and_words(seed: u64) -> Vec<Vec<u8>> {
    [sections(seed, Shape::Lures, &[1_000_000]), sections(seed, Shape::Words, &[70_000])].concat()
}

/// Returns sections of `least..least + spread` bytes.
fn many(seed: u64, shape: Shape, count: usize, least: usize, spread: usize) -> Vec<Vec<u8>> {
    let mut random = Random(seed);
    (0..count)
        .map(|_| {
            let len = least + random.below(spread);
            bytes(shape, len, &mut random)
        })
        .collect()
}

fn digest(sections: &[Vec<u8>], encode: &mut dyn FnMut(&[u8]) -> Vec<u8>) -> String {
    let mut hash = Sha256::new();
    for section in sections {
        let encoded = encode(section);
        hash.update((encoded.len() as u64).to_le_bytes());
        hash.update(encoded);
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns sections, and the first half of the SHA-256 of their encodings, each after its length in
/// 8 bytes.
fn golden() -> Vec<(Vec<Vec<u8>>, &'static str)> {
    let sizes = [10, 11, 13, 100, 4096, 61_439, 70_000];
    vec![
        (sections(1, Shape::Zeros, &[10, 10, 300_000, 10]), "64628055d5a2f31b53cfa6a5edf6c745"),
        (sections(2, Shape::Zeros, &[5_000_000]), "32409355b40b5f537939387ae90777f5"),
        (sections(3, Shape::Noise, &sizes), "b30a9e73fa4b55bf7430a6b9a0b5dcc7"),
        (sections(4, Shape::Noise, &[700_000, 65_536, 65_535]), "5836f5997672251164348e7805d9239e"),
        (sections(5, Shape::Words, &sizes), "8221bccce702d6770a8baf7b8d76330c"),
        (sections(6, Shape::Words, &[2_500_000]), "8689154145a6d24ec627cf3c7c3b33b8"),
        (sections(7, Shape::Addresses, &sizes), "8b27e15ed1d64d192d884e5c3028a446"),
        (
            sections(8, Shape::Addresses, &[800_000, 10, 200_000]),
            "bcc1b32bbdcf4dc0ecee80d904a36a06",
        ),
        (
            sections(9, Shape::FourLetters, &[12, 40_000, 800_000]),
            "4a89620eba1627ff59fb4346301b3415",
        ),
        (sections(10, Shape::Runs, &sizes), "daa852decd96117b8df6dc0d9b16176c"),
        (sections(11, Shape::Runs, &[3_000_000, 2_097_152]), "7ca7023fed47f83225aaba0f0ffd23a6"),
        (sections(12, Shape::Edge, &[1_500_000]), "be113cb49be1219f70f58db4f87a181e"),
        (sections(23, Shape::LonelyEdge, &[6_000_000]), "2a2f872b4f2e554393014346134c96d3"),
        (sections(13, Shape::Edge, &[400_000, 300_000]), "327fabfd3e8347a2303a09ba60d4e701"),
        (sections(14, Shape::Mixed, &sizes), "e3dba6d963fa66e1c3a6c5e5e326e180"),
        (sections(15, Shape::Mixed, &[2_400_000, 1_000_000]), "b116f2106efb69921b577e946889f94a"),
        (many(16, Shape::Noise, 300, 10, 31), "9ac06aedf0f841e8529f95fa2adcbeff"),
        (many(17, Shape::Words, 300, 10, 31), "97f389b114d571d389c1e64bf35a221b"),
        (many(18, Shape::Addresses, 300, 10, 31), "67bb282607c8d664e2d3533b4b6f2bd8"),
        (many(19, Shape::FourLetters, 300, 10, 3), "51d111a826b1b3d42ac2e8b5686d0306"),
        (many(20, Shape::Mixed, 40, 10, 20_000), "fccef23b076ac66de6727ac504055d1a"),
        (many(21, Shape::Mixed, 30, 60_000, 10_000), "e085404ddac451acb5e2f933d21b5aaa"),
        (many(22, Shape::Runs, 100, 10, 2000), "c5826f8cdda45144932a83d8a1048e09"),
        (sections(24, Shape::Skewed, &[1_500_000, 33, 70_000]), "3c4c31c23568600b941df7532f109cb6"),
        (
            sections(25, Shape::Periodic, &[1_500_000, 33, 70_000]),
            "cf7e05242367f944206715aa95652b4d",
        ),
        // A chunk of each ends, and is stored, after a search ahead.
        (lures_and_words(27), "9bf45b8d705a55457216ee9686b514cf"),
        (lures_and_words(43), "eef01d14802c186a26c2900fd2679059"),
        (many(27, Shape::Skewed, 1000, 1, 4), "d79cfc11197f6112798bfe1c2bbddd72"),
        (many(28, Shape::Periodic, 1000, 1, 100), "cbf5e932dba33389289f091063713d02"),
    ]
}

fn encoded(mut encoder: LzmaEncoder) -> impl FnMut(&[u8]) -> Vec<u8> {
    move |section| {
        let mut out = Vec::new();
        encoder.encode_section(section, &mut out);
        out
    }
}

#[test]
fn sections_match_liblzma() {
    for (index, (sections, expected)) in golden().iter().enumerate() {
        let ours = digest(sections, &mut encoded(LzmaEncoder::new()));
        assert_eq!(ours, *expected, "row {index}");
    }
}

/// It consists of the headers and a stored chunk.
#[test]
fn short_first_section_is_stored() {
    let mut out = Vec::new();
    LzmaEncoder::new().encode_section(b"hello world\n", &mut out);
    let headers = b"\xfd7zXZ\0\0\0\xff\x12\xd9\x41\x02\0\x21\x01\x0c\0\0\0\x8f\x98\x41\x9c";
    assert_eq!(out, [&headers[..], b"\x01\x00\x0bhello world\n"].concat());
}

#[test]
fn only_first_section_has_headers() {
    let mut encode = encoded(LzmaEncoder::new());
    assert_eq!(&encode(b"hello world\n")[..6], b"\xfd7zXZ\0");
    assert_eq!(&encode(b"hello world\n")[..1], b"\xc0");
}

/// A finder whose positions reach the largest that fits into an entry finds the same matches.
#[test]
fn rebase_changes_nothing() {
    for distance_to_end in [3 << 20, 2_500_000, (1 << 20) + 1] {
        let start = LAST_POSITION - distance_to_end;
        let sections = sections(30, Shape::Mixed, &[2_000_000, 1_100_000, 10, 900_000, 700_000]);
        let mut late =
            LzmaEncoder { finder: MatchFinder::starting_at(start), ..LzmaEncoder::new() };
        let mut early = encoded(LzmaEncoder::new());
        for section in &sections {
            let mut out = Vec::new();
            late.encode_section(section, &mut out);
            assert!(out == early(section));
        }
        assert!(late.finder.position() < start, "positions were not moved down");
    }
}
