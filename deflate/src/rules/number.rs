//! The numbers of rules.

use super::Span;
use super::plan::Cut;
use crate::token::WINDOW;

/// The number of a rule and with it all of its constants.
///
/// The number is `family * 256 + level * 16 + memory level`; families without a memory level have 0
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    number: u16,
}

/// The compressors whose choices are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// zlib, also as Java and Python have it.
    Zlib,
    /// Chromium's zlib with its hash by multiplication, as Node.js has it since version 18.
    Chromium,
    /// Chromium's zlib with its hash by CRC-32C, as Node.js had it before.
    ChromiumCrc,
    /// GNU gzip.
    Gzip,
    /// Go's compress/flate, from level 2 on.
    Go,
    /// libdeflate, up to level 9.
    Libdeflate,
    /// zlib-ng, levels 5 to 8.
    ZlibNg,
    /// miniz and miniz_oxide, from level 2 on.
    Miniz,
}

impl Family {
    /// All families, by number.
    const ALL: &[Self] = &[
        Self::Zlib,
        Self::Chromium,
        Self::ChromiumCrc,
        Self::Gzip,
        Self::Go,
        Self::Libdeflate,
        Self::ZlibNg,
        Self::Miniz,
    ];

    fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|family| family.number() == number)
    }

    const fn number(self) -> u16 {
        match self {
            Self::Zlib => 0,
            Self::Chromium => 1,
            Self::ChromiumCrc => 2,
            Self::Gzip => 3,
            Self::Go => 4,
            Self::Libdeflate => 5,
            Self::ZlibNg => 6,
            Self::Miniz => 7,
        }
    }

    /// Returns the levels that have a rule.
    const fn levels(self) -> std::ops::RangeInclusive<u8> {
        match self {
            Self::Go | Self::Miniz => 2..=9,
            Self::ZlibNg => 5..=8,
            _ => 1..=9,
        }
    }

    const fn has_memory_level(self) -> bool {
        matches!(self, Self::Zlib | Self::Chromium | Self::ChromiumCrc)
    }
}

impl Rule {
    /// Returns the rule of a number; `None` if no rule has it.
    pub fn from_number(number: u16) -> Option<Self> {
        let family = Family::from_number(number >> 8)?;
        let memory = u8::try_from(number & 15).ok()?;
        let memory = if family.has_memory_level() { memory } else { memory + 8 };
        let rule = Self::new(family, (number >> 4 & 15) as u8, memory)?;
        (rule.number == number).then_some(rule)
    }

    /// Returns the rule of a compressor at a level from 1 on; `memory` is zlib's memory level and
    /// 8 for others.
    pub fn new(family: Family, level: u8, memory: u8) -> Option<Self> {
        let memories = if family.has_memory_level() { 1..=9 } else { 8..=8 };
        if !family.levels().contains(&level) || !memories.contains(&memory) {
            return None;
        }
        let memory = if family.has_memory_level() { memory } else { 0 };
        let number = family.number() << 8 | u16::from(level) << 4 | u16::from(memory);
        Some(Self { number })
    }

    /// Returns all rules, by number.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u16::MAX).filter_map(Self::from_number)
    }

    /// Returns the number.
    pub fn number(self) -> u16 {
        self.number
    }

    /// Returns the compressor.
    pub fn family(self) -> Family {
        Family::from_number(self.number >> 8).unwrap_or(Family::Zlib)
    }

    /// Returns the level, 1 to 9.
    pub fn level(self) -> u8 {
        (self.number >> 4 & 15) as u8
    }

    /// Returns zlib's memory level, 1 to 9; 8 for families without one.
    pub fn memory(self) -> u8 {
        if self.family().has_memory_level() { (self.number & 15) as u8 } else { 8 }
    }

    /// Returns the number of bytes before a segment that the rule looks at.
    pub fn history(self) -> usize {
        let greedy = match self.family() {
            Family::Libdeflate | Family::Miniz => false,
            Family::ZlibNg => self.level() < 7,
            _ => self.level() < 4,
        };
        if greedy { Span::HISTORY } else { WINDOW }
    }

    /// Returns the number of bits of the hash of zlib's family.
    pub(crate) fn hash_bits(self) -> u32 {
        let bits = u32::from(self.memory()) + 7;
        match self.family() {
            Family::Chromium | Family::ChromiumCrc => bits.max(15),
            _ => bits,
        }
    }

    /// Returns the end of a block of zlib's family.
    pub(crate) fn cut(self) -> Cut {
        match self.family() {
            Family::Gzip => Cut { tokens: 0x7fff, early: self.level() > 2 },
            _ => Cut { tokens: (1 << (self.memory() + 6)) - 1, early: false },
        }
    }
}
