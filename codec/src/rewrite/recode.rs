//! Rewrites a delta with another secondary compressor, another application header or without
//! checksums.

use std::io::Read;

use super::rewriter::{Rewriter, inspect_xdelta3};
use super::{RecodeError, RecodeOptions};
use crate::encode::WindowParts;
use crate::format::window::VCD_TARGET;
use crate::inspect::Inspection;

/// Rewrites a delta as `xdelta3 recode` does: keeps the instructions and compresses their sections
/// again. The result equals what the encoder writes with that compressor in the first place.
///
/// ```
/// use deltaglider_vcdiff::rewrite::{RecodeOptions, recode};
/// use deltaglider_vcdiff::{EncodeOptions, Secondary, encode};
///
/// let delta = encode(None, b"a file", &EncodeOptions::default())?;
/// let plain = recode(&delta, &RecodeOptions::default().with_secondary(Secondary::None))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn recode(delta: &[u8], options: &RecodeOptions) -> Result<Vec<u8>, RecodeError> {
    let mut recoder = Recoder::new(delta, options)?;
    let mut out = Vec::new();
    while recoder.window(&mut out)? {}
    Ok(out)
}

/// A rewriter of a delta, window by window, as [`recode`] does it.
#[derive(Debug)]
pub struct Recoder<R> {
    windows: Inspection<R>,
    rewriter: Rewriter,
    drop_checksums: bool,
}

impl<R: Read> Recoder<R> {
    /// Reads the file header.
    pub fn new(delta: R, options: &RecodeOptions) -> Result<Self, RecodeError> {
        let windows = inspect_xdelta3(delta, &options.limits)?;
        let kept = windows.header().application.as_ref();
        let application_header = options.application_header.as_ref().map_or(kept, Option::as_ref);
        let rewriter = Rewriter::new(application_header.cloned(), options);
        Ok(Self { windows, rewriter, drop_checksums: options.drop_checksums })
    }

    /// Appends the next window to `out`, the first one after the file header; false at the end.
    pub fn window(&mut self, out: &mut Vec<u8>) -> Result<bool, RecodeError> {
        let Some(window) = self.windows.next().transpose()? else {
            self.rewriter.finish(out);
            return Ok(false);
        };
        if window.indicator() & VCD_TARGET != 0 {
            return Err(RecodeError::NotXdelta3);
        }
        let parts = WindowParts {
            target_len: window.target_len(),
            copy_window: window.copy_window(),
            checksum: window.checksum().filter(|_| !self.drop_checksums),
            sections: window.sections(),
        };
        self.rewriter.window(parts, out)?;
        Ok(true)
    }

    /// Returns the number of bytes of the delta that were rewritten.
    pub fn delta_offset(&self) -> u64 {
        self.windows.delta_offset()
    }
}
