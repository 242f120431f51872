//! A delta as data: headers, window headers and instructions, read by the same code that decodes.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::iter::FusedIterator;
use std::sync::Arc;

use crate::decode::code_table::Codes;
use crate::decode::instructions::{Instructions, Operation as Read};
use crate::decode::parse::{self, CopyWindow, Header, SectionLengths, Stop, WindowHeader};
use crate::decode::sections::{self, Sections};
use crate::error::{DecodeError, DecodeErrorKind, Fault, Part};
use crate::format::window::{VCD_INSTCOMP, VCD_TARGET};
use crate::limits::DecodeLimits;
use crate::secondary::SectionDecoder;

/// Reads the file header of a delta and offers its windows one by one, without a source and without producing the target.
pub fn inspect<'a>(delta: &'a [u8], limits: &DecodeLimits) -> Result<Inspection<'a>, DecodeError> {
    let fail = |fault, start| DecodeError::new(fault, None, start);
    let (header, len) = match parse::file_header(delta, limits) {
        Ok(read) => read,
        Err(Stop::Fault(fault)) => return Err(fail(fault, 0)),
        Err(Stop::More) => return Err(fail(DecodeErrorKind::Truncated(Part::Header).into(), delta.len() as u64)),
    };
    let sections = match header.secondary {
        Some(id) => Some(SectionDecoder::new(id, limits).map_err(|fault| fail(fault.at(5), 0))?),
        None => None,
    };
    let codes = Arc::new(Codes::of(&header).map_err(|fault| fail(fault, 0))?);
    let rest = delta.get(len..).unwrap_or_default();
    Ok(Inspection {
        codes,
        header,
        header_len: len,
        sections,
        limits: limits.clone(),
        delta,
        rest,
        number: 0,
        produced: 0,
    })
}

/// The windows of a delta, in order; ends after the first error.
#[derive(Debug)]
pub struct Inspection<'a> {
    codes: Arc<Codes>,
    header: Header,
    header_len: usize,
    sections: Option<SectionDecoder>,
    limits: DecodeLimits,
    delta: &'a [u8],
    rest: &'a [u8],
    number: u64,
    produced: u64,
}

impl Inspection<'_> {
    /// The file header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Length of the file header in bytes.
    pub fn header_len(&self) -> u64 {
        self.header_len as u64
    }

    fn window(&mut self) -> Result<Window, (Fault, usize)> {
        let start = self.delta.len().saturating_sub(self.rest.len());
        let truncated = |part| (DecodeErrorKind::Truncated(part).into(), self.delta.len());
        let parsed = parse::window_header(self.rest, &self.header, self.produced, &self.limits);
        let header = match parsed {
            Ok(header) => header,
            Err(Stop::Fault(fault)) => return Err((fault, start)),
            Err(Stop::More) => return Err(truncated(Part::WindowHeader)),
        };
        let body = self.rest.get(header.len..).unwrap_or_default();
        let total = header.sections.total();
        let Some((body, rest)) = body.split_at_checked(total as usize) else {
            return Err(truncated(Part::Sections { missing: total.saturating_sub(body.len() as u64) }));
        };
        let opened = sections::open(&header, body, &mut self.sections, &self.limits).map_err(|fault| (fault, start))?;
        let window = Window {
            number: self.number,
            delta_offset: start as u64,
            target_offset: self.produced,
            decompressed: opened.lengths(),
            data: opened.data.to_vec(),
            instructions: opened.instructions.to_vec(),
            addresses: opened.addresses.to_vec(),
            header,
            codes: self.codes.clone(),
            limits: self.limits.clone(),
        };
        self.rest = rest;
        self.number = self.number.saturating_add(1);
        self.produced = self.produced.saturating_add(header.target_len);
        Ok(window)
    }
}

impl Iterator for Inspection<'_> {
    type Item = Result<Window, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.window().map_err(|(fault, start)| {
            self.rest = &[];
            DecodeError::new(fault, Some(self.number), start as u64)
        }))
    }
}

impl FusedIterator for Inspection<'_> {}

/// One window: its header's fields and its instructions.
#[derive(Clone, Debug)]
pub struct Window {
    number: u64,
    delta_offset: u64,
    target_offset: u64,
    header: WindowHeader,
    decompressed: SectionLengths,
    data: Vec<u8>,
    instructions: Vec<u8>,
    addresses: Vec<u8>,
    codes: Arc<Codes>,
    limits: DecodeLimits,
}

impl Window {
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
        self.header.indicator
    }

    /// The part of the source it copies from, or of the target if the indicator has VCD_TARGET.
    pub fn copy_window(&self) -> Option<CopyWindow> {
        self.header.copy_window
    }

    /// Length of its encoding as the header states it.
    pub fn encoding_len(&self) -> u64 {
        self.header.encoding_len
    }

    /// Bytes of the target it stands for.
    pub fn target_len(&self) -> u64 {
        self.header.target_len
    }

    /// The delta indicator: 1 data, 2 instructions, 4 addresses are compressed.
    pub fn delta_indicator(&self) -> u8 {
        self.header.delta_indicator
    }

    /// Lengths of the sections as they are stored.
    pub fn stored(&self) -> SectionLengths {
        self.header.sections
    }

    /// Lengths of the sections when decompressed.
    pub fn decompressed(&self) -> SectionLengths {
        self.decompressed
    }

    /// The Adler-32 of its target bytes, if it has one.
    pub fn checksum(&self) -> Option<u32> {
        self.header.checksum
    }

    /// Its instructions, checked as when decoding; ends after the first error.
    pub fn instructions(&self) -> impl Iterator<Item = Result<Instruction<'_>, DecodeError>> {
        let sections = Sections { data: &self.data, instructions: &self.instructions, addresses: &self.addresses };
        let mut instructions = Some(Instructions::new(&self.header, &sections, &self.codes, &self.limits));
        std::iter::from_fn(move || {
            let read = instructions.as_mut()?.step();
            if !matches!(read, Ok(Some(_))) {
                instructions = None;
            }
            let step = match read {
                Ok(step) => step?,
                Err(fault) => return Some(Err(self.failure(fault))),
            };
            let operation = match step.operation {
                Read::Add(bytes) => Operation::Add { bytes },
                Read::Run(byte) => Operation::Run { byte },
                Read::CopySource { mode, address } => {
                    let start = self.header.copy_window.map_or(0, |window| window.offset);
                    let at = start.saturating_add(address);
                    let of_target = self.header.indicator & VCD_TARGET != 0;
                    Operation::Copy { mode, from: if of_target { CopyFrom::Target(at) } else { CopyFrom::Source(at) } }
                }
                Read::CopyTarget { mode, position } => Operation::Copy { mode, from: CopyFrom::Window(position) },
            };
            let offset = self.target_offset.saturating_add(step.position);
            Some(Ok(Instruction { offset, code: step.code, second: step.second, size: step.size, operation }))
        })
    }

    /// The three sections, decompressed.
    pub(crate) fn sections(&self) -> [&[u8]; 3] {
        [&self.data, &self.instructions, &self.addresses]
    }

    fn failure(&self, fault: Fault) -> DecodeError {
        let codes = self.header.len.saturating_add(self.header.sections.data as usize);
        let within = if self.header.delta_indicator & VCD_INSTCOMP == 0 { fault.at } else { 0 };
        DecodeError::new(fault.at(codes.saturating_add(within)), Some(self.number), self.delta_offset)
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
