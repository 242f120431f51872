//! Four small cases of the codec, in memory and on one thread.

use deltaglider_vcdiff::{DecodeOptions, EncodeOptions, Level, Secondary, decode, encode};

use super::inputs::{noise, pieces, text, with_edits};
use super::random::Random;

/// The names of the cases.
pub const NAMES: [&str; 4] = ["encode-1-binary", "encode-9-text", "encode-3-lzma", "decode-copies"];

/// One call of the codec with its inputs.
pub enum Case {
    /// Encodes `new` against `old`.
    Encode { old: Vec<u8>, new: Vec<u8>, options: EncodeOptions },
    /// Decodes `delta` with `old`.
    Decode { old: Vec<u8>, delta: Vec<u8> },
}

impl Case {
    /// Creates the inputs of a case.
    ///
    /// # Panics
    ///
    /// If `name` is none of [`NAMES`].
    pub fn new(name: &str) -> Self {
        let random = &mut Random::new(1);
        match name {
            // No match anywhere: every position is looked up in both indexes.
            "encode-1-binary" => {
                let (old, new) = (noise(random, 1 << 20), noise(random, 1 << 20));
                Self::Encode { old, new, options: at_level(1) }
            }
            // Long matches in the source, short ones in the target, long chains.
            "encode-9-text" => {
                let old = text(random, 1 << 19);
                let mut new = with_edits(random, &old[..1 << 18], 400);
                new.extend(text(random, 1 << 18));
                Self::Encode { old, new, options: at_level(9) }
            }
            // Sections that compress, with a stretch that does not.
            "encode-3-lzma" => {
                let (old, mut new) = (noise(random, 1 << 16), text(random, 1 << 18));
                new.extend(noise(random, 1 << 17));
                Self::Encode { old, new, options: at_level(3).with_secondary(Secondary::Lzma) }
            }
            "decode-copies" => {
                let old = noise(random, 1 << 20);
                let new = pieces(random, &old, 1 << 20);
                let delta = encode(Some(old.as_slice()), &new, &at_level(9)).unwrap();
                Self::Decode { old, delta }
            }
            _ => panic!("{name}: no such case"),
        }
    }

    /// Runs the case once and returns the output, a delta or a target.
    #[inline(never)]
    pub fn run(&self) -> Vec<u8> {
        match self {
            Self::Encode { old, new, options } => {
                encode(Some(old.as_slice()), new, options).unwrap()
            }
            Self::Decode { old, delta } => {
                decode(Some(old.as_slice()), delta, &DecodeOptions::default()).unwrap()
            }
        }
    }

    /// The number of bytes of the target.
    pub fn target_len(&self) -> usize {
        match self {
            Self::Encode { new, .. } => new.len(),
            Self::Decode { .. } => self.run().len(),
        }
    }
}

fn at_level(level: u8) -> EncodeOptions {
    EncodeOptions::at_level(Level::new(level).unwrap())
        .with_secondary(Secondary::None)
        .with_threads(1)
}
