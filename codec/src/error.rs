//! What can be wrong with a delta, and where.

use std::fmt;
use std::io;
use std::sync::Arc;

/// What is wrong with a delta or its source, in which window, at which byte.
#[derive(Clone, Debug)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    window: Option<u64>,
    offset: u64,
    cause: Option<Arc<io::Error>>,
}

impl DecodeError {
    pub(crate) fn new(fault: Fault, window: Option<u64>, start: u64) -> Self {
        let offset = start.saturating_add(fault.at as u64);
        Self { kind: fault.kind, window, offset, cause: fault.cause }
    }

    /// What is wrong.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.kind
    }

    /// The window it happened in, counted from 0; `None` in the file header and where the file ends without a window.
    pub fn window(&self) -> Option<u64> {
        self.window
    }

    /// The byte of the delta where the field or instruction begins; of a compressed section, where the section begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.window {
            Some(window) => write!(f, "{} (window {window}, byte {} of the delta)", self.kind, self.offset),
            None => write!(f, "{} (byte {} of the delta)", self.kind, self.offset),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The first bytes are not those of a VCDIFF file.
    NotVcdiff,
    /// A version of the format other than 0.
    Version(u8),
    /// Bits of the header indicator without a meaning.
    HeaderIndicator(u8),
    /// A secondary compressor that neither RFC 3284 nor xdelta3 names.
    UnknownSecondary(u8),
    /// Lawful VCDIFF that is not read here.
    Unsupported(Feature),
    /// Bits of a window indicator without a meaning.
    WindowIndicator(u8),
    /// Bits of a delta indicator without a meaning.
    DeltaIndicator(u8),
    /// A section is marked as compressed, but the header names no compressor.
    NoCompressor(Section),
    /// An integer does not fit the bits its field has.
    IntegerOverflow(Field),
    /// Offset and length of the copy window, or its length and that of the target window, add up to more than can be addressed.
    CopyWindow {
        /// Where it begins in the source.
        offset: u64,
        /// Its length.
        len: u64,
    },
    /// The length of the encoding contradicts the fields it covers.
    EncodingLength {
        /// As written.
        stated: u64,
        /// As the fields add up.
        actual: u64,
    },
    /// More than [`DecodeLimits`](crate::DecodeLimits) allows.
    Limit {
        /// Which limit.
        limit: Limit,
        /// What the delta asks for.
        asked: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// A section ends before the instructions are satisfied.
    SectionEnds(Section),
    /// A section holds more than the instructions use.
    SectionLeft {
        /// Which section.
        section: Section,
        /// Bytes left over.
        left: u64,
    },
    /// The instructions produce less than the target window.
    WindowShort {
        /// Bytes produced.
        produced: u64,
        /// Bytes of the target window.
        expected: u64,
    },
    /// An instruction reaches beyond the target window.
    WindowExceeded {
        /// Bytes the instruction produces.
        asked: u64,
        /// Bytes left in the target window.
        left: u64,
    },
    /// A COPY from an address that is not before the current one.
    Address {
        /// The address; `None` when it lies before the copy window.
        address: Option<u64>,
        /// The current address.
        here: u64,
    },
    /// A COPY runs past the end of the copy window.
    CopyBeyondSource {
        /// Where it begins.
        address: u64,
        /// Bytes it copies.
        size: u64,
        /// Length of the copy window.
        len: u64,
    },
    /// A section compressed by LZMA is damaged.
    Lzma(LzmaFault),
    /// A section compressed by DJW or FGK is damaged.
    Huffman(HuffmanFault),
    /// The target window is not what was encoded: a damaged delta or, more often, another source.
    Checksum {
        /// As written.
        stated: u32,
        /// Of the window as decoded.
        computed: u32,
    },
    /// The delta needs a source and none was given.
    SourceMissing,
    /// The source ends before what a COPY needs.
    SourceTooShort {
        /// Bytes the source must have at least.
        needed: u64,
        /// Bytes it has.
        available: u64,
    },
    /// Reading the source failed; the error is this one's source.
    SourceRead(io::ErrorKind),
    /// The delta ends inside of something.
    Truncated(Part),
    /// The memory for a window within the limits could not be had.
    OutOfMemory {
        /// Bytes asked for.
        asked: u64,
    },
}

/// Lawful VCDIFF that is not read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feature {
    /// An application-defined code table.
    CodeTable,
    /// A copy window in the target (VCD_TARGET).
    TargetWindow,
    /// An LZMA section in a container with an integrity check, a filter other than LZMA2, or stated sizes.
    XzOption,
}

/// One of the three sections of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// Bytes of ADD and RUN.
    Data,
    /// Codes and sizes.
    Instructions,
    /// Addresses of COPY.
    Addresses,
}

