//! The window header of RFC 3284, sections 4.2 and 4.3.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::{DecodeErrorKind, Field, Limit, Section};
use crate::format::fields::{Fields, Stop};
use crate::format::header::{Header, VERSION_SDCH};
use crate::format::varint;
use crate::limits::DecodeLimits;

/// Window indicator: the copy window lies in the source.
pub(crate) const VCD_SOURCE: u8 = 1;
/// Window indicator: the copy window lies in the target already produced.
pub(crate) const VCD_TARGET: u8 = 2;
/// Window indicator: an Adler-32 of the target window follows the section lengths (an extension of
/// xdelta3).
const VCD_ADLER32: u8 = 4;
/// Delta indicator: the data section is compressed.
const VCD_DATACOMP: u8 = 1;
/// Delta indicator: the instruction section is compressed.
pub(crate) const VCD_INSTCOMP: u8 = 2;
/// Delta indicator: the address section is compressed.
const VCD_ADDRCOMP: u8 = 4;

/// The number of sections of a window.
pub(crate) const SECTIONS: usize = 3;
/// The sections in the order of the file, each with its bit of the delta indicator.
pub(crate) const COMPRESSED: [(Section, u8); SECTIONS] = [
    (Section::Data, VCD_DATACOMP),
    (Section::Instructions, VCD_INSTCOMP),
    (Section::Addresses, VCD_ADDRCOMP),
];

/// The part of the source that a window copies from, or of the target if the window's indicator has
/// VCD_TARGET.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyWindow {
    /// The offset of its first byte.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

/// Lengths of the three sections of a window in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SectionLengths {
    /// The data section.
    pub data: u64,
    /// The instruction section.
    pub instructions: u64,
    /// The address section.
    pub addresses: u64,
}

impl SectionLengths {
    /// Returns the lengths of the sections in the order of the file.
    pub(crate) fn of(sections: [&[u8]; SECTIONS]) -> Self {
        Self::from_order(sections.map(|section| section.len() as u64))
    }

    /// Creates lengths from those in the order of the file.
    pub(crate) fn from_order([data, instructions, addresses]: [u64; SECTIONS]) -> Self {
        Self { data, instructions, addresses }
    }

    pub(crate) fn total(&self) -> u64 {
        self.data.saturating_add(self.instructions).saturating_add(self.addresses)
    }

    fn in_order(&self) -> [u64; SECTIONS] {
        [self.data, self.instructions, self.addresses]
    }
}

/// The fields of a window header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WindowHeader {
    pub(crate) indicator: u8,
    pub(crate) copy_window: Option<CopyWindow>,
    /// Bytes from the target length to the end of the sections.
    pub(crate) encoding_len: u64,
    pub(crate) target_len: u64,
    pub(crate) delta_indicator: u8,
    pub(crate) sections: SectionLengths,
    pub(crate) checksum: Option<u32>,
}

/// A parsed window header and its layout.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParsedWindow {
    pub(crate) fields: WindowHeader,
    /// `true` if data and addresses are stored among the instructions (open-vcdiff).
    pub(crate) interleaved: bool,
    /// The position of the checksum, if there is one.
    pub(crate) checksum_at: usize,
    /// The length of the header in bytes.
    pub(crate) len: usize,
}

impl WindowHeader {
    /// Creates the header of a window that copies from the source, if at all.
    pub(crate) fn new(
        copy_window: Option<CopyWindow>,
        target_len: u64,
        delta_indicator: u8,
        sections: SectionLengths,
        checksum: Option<u32>,
    ) -> Self {
        let mut indicator = 0;
        if copy_window.is_some() {
            indicator |= VCD_SOURCE;
        }
        if checksum.is_some() {
            indicator |= VCD_ADLER32;
        }
        let lengths =
            sections.in_order().into_iter().chain([target_len]).map(varint::len).sum::<usize>();
        let fields = lengths.saturating_add(size_of_val(&delta_indicator));
        let fields = fields.saturating_add(checksum.map_or(0, |sum| size_of_val(&sum)));
        let encoding_len = sections.total().saturating_add(fields as u64);
        Self {
            indicator,
            copy_window,
            encoding_len,
            target_len,
            delta_indicator,
            sections,
            checksum,
        }
    }

