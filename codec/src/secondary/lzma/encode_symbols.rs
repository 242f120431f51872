//! Encodes symbols as LZMA decisions (lc = 3, lp = 0, pb = 2), with the probabilities they depend
//! on.

use super::fast_parse::Symbol;
use super::range_encoder::{EVEN, RangeEncoder};

/// The bits of the previous byte that choose a literal's probabilities.
const LITERAL_CONTEXT_BITS: u32 = 3;
/// The number of position contexts, from the lowest two bits of the position.
const POSITION_STATES: usize = 4;
const STATES: usize = 16;
/// The first state that does not follow a literal.
const AFTER_MATCH: usize = 7;
const SHORTEST_MATCH: usize = 2;
/// The first distance slot whose lowest four bits are modelled and whose middle bits are not.
const FIRST_ALIGNED_SLOT: u32 = 14;
const ALIGN_BITS: u32 = 4;

/// The probabilities of a match length.
#[derive(Debug)]
struct Lengths {
    at_least_8: u16,
    at_least_16: u16,
    low: [[u16; 8]; POSITION_STATES],
    middle: [[u16; 8]; POSITION_STATES],
    high: [u16; 256],
}

impl Lengths {
    const NEW: Self = Self {
        at_least_8: EVEN,
        at_least_16: EVEN,
        low: [[EVEN; 8]; POSITION_STATES],
        middle: [[EVEN; 8]; POSITION_STATES],
        high: [EVEN; 256],
    };

    #[inline]
    fn encode(&mut self, range: &mut RangeEncoder, len: usize, position_state: usize) {
        let rest = (len - SHORTEST_MATCH) as u32;
        range.bit(&mut self.at_least_8, u32::from(rest >= 8));
        if rest < 8 {
            range.tree(&mut self.low[position_state], 3, rest);
            return;
        }
        range.bit(&mut self.at_least_16, u32::from(rest >= 16));
        if rest < 16 {
            range.tree(&mut self.middle[position_state], 3, rest - 8);
        } else {
            range.tree(&mut self.high, 8, rest - 16);
        }
    }
}

#[derive(Debug)]
struct Probabilities {
    is_match: [[u16; POSITION_STATES]; STATES],
    is_repeat: [u16; STATES],
    is_not_latest: [u16; STATES],
    is_not_second: [u16; STATES],
    is_fourth: [u16; STATES],
    is_long_latest: [[u16; POSITION_STATES]; STATES],
    /// Per context: plain literals, then literals after a match, by the expected bit.
    literals: [[[u16; 256]; 3]; 1 << LITERAL_CONTEXT_BITS],
    match_lengths: Lengths,
    repeat_lengths: Lengths,
    distance_slots: [[u16; 64]; 4],
    /// The low bits of the slots below [`FIRST_ALIGNED_SLOT`], each slot's after those of the one
    /// before.
    distance_bits: [u16; 128 - FIRST_ALIGNED_SLOT as usize],
    align: [u16; 16],
}

impl Probabilities {
    const NEW: Self = Self {
        is_match: [[EVEN; POSITION_STATES]; STATES],
        is_repeat: [EVEN; STATES],
        is_not_latest: [EVEN; STATES],
        is_not_second: [EVEN; STATES],
        is_fourth: [EVEN; STATES],
        is_long_latest: [[EVEN; POSITION_STATES]; STATES],
        literals: [[[EVEN; 256]; 3]; 1 << LITERAL_CONTEXT_BITS],
        match_lengths: Lengths::NEW,
        repeat_lengths: Lengths::NEW,
        distance_slots: [[EVEN; 64]; 4],
        distance_bits: [EVEN; 128 - FIRST_ALIGNED_SLOT as usize],
        align: [EVEN; 16],
    };
}

/// An encoder of symbols, with the state that LZMA keeps of earlier ones.
#[derive(Debug)]
pub(super) struct SymbolEncoder {
    probabilities: Box<Probabilities>,
    /// The kinds of the last few symbols, as numbered by the format: 0 to 6 after a literal.
    state: usize,
    recent: [u32; 4],
    /// The number of bytes encoded so far; only the lowest bits matter.
    position: usize,
}

impl SymbolEncoder {
    pub(super) fn new() -> Self {
        Self { probabilities: Box::new(Probabilities::NEW), state: 0, recent: [0; 4], position: 0 }
    }

    /// Resets everything except the position.
    pub(super) fn reset(&mut self) {
        *self.probabilities = Probabilities::NEW;
        self.state = 0;
        self.recent = [0; 4];
    }

    /// Returns the last four distances, latest first.
    pub(super) fn recent(&self) -> &[u32; 4] {
        &self.recent
    }

    /// Counts bytes that were stored and not encoded.
    pub(super) fn pass(&mut self, len: usize) {
        self.position = self.position.wrapping_add(len);
    }

    /// Returns whether the last symbol was a literal.
    #[inline(always)]
    pub(super) fn is_after_literal(&self) -> bool {
        self.state < AFTER_MATCH
    }

