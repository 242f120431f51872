//! Texts of several kinds, the same on every machine.

/// A generator of numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Words with a skewed distribution, in lines.
pub fn words(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let vocabulary: Vec<Vec<u8>> = (0..3000)
        .map(|_| {
            let len = 2 + random.below(9);
            (0..len).map(|_| b'a' + (random.below(26) * random.below(26) / 26) as u8).collect()
        })
        .collect();
    let mut text = Vec::with_capacity(len + 16);
    while text.len() < len {
        let n = random.below(3000) * random.below(3000) / 3000;
        text.extend(&vocabulary[n as usize]);
        text.push(if random.below(12) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(len);
    text
}

/// Bytes without structure.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    (0..len).map(|_| random.next() as u8).collect()
}

/// Words, noise, zeros and repeats by turns, like a tar of several kinds of files.
pub fn mixed(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut text = Vec::with_capacity(len + 70_000);
    while text.len() < len {
        let seed = random.next();
        let size = 500 + random.below(60_000) as usize;
        match random.below(6) {
            0..=2 => text.extend(words(size, seed)),
            3 => text.extend(noise(size, seed)),
            4 => text.extend(std::iter::repeat_n(0, size)),
            _ => {
                let from = random.below(text.len() as u64 + 1) as usize;
                let to = text.len().min(from + size);
                text.extend_from_within(from..to);
            }
        }
    }
    text.truncate(len);
    text
}
