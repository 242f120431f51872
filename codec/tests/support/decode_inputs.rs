//! Inputs of the decoder's tests, generated from a seed, and the list of deltas xdelta3 3.0.11 made
//! from them.

/// A xorshift generator: the same numbers on every platform.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// Returns words of a small vocabulary, as compressible as program text.
    pub(crate) fn text(&mut self, len: usize) -> Vec<u8> {
        let words: Vec<Vec<u8>> = (0..200)
            .map(|_| (0..2 + self.below(8)).map(|_| b'a' + self.below(26) as u8).collect())
            .collect();
        let mut text = Vec::with_capacity(len + 10);
        while text.len() < len {
            text.extend_from_slice(&words[self.below(words.len()).min(self.below(words.len()))]);
            text.push(if self.below(12) == 0 { b'\n' } else { b' ' });
        }
        text.truncate(len);
        text
    }

    /// Returns the bytes with `edits` replacements, insertions and removals of up to 40 bytes.
    pub(crate) fn edited(&mut self, bytes: &[u8], edits: usize) -> Vec<u8> {
        let mut edited = bytes.to_vec();
        for _ in 0..edits {
            let at = self.below(edited.len());
            let end = (at + self.below(40)).min(edited.len());
            let new = self.below(40);
            let new = self.text(new);
            edited.splice(at..end, new);
        }
        edited
    }
}

/// A source, if any, and a target.
pub(crate) struct Pair {
    pub(crate) source: Option<Vec<u8>>,
    pub(crate) target: Vec<u8>,
}

/// The names of all inputs.
pub(crate) const INPUTS: [&str; 14] = [
    "text",
    "random",
    "moved",
    "runs",
    "zeros",
    "self_similar",
    "no_source",
    "empty_target",
    "empty_source",
    "identical",
    "unrelated",
    "tiny",
    "versions",
    "few_letters",
];

/// Returns the input of a name; sizes grow with `scale`, and 1 gives about ten kilobytes.
pub(crate) fn input(name: &str, scale: usize) -> Pair {
    let seed = INPUTS.iter().position(|&input| input == name).expect("a name of INPUTS");
    let mut random = Random::new(seed as u64 + 1);
    let random = &mut random;
    let len = 40_000 * scale;
    let (source, target) = match name {
        "text" => {
            let source = random.text(len);
            let target = random.edited(&source, 40 * scale);
            (Some(source), target)
        }
        "random" => {
            let source = random.bytes(len);
            let target = random.edited(&source, 20 * scale);
            (Some(source), target)
        }
        "moved" => {
            let source = random.bytes(len);
            let mut blocks: Vec<&[u8]> = source.chunks(997).collect();
            for index in 0..blocks.len() {
                blocks.swap(index, random.below(index + 1));
            }
            let target = blocks.concat();
            (Some(source), target)
        }
        "runs" => {
            let source = random.text(len / 10);
            let mut target = Vec::new();
            while target.len() < len {
                let (byte, run) = (random.next() as u8, random.below(300));
                target.resize(target.len() + run, byte);
                let at = random.below(source.len());
                target.extend(source[at..].iter().take(30));
            }
            (Some(source), target)
        }
        "zeros" => (Some(vec![0; len]), vec![0; len + 12_345]),
        "self_similar" | "no_source" => {
            let mut target = random.text(2000);
            while target.len() < len {
                let back = 1 + random.below(target.len().min(3000));
                for _ in 0..random.below(200) {
                    target.push(target[target.len() - back]);
                }
                let more = random.below(6);
                target.extend(random.bytes(more));
            }
            ((name == "self_similar").then(|| random.text(100)), target)
        }
        "empty_target" => (Some(random.text(1000)), Vec::new()),
        "empty_source" => (Some(Vec::new()), random.text(3000)),
        "identical" => {
            let source = random.bytes(len);
            (Some(source.clone()), source)
        }
        "unrelated" => (Some(random.bytes(len / 10)), random.bytes(len / 10)),
        // Longer than the dictionary of an LZMA section, but with few new bytes.
        "versions" => {
            let mut version = random.text(len / 6);
            let mut target = Vec::new();
            while target.len() < 22 * len {
                version = random.edited(&version, 2);
                target.extend_from_slice(&version);
            }
            (None, target)
        }
        // Few repetitions, and so the more to gain from Huffman codes.
        "few_letters" => {
            let letter =
                |random: &mut Random| b'a' + (random.next().trailing_zeros() as u8).min(11);
            (None, (0..len / 40).map(|_| letter(random)).collect())
        }
        _ => (
            Some(b"abcdefghijklmnop".repeat(4)),
            b"--abcdefghijklmnopabcdxyzxyzxyzxyzqqqqqqqqqqqqqq".to_vec(),
        ),
    };
    Pair { source, target }
}