    /// Encodes a literal for each byte of `bytes[at..end]` until the chunk has `enough` bytes;
    /// returns their number.
    #[inline]
    pub(super) fn literals(
        &mut self,
        range: &mut RangeEncoder,
        bytes: &[u8],
        at: usize,
        end: usize,
        enough: usize,
    ) -> usize {
        let mut next = at;
        while next < end && range.finished_len() < enough {
            self.literal(range, bytes, next);
            self.position = self.position.wrapping_add(1);
            next += 1;
        }
        next - at
    }

    /// Encodes the symbol for `bytes[at..]`; the decoder knows everything before `at`.
    #[inline]
    pub(super) fn encode(
        &mut self,
        range: &mut RangeEncoder,
        symbol: Symbol,
        bytes: &[u8],
        at: usize,
    ) {
        let position_state = self.position % POSITION_STATES;
        let state = self.state % STATES;
        let is_match = &mut self.probabilities.is_match[state][position_state];
        match symbol {
            Symbol::Literal => {
                self.literal(range, bytes, at);
            }
            Symbol::Match { distance, len } => {
                range.bit(is_match, 1);
                range.bit(&mut self.probabilities.is_repeat[state], 0);
                self.probabilities.match_lengths.encode(range, len, position_state);
                self.distance(range, distance, len);
                self.recent = [distance, self.recent[0], self.recent[1], self.recent[2]];
                self.state = if state < AFTER_MATCH { 7 } else { 10 };
            }
            Symbol::Repeat { which, len } => {
                range.bit(is_match, 1);
                range.bit(&mut self.probabilities.is_repeat[state], 1);
                self.repeat(range, which, position_state);
                self.probabilities.repeat_lengths.encode(range, len, position_state);
                self.state = if state < AFTER_MATCH { 8 } else { 11 };
            }
        }
        self.position = self.position.wrapping_add(symbol.len());
    }

    #[inline]
    fn literal(&mut self, range: &mut RangeEncoder, bytes: &[u8], at: usize) {
        let before = at.checked_sub(1).map_or(0, |before| bytes[before]);
        let context = usize::from(before >> (8 - LITERAL_CONTEXT_BITS));
        let literals = &mut self.probabilities.literals[context];
        let byte = bytes[at];
        let is_match =
            &mut self.probabilities.is_match[self.state % STATES][self.position % POSITION_STATES];
        if self.state < AFTER_MATCH {
            range.literal(is_match, &mut literals[0], byte);
        } else {
            range.bit(is_match, 0);
            let expected = bytes[at - self.recent[0] as usize - 1];
            let (path, expected) = (0x100 | u32::from(byte), 0x100 | u32::from(expected));
            for shift in (0..8).rev() {
                let (node, guessed) = (path >> (shift + 1), expected >> (shift + 1));
                let table = if node == guessed { 1 + (expected >> shift & 1) as usize } else { 0 };
                range.bit(&mut literals[table][node as usize & 0xff], path >> shift & 1);
            }
        }
        self.state = match self.state {
            0..=3 => 0,
            4..=9 => self.state - 3,
            _ => self.state - 6,
        };
    }

    #[inline]
    fn distance(&mut self, range: &mut RangeEncoder, distance: u32, len: usize) {
        let slot = distance_slot(distance);
        let by_length = (len - SHORTEST_MATCH).min(3);
        range.tree(&mut self.probabilities.distance_slots[by_length], 6, slot);
        if slot < 4 {
            return;
        }
        let bits = slot / 2 - 1;
        let base = (2 | (slot & 1)) << bits;
        let rest = distance - base;
        if slot < FIRST_ALIGNED_SLOT {
            let own = &mut self.probabilities.distance_bits[(base - slot) as usize..];
            range.reversed_tree(own, bits, rest);
        } else {
            range.direct(bits - ALIGN_BITS, rest >> ALIGN_BITS);
            range.reversed_tree(&mut self.probabilities.align, ALIGN_BITS, rest);
        }
    }

    #[inline]
    fn repeat(&mut self, range: &mut RangeEncoder, which: usize, position_state: usize) {
        let state = self.state % STATES;
        range.bit(&mut self.probabilities.is_not_latest[state], u32::from(which > 0));
        if which == 0 {
            range.bit(&mut self.probabilities.is_long_latest[state][position_state], 1);
            return;
        }
        range.bit(&mut self.probabilities.is_not_second[state], u32::from(which > 1));
        if which > 1 {
            range.bit(&mut self.probabilities.is_fourth[state], u32::from(which > 2));
        }
        self.recent[..=which].rotate_right(1);
    }
}

/// Returns the slot of a distance. There are two slots per power of two, from the highest two bits
/// of the distance.
fn distance_slot(distance: u32) -> u32 {
    if distance < 4 {
        return distance;
    }
    let top = distance.ilog2();
    2 * top + ((distance >> (top - 1)) & 1)
}
