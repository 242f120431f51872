//! Literals and matches, and the symbols that code them (RFC 1951, 3.2.5).

use std::fmt;

/// The minimum length of a match.
pub(crate) const MIN_MATCH: usize = 3;
/// The maximum length of a match.
pub(crate) const MAX_MATCH: usize = 258;
/// The number of bytes that a match can reach back.
pub(crate) const WINDOW: usize = 1 << 15;
/// The symbol that ends a block.
pub(crate) const END: usize = 256;
/// The number of symbols for literals, lengths and the end of a block, with the two excluded ones.
pub(crate) const LITERAL_SYMBOLS: usize = 288;
/// The number of symbols for distances, with the two excluded ones.
pub(crate) const DISTANCE_SYMBOLS: usize = 32;

const LONG_258: u32 = 1 << 15;

/// The symbol of each length, and the number and value of its extra bits.
static LENGTHS: [(u16, u8, u8); 512] = {
    let mut lengths = [(0, 0, 0); 512];
    let mut length = MIN_MATCH;
    while length < MAX_MATCH {
        let less = (length - MIN_MATCH) as u32;
        let extra = if less < 8 { 0 } else { less.ilog2() - 2 };
        let symbol = 257 + (less >> extra) + 4 * extra;
        lengths[length] = (symbol as u16, extra as u8, (less & ((1 << extra) - 1)) as u8);
        length += 1;
    }
    lengths[MAX_MATCH] = (285, 0, 0);
    lengths
};

/// A literal byte or a match.
///
/// ```
/// use deltaglider_deflate::Token;
///
/// let token = Token::reuse(258, 32768);
/// assert_eq!((token.length(), token.distance()), (258, 32768));
/// assert_eq!(Token::literal(b'a').as_literal(), Some(b'a'));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(u32);

impl Token {
    /// Creates a literal.
    #[inline]
    pub fn literal(byte: u8) -> Self {
        Self(u32::from(byte))
    }

    /// Creates a match of `length` 3 to 258 at `distance` 1 to 32768.
    #[inline]
    pub fn reuse(length: usize, distance: usize) -> Self {
        debug_assert!((MIN_MATCH..=MAX_MATCH).contains(&length));
        debug_assert!((1..=WINDOW).contains(&distance));
        Self((distance as u32) << 16 | length as u32)
    }

    /// Creates a match of length 258 written as the last length of code 284, not as code 285.
    pub fn long_258(distance: usize) -> Self {
        Self(Self::reuse(MAX_MATCH, distance).0 | LONG_258)
    }

    /// Returns the byte of a literal.
    #[inline]
    pub fn as_literal(self) -> Option<u8> {
        (self.distance() == 0).then_some(self.0 as u8)
    }

    /// Returns the number of bytes of text.
    #[inline]
    pub fn length(self) -> usize {
        if self.0 >> 16 == 0 { 1 } else { (self.0 & 0x1ff) as usize }
    }

    /// Returns the distance of a match; 0 for a literal.
    #[inline]
    pub fn distance(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// Returns `true` for a match made by [`long_258`](Self::long_258).
    #[inline]
    pub fn is_long_258(self) -> bool {
        self.0 & LONG_258 != 0
    }

    /// Returns the byte of a literal, or 512 and the length of a match.
    #[inline]
    pub(crate) fn index(self) -> usize {
        (self.0 & 0x1ff) as usize | usize::from(self.0 >> 16 != 0) << 9
    }

    /// Returns the symbol of the literal or length, and the number and value of its extra bits.
    #[inline]
    pub(crate) fn literal_symbol(self) -> (usize, u8, u32) {
        if self.0 >> 16 == 0 {
            return ((self.0 & 0xff) as usize, 0, 0);
        }
        if self.is_long_258() {
            return (284, 5, 31);
        }
        let (symbol, extra, value) = LENGTHS[(self.0 & 0x1ff) as usize];
        (usize::from(symbol), extra, u32::from(value))
    }

    /// Returns the symbol of the distance, and the number and value of its extra bits.
    #[inline]
    pub(crate) fn distance_symbol(self) -> (usize, u8, u32) {
        let distance = (self.0 >> 16).wrapping_sub(1) & 0x7fff;
        if distance < 4 {
            return (distance as usize, 0, 0);
        }
        let extra = distance.ilog2() - 1;
        let symbol = (distance >> extra) + 2 * extra;
        (symbol as usize, extra as u8, distance & ((1 << extra) - 1))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_literal() {
            Some(byte) => write!(f, "{:?}", char::from(byte)),
            None => write!(f, "({}, -{})", self.length(), self.distance()),
        }
    }
}

/// Returns the number of extra bits of a literal or length symbol.
pub(crate) fn literal_extra(symbol: usize) -> u8 {
    match symbol {
        265..=284 => ((symbol - 261) / 4) as u8,
        _ => 0,
    }
}

/// Returns the number of extra bits of a distance symbol.
pub(crate) fn distance_extra(symbol: usize) -> u8 {
    (symbol / 2).saturating_sub(1) as u8
}

/// Returns the shortest length of a length symbol.
pub(crate) fn length_base(symbol: usize) -> usize {
    match symbol.saturating_sub(257) {
        28 => MAX_MATCH,
        code @ 0..=7 => MIN_MATCH + code,
        code => MIN_MATCH + ((4 + code % 4) << (code / 4 - 1)),
    }
}

/// Returns the shortest distance of a distance symbol.
pub(crate) fn distance_base(symbol: usize) -> usize {
    match symbol {
        0..=3 => symbol + 1,
        _ => ((2 + symbol % 2) << (symbol / 2 - 1)) + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_match_their_bases() {
        for length in MIN_MATCH..=MAX_MATCH {
            let (symbol, extra, value) = Token::reuse(length, 1).literal_symbol();
            assert_eq!(length_base(symbol) + value as usize, length);
            assert_eq!(literal_extra(symbol), extra);
        }
        for distance in 1..=WINDOW {
            let (symbol, extra, value) = Token::reuse(3, distance).distance_symbol();
            assert_eq!(distance_base(symbol) + value as usize, distance);
            assert_eq!(distance_extra(symbol), extra);
        }
        assert_eq!(Token::reuse(258, 1).literal_symbol(), (285, 0, 0));
        assert_eq!(Token::long_258(1).literal_symbol(), (284, 5, 31));
        assert_eq!(length_base(284) + 31, 258);
    }
}
