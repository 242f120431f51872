//! Reads the header of a dynamic block.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::table::Table;
use crate::bits::BitReader;
use crate::error::ParseErrorKind;
use crate::header::{Header, ORDER, Run};

/// Reads a header; `take` reads a number of bits.
pub(super) fn read(
    mut take: impl FnMut(u32) -> Result<u32, ParseErrorKind>,
) -> Result<Header, ParseErrorKind> {
    let literals = (take(5)? as usize).saturating_add(257);
    let declared = (take(5)? as usize).saturating_add(1).saturating_add(literals);
    let count = (take(4)? as usize).saturating_add(4);
    let mut header = Header { literals, ..Header::default() };
    let mut run_lengths = [0u8; 19];
    for &symbol in ORDER.iter().take(count) {
        let length = take(3)? as u8;
        header.run_lengths.push(length);
        if let Some(to) = run_lengths.get_mut(symbol) {
            *to = length;
        }
    }
    let table = Table::new(&run_lengths)?;
    while header.lengths.len() < declared {
        let symbol = read_symbol(&table, &mut take)?;
        let extra = match symbol {
            16 => take(2)?,
            17 => take(3)?,
            18 => take(7)?,
            _ => 0,
        };
        let run = Run::from_symbol(symbol, extra as u8);
        header.runs.push(run);
        let (count, length) = run.expand();
        let last = header.lengths.last().copied();
        let length = length.or(last).ok_or(ParseErrorKind::RepeatsNothing)?;
        header.lengths.extend(std::iter::repeat_n(length, count));
    }
    if header.lengths.len() > declared {
        return Err(ParseErrorKind::TooManyLengths { declared: declared as u16 });
    }
    Ok(header)
}

/// Reads a symbol bit by bit: at most seven, 320 times a block.
fn read_symbol(
    table: &Table,
    take: &mut impl FnMut(u32) -> Result<u32, ParseErrorKind>,
) -> Result<u8, ParseErrorKind> {
    let mut word = 0u64;
    for bit in 0..7u32 {
        word |= u64::from(take(1)?) << bit;
        let count = bit.saturating_add(1);
        if let Ok(symbol) = table.read(&mut BitReader::with(word, count)) {
            return Ok(symbol as u8);
        }
    }
    Err(ParseErrorKind::UnknownCode)
}
