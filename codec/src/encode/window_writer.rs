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
        let mut delta_indicator = 0;
        let mut sections = window.sections;
        for ((compressor, part), (section, bit)) in
            self.compressors.iter_mut().zip(&mut sections).zip(COMPRESSED)
        {
            let compressed = compressor.compress(part);
            let undecodable =
                |Undecodable| EncodeError::Undecodable { secondary: self.secondary, section };
            if let Some(compressed) = compressed.map_err(undecodable)? {
                *part = compressed;
                delta_indicator |= bit;
            }
        }
        let lengths = SectionLengths::of(sections);
        let header = WindowHeader::new(
            window.copy_window,
            window.target_len,
            delta_indicator,
            lengths,
            window.checksum,
        );
        header.write(out);
        out.reserve(lengths.total() as usize);
        for section in sections {
            out.extend_from_slice(section);
        }
        Ok(())
    }
}
