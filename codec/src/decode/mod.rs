//! The decoder: takes bytes of a delta and returns verified windows of the target.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod code_table;
mod decoder_core;

mod execute;
mod file_digest;
mod instructions;
mod page_cache;
mod read_buffer;
mod sections;
mod source_cache;
mod stream;
mod target_history;
mod target_window;

use std::fmt;

pub use crate::error::{
    CodeTableFault, DecodeError, DecodeErrorKind, Feature, Field, HuffmanFault, Limit, LzmaFault,
    Part, Section, WholeFile,
};
pub use crate::limits::{DecodeLimits, DecodeOptions};
pub(crate) use code_table::codes;
pub(crate) use instructions::Instructions;
pub(crate) use sections::Sections;
pub use stream::{DecodeReader, DecodeWriter, decode_stream};

use crate::format::header::Header;
use crate::source::Source;
use decoder_core::DecoderCore;

/// The maximum length of the target that [`decode`] collects in memory when no limit is set, in
/// bytes.
const IN_MEMORY_TARGET: u64 = 1 << 30;

/// A decoder of one delta, window by window.
///
/// [`push`](Self::push) takes bytes in pieces of any size. It returns each window when the window's
/// last byte arrives, and only after its checksum was verified. A delta does not state how many
/// windows it has: a caller that knows the length or the digest of the target compares it after
/// [`finish`](Self::finish).
///
/// ```
/// use deltaglider_vcdiff::{DecodeOptions, Decoder};
/// # let delta = [0xd6, 0xc3, 0xc4, 0, 0, 0, 8, 2, 0, 2, 1, 0, b'h', b'i', 3];
/// let mut decoder = Decoder::<&[u8]>::new(None, &DecodeOptions::default());
/// let mut target = Vec::new();
/// let mut rest = &delta[..];
/// while !rest.is_empty() {
///     let taken = decoder.push(rest, &mut target)?;
///     rest = &rest[taken..];
/// }
/// let summary = decoder.finish()?;
/// assert_eq!((target.as_slice(), summary.windows), (&b"hi"[..], 1));
/// # Ok::<(), deltaglider_vcdiff::DecodeError>(())
/// ```
pub struct Decoder<S> {
    source: Option<S>,
    core: DecoderCore,
}

/// The size and verification of a decoded delta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeSummary {
    /// The number of windows decoded.
    pub windows: u64,
    /// The number of windows whose checksum was verified.
    pub verified_windows: u64,
    /// The length of the delta in bytes.
    pub delta_len: u64,
    /// The length of the target in bytes.
    pub target_len: u64,
    /// `true` if the digest of the whole target was verified.
    pub verified_digest: bool,
}

/// Omits the source, which need not implement [`Debug`](fmt::Debug).
impl<S> fmt::Debug for Decoder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

impl<S: Source> Decoder<S> {
    /// Creates a decoder for one delta. Without a source it decodes only deltas that need none.
    #[inline]
    pub fn new(source: Option<S>, options: &DecodeOptions) -> Self {
        Self { source, core: DecoderCore::new(options) }
    }

    /// Returns the file header, once its bytes were pushed.
    #[inline]
    pub fn header(&self) -> Option<&Header> {
        self.core.header()
    }

    /// Returns the sum of the dictionary sizes that the LZMA sections so far declare: the most that
    /// [`dictionary`](DecodeLimits::dictionary) would have to be for them.
    #[inline]
    pub fn declared_dictionaries(&self) -> u64 {
        self.core.declared_dictionaries()
    }

    /// Returns the summary of the windows decoded so far.
    #[inline]
    pub fn summary(&self) -> DecodeSummary {
        self.core.summary()
    }

    /// Takes bytes of the delta and returns their number: all, unless they complete a window. When
    /// a window is complete, its bytes are decoded, verified and appended to `out`; then the call
    /// returns, so that each call yields at most one window.
    ///
    /// # Errors
    ///
    /// Returns the first fault of the delta or its source. `out` is then unchanged, and every
    /// further call returns the same error.
    #[inline]
    pub fn push(&mut self, delta: &[u8], out: &mut Vec<u8>) -> Result<usize, DecodeError> {
        let source = self.source.as_ref().map(|source| source as &dyn Source);
        self.core.push(source, delta, out)
    }

    /// Ends the delta and returns its summary.
    ///
    /// # Errors
    ///
    /// Fails if the delta ends inside a window or has none. Only a plain file header of five bytes
    /// is a delta by itself: open-vcdiff writes no more for an empty target.
    #[inline]
    pub fn finish(self) -> Result<DecodeSummary, DecodeError> {
        self.core.finish()
    }
}

/// Decodes a whole delta in memory.
///
/// The target is collected in memory, so without a limit of its own
/// ([`DecodeLimits::target`](crate::DecodeLimits::target)) it may have at most 1 GiB: a few bytes
/// of delta can ask for any length.
///
/// # Errors
///
/// Returns the first fault of the delta or its source.
pub fn decode(
    source: Option<&[u8]>,
    delta: &[u8],
    options: &DecodeOptions,
) -> Result<Vec<u8>, DecodeError> {
    let mut options = options.clone();
    options.limits.target.get_or_insert(IN_MEMORY_TARGET);
    let mut decoder = Decoder::new(source, &options);
    decoder.core.keep_target_in_output();
    let mut target = Vec::new();
    let mut rest = delta;
    while !rest.is_empty() {
        let taken = decoder.push(rest, &mut target)?;
        rest = rest.get(taken..).unwrap_or_default();
    }
    decoder.finish()?;
    Ok(target)
}