/// An integer of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// Length of the application header.
    ApplicationHeader,
    /// Length of the copy window.
    CopyLength,
    /// Offset of the copy window.
    CopyOffset,
    /// Length of the encoding.
    EncodingLength,
    /// Length of the target window.
    TargetLength,
    /// Stored length of a section.
    SectionLength(Section),
    /// Decompressed length of a section.
    DecompressedLength(Section),
    /// Size of an instruction.
    Size,
    /// Address of a COPY.
    Address,
}

/// One of [`DecodeLimits`](crate::DecodeLimits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`window`](crate::DecodeLimits::window)
    Window,
    /// [`target`](crate::DecodeLimits::target)
    Target,
    /// [`sections`](crate::DecodeLimits::sections), as stored
    StoredSections,
    /// [`sections`](crate::DecodeLimits::sections), decompressed
    DecompressedSections,
    /// [`source_span`](crate::DecodeLimits::source_span)
    SourceSpan,
    /// [`instructions`](crate::DecodeLimits::instructions)
    Instructions,
    /// [`source_blocks`](crate::DecodeLimits::source_blocks)
    SourceBlocks,
    /// [`dictionary`](crate::DecodeLimits::dictionary)
    Dictionary,
    /// [`application_header`](crate::DecodeLimits::application_header)
    ApplicationHeader,
}

/// What the delta ends in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The file header.
    Header,
    /// Right after the file header: a delta has at least one window.
    NoWindow,
    /// A window's header.
    WindowHeader,
    /// A window's sections.
    Sections {
        /// Bytes that are not there.
        missing: u64,
    },
}

/// What is wrong with a section compressed by LZMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LzmaFault {
    /// A decompressed length of 0.
    Empty,
    /// The header of the container is damaged.
    Header,
    /// A chunk's header is none.
    Control(u8),
    /// A chunk goes on with a state that nothing has set up.
    NoState,
    /// Literal and position bits that do not exist.
    Properties(u8),
    /// The section ends inside a chunk or before all was produced.
    Ends,
    /// A chunk produces more than the section's stated length.
    Excess,
    /// The section goes on after all was produced.
    Left {
        /// Bytes left over.
        left: u64,
    },
    /// A match refers to before the beginning of the dictionary.
    Distance {
        /// Bytes back.
        distance: u64,
        /// Bytes there are.
        available: u64,
    },
    /// A chunk's coded bytes do not end where its content does.
    ChunkEnd,
}

/// What is wrong with a section compressed by DJW or FGK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HuffmanFault {
    /// A decompressed length of 0.
    Empty,
    /// Lengths that no code can have.
    Lengths,
    /// Bits that are no code.
    Code,
    /// A run goes on after all values were there.
    Run,
    /// The section ends before all was produced.
    Ends,
    /// The section goes on after all was produced.
    Left {
        /// Bytes left over.
        left: u64,
    },
    /// Bits are set behind the last code.
    Padding,
}

/// A fault before its window and start are known: `at` counts from the start of what is being read.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: DecodeErrorKind,
    pub(crate) at: usize,
    pub(crate) cause: Option<Arc<io::Error>>,
}

