//! Errors of recoding and merging.

use std::error::Error;
use std::fmt;

use crate::{DecodeError, EncodeError};

/// The reason no delta was written.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecodeError {
    /// A delta cannot be decoded.
    Decode(DecodeError),
    /// The new delta cannot be encoded.
    Encode(EncodeError),
    /// A delta uses features that xdelta3 lacks: a code table of its own, copies from the target
    /// before the window, or the format of open-vcdiff. It can be decoded, but not rewritten.
    NotXdelta3,
    /// No delta was given.
    Nothing,
    /// A delta copies from beyond the end of the previous delta's target: they do not belong
    /// together, or not in this order.
    Apart {
        /// The end of the copy.
        needed: u64,
        /// The length of the previous delta's target in bytes.
        available: u64,
    },
    /// The merged delta would have more instructions in a window, or take more steps to find them,
    /// than [`instructions`](crate::DecodeLimits::instructions) allows.
    Instructions {
        /// The limit.
        allowed: u64,
    },
}

impl fmt::Display for RecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(_) => f.write_str("the delta cannot be read"),
            Self::Encode(_) => f.write_str("the new delta cannot be made"),
            Self::NotXdelta3 => {
                f.write_str("the delta uses parts of VCDIFF that xdelta3 does not have")
            }
            Self::Nothing => f.write_str("no delta was given"),
            Self::Apart { needed, available } => {
                write!(
                    f,
                    "a delta needs {needed} bytes of the previous delta's target, which has {available}"
                )
            }
            Self::Instructions { allowed } => {
                write!(f, "too many instructions in a merged window: the limit is {allowed}")
            }
        }
    }
}

impl Error for RecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Decode(error) => Some(error),
            Self::Encode(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DecodeError> for RecodeError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<EncodeError> for RecodeError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
