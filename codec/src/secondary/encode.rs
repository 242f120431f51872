//! The encoder of compressed sections. It decides which sections to compress and when to keep the
//! result.

use super::djw::encode::{Division, encode_section};
use super::fgk::Tree;
use super::lzma::LzmaEncoder;
use crate::error::Section;
use crate::format::header::{SECONDARY_DJW, SECONDARY_FGK, SECONDARY_LZMA};
use crate::format::varint;

/// The secondary compression of the sections of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Secondary {
    /// No compression (`-S none`).
    None,
    /// One .xz stream for each kind of section (`-S lzma`).
    #[default]
    Lzma,
    /// Huffman codes for each section (`-S djw`, `-S djw0` to `-S djw9`).
    Djw(DjwLevel),
    /// One adaptive Huffman code for each kind of section (`-S fgk`). With more than one window the
    /// result is likely to be [`EncodeError::Undecodable`](crate::EncodeError::Undecodable).
    Fgk,
}

impl Secondary {
    /// Returns the identifier in the file header; `None` without compression.
    pub const fn id(self) -> Option<u8> {
        match self {
            Self::None => None,
            Self::Lzma => Some(SECONDARY_LZMA),
            Self::Djw(_) => Some(SECONDARY_DJW),
            Self::Fgk => Some(SECONDARY_FGK),
        }
    }
}

/// The effort of DJW, 0 (compresses nothing) to 9. It determines which sections DJW compresses, and
/// which with more than one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DjwLevel(u8);

impl DjwLevel {
    /// The level of xdelta3 for `-S djw`: all sections, each with one code.
    pub const DEFAULT: Self = Self(6);
    /// The greatest level: all sections, each with as many codes as suit it.
    pub const BEST: Self = Self(9);

    /// Creates a level from 0 to 9; `None` for any other number.
    pub const fn new(level: u8) -> Option<Self> {
        if level <= 9 { Some(Self(level)) } else { None }
    }

    /// Returns the number of the level.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns the division of a section; `None` if it is not compressed.
    fn division(self, section: Section, len: usize) -> Option<Division> {
        let (compressed_from, divided_from) = match section {
            Section::Data => (1, 7),
            Section::Instructions => (3, 8),
            Section::Addresses => (5, 9),
        };
        if self.0 < compressed_from {
            None
        } else if self.0 < divided_from {
            Some(Division::ONE)
        } else {
            Some(Division::suggested(section, len))
        }
    }
}

impl Default for DjwLevel {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The minimum length of a section in bytes; a shorter one is left uncompressed, and its compressor
/// does not see it.
const MIN_COMPRESSED: usize = 10;
/// The number of saved bytes that DJW and FGK have to exceed.
const MIN_GAIN: usize = 2;

/// xdelta3 writes this section in a form that no decoder can read, not even its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecodable;

/// The secondary compression of one kind of section, from window to window.
#[derive(Debug)]
pub(crate) struct SectionEncoder {
    section: Section,
    state: State,
    compressed: Vec<u8>,
    allow_undecodable: bool,
}

#[derive(Debug)]
enum State {
    None,
    Lzma(Option<Box<LzmaEncoder>>),
    Djw(DjwLevel),
    Fgk {
        tree: Box<Tree>,
        /// `true` if the tree has learned a section that is not in the delta in compressed form.
        ahead: bool,
    },
}

impl SectionEncoder {
    pub(crate) fn new(section: Section, secondary: Secondary, allow_undecodable: bool) -> Self {
        let state = match secondary {
            Secondary::None => State::None,
            Secondary::Lzma => State::Lzma(None),
            Secondary::Djw(level) => State::Djw(level),
            Secondary::Fgk => State::Fgk { tree: Box::new(Tree::new()), ahead: false },
        };
        Self { section, state, compressed: Vec::new(), allow_undecodable }
    }

    /// Appends the bytes of a section, compressed if that saves enough; returns whether they are.
    /// On an error nothing is appended.
    pub(crate) fn write(&mut self, section: &[u8], out: &mut Vec<u8>) -> Result<bool, Undecodable> {
        if section.len() >= MIN_COMPRESSED {
            if let State::Lzma(encoder) = &mut self.state {
                // Kept even if it is larger, as in xdelta3: the stream has to continue.
                let encoder = encoder.get_or_insert_with(|| Box::new(LzmaEncoder::new()));
                varint::write(section.len() as u64, out);
                encoder.encode_section(section, out);
                return Ok(true);
            }
            if let Some(compressed) = self.compressed(section)? {
                out.extend_from_slice(compressed);
                return Ok(true);
            }
        }
        out.extend_from_slice(section);
        Ok(false)
    }

    /// Returns the bytes to write in place of the section; `None` to write the section itself.
    fn compressed(&mut self, section: &[u8]) -> Result<Option<&[u8]>, Undecodable> {
        self.compressed.clear();
        varint::write(section.len() as u64, &mut self.compressed);
        let out = &mut self.compressed;
        let (kept, decodable) = match &mut self.state {
            State::None | State::Lzma(_) => (false, true),
            State::Djw(level) => {
                let division = level.division(self.section, section.len());
                match division.and_then(|division| encode_section(section, division, out)) {
                    Some(written) => (saves(out, section), written.decodable),
                    None => (false, true),
                }
            }
            State::Fgk { tree, ahead } => {
                tree.encode_section(section, out);
                let kept = saves(out, section);
                let decodable = !*ahead;
                *ahead |= !kept;
                (kept, decodable)
            }
        };
        if kept && !decodable && !self.allow_undecodable {
            return Err(Undecodable);
        }
        Ok(kept.then_some(&self.compressed))
    }
}

fn saves(compressed: &[u8], section: &[u8]) -> bool {
    compressed.len() + MIN_GAIN < section.len()
}
