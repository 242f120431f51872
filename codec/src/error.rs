//! What can be wrong with a delta, and where.

mod display;

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

    /// The window it happened in, counted from 0; `None` in the file header and where the file ends
    /// without a window.
    pub fn window(&self) -> Option<u64> {
        self.window
    }

    /// The byte of the delta where the field or instruction begins; of a compressed section, where
    /// the section begins.
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

/// What is wrong.
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
    /// Lawful VCDIFF that is not read here.
    Unsupported(Feature),
    /// An application-defined code table that is none.
    CodeTable(CodeTableFault),
    /// A copy window in the target (VCD_TARGET) that is not all there yet.
    TargetWindow {
        /// Where it begins in the target.
        offset: u64,
        /// Its length.
        len: u64,
        /// Bytes of target before this window.
        produced: u64,
    },
    /// The BLAKE3 of a whole file is not the one in the application header.
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
    /// Reading the delta failed; the error is this one's source.
    DeltaRead(io::ErrorKind),
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

/// What is wrong with an application-defined code table.
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

/// A file that a digest stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WholeFile {
    /// The source.
    Source,
    /// The target.
    Target,
}

/// Lawful VCDIFF that is not read here.
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

    /// A delta that failed to read.
    pub(crate) fn delta(error: io::Error) -> Self {
        Self { kind: DecodeErrorKind::DeltaRead(error.kind()), at: 0, cause: Some(Arc::new(error)) }
    }

    /// A source that failed to read.
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
    /// Refuses what is above the limit.
    pub(crate) fn check(self, asked: u64, allowed: u64) -> Result<(), Fault> {
        if asked > allowed {
            Err(DecodeErrorKind::Limit { limit: self, asked, allowed }.into())
        } else {
            Ok(())
        }
    }
}
