//! The choice of matches: liblzma's fast mode, which compares the matches of two neighbouring
//! positions.

use super::match_finder::{Found, LONG_ENOUGH, LONGEST_MATCH, MatchFinder, common_len};

/// The symbol for the next bytes. Distances count from 0, the byte just before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    Literal,
    Match {
        distance: u32,
        len: usize,
    },
    /// A match at one of the last four distances.
    Repeat {
        which: usize,
        len: usize,
    },
}

impl Symbol {
    pub(super) fn len(self) -> usize {
        match self {
            Self::Literal => 1,
            Self::Match { len, .. } | Self::Repeat { len, .. } => len,
        }
    }
}

/// The parser; it remembers a search already made at the position that comes next.
#[derive(Debug, Default)]
pub(super) struct Choice {
    ahead: Option<Found>,
}

impl Choice {
    /// Returns the number of bytes searched but not yet part of a symbol: 0 or 1.
    pub(super) fn looked_ahead(&self) -> usize {
        usize::from(self.ahead.is_some())
    }

    /// Drops the search ahead and returns the number of its bytes.
    pub(super) fn forget(&mut self) -> usize {
        self.ahead.take().map_or(0, |_| 1)
    }

    /// Returns the symbol for the first byte without one. The finder moves past it.
    pub(super) fn next(&mut self, finder: &mut MatchFinder, recent: &[u32; 4]) -> Symbol {
        let found = self.ahead.take().unwrap_or_else(|| finder.find());
        let at = finder.next() - 1;
        let available = (finder.available() + 1).min(LONGEST_MATCH);
        if available < 2 {
            return Symbol::Literal;
        }

        let mut repeat = (0, 0);
        for (which, &distance) in recent.iter().enumerate() {
            let earlier = at - distance as usize - 1;
            let len = common_len(finder.bytes(), earlier, at, 0, available);
            if len >= LONG_ENOUGH {
                finder.skip(len - 1);
                return Symbol::Repeat { which, len };
            }
            if len >= 2 && len > repeat.1 {
                repeat = (which, len);
            }
        }

        let mut len = found.longest;
        let mut distance = found.matches().last().map_or(0, |last| last.distance);
        if len >= LONG_ENOUGH {
            finder.skip(len - 1);
            return Symbol::Match { distance, len };
        }
        if len >= 2 {
            for shorter in found.matches().iter().rev().skip(1) {
                if len != shorter.len + 1 || !much_further(shorter.distance, distance) {
                    break;
                }
                len = shorter.len;
                distance = shorter.distance;
            }
            if len == 2 && distance >= 128 {
                len = 1;
            }
        }

        let (which, repeated) = repeat;
        if repeated >= 2
            && (repeated + 1 >= len
                || (repeated + 2 >= len && distance > 512)
                || (repeated + 3 >= len && distance > 32768))
        {
            finder.skip(repeated - 1);
            return Symbol::Repeat { which, len: repeated };
        }
        if len < 2 || available <= 2 {
            return Symbol::Literal;
        }

        let following = finder.find();
        self.ahead = Some(following);
        if let Some(last) = following.matches().last() {
            let longest = following.longest;
            if (longest >= len && last.distance < distance)
                || (longest == len + 1 && !much_further(distance, last.distance))
                || longest > len + 1
                || (longest + 1 >= len && len >= 3 && much_further(last.distance, distance))
            {
                return Symbol::Literal;
            }
        }
        let nearly = (len - 1).max(2);
        let after = at + 1;
        for &distance in recent {
            if common_len(finder.bytes(), after - distance as usize - 1, after, 0, nearly) == nearly
            {
                return Symbol::Literal;
            }
        }
        self.ahead = None;
        finder.skip(len - 2);
        Symbol::Match { distance, len }
    }
}

/// Returns whether `far` is so much farther than `near` that one more byte of length does not pay
/// for it.
fn much_further(near: u32, far: u32) -> bool {
    (far >> 7) > near
}
