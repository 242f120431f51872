//! Decodes the symbols of one LZMA2 chunk: literals and matches, and their probabilities.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::range_decoder::{EVEN, RangeDecoder, pick};
use crate::error::LzmaFault;

/// The length of the shortest match in bytes.
const MIN_MATCH: usize = 2;
/// The first slot whose distance has lowest bits with shared probabilities; below it each slot has
/// its own.
const FIRST_ALIGNED_SLOT: usize = 14;
/// The number of states that follow a literal, which are the first ones.
const LITERAL_STATES: usize = 7;

/// The input and output of one chunk.
#[derive(Debug)]
pub(crate) struct Chunk<'a> {
    /// The range coder's bytes.
    pub(crate) coded: &'a [u8],
    /// Dictionary and output; the chunk fills it from `start` to its end.
    pub(crate) out: &'a mut [u8],
    pub(crate) start: usize,
    /// The index where the dictionary begins.
    pub(crate) oldest: usize,
    /// The maximum distance of a match in bytes.
    pub(crate) dictionary: usize,
    /// The position of the first byte of `out` in the stream; only its low bits matter.
    pub(crate) dropped: usize,
}

/// The probabilities and the history that chunks share.
#[derive(Debug)]
pub(crate) struct SymbolDecoder {
    literal_context_bits: u32,
    literal_position_mask: usize,
    position_mask: usize,
    state: usize,
    /// The last four distances, minus one, latest first.
    distances: [u32; 4],
    // Tables are rounded up to powers of two, so that a mask makes every index valid.
    literals: Box<[[u16; 1024]; 16]>,
    is_match: [[u16; 16]; 16],
    is_repeat: [u16; 16],
    is_older: [u16; 16],
    is_third: [u16; 16],
    is_fourth: [u16; 16],
    is_long: [[u16; 16]; 16],
    slots: [[u16; 64]; 4],
    low_distances: [u16; 128],
    aligned: [u16; 16],
    match_lengths: Lengths,
    repeat_lengths: Lengths,
}

#[derive(Debug)]
struct Lengths {
    above_low: [u16; 1],
    above_middle: [u16; 1],
    low: [[u16; 8]; 16],
    middle: [[u16; 8]; 16],
    high: [u16; 256],
}

impl Lengths {
    fn new() -> Self {
        Self {
            above_low: [EVEN],
            above_middle: [EVEN],
            low: [[EVEN; 8]; 16],
            middle: [[EVEN; 8]; 16],
            high: [EVEN; 256],
        }
    }

    #[inline(always)]
    fn decode(&mut self, coder: &mut RangeDecoder<'_>, position: usize) -> usize {
        let length = if !coder.bit(pick(&mut self.above_low, 0)) {
            coder.tree(pick(&mut self.low, position))
        } else if !coder.bit(pick(&mut self.above_middle, 0)) {
            coder.tree(pick(&mut self.middle, position)).wrapping_add(8)
        } else {
            coder.tree(&mut self.high).wrapping_add(16)
        };
        length.wrapping_add(MIN_MATCH)
    }
}

impl SymbolDecoder {
    pub(crate) fn new(properties: u8) -> Result<Self, LzmaFault> {
        let mut decoder = Self {
            literal_context_bits: 0,
            literal_position_mask: 0,
            position_mask: 0,
            state: 0,
            distances: [0; 4],
            literals: Box::new([[EVEN; 1024]; 16]),
            is_match: [[EVEN; 16]; 16],
            is_repeat: [EVEN; 16],
            is_older: [EVEN; 16],
            is_third: [EVEN; 16],
            is_fourth: [EVEN; 16],
            is_long: [[EVEN; 16]; 16],
            slots: [[EVEN; 64]; 4],
            low_distances: [EVEN; 128],
            aligned: [EVEN; 16],
            match_lengths: Lengths::new(),
            repeat_lengths: Lengths::new(),
        };
        decoder.set_properties(properties)?;
        Ok(decoder)
    }

