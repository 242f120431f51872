//! A delta rewritten without its source: with another secondary compressor, application header or without checksums.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::error::Error;
use std::fmt;
use std::io::Read;

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
    /// The new one cannot be made.
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
            Self::Encode(_) => f.write_str("the new delta cannot be made"),
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
pub(crate) fn inspect_xdelta3<R: Read>(delta: R, limits: &DecodeLimits) -> Result<Inspection<R>, RecodeError> {
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
    let mut recoder = Recoder::new(delta, options)?;
    let mut out = Vec::new();
    while recoder.window(&mut out)? {}
    Ok(out)
}

/// [`recode`] window by window.
#[derive(Debug)]
pub struct Recoder<R> {
    windows: Inspection<R>,
    rewritten: Rewritten,
    drop_checksums: bool,
}

impl<R: Read> Recoder<R> {
    /// Reads the file header.
    pub fn new(delta: R, options: &RecodeOptions) -> Result<Self, RecodeError> {
        let windows = inspect_xdelta3(delta, &options.limits)?;
        let kept = windows.header().application.as_ref();
        let application_header = options.application_header.as_ref().map_or(kept, Option::as_ref);
        let rewritten = Rewritten::new(application_header.map(Vec::as_slice), options);
        Ok(Self { windows, rewritten, drop_checksums: options.drop_checksums })
    }

    /// Appends the next window to `out`, the first one behind the file header; false at the end.
    pub fn window(&mut self, out: &mut Vec<u8>) -> Result<bool, RecodeError> {
        let Some(window) = self.windows.next().transpose()? else {
            self.rewritten.finish(out);
            return Ok(false);
        };
        if window.indicator() & VCD_TARGET != 0 {
            return Err(RecodeError::NotXdelta3);
        }
        let unframed = Unframed {
            target_len: window.target_len(),
            copy_window: window.copy_window().map(|copy| (copy.offset, copy.len)),
            checksum: window.checksum().filter(|_| !self.drop_checksums),
            sections: window.sections(),
        };
        self.rewritten.window(unframed, out)?;
        Ok(true)
    }

    /// Bytes of the delta that were rewritten.
    pub fn delta_offset(&self) -> u64 {
        self.windows.delta_offset()
    }
}

/// The new delta as far as it is made.
#[derive(Debug)]
pub(crate) struct Rewritten {
    framer: Framer,
    /// The file header, until it is written.
    header: Vec<u8>,
}

impl Rewritten {
    pub(crate) fn new(application_header: Option<&[u8]>, options: &RecodeOptions) -> Self {
        let mut header = Vec::new();
        file_header(options.secondary, application_header, &mut header);
        Self { framer: Framer::new(options.secondary, options.undecodable), header }
    }

    pub(crate) fn window(&mut self, window: Unframed<'_>, out: &mut Vec<u8>) -> Result<(), RecodeError> {
        self.finish(out);
        Ok(self.framer.window(window, out)?)
    }

    /// Writes the file header of a delta without windows.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.header);
    }
}
