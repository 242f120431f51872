//! The DJW encoder. It writes the bytes of xdelta3 3.0.11 and gives up where xdelta3 does.

use super::lengths::{code_lengths, codes};
use super::move_to_front;
use super::{
    BYTES, GROUP_BITS, LENGTH_BITS, LENGTH_COUNT_BITS, LENGTH_SYMBOLS, LIKELY_LENGTHS, LONGEST,
    LONGEST_OF_LENGTHS, LONGEST_OF_SELECTORS, MIN_LENGTHS, SECTOR_BITS, SECTOR_UNIT,
    SELECTOR_LENGTH_BITS,
};
use crate::error::Section;
use crate::secondary::bits::BitWriter;

/// The minimum gain of a code in bits.
const MIN_GAIN: u32 = 16;
/// The maximum number of rounds that sort sectors into groups, and the minimum gain of a round
/// after the first two for another one, in bits.
const MAX_ROUNDS: usize = 6;
const MIN_ROUND_GAIN: u32 = 20;
/// The cost of a byte in bits before there are codes: in its own group, and in the other groups.
const NEAR_COST: u32 = 1;
const FAR_COST: u32 = 16;
/// The size of the pages in which xdelta3 collects its output, in bytes; it counts the bits in the
/// last one.
const PAGE: usize = 1 << 14;

/// The division of a section: several codes, of which each sector uses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::secondary) struct Division {
    groups: usize,
    sector: usize,
}

impl Division {
    /// One code for the whole section.
    pub(in crate::secondary) const ONE: Self = Self { groups: 1, sector: 0 };

    /// Returns the division xdelta3 uses for a section of this length.
    pub(in crate::secondary) fn suggested(section: Section, len: usize) -> Self {
        const ANY: usize = usize::MAX;
        let table: &[(usize, usize, usize)] = match section {
            Section::Data => &[
                (1000, 1, 0),
                (4000, 2, 10),
                (7000, 3, 10),
                (10_000, 4, 10),
                (25_000, 5, 10),
                (50_000, 7, 20),
                (100_000, 8, 30),
                (ANY, 8, 70),
            ],
            Section::Instructions => {
                &[(7000, 1, 0), (10_000, 2, 50), (25_000, 3, 50), (50_000, 6, 40), (ANY, 8, 40)]
            }
            Section::Addresses => &[
                (9000, 1, 0),
                (25_000, 2, 130),
                (50_000, 3, 130),
                (100_000, 5, 130),
                (ANY, 7, 130),
            ],
        };
        let row = table.iter().find(|row| len < row.0);
        row.map_or(Self::ONE, |&(_, groups, sector)| Self { groups, sector })
    }
}

/// The result of writing a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::secondary) struct Written {
    /// `true` if the section can be decoded. The groups after the first one store only lengths
    /// other than 0, and the decoder reads lengths for the bytes that have one in the first group;
    /// where a code grew too long, its group has lengths for all bytes.
    pub(in crate::secondary) decodable: bool,
}

/// Appends the coded section; `None` if xdelta3 would leave the section uncompressed, and then
/// `out` must not be used.
pub(in crate::secondary) fn encode_section(
    section: &[u8],
    division: Division,
    out: &mut Vec<u8>,
) -> Option<Written> {
    let mut frequencies = [0u32; BYTES];
    section.iter().for_each(|&byte| frequencies[usize::from(byte)] += 1);
    let mut division = division;
    let mut costs = None;
    while division.groups > 1 && costs.is_none() {
        costs = first_costs(section.len(), division.groups, &frequencies);
        division.groups -= usize::from(costs.is_none());
    }
    let mut bits = BitWriter::new(out);
    bits.number(division.groups as u32 - 1, GROUP_BITS);
    let written = match costs {
        None => encode_with_one_code(section, &frequencies, &mut bits),
        Some(costs) => encode_in_sectors(section, &frequencies, division.sector, costs, &mut bits),
    };
    bits.finish();
    written
}

