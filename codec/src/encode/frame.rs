//! What stands around the sections: the file header, window headers, the secondary compression of each section.

use super::error::EncodeError;
use crate::error::Section;
use crate::format::header::{MAGIC, VCD_APPHEADER, VCD_SECONDARY};
use crate::format::varint;
use crate::format::window::{VCD_ADDRCOMP, VCD_ADLER32, VCD_DATACOMP, VCD_INSTCOMP, VCD_SOURCE};
use crate::secondary::{Secondary, SectionEncoder, Undecodable};

/// Appends the file header.
pub(crate) fn file_header(secondary: Secondary, application_header: Option<&[u8]>, out: &mut Vec<u8>) {
    let id = secondary.id();
    let mut indicator = 0;
    if id.is_some() {
        indicator |= VCD_SECONDARY;
    }
    if application_header.is_some() {
        indicator |= VCD_APPHEADER;
    }
    out.extend_from_slice(&MAGIC);
    out.push(indicator);
    out.extend(id);
    if let Some(header) = application_header {
        varint::write(header.len() as u64, out);
        out.extend_from_slice(header);
    }
}

/// Data, instructions and addresses, in the order they are written.
const SECTIONS: usize = 3;
const KINDS: [Section; SECTIONS] = [Section::Data, Section::Instructions, Section::Addresses];
const COMPRESSED: [u8; SECTIONS] = [VCD_DATACOMP, VCD_INSTCOMP, VCD_ADDRCOMP];

/// One window, ready to be framed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unframed<'a> {
    /// Length of the target window.
    pub(crate) target_len: u64,
    /// Offset and length of the part of the source that is copied from.
    pub(crate) copy_window: Option<(u64, u64)>,
    /// Adler-32 of the target window, if the window is to carry it.
    pub(crate) checksum: Option<u32>,
    /// Data, instructions and addresses, not compressed.
    pub(crate) sections: [&'a [u8]; SECTIONS],
}

/// Puts windows into their frames; keeps the state of secondary compression from one to the next.
#[derive(Debug)]
pub(crate) struct Framer {
    secondary: Secondary,
    compressors: [SectionEncoder; SECTIONS],
}

impl Framer {
    /// `undecodable` as in [`EncodeOptions`](super::EncodeOptions::undecodable).
    pub(crate) fn new(secondary: Secondary, undecodable: bool) -> Self {
        Self { secondary, compressors: KINDS.map(|section| SectionEncoder::new(section, secondary, undecodable)) }
    }

    /// Appends a whole window, or nothing.
    pub(crate) fn window(&mut self, window: Unframed<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut delta_indicator = 0;
        let mut parts = window.sections;
        for (index, compressor) in self.compressors.iter_mut().enumerate() {
            let compressed = compressor.compress(window.sections[index]);
            let undecodable =
                |Undecodable| EncodeError::Undecodable { secondary: self.secondary, section: KINDS[index] };
            if let Some(compressed) = compressed.map_err(undecodable)? {
                parts[index] = compressed;
                delta_indicator |= COMPRESSED[index];
            }
        }
        let checksum = window.checksum.map(u32::to_be_bytes);
        let mut indicator = 0;
        if window.copy_window.is_some() {
            indicator |= VCD_SOURCE;
        }
        if checksum.is_some() {
            indicator |= VCD_ADLER32;
        }
        let len = varint::len(window.target_len)
            + size_of_val(&delta_indicator)
            + parts.iter().map(|part| varint::len(part.len() as u64) + part.len()).sum::<usize>()
            + checksum.map_or(0, |bytes| bytes.len());
        out.push(indicator);
        if let Some((offset, len)) = window.copy_window {
            varint::write(len, out);
            varint::write(offset, out);
        }
        varint::write(len as u64, out);
        out.reserve(len);
        varint::write(window.target_len, out);
        out.push(delta_indicator);
        for part in parts {
            varint::write(part.len() as u64, out);
        }
        out.extend(checksum.into_iter().flatten());
        for part in parts {
            out.extend_from_slice(part);
        }
        Ok(())
    }
}
