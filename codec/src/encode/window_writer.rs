//! Compresses the sections of a window and writes them after the window header.

use super::error::EncodeError;
use crate::format::window::{COMPRESSED, CopyWindow, SECTIONS, SectionLengths, WindowHeader};
use crate::secondary::{Secondary, SectionEncoder, Undecodable};

/// One window, ready to be compressed and written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowParts<'a> {
    /// Length of the target window.
    pub(crate) target_len: u64,
    /// The part of the source that the window copies from.
    pub(crate) copy_window: Option<CopyWindow>,
    /// The Adler-32 of the target window, if the window has one.
    pub(crate) checksum: Option<u32>,
    /// The data, instructions and addresses, not compressed.
    pub(crate) sections: [&'a [u8]; SECTIONS],
}

/// A writer of windows; it keeps the state of secondary compression from one to the next.
#[derive(Debug)]
pub(crate) struct WindowWriter {
    secondary: Secondary,
    compressors: [SectionEncoder; SECTIONS],
}

impl WindowWriter {
    /// Creates a writer; `undecodable` as in [`EncodeOptions`](super::EncodeOptions::undecodable).
    pub(crate) fn new(secondary: Secondary, undecodable: bool) -> Self {
        let compressors =
            COMPRESSED.map(|(section, _)| SectionEncoder::new(section, secondary, undecodable));
        Self { secondary, compressors }
    }

    /// Appends a whole window, or nothing on an error.
    pub(crate) fn window(
        &mut self,
        window: WindowParts<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = out.len();
        let mut delta_indicator = 0;
        let mut lengths = [0; SECTIONS];
        for ((compressor, bytes), ((section, bit), len)) in self
            .compressors
            .iter_mut()
            .zip(window.sections)
            .zip(COMPRESSED.iter().zip(&mut lengths))
        {
            let before = out.len();
            match compressor.write(bytes, out) {
                Ok(true) => delta_indicator |= bit,
                Ok(false) => {}
                Err(Undecodable) => {
                    out.truncate(start);
                    let (secondary, section) = (self.secondary, *section);
                    return Err(EncodeError::Undecodable { secondary, section });
                }
            }
            *len = (out.len() - before) as u64;
        }
        let sections = out.len();
        WindowHeader::new(
            window.copy_window,
            window.target_len,
            delta_indicator,
            SectionLengths::from_order(lengths),
            window.checksum,
        )
        .write(out);
        // The header is known last and comes first.
        let header = out.len() - sections;
        out[start..].rotate_right(header);
        Ok(())
    }
}