/// Returns whether `bits` are enough fewer than the bits of the section.
fn pays(bits: u32, section: &[u8]) -> bool {
    bits.wrapping_add(MIN_GAIN) < (section.len() as u32).wrapping_mul(u8::BITS)
}

/// Returns the number of bits in the last page of the output.
fn page_bits(bits: &BitWriter<'_>) -> u32 {
    let bytes = bits.bytes();
    (bytes - bytes.saturating_sub(1) / PAGE * PAGE) as u32 * u8::BITS
}

fn encode_with_one_code(
    section: &[u8],
    frequencies: &[u32; BYTES],
    bits: &mut BitWriter<'_>,
) -> Option<Written> {
    let (lengths, total) = code_lengths(frequencies, LONGEST);
    if !pays(total, section) {
        return None;
    }
    write_lengths(&lengths, bits);
    if !pays(total.wrapping_add(page_bits(bits)), section) {
        return None;
    }
    let codes = codes(&lengths);
    for &byte in section {
        bits.number(codes[usize::from(byte)], u32::from(lengths[usize::from(byte)]));
    }
    Some(Written { decodable: true })
}

/// Returns the initial cost of each byte in each group: the bytes are distributed in order, with
/// about the same number of occurrences per group. `None` if a group would be empty.
fn first_costs(len: usize, groups: usize, frequencies: &[u32; BYTES]) -> Option<Vec<[u32; BYTES]>> {
    let mut left = len as u32;
    let (mut first, mut next) = (0, 0);
    let mut costs = Vec::with_capacity(groups);
    for group in 0..groups {
        let goal = left / (groups - group) as u32;
        if goal == 0 {
            return None;
        }
        let mut sum = 0;
        while sum < goal {
            sum += frequencies[next];
            next += 1;
        }
        let mut cost = [FAR_COST; BYTES];
        if let Some(near) = cost.get_mut(first..BYTES.min(next + 1)) {
            near.fill(NEAR_COST);
        }
        costs.push(cost);
        left -= sum;
        first = next + 1;
    }
    Some(costs)
}

fn encode_in_sectors(
    section: &[u8],
    frequencies: &[u32; BYTES],
    sector: usize,
    costs: Vec<[u32; BYTES]>,
    bits: &mut BitWriter<'_>,
) -> Option<Written> {
    bits.number((sector / SECTOR_UNIT) as u32 - 1, SECTOR_BITS);
    let Groups { lengths, picks, total } = sorted_into_groups(section, frequencies, sector, costs);
    if !pays(total, section) {
        return None;
    }
    let (first, others) =
        lengths.split_first().map_or((&[][..], &[][..]), |(first, others)| (first, others));
    let mut all = first.to_vec();
    all.extend(others.iter().flatten().filter(|&&len| len > 0));
    write_lengths(&all, bits);
    let selector_bits = write_selectors(&picks, lengths.len(), bits);
    // The selectors are written already and so are counted twice, as in xdelta3.
    if !pays(total.wrapping_add(selector_bits).wrapping_add(page_bits(bits)), section) {
        return None;
    }
    let codes: Vec<Vec<u32>> = lengths.iter().map(|lengths| codes(lengths)).collect();
    for (bytes, &pick) in section.chunks(sector).zip(&picks) {
        let (codes, lengths) = (&codes[usize::from(pick)], &lengths[usize::from(pick)]);
        for &byte in bytes {
            bits.number(codes[usize::from(byte)], u32::from(lengths[usize::from(byte)]));
        }
    }
    let coded = |lengths: &[u8]| lengths.iter().map(|&len| len > 0).collect::<Vec<bool>>();
    Some(Written { decodable: others.iter().all(|other| coded(other) == coded(first)) })
}

/// A code for each group, the group of each sector, and the number of bits the section takes with
/// them.
struct Groups {
    lengths: Vec<Vec<u8>>,
    picks: Vec<u8>,
    total: u32,
}

