//! What a level means: the seven numbers that steer matching, as a table.

/// How hard the matcher looks: xdelta3's `-C`, in the order of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatcherProfile {
    /// Bytes under one checksum of the source index; at least 4.
    pub large_look: u32,
    /// Distance between two indexed positions of the source, in bytes; at least 1.
    pub large_step: u32,
    /// Bytes looked at for a run or for a match inside the target; at least 4.
    pub small_look: u32,
    /// Candidates tried for a match inside the target; 0 means 2^32.
    pub chain: u32,
    /// Candidates tried when a match is already at hand and only a longer one counts; 0 means 2^32.
    pub lazy_chain: u32,
    /// A match shorter than this is held back while the next position is tried.
    pub max_lazy: u32,
    /// A match inside the target of this length ends the search for a longer one.
    pub long_enough: u32,
}

impl MatcherProfile {
    /// Whether older positions with the same checksum are remembered at all.
    pub(super) fn chains(&self) -> bool {
        self.chain > 1 || self.lazy_chain > 1
    }
}

/// xdelta3's `-0` to `-9`. Levels 4 and 5 equal 3, and 8 and 9 equal 7, in every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// No matches inside the target, and the sparsest source index.
    pub const FASTEST: Self = Self(0);
    /// What xdelta3 does when it is not told otherwise.
    pub const DEFAULT: Self = Self(3);
    /// The densest source index and the longest chains.
    pub const BEST: Self = Self(9);

    /// A level from 0 to 9, `None` for any other number.
    pub const fn new(level: u8) -> Option<Self> {
        if level <= 9 { Some(Self(level)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether matches inside the target are looked for.
    pub const fn matches_target(self) -> bool {
        self.0 != 0
    }

    /// The numbers behind the level.
    pub fn profile(self) -> MatcherProfile {
        PROFILES[usize::from(self.0)]
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::DEFAULT
    }
}

const fn row(numbers: [u32; 7]) -> MatcherProfile {
    let [large_look, large_step, small_look, chain, lazy_chain, max_lazy, long_enough] = numbers;
    MatcherProfile { large_look, large_step, small_look, chain, lazy_chain, max_lazy, long_enough }
}

/// One row per level, as xdelta3 3.0.11 has them; any other number gives other bytes.
#[rustfmt::skip]
const PROFILES: [MatcherProfile; 10] = [
    //   look step small chain lazy max_lazy long_enough
    row([9, 26, 4,  1,  1,  6,  6]),
    row([9, 26, 4,  1,  1,  6,  6]),
    row([9, 15, 4,  1,  1, 18, 18]),
    row([9,  8, 4,  4,  1, 18, 35]),
    row([9,  8, 4,  4,  1, 18, 35]),
    row([9,  8, 4,  4,  1, 18, 35]),
    row([9,  3, 4,  8,  2, 36, 70]),
    row([9,  2, 4, 44, 13, 90, 70]),
    row([9,  2, 4, 44, 13, 90, 70]),
    row([9,  2, 4, 44, 13, 90, 70]),
];
