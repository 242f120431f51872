//! Application-defined code tables (RFC 3284, section 7).

use super::decode;
use super::parse::Header;
use crate::error::{CodeTableFault, DecodeErrorKind, Fault};
use crate::format::address::{MODE_NEAR, NEAR, SAME};
use crate::format::instruction::{CodeTable, DEFAULT_CODE_TABLE, Entry, Half, Kind};
use crate::limits::DecodeOptions;

/// Bytes of a table written down: six columns of 256.
const LEN: usize = 6 * CODES;
const CODES: usize = 256;

const NOOP: u8 = 0;
const ADD: u8 = 1;
const RUN: u8 = 2;
const COPY: u8 = 3;

/// The codes of a delta: a table and the sizes of the address caches that go with it.
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
    /// The codes a file header asks for.
    pub(crate) fn of(header: &Header) -> Result<Self, Fault> {
        let Some(stored) = &header.code_table else { return Ok(Self::default()) };
        Self::read(stored).map_err(|fault| DecodeErrorKind::CodeTable(fault).into())
    }

    fn read(stored: &[u8]) -> Result<Self, CodeTableFault> {
        let [near, same, delta @ ..] = stored else { return Err(CodeTableFault::Short) };
        let (near, same) = (*near, *same);
        let modes = near.checked_add(same).and_then(|both| both.checked_add(MODE_NEAR));
        let modes = modes.ok_or(CodeTableFault::Caches { near, same })?;
        let mut options = DecodeOptions::default();
        // A table is made from the default one, never from another of an application.
        options.limits.code_table = 0;
        options.limits.window = LEN as u64;
        options.limits.target = Some(LEN as u64);
        options.limits.sections = (LEN as u64).saturating_mul(2);
        let default = written_down(&DEFAULT_CODE_TABLE);
        let columns = decode(Some(&default), delta, &options).map_err(|_| CodeTableFault::Delta)?;
        if columns.len() != LEN {
            return Err(CodeTableFault::Delta);
        }
        let half = |code: u8, second: usize| {
            let column = |column: usize| {
                columns.get(column.saturating_mul(CODES).saturating_add(usize::from(code))).copied().unwrap_or_default()
            };
            let (kind, size, mode) =
                (column(second), column(second.saturating_add(2)), column(second.saturating_add(4)));
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

    #[inline]
    pub(crate) fn table(&self) -> &CodeTable {
        self.own_table.as_deref().unwrap_or(&DEFAULT_CODE_TABLE)
    }
}

/// The six columns of a table: both instructions, both sizes, both modes.
fn written_down(table: &CodeTable) -> Vec<u8> {
    let kind = |half: Half| match half.kind {
        Kind::Noop => NOOP,
        Kind::Add => ADD,
        Kind::Run => RUN,
        Kind::Copy(_) => COPY,
    };
    let mode = |half: Half| if let Kind::Copy(mode) = half.kind { mode } else { 0 };
    let mut columns = Vec::with_capacity(LEN);
    columns.extend(table.iter().map(|entry| kind(entry.first)));
    columns.extend(table.iter().map(|entry| kind(entry.second)));
    columns.extend(table.iter().map(|entry| entry.first.size));
    columns.extend(table.iter().map(|entry| entry.second.size));
    columns.extend(table.iter().map(|entry| mode(entry.first)));
    columns.extend(table.iter().map(|entry| mode(entry.second)));
    columns
}
