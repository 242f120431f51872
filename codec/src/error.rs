//! Errors of decoding: the kind of fault and its position in the delta.

mod display;

use std::fmt;
use std::io;
use std::sync::Arc;

/// A fault of a delta or its source, with the window and the byte where it was found.
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

    /// Returns the kind of the fault.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.kind
    }

    /// Returns the window of the fault, counted from 0; `None` for a fault in the file header and
    /// for a delta that ends without a window.
    pub fn window(&self) -> Option<u64> {
        self.window
    }

    /// Returns the offset in the delta, in bytes, where the faulty field or instruction begins; for
    /// a compressed section, where the section begins.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.window {
            Some(window) => {
                write!(f, "{} (window {window}, byte {} of the delta)", self.kind, self.offset)
            }
            None => write!(f, "{} (byte {} of the delta)", self.kind, self.offset),
        }
    }
}

impl std::error::Error for DecodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

/// The kind of a [`DecodeError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The first bytes are not those of a VCDIFF file.
    NotVcdiff,
    /// A version of the format other than 0 and open-vcdiff's `S`.
    Version(u8),
    /// Bits of the header indicator without a meaning.
    HeaderIndicator(u8),
    /// A secondary compressor that neither RFC 3284 nor xdelta3 names.
    UnknownSecondary(u8),
    /// Valid VCDIFF that this decoder does not support.
    Unsupported(Feature),
    /// An invalid application-defined code table.
    CodeTable(CodeTableFault),
    /// A copy window in the target (VCD_TARGET) that is not fully decoded yet.
    TargetWindow {
        /// The offset in the target where the copy window begins.
        offset: u64,
        /// The length of the copy window in bytes.
        len: u64,
        /// The number of target bytes before this window.
        produced: u64,
    },
    /// The BLAKE3 digest of a whole file differs from the one in the application header.
    Digest(WholeFile),
    /// Bits of a window indicator without a meaning.
    WindowIndicator(u8),
    /// Bits of a delta indicator without a meaning.
    DeltaIndicator(u8),
    /// A section is marked as compressed, but the header names no compressor.
    NoCompressor(Section),
    /// An integer does not fit the bits its field has.
    IntegerOverflow(Field),
    /// Offset and length of the copy window, or its length and that of the target window, add up to
    /// more than 64 bits.
    CopyWindow {
        /// The offset in the source where the copy window begins.
        offset: u64,
        /// The length of the copy window in bytes.
        len: u64,
    },
    /// The length of the encoding contradicts the fields it covers.
    EncodingLength {
        /// The length stated by the delta.
        stated: u64,
        /// The sum of the fields' lengths.
        actual: u64,
    },
    /// More than [`DecodeLimits`](crate::DecodeLimits) allows.
    Limit {
        /// The limit exceeded.
        limit: Limit,
        /// The amount the delta asks for.
        asked: u64,
        /// The amount allowed.
        allowed: u64,
    },
    /// A section ends before all instructions have their operands.
    SectionEnds(Section),
    /// A section holds more than the instructions use.
    SectionLeft {
        /// The section.
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
        /// The address where the copy begins.
        address: u64,
        /// The number of bytes it copies.
        size: u64,
        /// Length of the copy window.
        len: u64,
    },
    /// A section compressed by LZMA is damaged.
    Lzma(LzmaFault),
    /// A section compressed by DJW or FGK is damaged.
    Huffman(HuffmanFault),
    /// The target window is not what was encoded: the delta is damaged or, more often, the source
    /// is the wrong one.
    Checksum {
        /// The checksum stated by the delta.
        stated: u32,
        /// The checksum of the decoded window.
        computed: u32,
    },
    /// The delta needs a source, but none was given.
    SourceMissing,
    /// The source ends before what a COPY needs.
    SourceTooShort {
        /// Bytes the source must have at least.
        needed: u64,
        /// The length of the source in bytes.
        available: u64,
    },
    /// Reading the delta failed; [`source`](std::error::Error::source) returns the cause.
    DeltaRead(io::ErrorKind),
    /// Reading the source failed; [`source`](std::error::Error::source) returns the cause.
    SourceRead(io::ErrorKind),
    /// The delta ends before it is complete.
    Truncated(Part),
    /// The memory for a window within the limits could not be allocated.
    OutOfMemory {
        /// The number of bytes requested.
        asked: u64,
    },
}

