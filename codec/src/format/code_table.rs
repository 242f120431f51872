//! The code table of RFC 3284, sections 5.4 and 5.6, and the stored form of an application-defined
//! one (section 7).
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::CodeTableFault;
use crate::format::address::{MODE_NEAR, NEAR, SAME};
use crate::format::instruction::Kind;

/// The number of address modes of the default code table: self, here, four near, three same.
pub(crate) const MODES: usize = 9;

/// The number of codes.
const CODES: usize = 256;
/// The length of a stored table in bytes: six columns of 256 codes (instructions, sizes and modes,
/// each for both halves).
pub(crate) const STORED_LEN: usize = 6 * CODES;

const NOOP: u8 = 0;
const ADD: u8 = 1;
const RUN: u8 = 2;
const COPY: u8 = 3;

/// One half of a code table entry; size 0 means that the size follows in the instruction section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Half {
    pub(crate) kind: Kind,
    pub(crate) size: u8,
}

/// The one or two instructions of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    pub(crate) first: Half,
    pub(crate) second: Half,
}

/// A table of 256 entries, indexed by the code.
pub(crate) type CodeTable = [Entry; 256];

/// The table of RFC 3284, section 5.6.
pub(crate) static DEFAULT_CODE_TABLE: CodeTable = default_code_table();

#[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)] // evaluated at compile time
const fn default_code_table() -> CodeTable {
    const NOOP: Half = Half { kind: Kind::Noop, size: 0 };
    const fn single(kind: Kind, size: u8) -> Entry {
        Entry { first: Half { kind, size }, second: NOOP }
    }
    const fn pair(first: Half, second: Half) -> Entry {
        Entry { first, second }
    }
    let mut table = [Entry { first: NOOP, second: NOOP }; 256];
    table[0] = single(Kind::Run, 0);
    let mut code = 1;
    let mut size = 0;
    while size <= 17 {
        table[code] = single(Kind::Add, size);
        code += 1;
        size += 1;
    }
    let mut mode = 0;
    while mode < MODES as u8 {
        table[code] = single(Kind::Copy(mode), 0);
        code += 1;
        let mut size = 4;
        while size <= 18 {
            table[code] = single(Kind::Copy(mode), size);
            code += 1;
            size += 1;
        }
        mode += 1;
    }
    let mut mode = 0;
    while mode < MODES as u8 {
        let longest = if mode < 6 { 6 } else { 4 };
        let mut add = 1;
        while add <= 4 {
            let mut copy = 4;
            while copy <= longest {
                table[code] = pair(
                    Half { kind: Kind::Add, size: add },
                    Half { kind: Kind::Copy(mode), size: copy },
                );
                code += 1;
                copy += 1;
            }
            add += 1;
        }
        mode += 1;
    }
    let mut mode = 0;
    while mode < MODES as u8 {
        table[code] =
            pair(Half { kind: Kind::Copy(mode), size: 4 }, Half { kind: Kind::Add, size: 1 });
        code += 1;
        mode += 1;
    }
    table
}

/// The codes of a delta: a table and the sizes of its address caches.
#[derive(Debug)]
pub(crate) struct Codes {
    own_table: Option<Box<CodeTable>>,
    pub(crate) near: u8,
    pub(crate) same: u8,
}

impl Default for Codes {
    fn default() -> Self {
        Self { own_table: None, near: NEAR, same: SAME }
    }
}

impl Codes {
    /// Returns the number of address modes with caches of these sizes.
    pub(crate) fn modes(near: u8, same: u8) -> Result<u8, CodeTableFault> {
        let modes = near.checked_add(same).and_then(|both| both.checked_add(MODE_NEAR));
        modes.ok_or(CodeTableFault::Caches { near, same })
    }

    /// Parses the columns of an application-defined table.
    pub(crate) fn parse(near: u8, same: u8, columns: &[u8]) -> Result<Self, CodeTableFault> {
        let modes = Self::modes(near, same)?;
        if columns.len() != STORED_LEN {
            return Err(CodeTableFault::Delta);
        }
        let half = |code: u8, second: usize| {
            let column = |column: usize| {
                columns
                    .get(column.saturating_mul(CODES).saturating_add(usize::from(code)))
                    .copied()
                    .unwrap_or_default()
            };
            let (kind, size, mode) = (
                column(second),
                column(second.saturating_add(2)),
                column(second.saturating_add(4)),
            );
            let kind = match kind {
                NOOP => Kind::Noop,
                ADD => Kind::Add,
                RUN => Kind::Run,
                COPY if mode < modes => Kind::Copy(mode),
                _ => return Err(CodeTableFault::Entry(code)),
            };
            Ok(Half { kind, size })
        };
        let mut table = Box::new([Entry::default(); CODES]);
        for (code, entry) in (0..=u8::MAX).zip(table.iter_mut()) {
            *entry = Entry { first: half(code, 0)?, second: half(code, 1)? };
        }
        Ok(Self { own_table: Some(table), near, same })
    }

    /// Returns the columns of the table.
    pub(crate) fn write(&self) -> Vec<u8> {
        let kind = |half: Half| match half.kind {
            Kind::Noop => NOOP,
            Kind::Add => ADD,
            Kind::Run => RUN,
            Kind::Copy(_) => COPY,
        };
        let mode = |half: Half| if let Kind::Copy(mode) = half.kind { mode } else { 0 };
        let table = self.table();
        let mut columns = Vec::with_capacity(STORED_LEN);
        columns.extend(table.iter().map(|entry| kind(entry.first)));
        columns.extend(table.iter().map(|entry| kind(entry.second)));
        columns.extend(table.iter().map(|entry| entry.first.size));
        columns.extend(table.iter().map(|entry| entry.second.size));
        columns.extend(table.iter().map(|entry| mode(entry.first)));
        columns.extend(table.iter().map(|entry| mode(entry.second)));
        columns
    }

    #[inline]
    pub(crate) fn table(&self) -> &CodeTable {
        self.own_table.as_deref().unwrap_or(&DEFAULT_CODE_TABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_table_matches_rfc_3284() {
        let entry = |code: usize| DEFAULT_CODE_TABLE[code];
        assert_eq!(entry(0).first, Half { kind: Kind::Run, size: 0 });
        assert_eq!(entry(1).first, Half { kind: Kind::Add, size: 0 });
        assert_eq!(entry(18).first, Half { kind: Kind::Add, size: 17 });
        assert_eq!(entry(19).first, Half { kind: Kind::Copy(0), size: 0 });
        assert_eq!(entry(162).first, Half { kind: Kind::Copy(8), size: 18 });
        assert_eq!(entry(163).second, Half { kind: Kind::Copy(0), size: 4 });
        assert_eq!(entry(234).first, Half { kind: Kind::Add, size: 4 });
        assert_eq!(entry(234).second, Half { kind: Kind::Copy(5), size: 6 });
        assert_eq!(entry(235).second, Half { kind: Kind::Copy(6), size: 4 });
        assert_eq!(entry(247).first, Half { kind: Kind::Copy(0), size: 4 });
        assert_eq!(entry(255).first, Half { kind: Kind::Copy(8), size: 4 });
        assert_eq!(entry(255).second, Half { kind: Kind::Add, size: 1 });
    }

    #[test]
    fn written_tables_are_read_back() {
        let columns = Codes::default().write();
        let codes = Codes::parse(NEAR, SAME, &columns).unwrap();
        assert_eq!(codes.table(), &DEFAULT_CODE_TABLE);
        assert_eq!(codes.write(), columns);
    }
}
