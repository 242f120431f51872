//! Reads the headers of the file and of its windows; says what is wrong as soon as it can be known.

use crate::error::{DecodeErrorKind, Fault, Field, Limit, Section};
use crate::format::header::{MAGIC, VCD_APPHEADER, VCD_CODETABLE, VCD_SECONDARY, VERSION_SDCH};
use crate::format::varint;
use crate::format::window::{VCD_ADDRCOMP, VCD_ADLER32, VCD_DATACOMP, VCD_INSTCOMP, VCD_SOURCE, VCD_TARGET};
use crate::limits::DecodeLimits;

/// The file header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The version: 0, or `S` for the format of open-vcdiff.
    pub version: u8,
    /// The secondary compressor: 1 DJW, 2 LZMA, 16 FGK.
    pub secondary: Option<u8>,
    /// The application-defined code table as stored: sizes of both caches, then a delta of the default table.
    pub code_table: Option<Vec<u8>>,
    /// The application header; xdelta3 puts file names there.
    pub application: Option<Vec<u8>>,
}

/// The part of the source that a window copies from; of the target, if its indicator has VCD_TARGET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyWindow {
    /// Where it begins.
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
    pub(crate) fn total(&self) -> u64 {
        self.data.saturating_add(self.instructions).saturating_add(self.addresses)
    }
}

/// A window's header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WindowHeader {
    pub(crate) indicator: u8,
    pub(crate) copy_window: Option<CopyWindow>,
    pub(crate) encoding_len: u64,
    pub(crate) target_len: u64,
    pub(crate) delta_indicator: u8,
    pub(crate) sections: SectionLengths,
    pub(crate) checksum: Option<u32>,
    /// Whether data and addresses stand among the instructions.
    pub(crate) interleaved: bool,
    /// Where the checksum stands, if there is one.
    pub(crate) checksum_at: usize,
    /// Bytes of the header itself.
    pub(crate) len: usize,
}

/// Why a header was not read.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The bytes end before it does.
    More,
    /// It is wrong.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<DecodeErrorKind> for Stop {
    fn from(kind: DecodeErrorKind) -> Self {
        Self::Fault(kind.into())
    }
}

impl Stop {
    fn at(self, at: usize) -> Self {
        match self {
            Self::More => Self::More,
            Self::Fault(fault) => Self::Fault(fault.at(at)),
        }
    }
}

/// Fields one after the other, from the start of a header.
struct Fields<'a> {
    bytes: &'a [u8],
    /// Where the field read last begins ...
    field: usize,
    /// ... and where it ends.
    at: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, field: 0, at: 0 }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Stop> {
        self.field = self.at;
        let end = self.at.saturating_add(len);
        let field = self.bytes.get(self.at..end).ok_or(Stop::More)?;
        self.at = end;
        Ok(field)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        self.take(1)?.first().copied().ok_or(Stop::More)
    }

    fn integer(&mut self, field: Field, bits: u32) -> Result<u64, Stop> {
        self.field = self.at;
        let (value, len) = varint::read_bounded(self.bytes.get(self.at..).unwrap_or_default(), bits)
            .map_err(|_| DecodeErrorKind::IntegerOverflow(field))?
            .ok_or(Stop::More)?;
        self.at = self.at.saturating_add(len);
        Ok(value)
    }
}

/// Reads the file header and returns it with its length.
pub(crate) fn file_header(bytes: &[u8], limits: &DecodeLimits) -> Result<(Header, usize), Stop> {
    let mut fields = Fields::new(bytes);
    read_file_header(&mut fields, limits).map(|header| (header, fields.at)).map_err(|stop| stop.at(fields.field))
}

fn read_file_header(fields: &mut Fields<'_>, limits: &DecodeLimits) -> Result<Header, Stop> {
    let [magic @ .., version] = MAGIC;
    for byte in magic {
        if fields.byte()? != byte {
            return Err(DecodeErrorKind::NotVcdiff.into());
        }
    }
    let found = fields.byte()?;
    if found != version && found != VERSION_SDCH {
        return Err(DecodeErrorKind::Version(found).into());
    }
    let indicator = fields.byte()?;
    if indicator & !(VCD_SECONDARY | VCD_CODETABLE | VCD_APPHEADER) != 0 {
        return Err(DecodeErrorKind::HeaderIndicator(indicator).into());
    }
    let secondary = if indicator & VCD_SECONDARY != 0 { Some(fields.byte()?) } else { None };
    let code_table = if indicator & VCD_CODETABLE != 0 {
        let len = fields.integer(Field::CodeTable, u32::BITS)?;
        Limit::CodeTable.check(len, limits.code_table)?;
        Some(fields.take(len as usize)?.to_vec())
    } else {
        None
    };
    let application = if indicator & VCD_APPHEADER != 0 {
        let len = fields.integer(Field::ApplicationHeader, u32::BITS)?;
        Limit::ApplicationHeader.check(len, limits.application_header)?;
        Some(fields.take(len as usize)?.to_vec())
    } else {
        None
    };
    Ok(Header { version: found, secondary, code_table, application })
}

/// Reads a window's header; `produced` is the length of the target so far.
pub(crate) fn window_header(
    bytes: &[u8],
    file: &Header,
    produced: u64,
    limits: &DecodeLimits,
) -> Result<WindowHeader, Stop> {
    let mut fields = Fields::new(bytes);
    read_window_header(&mut fields, file, produced, limits).map_err(|stop| stop.at(fields.field))
}

fn read_window_header(
    fields: &mut Fields<'_>,
    file: &Header,
    produced: u64,
    limits: &DecodeLimits,
) -> Result<WindowHeader, Stop> {
    let indicator = fields.byte()?;
    let both = VCD_SOURCE | VCD_TARGET;
    if indicator & !(both | VCD_ADLER32) != 0 || indicator & both == both {
        return Err(DecodeErrorKind::WindowIndicator(indicator).into());
    }
    let copy_window = if indicator & both != 0 {
        let len = fields.integer(Field::CopyLength, u32::BITS)?;
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
        && len.saturating_add(target_len) > u64::from(u32::MAX)
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
    let fields_len =
        (fields.at.saturating_sub(encoding_start) as u64).saturating_add(if checked && !own_format { 4 } else { 0 });
    let actual = fields_len.saturating_add(sections.total());
    if encoding_len != actual {
        fields.field = encoding;
        return Err(DecodeErrorKind::EncodingLength { stated: encoding_len, actual }.into());
    }
    Limit::StoredSections.check(sections.total(), limits.sections)?;
    if checked && !own_format {
        checksum = Some(fields.take(4)?.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)));
    }
    Ok(WindowHeader {
        indicator,
        copy_window,
        encoding_len,
        target_len,
        delta_indicator,
        sections,
        checksum,
        interleaved: own_format && sections.data == 0 && sections.addresses == 0,
        checksum_at: fields.field,
        len: fields.at,
    })
}

/// The bit of the delta indicator for each section, in the order of the file.
pub(crate) const COMPRESSED: [(Section, u8); 3] =
    [(Section::Data, VCD_DATACOMP), (Section::Instructions, VCD_INSTCOMP), (Section::Addresses, VCD_ADDRCOMP)];