/// Deltas made by `xdelta3 -e -D ARGUMENTS [-s source] target`, as file name, input and arguments.
pub(crate) const FIXTURES: [(&str, &str, &[&str]); 36] = [
    ("text-9-none", "text", &["-9", "-S", "none"]),
    ("text-9-lzma", "text", &["-9"]),
    ("text-1-none", "text", &["-1", "-S", "none"]),
    ("text-3-lzma-windows", "text", &["-3", "-W", "16384"]),
    ("text-6-lzma-no-target-matching", "text", &["-6", "-N", "-W", "16384"]),
    ("random-6-none", "random", &["-6", "-S", "none"]),
    ("random-6-lzma", "random", &["-6"]),
    ("moved-9-lzma-windows", "moved", &["-9", "-W", "16384"]),
    ("moved-3-none-early-flush", "moved", &["-3", "-S", "none", "-I", "8"]),
    ("runs-3-none", "runs", &["-3", "-S", "none"]),
    ("runs-9-lzma", "runs", &["-9"]),
    ("zeros-1-none", "zeros", &["-1", "-S", "none", "-W", "16384"]),
    ("self_similar-9-lzma", "self_similar", &["-9"]),
    ("no_source-9-lzma", "no_source", &["-9", "-W", "16384"]),
    ("no_source-1-none", "no_source", &["-1", "-S", "none"]),
    ("empty_target-9-lzma", "empty_target", &["-9"]),
    ("empty_source-9-lzma", "empty_source", &["-9"]),
    ("identical-9-lzma", "identical", &["-9", "-W", "16384"]),
    ("unrelated-9-lzma", "unrelated", &["-9"]),
    ("tiny-9-none", "tiny", &["-9", "-S", "none"]),
    ("tiny-9-lzma", "tiny", &["-9"]),
    ("tiny-9-no-checksum", "tiny", &["-9", "-S", "none", "-n"]),
    ("tiny-9-no-header", "tiny", &["-9", "-S", "none", "-A="]),
    ("tiny-9-own-header", "tiny", &["-9", "-S", "none", "-A=new#00//old#11/"]),
    ("few_letters-0-lzma", "few_letters", &["-0"]),
    ("few_letters-0-djw", "few_letters", &["-0", "-S", "djw"]),
    ("few_letters-0-djw9", "few_letters", &["-0", "-S", "djw9"]),
    ("few_letters-0-fgk", "few_letters", &["-0", "-S", "fgk"]),
    ("text-9-djw", "text", &["-9", "-S", "djw"]),
    ("text-0-djw9-windows", "text", &["-0", "-S", "djw9", "-W", "16384"]),
    ("moved-9-djw3", "moved", &["-9", "-S", "djw3"]),
    ("runs-3-fgk", "runs", &["-3", "-S", "fgk"]),
    ("no_source-0-djw9", "no_source", &["-0", "-S", "djw9"]),
    ("no_source-0-fgk-windows", "no_source", &["-0", "-S", "fgk", "-W", "16384"]),
    ("identical-9-fgk", "identical", &["-9", "-S", "fgk"]),
    ("versions-1-lzma-no-target-matching", "versions", &["-1", "-N", "-W", "100001"]),
];

/// Returns the bytes of a fixture.
pub(crate) fn fixture(file: &str) -> Vec<u8> {
    std::fs::read(fixture_path(file)).expect("a fixture that is committed")
}

/// Returns the path of a fixture.
pub(crate) fn fixture_path(file: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/decode")
        .join(file)
        .with_extension("vcdiff")
}
