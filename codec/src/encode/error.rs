//! Errors of encoding.

use std::{fmt, io};

use super::MatcherProfile;
use crate::error::Section;
use crate::secondary::Secondary;

/// An error of the encoder.
#[derive(Debug)]
#[non_exhaustive]
pub enum EncodeError {
    /// The source could not be read, or ended before the length it had stated.
    Source(io::Error),
    /// A size among the options lies outside of what the format and xdelta3 allow.
    OutOfRange {
        /// The option.
        option: SizeOption,
        /// The value requested.
        asked: u64,
        /// The least allowed value.
        least: u64,
        /// The greatest allowed value.
        most: u64,
    },
    /// The history for matches inside the target is not a power of two.
    HistoryNotPowerOfTwo {
        /// The value requested.
        asked: u32,
    },
    /// The instruction buffer is neither unlimited (0) nor at least 4; xdelta3 itself crashes on
    /// these.
    InstructionBuffer {
        /// The value requested.
        asked: u32,
    },
    /// The matcher's settings contradict each other or are below their minimum.
    Matcher(MatcherProfile),
    /// A match overlaps target bytes whose instructions this small a buffer (4 in nearly all known
    /// cases) has already written. The delta xdelta3 writes here cannot be decoded. A larger buffer
    /// avoids it; [`undecodable`](super::EncodeOptions::undecodable) allows it.
    InstructionBufferExhausted,
    /// xdelta3 writes this section in a form that no decoder can read, not even its own. Another
    /// secondary compressor avoids it; [`undecodable`](super::EncodeOptions::undecodable) allows
    /// it.
    Undecodable {
        /// The compressor.
        secondary: Secondary,
        /// The section.
        section: Section,
    },
    /// An earlier call failed, and the delta cannot be continued.
    Aborted,
}

/// An option that is a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SizeOption {
    /// The length of a target window.
    Window,
    /// The part of the source kept available.
    SourceWindow,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(_) => f.write_str("the source cannot be read"),
            Self::OutOfRange { option, asked, least, most } => {
                let option = match option {
                    SizeOption::Window => "window",
                    SizeOption::SourceWindow => "source window",
                };
                write!(f, "a {option} of {asked} bytes is outside {least} to {most}")
            }
            Self::HistoryNotPowerOfTwo { asked } => {
                write!(f, "a small-match history of {asked} is not a power of two")
            }
            Self::InstructionBuffer { asked } => {
                write!(
                    f,
                    "an instruction buffer of {asked} is too small: 0 (unlimited) or at least 4"
                )
            }
            Self::Matcher(profile) => write!(
                f,
                "no matcher works with {profile:?}: looks are at least 4, the step at least 1, \
                 and a chain of 0 needs the other above 1"
            ),
            Self::InstructionBufferExhausted => {
                f.write_str("the instruction buffer is too small for this target")
            }
            Self::Undecodable { secondary, section } => {
                let name = match secondary {
                    Secondary::None => "no compressor",
                    Secondary::Lzma => "LZMA",
                    Secondary::Djw(_) => "DJW",
                    Secondary::Fgk => "FGK",
                };
                let article = if *section == Section::Data { "a" } else { "an" };
                write!(
                    f,
                    "{name} as xdelta3 has it would make {article} {section} that cannot be decoded"
                )
            }
            Self::Aborted => f.write_str("an earlier call failed"),
        }
    }
}

impl std::error::Error for EncodeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Source(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for EncodeError {
    fn from(error: io::Error) -> Self {
        Self::Source(error)
    }
}
