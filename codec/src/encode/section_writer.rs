//! Writes instructions into sections: the codes, addresses and literal bytes of one window.

use super::window_writer::WindowParts;
use crate::format::address::{
    AddressCache, MODE_HERE, MODE_NEAR, MODE_SAME, MODE_SELF, NEAR, SAME,
};
use crate::format::instruction::{Instruction, Kind, Operation};
use crate::format::varint;
use crate::format::window::CopyWindow;

/// The first address that takes more than one byte; below it no mode is shorter.
const ONE_BYTE: u64 = 128;

// The first codes of each group in the default code table (RFC 3284, section 5.6).
const CODE_RUN: u8 = 0;
const CODE_ADD: u8 = 1;
const CODE_COPY: u8 = 19;
const CODE_ADD_COPY: u8 = 163;
const CODE_ADD_COPY_SAME: u8 = 235;
const CODE_COPY_ADD: u8 = 247;
/// The number of COPY codes per mode: one with a separate size, one for each size from 4 to 18.
const COPY_SIZES: u8 = 16;

/// The sections of one window, not yet compressed.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    data: Vec<u8>,
    instructions: Vec<u8>,
    addresses: Vec<u8>,
    copy_window: CopyWindow,
}

impl Sections {
    /// Returns the window as [`WindowWriter`](super::WindowWriter) takes it.
    pub(crate) fn parts(&self, target_len: u64, checksum: Option<u32>) -> WindowParts<'_> {
        WindowParts {
            target_len,
            copy_window: Some(self.copy_window).filter(|window| window.len > 0),
            checksum,
            sections: [&self.data, &self.instructions, &self.addresses],
        }
    }
}

/// A writer for the instructions of one window after the other, with the default code table.
#[derive(Debug)]
pub(crate) struct SectionWriter {
    sections: Sections,
    cache: AddressCache,
    /// The previous instruction, which may share a code with the next one.
    held: Option<(Kind, usize)>,
}

impl SectionWriter {
    pub(crate) fn new() -> Self {
        Self { sections: Sections::default(), cache: AddressCache::new(NEAR, SAME), held: None }
    }

    /// Returns whether an instruction is held back to share a code with the next one.
    pub(crate) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Sets the part of the source that the window copies from. It must be known before the first
    /// COPY; without it the window copies only from itself.
    pub(crate) fn copy_from(&mut self, window: CopyWindow) {
        self.sections.copy_window = window;
    }

    /// Writes an instruction.
    pub(crate) fn write(&mut self, instruction: Instruction<'_>) {
        let Instruction { position, size, operation } = instruction;
        let copy_len = self.sections.copy_window.len;
        let kind = match operation {
            Operation::Add(bytes) => {
                self.sections.data.extend_from_slice(bytes);
                Kind::Add
            }
            Operation::Run(byte) => {
                self.sections.data.push(byte);
                Kind::Run
            }
            Operation::CopySource { address } => {
                Kind::Copy(self.write_address(address, copy_len + position))
            }
            Operation::CopyTarget { position: from } => {
                Kind::Copy(self.write_address(copy_len + from, copy_len + position))
            }
        };
        self.code(kind, size as usize);
    }

    /// Ends the window and returns its sections.
    pub(crate) fn finish(&mut self) -> Sections {
        if let Some((kind, size)) = self.held.take() {
            self.single(kind, size);
        }
        self.cache.reset();
        std::mem::take(&mut self.sections)
    }

    /// Writes an address in the shortest mode, the first of equally short ones, and returns the
    /// mode.
    #[inline]
    fn write_address(&mut self, address: u64, here: u64) -> u8 {
        let near = self.cache.near();
        let relative = (MODE_NEAR..)
            .zip(near)
            .filter_map(|(mode, &base)| Some((address.checked_sub(base)?, mode)));
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

    /// Writes the code of the previous instruction, alone or together with this one.
    fn code(&mut self, kind: Kind, size: usize) {
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

/// Returns the code for two instructions at once, if the table has one.
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
    fn codes_match_default_table() {
        let mut kinds = vec![Kind::Add, Kind::Run];
        kinds.extend((0..9).map(Kind::Copy));
        let mut doubles = 0;
        for &first in &kinds {
            for first_size in 1..=20usize {
                let mut writer = SectionWriter::new();
                writer.single(first, first_size);
                let entry = DEFAULT_CODE_TABLE[usize::from(writer.sections.instructions[0])];
                assert_eq!((entry.first.kind, entry.second.kind), (first, Kind::Noop));
                let apart =
                    writer.sections.instructions.get(1).map_or(0, |&size| usize::from(size));
                assert_eq!(usize::from(entry.first.size) + apart, first_size);
                for &second in &kinds {
                    for second_size in 1..=20usize {
                        let Some(code) = double_code(first, first_size, second, second_size) else {
                            continue;
                        };
                        let entry = DEFAULT_CODE_TABLE[usize::from(code)];
                        assert_eq!(
                            (entry.first.kind, usize::from(entry.first.size)),
                            (first, first_size)
                        );
                        assert_eq!(
                            (entry.second.kind, usize::from(entry.second.size)),
                            (second, second_size)
                        );
                        doubles += 1;
                    }
                }
            }
        }
        assert_eq!(doubles, 256 - 163, "every double code of the table is used");
    }
}