    /// Sets the numbers of context and position bits from the byte that packs them.
    pub(crate) fn set_properties(&mut self, properties: u8) -> Result<(), LzmaFault> {
        let context_bits = properties % 9;
        let literal_position_bits = (properties / 9) % 5;
        let position_bits = properties / 45;
        // LZMA2 allows four bits for literals altogether, for which there are sixteen tables.
        if position_bits > 4 || context_bits.wrapping_add(literal_position_bits) > 4 {
            return Err(LzmaFault::Properties(properties));
        }
        let mask = |bits: u8| 1usize.wrapping_shl(bits.into()).wrapping_sub(1);
        self.literal_context_bits = context_bits.into();
        self.literal_position_mask = mask(literal_position_bits);
        self.position_mask = mask(position_bits);
        Ok(())
    }

    /// Resets everything but the properties.
    pub(crate) fn reset(&mut self) {
        self.state = 0;
        self.distances = [0; 4];
        for table in self.literals.iter_mut() {
            table.fill(EVEN);
        }
        self.is_match = [[EVEN; 16]; 16];
        self.is_repeat = [EVEN; 16];
        self.is_older = [EVEN; 16];
        self.is_third = [EVEN; 16];
        self.is_fourth = [EVEN; 16];
        self.is_long = [[EVEN; 16]; 16];
        self.slots = [[EVEN; 64]; 4];
        self.low_distances = [EVEN; 128];
        self.aligned = [EVEN; 16];
        self.match_lengths = Lengths::new();
        self.repeat_lengths = Lengths::new();
    }

    /// Decodes one chunk.
    pub(crate) fn decode(&mut self, chunk: Chunk<'_>) -> Result<(), LzmaFault> {
        let Chunk { coded, out, start, oldest, dictionary, dropped } = chunk;
        let mut coder = RangeDecoder::new(coded).ok_or(LzmaFault::ChunkEnd)?;
        let coder = &mut coder;
        let mut state = self.state;
        let [mut latest, mut second, mut third, mut fourth] = self.distances;
        let mut at = start;
        while at < out.len() {
            let position = dropped.wrapping_add(at);
            let masked = position & self.position_mask;
            if !coder.bit(pick(pick(&mut self.is_match, state), masked)) {
                let previous =
                    if at > oldest { out.get(at.wrapping_sub(1)).copied().unwrap_or(0) } else { 0 };
                let table = (position & self.literal_position_mask)
                    .wrapping_shl(self.literal_context_bits)
                    | usize::from(previous)
                        .wrapping_shr(8u32.wrapping_sub(self.literal_context_bits));
                let table = pick(&mut self.literals, table);
                let byte = if state < LITERAL_STATES {
                    literal(coder, table)
                } else {
                    let from = at.wrapping_sub(latest as usize).wrapping_sub(1);
                    literal_after_match(coder, table, out.get(from).copied().unwrap_or(0))
                };
                if let Some(to) = out.get_mut(at) {
                    *to = byte;
                }
                at = at.wrapping_add(1);
                state = match state {
                    0..4 => 0,
                    4..10 => state.wrapping_sub(3),
                    _ => state.wrapping_sub(6),
                };
                continue;
            }
            let length = if !coder.bit(pick(&mut self.is_repeat, state)) {
                (fourth, third, second) = (third, second, latest);
                let length = self.match_lengths.decode(coder, masked);
                state = if state < LITERAL_STATES { 7 } else { 10 };
                latest = self.distance(coder, length);
                length
            } else if !coder.bit(pick(&mut self.is_older, state)) {
                if !coder.bit(pick(pick(&mut self.is_long, state), masked)) {
                    state = if state < LITERAL_STATES { 9 } else { 11 };
                    1
                } else {
                    state = if state < LITERAL_STATES { 8 } else { 11 };
                    self.repeat_lengths.decode(coder, masked)
                }
            } else {
                if !coder.bit(pick(&mut self.is_third, state)) {
                    (latest, second) = (second, latest);
                } else if !coder.bit(pick(&mut self.is_fourth, state)) {
                    (latest, second, third) = (third, latest, second);
                } else {
                    (latest, second, third, fourth) = (fourth, latest, second, third);
                }
                state = if state < LITERAL_STATES { 8 } else { 11 };
                self.repeat_lengths.decode(coder, masked)
            };
            let distance = (latest as usize).saturating_add(1);
            let available = at.saturating_sub(oldest).min(dictionary);
            if distance > available {
                return Err(LzmaFault::Distance {
                    distance: distance as u64,
                    available: available as u64,
                });
            }
            at = repeat(out, at, distance, length).ok_or(LzmaFault::ChunkEnd)?;
        }
        self.state = state;
        self.distances = [latest, second, third, fourth];
        if coder.is_finished() { Ok(()) } else { Err(LzmaFault::ChunkEnd) }
    }