/// The fault of an application-defined code table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeTableFault {
    /// It is shorter than the two sizes of the caches.
    Short,
    /// Both caches together have more modes than there are bytes.
    Caches {
        /// Size of the near cache.
        near: u8,
        /// Size of the same cache.
        same: u8,
    },
    /// It is not a delta of the default table's 1536 bytes to as many.
    Delta,
    /// The entry of this code has an instruction or an address mode that does not exist.
    Entry(u8),
}

/// A file whose digest is in the application header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeFile {
    /// The source.
    Source,
    /// The target.
    Target,
}

/// A valid VCDIFF feature that this decoder does not support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feature {
    /// An LZMA section in a container with an integrity check, a filter other than LZMA2, or stated
    /// sizes.
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
    /// Length of the code table.
    CodeTable,
    /// Checksum of open-vcdiff.
    Checksum,
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
    /// [`amplification`](crate::DecodeLimits::amplification)
    Amplification,
    /// [`sections`](crate::DecodeLimits::sections), as stored
    StoredSections,
    /// [`sections`](crate::DecodeLimits::sections), decompressed
    DecompressedSections,
    /// [`source_span`](crate::DecodeLimits::source_span)
    SourceSpan,
    /// [`instructions`](crate::DecodeLimits::instructions)
    Instructions,
    /// [`source_reads`](crate::DecodeLimits::source_reads)
    SourceReads,
    /// [`dictionary`](crate::DecodeLimits::dictionary)
    Dictionary,
    /// [`application_header`](crate::DecodeLimits::application_header)
    ApplicationHeader,
    /// [`code_table`](crate::DecodeLimits::code_table)
    CodeTable,
    /// [`target_history`](crate::DecodeLimits::target_history)
    TargetHistory,
}

/// The part of the delta in which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The file header.
    Header,
    /// The position right after the file header: a delta has at least one window.
    NoWindow,
    /// A window's header.
    WindowHeader,
    /// A window's sections.
    Sections {
        /// The number of missing bytes.
        missing: u64,
    },
}

/// The fault of a section compressed by LZMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LzmaFault {
    /// A decompressed length of 0.
    Empty,
    /// The header of the container is damaged.
    Header,
    /// A chunk begins with an invalid control byte.
    Control(u8),
    /// A chunk continues a state that no chunk before it set up.
    NoState,
    /// Invalid literal and position bits.
    Properties(u8),
    /// The section ends inside a chunk or before its stated length was produced.
    Ends,
    /// A chunk produces more than the section's stated length.
    Excess,
    /// The section continues after its stated length was produced.
    Left {
        /// Bytes left over.
        left: u64,
    },
    /// A match refers to bytes before the beginning of the dictionary.
    Distance {
        /// The distance of the match in bytes.
        distance: u64,
        /// The number of bytes in the dictionary.
        available: u64,
    },
    /// A chunk's coded bytes do not end where its content does.
    ChunkEnd,
}

/// The fault of a section compressed by DJW or FGK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HuffmanFault {
    /// A decompressed length of 0.
    Empty,
    /// Code lengths that no Huffman code can have.
    Lengths,
    /// Bits that match no code.
    Code,
    /// A run continues after all values were read.
    Run,
    /// The section ends before its stated length was produced.
    Ends,
    /// The section continues after its stated length was produced.
    Left {
        /// Bytes left over.
        left: u64,
    },
    /// Bits are set after the last code.
    Padding,
}

/// A fault before its window and offset are known: `at` counts from the start of the part being
/// read.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) kind: DecodeErrorKind,
    pub(crate) at: usize,
    pub(crate) cause: Option<Arc<io::Error>>,
}

impl Fault {
    /// Returns the fault with its position.
    pub(crate) fn at(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// Returns the fault of a delta that could not be read.
    pub(crate) fn delta(error: io::Error) -> Self {
        Self { kind: DecodeErrorKind::DeltaRead(error.kind()), at: 0, cause: Some(Arc::new(error)) }
    }

    /// Returns the fault of a source that could not be read.
    pub(crate) fn source(error: io::Error) -> Self {
        Self {
            kind: DecodeErrorKind::SourceRead(error.kind()),
            at: 0,
            cause: Some(Arc::new(error)),
        }
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
    /// Returns a fault if `asked` exceeds `allowed`.
    pub(crate) fn check(self, asked: u64, allowed: u64) -> Result<(), Fault> {
        if asked > allowed {
            Err(DecodeErrorKind::Limit { limit: self, asked, allowed }.into())
        } else {
            Ok(())
        }
    }
}
