//! One window of a delta as data.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::ops::Deref;
use std::sync::Arc;

use crate::decode::{Instructions, Sections};
use crate::error::{DecodeError, Fault};
use crate::format::code_table::Codes;
use crate::format::instruction::{Kind, Operation as Read};
use crate::format::window::{CopyWindow, ParsedWindow, SectionLengths, VCD_INSTCOMP, VCD_TARGET};
use crate::limits::DecodeLimits;

/// What stands before the sections of a window, and where the window stands.
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
    /// Its number, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where it begins in the delta.
    pub fn delta_offset(&self) -> u64 {
        self.delta_offset
    }

    /// Where its bytes go in the target.
    pub fn target_offset(&self) -> u64 {
        self.target_offset
    }

    /// The window indicator: 1 VCD_SOURCE, 2 VCD_TARGET, 4 VCD_ADLER32.
    pub fn indicator(&self) -> u8 {
        self.parsed.fields.indicator
    }

    /// The part of the source it copies from, or of the target if the indicator has VCD_TARGET.
    pub fn copy_window(&self) -> Option<CopyWindow> {
        self.parsed.fields.copy_window
    }

    /// Length of its encoding as the header states it.
    pub fn encoding_len(&self) -> u64 {
        self.parsed.fields.encoding_len
    }

    /// Bytes of the target it stands for.
    pub fn target_len(&self) -> u64 {
        self.parsed.fields.target_len
    }

    /// The delta indicator: 1 data, 2 instructions, 4 addresses are compressed.
    pub fn delta_indicator(&self) -> u8 {
        self.parsed.fields.delta_indicator
    }

    /// Lengths of the sections as they are stored.
    pub fn stored(&self) -> SectionLengths {
        self.parsed.fields.sections
    }

    /// The Adler-32 of its target bytes, if it has one.
    pub fn checksum(&self) -> Option<u32> {
        self.parsed.fields.checksum
    }
}

impl Window {
    /// Lengths of the sections when decompressed.
    pub fn decompressed(&self) -> SectionLengths {
        self.decompressed
    }

    /// Its instructions, checked as when decoding; ends after the first error.
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

    /// The three sections, decompressed.
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
    /// Where its bytes go in the target.
    pub offset: u64,
    /// The code it was read from, its index in the code table.
    pub code: u8,
    /// Whether it is the second instruction of its code.
    pub second: bool,
    /// Bytes it produces.
    pub size: u64,
    /// What it does.
    pub operation: Operation<'a>,
}

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Appends bytes of the delta.
    Add {
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Appends one byte again and again.
    Run {
        /// The byte.
        byte: u8,
    },
    /// Appends bytes from elsewhere.
    Copy {
        /// The address mode.
        mode: u8,
        /// Where the bytes come from.
        from: CopyFrom,
    },
}

/// Where a COPY begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyFrom {
    /// At this offset of the source.
    Source(u64),
    /// At this offset of the target, before this window (VCD_TARGET).
    Target(u64),
    /// At this position of the same target window.
    Window(u64),
}
