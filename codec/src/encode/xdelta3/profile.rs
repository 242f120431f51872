//! The seven settings of the matcher, and their values for each level.

/// The effort of the matcher: xdelta3's `-C`, in the order of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MatcherProfile {
    /// The number of bytes under one checksum of the source index; at least 4.
    pub large_look: u32,
    /// The distance between two indexed positions of the source, in bytes; at least 1.
    pub large_step: u32,
    /// The number of bytes compared for a run or a match inside the target; at least 4.
    pub small_look: u32,
    /// The number of candidates tried for a match inside the target; 0 means 2^32.
    pub chain: u32,
    /// The number of candidates tried when a match was already found and only a longer one counts;
    /// 0 means 2^32.
    pub lazy_chain: u32,
    /// The length below which a match is held back while the next position is tried.
    pub max_lazy: u32,
    /// The length from which a match inside the target ends the search for a longer one.
    pub long_enough: u32,
}

impl MatcherProfile {
    /// Returns the settings of a level from 0 to 9.
    pub(in crate::encode) fn of_level(level: u8) -> Self {
        PROFILES[usize::from(level)]
    }

    /// Returns whether older positions with the same checksum are remembered.
    pub(in crate::encode) fn chains(&self) -> bool {
        self.chain > 1 || self.lazy_chain > 1
    }
}

const fn row(numbers: [u32; 7]) -> MatcherProfile {
    let [large_look, large_step, small_look, chain, lazy_chain, max_lazy, long_enough] = numbers;
    MatcherProfile { large_look, large_step, small_look, chain, lazy_chain, max_lazy, long_enough }
}

/// The settings of the levels, as in xdelta3 3.0.11; any other number gives other bytes.
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