fn sorted_into_groups(
    section: &[u8],
    frequencies: &[u32; BYTES],
    sector: usize,
    mut costs: Vec<[u32; BYTES]>,
) -> Groups {
    let mut before = 0u32;
    let mut round = 0;
    loop {
        round += 1;
        let mut counts = vec![[0u32; BYTES]; costs.len()];
        let mut picks = Vec::with_capacity(section.len().div_ceil(sector));
        for bytes in section.chunks(sector) {
            let cost = |costs: &[u32; BYTES]| {
                bytes.iter().map(|&byte| costs[usize::from(byte)]).sum::<u32>()
            };
            // The first of equally cheap groups.
            let pick = (0..costs.len()).min_by_key(|&group| cost(&costs[group])).unwrap_or(0);
            bytes.iter().for_each(|&byte| counts[pick][usize::from(byte)] += 1);
            picks.push(pick as u8);
        }
        let mut total = 0u32;
        let mut lengths = Vec::with_capacity(costs.len());
        for (counts, costs) in counts.iter_mut().zip(&mut costs) {
            // Every byte of the section has a code in every group, used there or not.
            let unused: Vec<usize> =
                (0..BYTES).filter(|&byte| counts[byte] == 0 && frequencies[byte] != 0).collect();
            unused.iter().for_each(|&byte| counts[byte] = 1);
            let (of_group, bits) = code_lengths(counts, LONGEST);
            let of_unused: u32 = unused.iter().map(|&byte| u32::from(of_group[byte])).sum();
            total = total.wrapping_add(bits).wrapping_sub(of_unused);
            costs.iter_mut().zip(&of_group).for_each(|(cost, &len)| *cost = u32::from(len));
            lengths.push(of_group);
        }
        // The difference wraps around if the total grew, which counts as a gain.
        let again =
            round == 1 || (round < MAX_ROUNDS && before.wrapping_sub(total) >= MIN_ROUND_GAIN);
        if !again {
            return Groups { lengths, picks, total };
        }
        before = total;
    }
}

fn write_lengths(lengths: &[u8], bits: &mut BitWriter<'_>) {
    let symbols = move_to_front::encode(lengths.iter().copied(), &LIKELY_LENGTHS);
    let mut frequencies = [0u32; LENGTH_SYMBOLS];
    symbols.iter().for_each(|&symbol| frequencies[usize::from(symbol)] += 1);
    let (of_symbols, _) = code_lengths(&frequencies, LONGEST_OF_LENGTHS);
    let used =
        of_symbols.iter().rposition(|&len| len > 0).map_or(0, |last| last + 1).max(MIN_LENGTHS);
    bits.number((used - MIN_LENGTHS) as u32, LENGTH_COUNT_BITS);
    of_symbols[..used].iter().for_each(|&len| bits.number(u32::from(len), LENGTH_BITS));
    write_symbols(&symbols, &of_symbols, bits);
}

/// Writes the group of each sector; returns the number of bits of the symbols, without their
/// lengths.
fn write_selectors(picks: &[u8], groups: usize, bits: &mut BitWriter<'_>) -> u32 {
    let list: Vec<u8> = (0..groups as u8).collect();
    let symbols = move_to_front::encode(picks.iter().copied(), &list);
    let mut frequencies = vec![0u32; groups + 1];
    symbols.iter().for_each(|&symbol| frequencies[usize::from(symbol)] += 1);
    let (of_symbols, total) = code_lengths(&frequencies, LONGEST_OF_SELECTORS);
    of_symbols.iter().for_each(|&len| bits.number(u32::from(len), SELECTOR_LENGTH_BITS));
    write_symbols(&symbols, &of_symbols, bits);
    total
}

fn write_symbols(symbols: &[u8], lengths: &[u8], bits: &mut BitWriter<'_>) {
    let codes = codes(lengths);
    for &symbol in symbols {
        bits.number(codes[usize::from(symbol)], u32::from(lengths[usize::from(symbol)]));
    }
}
