//! Reads deltas and writes a new one window by window.

use std::io::Read;

use super::{RecodeError, RecodeOptions};
use crate::DecodeLimits;
use crate::encode::{WindowParts, WindowWriter};
use crate::format::header::{Header, VERSION};
use crate::inspect::{Inspection, inspect};

/// Returns the windows of a delta if xdelta3 might have written it.
pub(super) fn inspect_xdelta3<R: Read>(
    delta: R,
    limits: &DecodeLimits,
) -> Result<Inspection<R>, RecodeError> {
    let inspection = inspect(delta, limits)?;
    let header = inspection.header();
    if header.code_table.is_some() || header.version != VERSION {
        return Err(RecodeError::NotXdelta3);
    }
    Ok(inspection)
}

/// A writer of the new delta.
#[derive(Debug)]
pub(super) struct Rewriter {
    writer: WindowWriter,
    /// The file header, until it is written.
    header: Vec<u8>,
}

impl Rewriter {
    pub(super) fn new(application_header: Option<Vec<u8>>, options: &RecodeOptions) -> Self {
        let mut header = Vec::new();
        Header::new(options.secondary.id(), application_header).write(&mut header);
        Self { writer: WindowWriter::new(options.secondary, options.undecodable), header }
    }

    /// Appends a window, the first one after the file header.
    pub(super) fn window(
        &mut self,
        window: WindowParts<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), RecodeError> {
        self.finish(out);
        Ok(self.writer.window(window, out)?)
    }

    /// Appends the file header if no window was written.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.header);
    }
}
