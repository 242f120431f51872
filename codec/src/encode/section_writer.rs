//! Instructions become sections: opcodes, addresses and literal bytes of one window.

use super::error::EncodeError;
use super::instruction::{Instruction, Operation};
use super::window_writer::WindowParts;
use crate::format::address::{AddressCache, MODE_HERE, MODE_NEAR, MODE_SAME, MODE_SELF, NEAR, SAME};
use crate::format::instruction::Kind;
use crate::format::varint;
use crate::format::window::CopyWindow as Segment;

/// Addresses below this take one byte, and no mode can do better.
const ONE_BYTE: u64 = 128;

// First codes of each group in the default code table (RFC 3284, section 5.6).
const CODE_RUN: u8 = 0;
const CODE_ADD: u8 = 1;
const CODE_COPY: u8 = 19;
const CODE_ADD_COPY: u8 = 163;
const CODE_ADD_COPY_SAME: u8 = 235;
const CODE_COPY_ADD: u8 = 247;
/// COPY codes per mode: one with the size apart, one for each size from 4 to 18.
const COPY_SIZES: u8 = 16;

/// One window, matched and written down, but not yet compressed or written.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    pub(super) data: Vec<u8>,
    pub(super) instructions: Vec<u8>,
    pub(super) addresses: Vec<u8>,
    /// The part of the source that is copied from.
    pub(super) copy_window: Option<Span>,
}

impl Sections {
    /// The window as the writer takes it.
    pub(crate) fn parts(&self, target_len: u64, checksum: Option<u32>) -> WindowParts<'_> {
        WindowParts {
            target_len,
            copy_window: self.copy_window.map(|span| Segment { offset: span.start, len: span.len }),
            checksum,
            sections: [&self.data, &self.instructions, &self.addresses],
        }
    }
}

/// A piece of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) len: u64,
}

/// Which part of the source this window may copy from: free until the first COPY is written.
#[derive(Debug, Default)]
pub(crate) struct CopyWindow {
    lowest: u64,
    /// End of the match that reaches farthest; 0 when there was none.
    highest: u64,
    chosen: Option<Span>,
}

impl CopyWindow {
    /// The part decided on, if it is.
    pub(super) fn chosen(&self) -> Option<Span> {
        self.chosen
    }

    /// Makes room for a match, which may yet be dropped.
    pub(crate) fn include(&mut self, start: u64, end: u64) {
        if self.highest == 0 || start < self.lowest {
            self.lowest = start;
        }
        self.highest = self.highest.max(end);
    }

    fn choose(&mut self, flush: FlushKind) -> Span {
        *self.chosen.get_or_insert_with(|| {
            let matched = self.highest - self.lowest;
            let len = match flush {
                FlushKind::Finishing => matched,
                // Matches to come have to fit as well, so it is a guess.
                FlushKind::Scanning { target_len, source_end } => {
                    let guess = matched.max((target_len + target_len / 4) as u64);
                    source_end.map_or(guess, |end| guess.min(end.saturating_sub(self.lowest)))
                }
            };
            Span { start: self.lowest, len }
        })
    }
}

/// Whether a window still has matches to come when instructions are written.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FlushKind {
    /// The queue was full; `source_end` is the length of the source if known.
    Scanning { target_len: usize, source_end: Option<u64> },
    /// All matches are made.
    Finishing,
}

/// Writes the instructions of one window after the other.
#[derive(Debug)]
pub(crate) struct SectionWriter {
    sections: Sections,
    cache: AddressCache,
    /// The instruction before, which may share a code with the next one.
    held: Option<(Kind, usize)>,
    written: usize,
    with_source: bool,
    allow_undecodable: bool,
    pub(crate) copy_window: CopyWindow,
}

impl SectionWriter {
    pub(crate) fn new(with_source: bool, allow_undecodable: bool) -> Self {
        Self {
            sections: Sections::default(),
            cache: AddressCache::new(NEAR, SAME),
            held: None,
            written: 0,
            with_source,
            allow_undecodable,
            copy_window: CopyWindow::default(),
        }
    }

    /// Target bytes the instructions so far produce.
    pub(super) fn written(&self) -> usize {
        self.written
    }

    /// Whether an instruction waits for its successor.
    pub(super) fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Writes an instruction, and before it an ADD of the bytes no instruction made.
    pub(crate) fn write(
        &mut self,
        instruction: &Instruction,
        target: &[u8],
        flush: FlushKind,
    ) -> Result<(), EncodeError> {
        let Instruction { position, size, address, operation } = *instruction;
        if (position as usize) < self.written && !self.allow_undecodable {
            return Err(EncodeError::InstructionBufferExhausted);
        }
        self.add_up_to(position as usize, target);
        let kind = match operation {
            Operation::Run(byte) => {
                self.sections.data.push(byte);
                Kind::Run
            }
            Operation::CopySource | Operation::CopyTarget => {
                let span = if self.with_source { self.copy_window.choose(flush) } else { Span { start: 0, len: 0 } };
                let address = match operation {
                    Operation::CopyTarget => span.len + address,
                    _ => address - span.start,
                };
                Kind::Copy(self.write_address(address, span.len + u64::from(position)))
            }
        };
        self.code(kind, size as usize);
        Ok(())
    }