impl Fault {
    /// The fault at a position.
    pub(crate) fn at(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// A source that failed to read.
    pub(crate) fn source(error: io::Error) -> Self {
        Self { kind: DecodeErrorKind::SourceRead(error.kind()), at: 0, cause: Some(Arc::new(error)) }
    }
}

impl From<DecodeErrorKind> for Fault {
    fn from(kind: DecodeErrorKind) -> Self {
        Self { kind, at: 0, cause: None }
    }
}

impl From<LzmaFault> for Fault {
    fn from(fault: LzmaFault) -> Self {
        DecodeErrorKind::Lzma(fault).into()
    }
}

impl From<HuffmanFault> for Fault {
    fn from(fault: HuffmanFault) -> Self {
        DecodeErrorKind::Huffman(fault).into()
    }
}

impl Limit {
    /// Refuses what is above the limit.
    pub(crate) fn check(self, asked: u64, allowed: u64) -> Result<(), Fault> {
        if asked > allowed { Err(DecodeErrorKind::Limit { limit: self, asked, allowed }.into()) } else { Ok(()) }
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotVcdiff => f.write_str("not a VCDIFF file"),
            Self::Version(version) => write!(f, "VCDIFF version {version} instead of 0"),
            Self::HeaderIndicator(bits) => write!(f, "unknown bits in the header indicator {bits:#04x}"),
            Self::UnknownSecondary(id) => write!(f, "unknown secondary compressor {id}"),
            Self::Unsupported(feature) => write!(f, "{feature} is not supported"),
            Self::WindowIndicator(bits) => write!(f, "unknown bits in the window indicator {bits:#04x}"),
            Self::DeltaIndicator(bits) => write!(f, "unknown bits in the delta indicator {bits:#04x}"),
            Self::NoCompressor(section) => write!(f, "the {section} is compressed but the header names no compressor"),
            Self::IntegerOverflow(field) => write!(f, "the {field} does not fit its field"),
            Self::CopyWindow { offset, len } => {
                write!(f, "a copy window of {len} bytes at offset {offset} cannot be addressed")
            }
            Self::EncodingLength { stated, actual } => {
                write!(f, "the window's encoding is said to take {stated} bytes and takes {actual}")
            }
            Self::Limit { limit, asked, allowed } => write!(f, "{limit}: {asked} asked for, the limit is {allowed}"),
            Self::SectionEnds(section) => write!(f, "the {section} ends before the window is complete"),
            Self::SectionLeft { section, left } => write!(f, "{left} bytes of the {section} are left over"),
            Self::WindowShort { produced, expected } => {
                write!(f, "the instructions produce {produced} bytes of a window of {expected}")
            }
            Self::WindowExceeded { asked, left } => {
                write!(f, "an instruction produces {asked} bytes where the window has {left} left")
            }
            Self::Address { address: Some(address), here } => {
                write!(f, "a copy from address {address}, which is not before the current address {here}")
            }
            Self::Address { address: None, here } => {
                write!(f, "a copy from further back than the current address {here}")
            }
            Self::CopyBeyondSource { address, size, len } => {
                write!(f, "a copy of {size} bytes at {address} runs past the end of the copy window of {len}")
            }
            Self::Lzma(fault) => write!(f, "damaged LZMA section: {fault}"),
            Self::Huffman(fault) => write!(f, "damaged Huffman coded section: {fault}"),
            Self::Checksum { stated, computed } => write!(
                f,
                "checksum mismatch: {stated:08x} expected, {computed:08x} decoded; the delta is damaged or the source is another"
            ),
            Self::SourceMissing => f.write_str("the delta needs a source and none was given"),
            Self::SourceTooShort { needed, available } => {
                write!(f, "the source is too short: {needed} bytes needed, {available} available")
            }
            Self::SourceRead(kind) => write!(f, "reading the source failed: {kind}"),
            Self::Truncated(part) => write!(f, "the delta is truncated: it ends {part}"),
            Self::OutOfMemory { asked } => write!(f, "no memory for {asked} bytes"),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CodeTable => "an application-defined code table (VCD_CODETABLE)",
            Self::TargetWindow => "a copy window in the target (VCD_TARGET)",
            Self::XzOption => "LZMA with an integrity check, stated sizes or a filter other than LZMA2",
        })
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Data => "data section",
            Self::Instructions => "instruction section",
            Self::Addresses => "address section",
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApplicationHeader => f.write_str("length of the application header"),
            Self::CopyLength => f.write_str("length of the copy window"),
            Self::CopyOffset => f.write_str("offset of the copy window"),
            Self::EncodingLength => f.write_str("length of the encoding"),
            Self::TargetLength => f.write_str("length of the target window"),
            Self::SectionLength(section) => write!(f, "length of the {section}"),
            Self::DecompressedLength(section) => write!(f, "decompressed length of the {section}"),
            Self::Size => f.write_str("size of an instruction"),
            Self::Address => f.write_str("address of a copy"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Window => "target window too large",
            Self::Target => "target too large",
            Self::StoredSections => "sections of a window too large",
            Self::DecompressedSections => "decompressed sections of a window too large",
            Self::SourceSpan => "copy window too large",
            Self::Instructions => "too many instructions in a window",
            Self::SourceBlocks => "too many blocks of the source read for a window",
            Self::Dictionary => "LZMA dictionary too large",
            Self::ApplicationHeader => "application header too large",
        })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("inside the file header"),
            Self::NoWindow => f.write_str("before the first window"),
            Self::WindowHeader => f.write_str("inside a window's header"),
            Self::Sections { missing } => write!(f, "{missing} bytes before a window is complete"),
        }
    }
}

impl fmt::Display for LzmaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("its stated length is 0"),
            Self::Header => f.write_str("bad container header"),
            Self::Control(byte) => write!(f, "bad chunk header {byte:#04x}"),
            Self::NoState => f.write_str("a chunk continues a state that was not set up"),
            Self::Properties(byte) => write!(f, "bad properties {byte:#04x}"),
            Self::Ends => f.write_str("it ends before its stated length was produced"),
            Self::Excess => f.write_str("it produces more than its stated length"),
            Self::Left { left } => write!(f, "{left} bytes follow its end"),
            Self::Distance { distance, available } => {
                write!(f, "a match {distance} bytes back where {available} are known")
            }
            Self::ChunkEnd => f.write_str("a chunk does not end where it says"),
        }
    }
}

impl fmt::Display for HuffmanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("its stated length is 0"),
            Self::Lengths => f.write_str("code lengths that cannot be"),
            Self::Code => f.write_str("bits that are no code"),
            Self::Run => f.write_str("a run is too long"),
            Self::Ends => f.write_str("it ends before its stated length was produced"),
            Self::Left { left } => write!(f, "{left} bytes follow its end"),
            Self::Padding => f.write_str("bits are set behind its end"),
        }
    }
}
