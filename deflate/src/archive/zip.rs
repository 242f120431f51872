//! The zip format (APPNOTE 6.3), as far as it says where deflated entries begin.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io;

use super::scan::{Input, read};

/// The signature of an entry's local header.
pub(super) const LOCAL: [u8; 4] = *b"PK\x03\x04";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const END_64_LOCATOR: [u8; 4] = *b"PK\x06\x07";

const LOCAL_LEN: usize = 30;
const CENTRAL_LEN: usize = 46;
const END_LEN: usize = 22;
const MAX_COMMENT: usize = 0xffff;
const DEFLATED: u16 = 8;
const ENCRYPTED: u16 = 1;
/// The identifier of the extra field with 64-bit sizes and offsets.
const EXTRA_64: u16 = 1;
/// The number of bytes of the central directory read at a time.
const PIECE: usize = 1 << 16;

/// Returns the offsets of the local headers that the central directory lists, ascending; none if
/// there is no directory, at most `most`.
pub(super) fn local_headers(
    input: &(impl Input + ?Sized),
    most: u64,
) -> io::Result<Option<Vec<u64>>> {
    let Some(directory) = find_directory(input)? else { return Ok(Some(Vec::new())) };
    let mut offsets = Vec::new();
    let mut at = directory.start;
    let (mut piece, mut piece_at) = (Vec::new(), at);
    while at < directory.end {
        let skip = usize::try_from(at.saturating_sub(piece_at)).unwrap_or(usize::MAX);
        let mut bytes: &[u8] = piece.get(skip..).unwrap_or_default();
        if entry_len(bytes).is_none() {
            piece = read(input, at, PIECE.saturating_mul(4))?;
            piece_at = at;
            bytes = &piece;
        }
        let Some(len) = entry_len(bytes) else { break };
        let entry = bytes.get(..len).unwrap_or_default();
        at = at.saturating_add(len as u64);
        if let Some(offset) = deflated_entry(entry) {
            offsets.push(offset.saturating_add(directory.shift));
        }
        if offsets.len() as u64 > most {
            return Ok(None);
        }
    }
    offsets.sort_unstable();
    offsets.dedup();
    Ok(Some(offsets))
}

/// The place of the central directory, and what to add to offsets where bytes were put before the
/// archive.
struct Directory {
    start: u64,
    end: u64,
    shift: u64,
}

fn find_directory(input: &(impl Input + ?Sized)) -> io::Result<Option<Directory>> {
    let tail_len = input.len().min(END_LEN.saturating_add(MAX_COMMENT) as u64);
    let tail_at = input.len().saturating_sub(tail_len);
    let tail = read(input, tail_at, tail_len as usize)?;
    let Some(place) = tail.windows(4).rposition(|bytes| bytes == END) else { return Ok(None) };
    let record = tail.get(place..).unwrap_or_default();
    let end_at = tail_at.saturating_add(place as u64);
    let (Some(len), Some(offset)) = (u32_at(record, 12), u32_at(record, 16)) else {
        return Ok(None);
    };
    let large = len == u32::MAX || offset == u32::MAX || u16_at(record, 10) == Some(u16::MAX);
    if large && let Some(directory) = find_directory_64(input, end_at)? {
        return Ok(Some(directory));
    }
    let Some(start) = end_at.checked_sub(u64::from(len)) else { return Ok(None) };
    let shift = start.saturating_sub(u64::from(offset));
    Ok(Some(Directory { start, end: end_at, shift }))
}

/// Finds the central directory by the records of zip64 before the end record.
fn find_directory_64(input: &(impl Input + ?Sized), end_at: u64) -> io::Result<Option<Directory>> {
    let Some(locator_at) = end_at.checked_sub(20) else { return Ok(None) };
    let locator = read(input, locator_at, 20)?;
    let Some(record_at) = u64_at(&locator, 8).filter(|_| locator.starts_with(&END_64_LOCATOR))
    else {
        return Ok(None);
    };
    let record = read(input, record_at, 56)?;
    let (Some(len), Some(start)) = (u64_at(&record, 40), u64_at(&record, 48)) else {
        return Ok(None);
    };
    let end = start.saturating_add(len);
    let valid = record.starts_with(&END_64) && end <= record_at;
    Ok(valid.then_some(Directory { start, end, shift: 0 }))
}

/// Returns the length of the entry at the start of `bytes`, if it is there as a whole.
fn entry_len(bytes: &[u8]) -> Option<usize> {
    if !bytes.starts_with(&CENTRAL) {
        return None;
    }
    let variable = [28, 30, 32].into_iter().map(|at| u16_at(bytes, at).map(usize::from));
    let len = variable.sum::<Option<usize>>()?.checked_add(CENTRAL_LEN)?;
    (len <= bytes.len()).then_some(len)
}

/// Returns the offset of the local header of an entry that is deflated and not encrypted.
fn deflated_entry(entry: &[u8]) -> Option<u64> {
    let (flags, method) = (u16_at(entry, 8)?, u16_at(entry, 10)?);
    if method != DEFLATED || flags & ENCRYPTED != 0 {
        return None;
    }
    let offset = u32_at(entry, 42)?;
    if offset != u32::MAX {
        return Some(u64::from(offset));
    }
    // The 64-bit field has only those of the three values that do not fit 32 bits.
    let before = [20, 24].into_iter().filter(|&at| u32_at(entry, at) == Some(u32::MAX)).count();
    let name = usize::from(u16_at(entry, 28)?);
    let extra = entry.get(CENTRAL_LEN.checked_add(name)?..)?;
    u64_at(extra_field(extra, EXTRA_64)?, before.checked_mul(8)?)
}

fn extra_field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (id, len) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let (field, rest) = extra.get(4..)?.split_at_checked(len)?;
        if id == wanted {
            return Some(field);
        }
        extra = rest;
    }
}

/// Returns the offset of the data of the local header at `at`, if that entry is deflated and not
/// encrypted.
pub(super) fn data_offset(input: &(impl Input + ?Sized), at: u64) -> io::Result<Option<u64>> {
    let header = read(input, at, LOCAL_LEN)?;
    let fields = (u16_at(&header, 6), u16_at(&header, 8), u16_at(&header, 26), u16_at(&header, 28));
    let (Some(flags), Some(DEFLATED), Some(name), Some(extra)) = fields else { return Ok(None) };
    if !header.starts_with(&LOCAL) || flags & ENCRYPTED != 0 {
        return Ok(None);
    }
    let variable = u64::from(name).saturating_add(u64::from(extra));
    let len = variable.saturating_add(LOCAL_LEN as u64);
    Ok(at.checked_add(len).filter(|&data| data < input.len()))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