    /// Appends the header to `out`. The sections follow it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(self.indicator);
        if let Some(CopyWindow { offset, len }) = self.copy_window {
            varint::write(len, out);
            varint::write(offset, out);
        }
        varint::write(self.encoding_len, out);
        varint::write(self.target_len, out);
        out.push(self.delta_indicator);
        for len in self.sections.in_order() {
            varint::write(len, out);
        }
        out.extend(self.checksum.map(u32::to_be_bytes).into_iter().flatten());
    }

    /// Parses a window header; `produced` is the length of the target before the window.
    pub(crate) fn parse(
        bytes: &[u8],
        file: &Header,
        produced: u64,
        limits: &DecodeLimits,
    ) -> Result<ParsedWindow, Stop> {
        let mut fields = Fields::new(bytes);
        Self::read(&mut fields, file, produced, limits).map_err(|stop| stop.at(fields.field))
    }

    fn read(
        fields: &mut Fields<'_>,
        file: &Header,
        produced: u64,
        limits: &DecodeLimits,
    ) -> Result<ParsedWindow, Stop> {
        let indicator = fields.byte()?;
        let both = VCD_SOURCE | VCD_TARGET;
        if indicator & !(both | VCD_ADLER32) != 0 || indicator & both == both {
            return Err(DecodeErrorKind::WindowIndicator(indicator).into());
        }
        let copy_window = if indicator & both != 0 {
            let len = fields.integer(Field::CopyLength, u64::BITS)?;
            Limit::SourceSpan.check(len, limits.source_span)?;
            let offset = fields.integer(Field::CopyOffset, u64::BITS)?;
            if offset.checked_add(len).is_none() {
                return Err(DecodeErrorKind::CopyWindow { offset, len }.into());
            }
            if indicator & VCD_TARGET != 0 && offset.saturating_add(len) > produced {
                return Err(DecodeErrorKind::TargetWindow { offset, len, produced }.into());
            }
            Some(CopyWindow { offset, len })
        } else {
            None
        };
        let encoding_len = fields.integer(Field::EncodingLength, u32::BITS)?;
        let encoding = fields.field;
        let encoding_start = fields.at;
        let target_len = fields.integer(Field::TargetLength, u32::BITS)?;
        Limit::Window.check(target_len, limits.window)?;
        if let Some(allowed) = limits.target {
            Limit::Target.check(produced.saturating_add(target_len), allowed)?;
        }
        if let Some(CopyWindow { offset, len }) = copy_window
            && len.checked_add(target_len).is_none()
        {
            return Err(DecodeErrorKind::CopyWindow { offset, len }.into());
        }
        let delta_indicator = fields.byte()?;
        if delta_indicator & !(VCD_DATACOMP | VCD_INSTCOMP | VCD_ADDRCOMP) != 0 {
            return Err(DecodeErrorKind::DeltaIndicator(delta_indicator).into());
        }
        for (section, bit) in COMPRESSED {
            if delta_indicator & bit != 0 && file.secondary.is_none() {
                return Err(DecodeErrorKind::NoCompressor(section).into());
            }
        }
        let mut length = |section| fields.integer(Field::SectionLength(section), u32::BITS);
        let sections = SectionLengths {
            data: length(Section::Data)?,
            instructions: length(Section::Instructions)?,
            addresses: length(Section::Addresses)?,
        };
        let own_format = file.version == VERSION_SDCH;
        let checked = indicator & VCD_ADLER32 != 0;
        let mut checksum = None;
        if checked && own_format {
            checksum = Some(fields.integer(Field::Checksum, u32::BITS)? as u32);
        }
        let fields_len = (fields.at.saturating_sub(encoding_start) as u64)
            .saturating_add(if checked && !own_format { 4 } else { 0 });
        let actual = fields_len.saturating_add(sections.total());
        if encoding_len != actual {
            fields.field = encoding;
            return Err(DecodeErrorKind::EncodingLength { stated: encoding_len, actual }.into());
        }
        Limit::StoredSections.check(sections.total(), limits.sections)?;
        if checked && !own_format {
            checksum =
                Some(fields.take(4)?.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)));
        }
        Ok(ParsedWindow {
            fields: Self {
                indicator,
                copy_window,
                encoding_len,
                target_len,
                delta_indicator,
                sections,
                checksum,
            },
            interleaved: own_format && sections.data == 0 && sections.addresses == 0,
            checksum_at: fields.field,
            len: fields.at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_headers_are_read_back() {
        let file = Header { secondary: Some(2), ..Header::default() };
        let limits = DecodeLimits::default();
        let lengths = [0, 1, 127, 128, 1 << 20];
        for copy_window in [None, Some(CopyWindow { offset: 1 << 40, len: 300 })] {
            for checksum in [None, Some(0x0102_0304)] {
                for data in lengths {
                    for target_len in lengths {
                        let sections = SectionLengths { data, instructions: 2, addresses: 200 };
                        let header = WindowHeader::new(
                            copy_window,
                            target_len,
                            VCD_DATACOMP,
                            sections,
                            checksum,
                        );
                        let mut out = Vec::new();
                        header.write(&mut out);
                        let parsed = WindowHeader::parse(&out, &file, 0, &limits).unwrap();
                        assert_eq!((parsed.fields, parsed.len), (header, out.len()));
                    }
                }
            }
        }
    }
}
