//! Levels, as on the command line of xdelta3.

use super::xdelta3::MatcherProfile;

/// A compression level, xdelta3's `-0` to `-9`. Levels 4 and 5 equal 3, and 8 and 9 equal 7, in
/// every byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// No matches inside the target, and the sparsest source index.
    pub const FASTEST: Self = Self(0);
    /// The level xdelta3 uses by default.
    pub const DEFAULT: Self = Self(3);
    /// The densest source index and the longest chains.
    pub const BEST: Self = Self(9);

    /// Creates a level from 0 to 9; `None` for any other number.
    pub const fn new(level: u8) -> Option<Self> {
        if level <= 9 { Some(Self(level)) } else { None }
    }

    /// Returns the number of the level.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Returns whether the matcher looks for matches inside the target.
    pub const fn matches_target(self) -> bool {
        self.0 != 0
    }

    /// Returns the matcher's settings for the level.
    pub fn profile(self) -> MatcherProfile {
        MatcherProfile::of_level(self.0)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self::DEFAULT
    }
}
