//! One window of a delta.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Deref;
use std::sync::Arc;

use crate::decode::{Instructions, Sections};
use crate::error::{DecodeError, Fault};
use crate::format::code_table::Codes;
use crate::format::instruction::{Kind, Operation as Read};
use crate::format::window::{CopyWindow, ParsedWindow, SectionLengths, VCD_INSTCOMP, VCD_TARGET};
use crate::limits::DecodeLimits;

/// The header of a window, and the window's position in the delta and the target.
#[derive(Clone, Copy, Debug)]
pub struct WindowHeader {
    pub(super) number: u64,
    pub(super) delta_offset: u64,
    pub(super) target_offset: u64,
    pub(super) parsed: ParsedWindow,
}

/// One window: its [header](WindowHeader) and its instructions.
#[derive(Clone, Debug)]
pub struct Window {
    pub(super) header: WindowHeader,
    pub(super) decompressed: SectionLengths,
    pub(super) data: Vec<u8>,
    pub(super) instructions: Vec<u8>,
    pub(super) addresses: Vec<u8>,
    pub(super) codes: Arc<Codes>,
    pub(super) limits: DecodeLimits,
}

impl Deref for Window {
    type Target = WindowHeader;

    fn deref(&self) -> &WindowHeader {
        &self.header
    }
}

impl WindowHeader {
    /// Returns the number of the window, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the offset in the delta where the window begins.
    pub fn delta_offset(&self) -> u64 {
        self.delta_offset
    }

    /// Returns the offset in the target where the window begins.
    pub fn target_offset(&self) -> u64 {
        self.target_offset
    }

    /// Returns the window indicator: 1 VCD_SOURCE, 2 VCD_TARGET, 4 VCD_ADLER32.
    pub fn indicator(&self) -> u8 {
        self.parsed.fields.indicator
    }

    /// Returns the part of the source the window copies from, or of the target if the indicator has
    /// VCD_TARGET.
    pub fn copy_window(&self) -> Option<CopyWindow> {
        self.parsed.fields.copy_window
    }

    /// Returns the length of the encoding as the header states it, in bytes.
    pub fn encoding_len(&self) -> u64 {
        self.parsed.fields.encoding_len
    }

    /// Returns the length of the target window in bytes.
    pub fn target_len(&self) -> u64 {
        self.parsed.fields.target_len
    }

    /// Returns the delta indicator: 1 data, 2 instructions, 4 addresses are compressed.
    pub fn delta_indicator(&self) -> u8 {
        self.parsed.fields.delta_indicator
    }

    /// Returns the lengths of the sections as stored.
    pub fn stored(&self) -> SectionLengths {
        self.parsed.fields.sections
    }

    /// Returns the Adler-32 of the target window, if the header has one.
    pub fn checksum(&self) -> Option<u32> {
        self.parsed.fields.checksum
    }
}

impl Window {
    /// Returns the lengths of the decompressed sections.
    pub fn decompressed(&self) -> SectionLengths {
        self.decompressed
    }

    /// Returns an iterator over the instructions, checked as when decoding; it ends after the first
    /// error.
    pub fn instructions(&self) -> impl Iterator<Item = Result<Instruction<'_>, DecodeError>> {
        let sections = Sections {
            data: &self.data,
            instructions: &self.instructions,
            addresses: &self.addresses,
        };
        let mut instructions =
            Some(Instructions::new(&self.header.parsed, &sections, &self.codes, &self.limits));
        std::iter::from_fn(move || {
            let read = instructions.as_mut()?.step();
            if !matches!(read, Ok(Some(_))) {
                instructions = None;
            }
            let step = match read {
                Ok(step) => step?,
                Err(fault) => return Some(Err(self.failure(fault))),
            };
            let mode = if let Kind::Copy(mode) = step.kind { mode } else { 0 };
            let operation = match step.instruction.operation {
                Read::Add(bytes) => Operation::Add { bytes },
                Read::Run(byte) => Operation::Run { byte },
                Read::CopySource { address } => {
                    let start =
                        self.header.parsed.fields.copy_window.map_or(0, |window| window.offset);
                    let at = start.saturating_add(address);
                    let of_target = self.header.parsed.fields.indicator & VCD_TARGET != 0;
                    Operation::Copy {
                        mode,
                        from: if of_target { CopyFrom::Target(at) } else { CopyFrom::Source(at) },
                    }
                }
                Read::CopyTarget { position } => {
                    Operation::Copy { mode, from: CopyFrom::Window(position) }
                }
            };
            let offset = self.target_offset.saturating_add(step.instruction.position);
            let size = step.instruction.size;
            Some(Ok(Instruction { offset, code: step.code, second: step.second, size, operation }))
        })
    }

    /// Returns the three sections, decompressed.
    pub(crate) fn sections(&self) -> [&[u8]; 3] {
        [&self.data, &self.instructions, &self.addresses]
    }

    fn failure(&self, fault: Fault) -> DecodeError {
        let codes =
            self.header.parsed.len.saturating_add(self.header.parsed.fields.sections.data as usize);
        let within = if self.header.parsed.fields.delta_indicator & VCD_INSTCOMP == 0 {
            fault.at
        } else {
            0
        };
        DecodeError::new(
            fault.at(codes.saturating_add(within)),
            Some(self.number),
            self.delta_offset,
        )
    }
}

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction<'a> {
    /// The offset of its bytes in the target.
    pub offset: u64,
    /// The code it was read from, an index in the code table.
    pub code: u8,
    /// `true` for the second instruction of its code.
    pub second: bool,
    /// The number of bytes it produces.
    pub size: u64,
    /// The operation.
    pub operation: Operation<'a>,
}

/// The operation of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Appends bytes of the delta.
    Add {
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Appends one byte repeatedly.
    Run {
        /// The byte.
        byte: u8,
    },
    /// Appends bytes of the source or the target.
    Copy {
        /// The address mode.
        mode: u8,
        /// The position of the bytes.
        from: CopyFrom,
    },
}

/// The position where a COPY begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFrom {
    /// An offset of the source.
    Source(u64),
    /// An offset of the target, before this window (VCD_TARGET).
    Target(u64),
    /// A position in the same target window.
    Window(u64),
}
