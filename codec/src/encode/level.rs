//! Levels, as on the command line of xdelta3.

use super::xdelta3::MatcherProfile;

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
        MatcherProfile::of_level(self.0)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::DEFAULT
    }
}
