//! Compares the range encoder with one that follows the format's description step by step.

use super::{EVEN, NARROW, RangeEncoder};

/// A range encoder with branches, which holds back a byte and the bytes of 0xff behind it.
struct Plain {
    bytes: Vec<u8>,
    low: u64,
    range: u32,
    cache: u8,
    held: usize,
}

impl Plain {
    fn new() -> Self {
        Self { bytes: Vec::new(), low: 0, range: u32::MAX, cache: 0, held: 1 }
    }

    fn widen(&mut self) {
        if self.range < NARROW {
            self.range <<= 8;
            self.shift_low();
        }
    }

    fn shift_low(&mut self) {
        let carry = (self.low >> 32) as u8;
        if carry != 0 || self.low < 0xff00_0000 {
            self.bytes.push(self.cache.wrapping_add(carry));
            self.bytes.resize(self.bytes.len() + self.held - 1, 0xff_u8.wrapping_add(carry));
            self.held = 0;
            self.cache = (self.low >> 24) as u8;
        }
        self.held += 1;
        self.low = (self.low & 0x00ff_ffff) << 8;
    }

    fn bit(&mut self, probability: &mut u16, bit: u32) {
        self.widen();
        let bound = (self.range >> 11) * u32::from(*probability);
        if bit == 1 {
            self.low += u64::from(bound);
            self.range -= bound;
            *probability -= *probability >> 5;
        } else {
            self.range = bound;
            *probability += (2048 - *probability) >> 5;
        }
    }

    fn direct(&mut self, bit: u32) {
        self.widen();
        self.range >>= 1;
        self.low += u64::from(self.range * bit);
    }

    fn finished_len(&self) -> usize {
        self.bytes.len() + self.held + 4
    }

    fn finish(&mut self) -> &[u8] {
        self.widen();
        for _ in 0..5 {
            self.shift_low();
        }
        &self.bytes
    }
}

/// An xorshift generator.
struct Random(u32);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % bound
    }
}

#[test]
fn bits_match_plain_encoder() {
    let mut random = Random(1);
    let mut fast = RangeEncoder::new();
    for skew in [1, 2, 3, 16, 500] {
        let mut plain = Plain::new();
        fast.restart();
        let (mut ours, mut theirs) = ([EVEN; 64], [EVEN; 64]);
        for _ in 0..100_000 {
            let (which, bit) = (random.below(64) as usize, u32::from(random.below(skew) == 0));
            if random.below(10) == 0 {
                fast.direct(1, bit);
                plain.direct(bit);
            } else {
                fast.bit(&mut ours[which], bit);
                plain.bit(&mut theirs[which], bit);
            }
            assert_eq!(fast.finished_len(), plain.finished_len());
            if plain.finished_len() > 60_000 {
                break;
            }
        }
        assert_eq!(ours, theirs);
        assert!(fast.finish() == plain.finish(), "1 in {skew}");
    }
}

#[test]
fn literals_match_single_bits() {
    let mut random = Random(2);
    let (mut whole, mut single) = (RangeEncoder::new(), RangeEncoder::new());
    let (mut ours, mut theirs) = ([EVEN; 256], [EVEN; 256]);
    let (mut is_match, mut is_match_too) = (EVEN, EVEN);
    for _ in 0..50_000 {
        let byte = random.below(256) as u8 & random.below(256) as u8;
        whole.literal(&mut is_match, &mut ours, byte);
        single.bit(&mut is_match_too, 0);
        single.tree(&mut theirs, 8, u32::from(byte));
        assert_eq!(whole.finished_len(), single.finished_len());
    }
    assert!((ours, is_match) == (theirs, is_match_too));
    assert!(whole.finish() == single.finish());
}

/// Literals of the least likely bits, each of which shifts more bytes out than can be held back.
#[test]
fn unlikely_literals_match_single_bits() {
    let (mut whole, mut single) = (RangeEncoder::new(), RangeEncoder::new());
    for round in 0..2000 {
        let (mut ours, mut theirs) = ([31 + round % 7; 256], [31 + round % 7; 256]);
        let (mut is_match, mut is_match_too) = (31, 31);
        whole.literal(&mut is_match, &mut ours, 0);
        single.bit(&mut is_match_too, 0);
        single.tree(&mut theirs, 8, 0);
        assert!((ours, is_match) == (theirs, is_match_too));
    }
    assert!(whole.finish() == single.finish());
}

/// The code stays just below a multiple of a power of 256 for many decisions before it exceeds it.
#[test]
fn carry_passes_long_runs() {
    let mut random = Random(3);
    let mut longest = 0;
    for round in 0..300 {
        let (mut fast, mut plain) = (RangeEncoder::new(), Plain::new());
        for _ in 0..2000 {
            let mut probability = 900 + random.below(200) as u16;
            let range = if plain.range < NARROW { plain.range << 8 } else { plain.range };
            let low = if plain.range < NARROW { (plain.low & 0xff_ffff) << 8 } else { plain.low };
            let bound = u64::from((range >> 11) * u32::from(probability));
            let (end, middle) = (low + u64::from(range), low + bound);
            let near = low < 1 << 32 && end > 1 << 32;
            let bit = if near && plain.held < 3 + round % 40 {
                u32::from(middle <= 1 << 32)
            } else {
                1 - random.below(20) / 19
            };
            longest = longest.max(plain.held);
            plain.bit(&mut { probability }, bit);
            fast.bit(&mut probability, bit);
        }
        assert!(fast.finish() == plain.finish(), "round {round}");
    }
    assert!(longest > 20, "only {longest} bytes were held back");
}
