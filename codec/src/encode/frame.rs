//! What stands around the sections: the file header, window headers, the secondary compression of each section.

use super::EncodeOptions;
use super::emit::Sections;
use super::error::EncodeError;
use crate::error::Section;
use crate::format::header::{MAGIC, VCD_APPHEADER, VCD_SECONDARY};
use crate::format::varint;
use crate::format::window::{VCD_ADDRCOMP, VCD_ADLER32, VCD_DATACOMP, VCD_INSTCOMP, VCD_SOURCE};
use crate::secondary::{Secondary, SectionEncoder, Undecodable};

/// Appends the file header.
pub(super) fn file_header(options: &EncodeOptions, out: &mut Vec<u8>) {
    let id = options.secondary.id();
    let mut indicator = 0;
    if id.is_some() {
        indicator |= VCD_SECONDARY;
    }
    if options.application_header.is_some() {
        indicator |= VCD_APPHEADER;
    }
    out.extend_from_slice(&MAGIC);
    out.push(indicator);
    out.extend(id);
    if let Some(header) = &options.application_header {
        varint::write(header.len() as u64, out);
        out.extend_from_slice(header);
    }
}

/// Data, instructions and addresses, in the order they are written.
const SECTIONS: usize = 3;
const KINDS: [Section; SECTIONS] = [Section::Data, Section::Instructions, Section::Addresses];
const COMPRESSED: [u8; SECTIONS] = [VCD_DATACOMP, VCD_INSTCOMP, VCD_ADDRCOMP];

/// Puts windows into their frames; keeps the state of secondary compression from one to the next.
#[derive(Debug)]
pub(super) struct Framer {
    checksum: bool,
    secondary: Secondary,
    compressors: [SectionEncoder; SECTIONS],
}

impl Framer {
    pub(super) fn new(options: &EncodeOptions) -> Self {
        Self {
            checksum: options.checksum,
            secondary: options.secondary,
            compressors: KINDS.map(|section| SectionEncoder::new(section, options.secondary, options.undecodable)),
        }
    }

    /// Appends a whole window, or nothing.
    pub(super) fn window(&mut self, target: &[u8], sections: &Sections, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let plain = [&sections.data, &sections.instructions, &sections.addresses];
        let mut delta_indicator = 0;
        let mut parts: [&[u8]; SECTIONS] = plain.map(Vec::as_slice);
        for (index, compressor) in self.compressors.iter_mut().enumerate() {
            let compressed = compressor.compress(plain[index]);
            let undecodable =
                |Undecodable| EncodeError::Undecodable { secondary: self.secondary, section: KINDS[index] };
            if let Some(compressed) = compressed.map_err(undecodable)? {
                parts[index] = compressed;
                delta_indicator |= COMPRESSED[index];
            }
        }
        let checksum = self.checksum.then(|| adler2::adler32_slice(target).to_be_bytes());
        let mut indicator = 0;
        if sections.copy_window.is_some() {
            indicator |= VCD_SOURCE;
        }
        if checksum.is_some() {
            indicator |= VCD_ADLER32;
        }
        let len = varint::len(target.len() as u64)
            + size_of_val(&delta_indicator)
            + parts.iter().map(|part| varint::len(part.len() as u64) + part.len()).sum::<usize>()
            + checksum.map_or(0, |bytes| bytes.len());
        out.push(indicator);
        if let Some(span) = sections.copy_window {
            varint::write(span.len, out);
            varint::write(span.start, out);
        }
        varint::write(len as u64, out);
        out.reserve(len);
        varint::write(target.len() as u64, out);
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
