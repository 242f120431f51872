//! A delta rewritten without its source: with another secondary compressor, application header or without checksums.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::error::Error;
use std::fmt;

use crate::encode::frame::{Framer, Unframed, file_header};
use crate::format::header::MAGIC;
use crate::format::window::VCD_TARGET;
use crate::inspect::{Inspection, inspect};
use crate::{DecodeError, DecodeLimits, EncodeError, Secondary};

/// What [`recode`] and [`merge`](crate::merge()) write.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RecodeOptions {
    /// `-S`. Default: LZMA, as with xdelta3.
    pub secondary: Secondary,
    /// As in [`EncodeOptions::undecodable`](crate::EncodeOptions::undecodable).
    pub undecodable: bool,
    /// Whether the windows lose their checksums (`-n`). Default: no.
    pub drop_checksums: bool,
    /// `-A`: the application header, `Some(None)` for none. By default recoding keeps what there is, and merging writes none.
    pub application_header: Option<Option<Vec<u8>>>,
    /// What the deltas read may ask for.
    pub limits: DecodeLimits,
}

/// Why nothing came out.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecodeError {
    /// A delta is wrong.
    Decode(DecodeError),
    /// The new one cannot be written.
    Encode(EncodeError),
    /// A delta uses what xdelta3 does not: a code table of its own, copies from the target before the window, or the format of
    /// open-vcdiff. It can be decoded, but not rewritten.
    NotXdelta3,
    /// No delta was given.
    Nothing,
    /// A delta copies from beyond the end of what the one before it makes: they do not belong together, or not in this order.
    Apart {
        /// Where the copy ends.
        needed: u64,
        /// Bytes that the delta before makes.
        available: u64,
    },
    /// The merged delta would have more instructions in a window, or take more steps to find them, than
    /// [`instructions`](DecodeLimits::instructions) allows.
    Instructions {
        /// The limit.
        allowed: u64,
    },
}

impl fmt::Display for RecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(_) => f.write_str("the delta cannot be read"),
            Self::Encode(_) => f.write_str("the new delta cannot be written"),
            Self::NotXdelta3 => f.write_str("the delta uses parts of VCDIFF that xdelta3 does not have"),
            Self::Nothing => f.write_str("no delta was given"),
            Self::Apart { needed, available } => {
                write!(f, "a delta needs {needed} bytes of what the one before it makes, which are {available}")
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

/// The windows of a delta, if it is one xdelta3 might have written.
pub(crate) fn inspect_xdelta3<'a>(delta: &'a [u8], limits: &DecodeLimits) -> Result<Inspection<'a>, RecodeError> {
    let inspection = inspect(delta, limits)?;
    let header = inspection.header();
    if header.code_table.is_some() || !MAGIC.ends_with(&[header.version]) {
        return Err(RecodeError::NotXdelta3);
    }
    Ok(inspection)
}

/// Rewrites a delta as `xdelta3 recode` does: the instructions stay, their sections are compressed anew. The result equals what
/// the encoder writes with that compressor from the start.
pub fn recode(delta: &[u8], options: &RecodeOptions) -> Result<Vec<u8>, RecodeError> {
    let windows = inspect_xdelta3(delta, &options.limits)?;
    let kept = windows.header().application.clone();
    let application_header = options.application_header.clone().unwrap_or(kept);
    let mut out = Vec::new();
    file_header(options.secondary, application_header.as_deref(), &mut out);
    let mut framer = Framer::new(options.secondary, options.undecodable);
    for window in windows {
        let window = window?;
        if window.indicator() & VCD_TARGET != 0 {
            return Err(RecodeError::NotXdelta3);
        }
        let unframed = Unframed {
            target_len: window.target_len(),
            copy_window: window.copy_window().map(|copy| (copy.offset, copy.len)),
            checksum: window.checksum().filter(|_| !options.drop_checksums),
            sections: window.sections(),
        };
        framer.window(unframed, &mut out)?;
    }
    Ok(out)
}