    /// Writes the rest of the window, and hands over its sections.
    pub(crate) fn finish(&mut self, target: &[u8]) -> Sections {
        self.add_up_to(target.len(), target);
        if let Some((kind, size)) = self.held.take() {
            self.single(kind, size);
        }
        self.cache.reset();
        self.written = 0;
        let copy_window = std::mem::take(&mut self.copy_window);
        let mut sections = std::mem::take(&mut self.sections);
        sections.copy_window = copy_window.chosen.filter(|span| span.len > 0);
        sections
    }

    fn add_up_to(&mut self, position: usize, target: &[u8]) {
        let added = target.get(self.written..position).unwrap_or_default();
        if !added.is_empty() {
            self.sections.data.extend_from_slice(added);
            self.code(Kind::Add, added.len());
        }
    }

    /// Writes an address in the cheapest mode, which it returns; of equally cheap ones the first.
    fn write_address(&mut self, address: u64, here: u64) -> u8 {
        let near = self.cache.near();
        let relative = (MODE_NEAR..).zip(near).filter_map(|(mode, &base)| Some((address.checked_sub(base)?, mode)));
        let (mut value, mut mode) = (address, MODE_SELF);
        for (candidate, its_mode) in std::iter::once((here - address, MODE_HERE)).chain(relative) {
            if value < ONE_BYTE {
                break;
            }
            if candidate < value {
                (value, mode) = (candidate, its_mode);
            }
        }
        match self.cache.find_same(address).filter(|_| value >= ONE_BYTE) {
            Some((slot, byte)) => {
                self.sections.addresses.push(byte);
                mode = MODE_SAME + slot;
            }
            None => varint::write(value, &mut self.sections.addresses),
        }
        self.cache.update(address);
        mode
    }

    /// Writes the code of the instruction before, alone or together with this one.
    fn code(&mut self, kind: Kind, size: usize) {
        self.written += size;
        if let Some((before, size_before)) = self.held.take() {
            if let Some(code) = double_code(before, size_before, kind, size) {
                self.sections.instructions.push(code);
                return;
            }
            self.single(before, size_before);
        }
        self.held = Some((kind, size));
    }

    fn single(&mut self, kind: Kind, size: usize) {
        let (code, size_apart) = match (kind, size) {
            (Kind::Run | Kind::Noop, _) => (CODE_RUN, true),
            (Kind::Add, 1..=17) => (CODE_ADD + size as u8, false),
            (Kind::Add, _) => (CODE_ADD, true),
            (Kind::Copy(mode), 4..=18) => (CODE_COPY + COPY_SIZES * mode + (size as u8 - 3), false),
            (Kind::Copy(mode), _) => (CODE_COPY + COPY_SIZES * mode, true),
        };
        self.sections.instructions.push(code);
        if size_apart {
            varint::write(size as u64, &mut self.sections.instructions);
        }
    }
}

/// The code for two instructions at once, if the table has one.
fn double_code(first: Kind, first_size: usize, second: Kind, second_size: usize) -> Option<u8> {
    match (first, first_size, second, second_size) {
        (Kind::Add, 1..=4, Kind::Copy(mode), 4..=6) if mode < MODE_SAME => {
            Some(CODE_ADD_COPY + 12 * mode + 3 * (first_size as u8 - 1) + (second_size as u8 - 4))
        }
        (Kind::Add, 1..=4, Kind::Copy(mode), 4) => {
            Some(CODE_ADD_COPY_SAME + 4 * (mode - MODE_SAME) + (first_size as u8 - 1))
        }
        (Kind::Copy(mode), 4, Kind::Add, 1) => Some(CODE_COPY_ADD + mode),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::code_table::DEFAULT_CODE_TABLE;

    #[test]
    fn every_code_means_in_the_table_what_it_was_chosen_for() {
        let mut kinds = vec![Kind::Add, Kind::Run];
        kinds.extend((0..9).map(Kind::Copy));
        let mut doubles = 0;
        for &first in &kinds {
            for first_size in 1..=20usize {
                let mut writer = SectionWriter::new(false, false);
                writer.single(first, first_size);
                let entry = DEFAULT_CODE_TABLE[usize::from(writer.sections.instructions[0])];
                assert_eq!((entry.first.kind, entry.second.kind), (first, Kind::Noop));
                let apart = writer.sections.instructions.get(1).map_or(0, |&size| usize::from(size));
                assert_eq!(usize::from(entry.first.size) + apart, first_size);
                for &second in &kinds {
                    for second_size in 1..=20usize {
                        let Some(code) = double_code(first, first_size, second, second_size) else { continue };
                        let entry = DEFAULT_CODE_TABLE[usize::from(code)];
                        assert_eq!((entry.first.kind, usize::from(entry.first.size)), (first, first_size));
                        assert_eq!((entry.second.kind, usize::from(entry.second.size)), (second, second_size));
                        doubles += 1;
                    }
                }
            }
        }
        assert_eq!(doubles, 256 - 163, "every double code of the table is used");
    }
}
