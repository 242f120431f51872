//! Error messages.

use std::fmt;

use super::{
    CodeTableFault, DecodeErrorKind, Feature, Field, HuffmanFault, Limit, LzmaFault, Part, Section,
    WholeFile,
};

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotVcdiff => f.write_str("not a VCDIFF file"),
            Self::Version(version) => write!(f, "VCDIFF version {version} instead of 0"),
            Self::HeaderIndicator(bits) => {
                write!(f, "unknown bits in the header indicator {bits:#04x}")
            }
            Self::UnknownSecondary(id) => write!(f, "unknown secondary compressor {id}"),
            Self::Unsupported(feature) => write!(f, "{feature} is not supported"),
            Self::CodeTable(fault) => match fault {
                CodeTableFault::Short => {
                    f.write_str("a code table without the sizes of its caches")
                }
                CodeTableFault::Caches { near, same } => {
                    write!(
                        f,
                        "a code table with address caches of {near} and {same}: too many address \
                         modes"
                    )
                }
                CodeTableFault::Delta => {
                    f.write_str("a code table that is not a delta of the default one")
                }
                CodeTableFault::Entry(code) => {
                    write!(f, "a code table with an invalid entry for code {code}")
                }
            },
            Self::TargetWindow { offset, len, produced } => {
                write!(
                    f,
                    "a copy window of {len} bytes at {offset} of the target, of which {produced} bytes \
                     exist"
                )
            }
            Self::Digest(file) => {
                let file = if file == WholeFile::Source { "source" } else { "target" };
                write!(f, "the {file} is not the file whose BLAKE3 the application header names")
            }
            Self::WindowIndicator(bits) => {
                write!(f, "unknown bits in the window indicator {bits:#04x}")
            }
            Self::DeltaIndicator(bits) => {
                write!(f, "unknown bits in the delta indicator {bits:#04x}")
            }
            Self::NoCompressor(section) => {
                write!(f, "the {section} is compressed but the header names no compressor")
            }
            Self::IntegerOverflow(field) => write!(f, "the {field} does not fit its field"),
            Self::CopyWindow { offset, len } => {
                write!(f, "a copy window of {len} bytes at offset {offset} cannot be addressed")
            }
            Self::EncodingLength { stated, actual } => {
                write!(f, "the window's encoding states {stated} bytes and takes {actual}")
            }
            Self::Limit { limit, asked, allowed } => {
                write!(f, "{limit}: {asked} asked for, the limit is {allowed}")
            }
            Self::SectionEnds(section) => {
                write!(f, "the {section} ends before the window is complete")
            }
            Self::SectionLeft { section, left } => {
                write!(f, "{left} bytes of the {section} are left over")
            }
            Self::WindowShort { produced, expected } => {
                write!(f, "the instructions produce {produced} bytes of a window of {expected}")
            }
            Self::WindowExceeded { asked, left } => {
                write!(f, "an instruction produces {asked} bytes where the window has {left} left")
            }
            Self::Address { address: Some(address), here } => {
                write!(
                    f,
                    "a copy from address {address}, which is not before the current address {here}"
                )
            }
            Self::Address { address: None, here } => {
                write!(f, "a copy from further back than the current address {here}")
            }
            Self::CopyBeyondSource { address, size, len } => {
                write!(
                    f,
                    "a copy of {size} bytes at {address} runs past the end of the copy window of {len}"
                )
            }
            Self::Lzma(fault) => write!(f, "damaged LZMA section: {fault}"),
            Self::Huffman(fault) => write!(f, "damaged Huffman coded section: {fault}"),
            Self::Checksum { stated, computed } => write!(
                f,
                "checksum mismatch: {stated:08x} expected, {computed:08x} decoded; the delta is damaged \
                 or the source is the wrong one"
            ),
            Self::SourceMissing => f.write_str("the delta needs a source and none was given"),
            Self::SourceTooShort { needed, available } => {
                write!(f, "the source is too short: {needed} bytes needed, {available} available")
            }
            Self::DeltaRead(kind) => write!(f, "reading the delta failed: {kind}"),
            Self::SourceRead(kind) => write!(f, "reading the source failed: {kind}"),
            Self::Truncated(part) => write!(f, "the delta is truncated: it ends {part}"),
            Self::OutOfMemory { asked } => write!(f, "no memory for {asked} bytes"),
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XzOption => {
                "LZMA with an integrity check, stated sizes or a filter other than LZMA2"
            }
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
            Self::CodeTable => f.write_str("length of the code table"),
            Self::Checksum => f.write_str("checksum"),
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
            Self::Amplification => "too many bytes of target for each byte of the delta",
            Self::StoredSections => "sections of a window too large",
            Self::DecompressedSections => "decompressed sections of a window too large",
            Self::SourceSpan => "copy window too large",
            Self::Instructions => "too many instructions in a window",
            Self::SourceReads => "too many bytes of the source touched by a window",
            Self::Dictionary => "LZMA dictionary too large",
            Self::ApplicationHeader => "application header too large",
            Self::CodeTable => "code table too large",
            Self::TargetHistory => "a window copies from further back in the target than was kept",
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
            Self::ChunkEnd => f.write_str("a chunk's coded bytes do not end with its content"),
        }
    }
}

impl fmt::Display for HuffmanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("its stated length is 0"),
            Self::Lengths => f.write_str("impossible code lengths"),
            Self::Code => f.write_str("bits that match no code"),
            Self::Run => f.write_str("a run is too long"),
            Self::Ends => f.write_str("it ends before its stated length was produced"),
            Self::Left { left } => write!(f, "{left} bytes follow its end"),
            Self::Padding => f.write_str("bits are set behind its end"),
        }
    }
}