    /// Reads a distance, minus one.
    #[inline(always)]
    fn distance(&mut self, coder: &mut RangeDecoder<'_>, length: usize) -> u32 {
        let class = length.wrapping_sub(MIN_MATCH).min(3);
        let slot = coder.tree(pick(&mut self.slots, class));
        if slot < 4 {
            return slot as u32;
        }
        let bits = (slot as u32 >> 1).wrapping_sub(1);
        let base = (2 | slot as u32 & 1).wrapping_shl(bits);
        if slot < FIRST_ALIGNED_SLOT {
            let first = (base as usize).wrapping_sub(slot);
            base.wrapping_add(coder.reverse_tree(&mut self.low_distances, first, bits))
        } else {
            let middle = coder.direct(bits.wrapping_sub(4)) << 4;
            base.wrapping_add(middle).wrapping_add(coder.reverse_tree(&mut self.aligned, 0, 4))
        }
    }
}

#[inline(always)]
fn literal(coder: &mut RangeDecoder<'_>, table: &mut [u16; 1024]) -> u8 {
    let mut symbol = 1usize;
    let mut even = *pick(table, 1);
    for _ in 0..7 {
        // Loads both probabilities that may be next before the bit is known.
        let (low, high) = (*pick(table, symbol << 1), *pick(table, symbol << 1 | 1));
        let mut now = even;
        let bit = coder.branchless_bit(&mut now);
        *pick(table, symbol) = now;
        even = low ^ ((low ^ high) & 0u16.wrapping_sub(bit as u16));
        symbol = symbol << 1 | bit;
    }
    let bit = coder.branchless_bit(&mut even);
    *pick(table, symbol) = even;
    (symbol << 1 | bit) as u8
}

/// Reads a literal right after a match: it is coded with the byte that would continue the match.
#[inline(always)]
fn literal_after_match(coder: &mut RangeDecoder<'_>, table: &mut [u16; 1024], expected: u8) -> u8 {
    let mut expected = usize::from(expected);
    let mut symbol = 1usize;
    let mut agrees = 0x100usize;
    for _ in 0..8 {
        expected <<= 1;
        let wanted = expected & agrees;
        let bit =
            coder.branchless_bit(pick(table, agrees.wrapping_add(wanted).wrapping_add(symbol)));
        symbol = symbol << 1 | bit;
        // Keeps the wanted bit if the bit is 1, all others if it is 0.
        agrees &= wanted ^ bit.wrapping_sub(1);
    }
    symbol as u8
}

/// Writes `length` bytes from `distance` back, which are in `out`, and returns the end; `None` if
/// they do not fit.
#[inline(always)]
fn repeat(out: &mut [u8], at: usize, distance: usize, length: usize) -> Option<usize> {
    let end = at.checked_add(length)?;
    let from = at.checked_sub(distance)?;
    if distance >= length {
        let (before, after) = out.split_at_mut_checked(at)?;
        let from = before.get(from..)?.get(..length)?;
        after.get_mut(..length)?.copy_from_slice(from);
    } else {
        // The pattern repeats, so every byte equals the one `distance` before it.
        let region = out.get_mut(from..end)?;
        let cells = std::cell::Cell::from_mut(region).as_slice_of_cells();
        let later = cells.get(distance..)?;
        for (to, from) in later.iter().zip(cells) {
            to.set(from.get());
        }
    }
    Some(end)
}
