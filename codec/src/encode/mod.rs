//! The encoder: target bytes in, a delta out, window by window.

mod error;
mod instruction;
mod instruction_buffer;
mod match_len;
mod matcher;
mod options;
mod profile;
mod section_writer;
mod source_index;
mod source_window;
mod target_index;
mod window_writer;

pub use error::{EncodeError, SizeOption};
pub(crate) use instruction::{Instruction, Operation};
pub use options::EncodeOptions;
pub use profile::{Level, MatcherProfile};
pub(crate) use section_writer::{FlushKind, SectionWriter};
pub(crate) use window_writer::{WindowParts, WindowWriter};

use matcher::Matcher;

use crate::Source;
use crate::format::header::Header;

/// Writes a delta that turns a source into the target pushed through it.
///
/// How the target is cut into pushes does not show in the delta. After an error the delta is unusable, and every
/// further call fails.
#[derive(Debug)]
pub struct Encoder<S> {
    options: EncodeOptions,
    window: usize,
    matcher: Matcher<S>,
    writer: WindowWriter,
    /// The beginning of a window that is not complete.
    pending: Vec<u8>,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    NothingWritten,
    WindowsWritten,
    Failed,
}

impl<S: Source> Encoder<S> {
    /// Checks the options and reads the first part of the source (at most the source window).
    pub fn new(options: EncodeOptions, source: Option<S>) -> Result<Self, EncodeError> {
        let plan = options.plan()?;
        Ok(Self {
            window: plan.window,
            matcher: Matcher::new(&plan, source)?,
            writer: WindowWriter::new(options.secondary, options.undecodable),
            options,
            pending: Vec::new(),
            progress: Progress::NothingWritten,
        })
    }

    /// Takes target bytes up to the end of the current window and returns how many it took; 0 only for an empty slice.
    /// A window that becomes full is appended to `out`, the first one behind the file header; never more than one a call.
    pub fn push(&mut self, target: &[u8], out: &mut Vec<u8>) -> Result<usize, EncodeError> {
        if self.progress == Progress::Failed {
            return Err(EncodeError::Aborted);
        }
        let take = target.len().min(self.window - self.pending.len());
        if take == self.window {
            self.write_window(&target[..take], out)?;
            return Ok(take);
        }
        self.pending.extend_from_slice(&target[..take]);
        if self.pending.len() == self.window {
            let mut window = std::mem::take(&mut self.pending);
            self.write_window(&window, out)?;
            window.clear();
            self.pending = window;
        }
        Ok(take)
    }

    /// Appends the last, short window. An empty target has one empty window.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self.progress {
            Progress::Failed => Err(EncodeError::Aborted),
            Progress::WindowsWritten if self.pending.is_empty() => Ok(()),
            _ => {
                let window = std::mem::take(&mut self.pending);
                self.write_window(&window, out)
            }
        }
    }

    fn write_window(&mut self, target: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let before = std::mem::replace(&mut self.progress, Progress::Failed);
        let sections = self.matcher.window(target)?;
        let start = out.len();
        if before == Progress::NothingWritten {
            Header::new(self.options.secondary.id(), self.options.application_header.clone()).write(out);
        }
        let checksum = self.options.checksum.then(|| adler2::adler32_slice(target));
        let window = sections.parts(target.len() as u64, checksum);
        self.writer.window(window, out).inspect_err(|_| out.truncate(start))?;
        self.progress = Progress::WindowsWritten;
        Ok(())
    }
}

/// The whole delta at once, as for a named file: the target's length takes the place of [`EncodeOptions::target_len`].
pub fn encode(source: Option<&[u8]>, target: &[u8], options: &EncodeOptions) -> Result<Vec<u8>, EncodeError> {
    let options = EncodeOptions { target_len: Some(target.len() as u64), ..options.clone() };
    let mut encoder = Encoder::new(options, source)?;
    let mut out = Vec::new();
    let mut rest = target;
    while !rest.is_empty() {
        let taken = encoder.push(rest, &mut out)?;
        rest = &rest[taken..];
    }
    encoder.finish(&mut out)?;
    Ok(out)
}
