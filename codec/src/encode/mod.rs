//! The encoder: takes target bytes and returns a delta, window by window.
//!
//! A strategy matches a window and passes on its instructions. The encoder writes them to sections,
//! compresses the sections and writes the window of the delta.

mod error;
mod identical;
mod level;
mod options;
mod pages;
mod pipeline;
mod section_writer;
mod strategy;
mod stream;
mod window_matcher;
mod window_writer;
mod xdelta3;

pub use crate::secondary::{DjwLevel, Secondary};
pub use error::{EncodeError, SizeOption};
pub use level::Level;
pub use options::EncodeOptions;
pub(crate) use section_writer::SectionWriter;
pub use stream::{EncodeReader, EncodeWriter, encode_stream};
pub(crate) use window_writer::{WindowParts, WindowWriter};
pub use xdelta3::MatcherProfile;

use identical::Identical;
use pages::Pages;
use pipeline::{Matched, Pipeline};
use strategy::Strategy;
use window_matcher::Window;

use std::io::Read;

use crate::Source;
use crate::format::header::Header;
use crate::stream::{StreamError, read_some};

/// An encoder of one delta, which turns a source into the target pushed through the encoder.
///
/// The delta does not depend on how the target is cut into pushes. After an error the delta is
/// unusable, and every further call fails.
///
/// ```
/// use deltaglider_vcdiff::{EncodeOptions, Encoder, Level};
///
/// let options = EncodeOptions::at_level(Level::BEST).with_window(1 << 16);
/// let mut encoder = Encoder::new(Some(&b"the first version"[..]), &options)?;
/// let mut delta = Vec::new();
/// let mut rest = &b"the second version"[..];
/// while !rest.is_empty() {
///     let taken = encoder.push(rest, &mut delta)?;
///     rest = &rest[taken..];
/// }
/// encoder.finish(&mut delta)?;
/// # Ok::<(), deltaglider_vcdiff::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder<S> {
    source: Option<S>,
    encoder: WindowEncoder,
}

/// The encoder apart from its source, which is passed to each call: compiled once, whatever the
/// source.
#[derive(Debug)]
struct WindowEncoder {
    options: EncodeOptions,
    window: usize,
    strategy: Strategy,
    sections: SectionWriter,
    windows: Option<Pipeline>,
    /// Room for one window, once needed; the first `pending` bytes begin an incomplete window.
    buffer: Pages,
    pending: usize,
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
    ///
    /// # Errors
    ///
    /// Fails if an option is invalid or the source cannot be read.
    pub fn new(source: Option<S>, options: &EncodeOptions) -> Result<Self, EncodeError> {
        let encoder = WindowEncoder::matching(lent(&source), options)?;
        Ok(Self { source, encoder })
    }

    /// Takes target bytes up to the end of the current window and returns their number; 0 only for
    /// an empty slice. A window that becomes full is appended to `out`, the first one after the
    /// file header; each call appends at most one. With more than one
    /// [thread](EncodeOptions::threads) a later call appends it.
    ///
    /// # Errors
    ///
    /// Fails if the source cannot be read or a section cannot be written.
    pub fn push(&mut self, target: &[u8], out: &mut Vec<u8>) -> Result<usize, EncodeError> {
        self.encoder.push(lent(&self.source), target, out)
    }

    /// Reads target bytes up to the end of the current window and pushes them. Returns their
    /// number, which is less only at the end of `target`: 0 once all is read.
    ///
    /// Faster than [`push`](Self::push), since the bytes are read to where they are encoded.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does, or with the error of `target`; after
    /// [`StreamError::Input`] the call may be repeated.
    pub fn push_from(
        &mut self,
        target: impl Read,
        out: &mut Vec<u8>,
    ) -> Result<usize, StreamError<EncodeError>> {
        self.encoder.push_from(lent(&self.source), target, out)
    }

    /// Appends the last, short window. An empty target has one empty window.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.encoder.finish(lent(&self.source), out)
    }

    /// Encodes a whole target at once.
    fn all(mut self, target: &[u8]) -> Result<Vec<u8>, EncodeError> {
        self.encoder.all(lent(&self.source), target)
    }
}

fn lent<S: Source>(source: &Option<S>) -> Option<&dyn Source> {
    source.as_ref().map(|source| source as &dyn Source)
}

impl WindowEncoder {
    fn matching(source: Option<&dyn Source>, options: &EncodeOptions) -> Result<Self, EncodeError> {
        let plan = options.plan()?;
        let matcher = xdelta3::Matcher::new(&plan, source)?;
        Ok(Self::new(Strategy::Xdelta3(Box::new(matcher)), plan.window, options))
    }

    fn new(strategy: Strategy, window: usize, options: &EncodeOptions) -> Self {
        Self {
            window,
            strategy,
            sections: SectionWriter::new(),
            windows: None,
            options: options.clone(),
            buffer: Pages::default(),
            pending: 0,
            progress: Progress::NothingWritten,
        }
    }

    fn push(
        &mut self,
        source: Option<&dyn Source>,
        target: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, EncodeError> {
        if self.progress == Progress::Failed {
            return Err(EncodeError::Aborted);
        }
        let take = target.len().min(self.window - self.pending);
        if take == self.window {
            self.write_window(source, &target[..take], out)?;
            return Ok(take);
        }
        if take > 0 {
            self.rest_of_window()[..take].copy_from_slice(&target[..take]);
            self.pending += take;
            self.write_if_full(source, out)?;
        }
        Ok(take)
    }

    fn push_from(
        &mut self,
        source: Option<&dyn Source>,
        mut target: impl Read,
        out: &mut Vec<u8>,
    ) -> Result<usize, StreamError<EncodeError>> {
        if self.progress == Progress::Failed {
            return Err(StreamError::Codec(EncodeError::Aborted));
        }
        let begun = self.pending;
        while self.pending < self.window {
            match read_some(&mut target, self.rest_of_window()).map_err(StreamError::Input)? {
                0 => break,
                len => self.pending += len,
            }
        }
        let taken = self.pending - begun;
        self.write_if_full(source, out).map_err(StreamError::Codec)?;
        Ok(taken)
    }

    /// Returns the room behind the beginning of an incomplete window.
    fn rest_of_window(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = Pages::zeroed(self.window);
        }
        &mut self.buffer[self.pending..]
    }

    fn write_if_full(
        &mut self,
        source: Option<&dyn Source>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.pending < self.window { Ok(()) } else { self.write_pending(source, out) }
    }

    /// Writes the bytes in the buffer as a window.
    fn write_pending(
        &mut self,
        source: Option<&dyn Source>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let buffer = std::mem::take(&mut self.buffer);
        let len = std::mem::take(&mut self.pending);
        let written = self.write_window(source, &buffer[..len], out);
        self.buffer = buffer;
        written
    }

    fn finish(
        &mut self,
        source: Option<&dyn Source>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        match self.progress {
            Progress::Failed => return Err(EncodeError::Aborted),
            Progress::WindowsWritten if self.pending == 0 => {}
            _ => self.write_pending(source, out)?,
        }
        match &mut self.windows {
            Some(windows) => windows.finish(out),
            None => Ok(()),
        }
    }

    fn all(&mut self, source: Option<&dyn Source>, target: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let mut out = Vec::new();
        let mut rest = target;
        while !rest.is_empty() {
            let taken = self.push(source, rest, &mut out)?;
            rest = &rest[taken..];
        }
        self.finish(source, &mut out)?;
        Ok(out)
    }

    fn write_window(
        &mut self,
        source: Option<&dyn Source>,
        target: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let before = std::mem::replace(&mut self.progress, Progress::Failed);
        let window = Window { target, source, sections: &mut self.sections };
        self.strategy.matcher().window(window)?;
        let start = out.len();
        if before == Progress::NothingWritten {
            Header::new(self.options.secondary.id(), self.options.application_header.clone())
                .write(out);
        }
        let matched = Matched {
            sections: self.sections.finish(),
            target_len: target.len() as u64,
            checksum: self.options.checksum.then(|| simd_adler32::adler32(&target)),
        };
        self.pipeline(target.len()).write(matched, out).inspect_err(|_| out.truncate(start))?;
        self.progress = Progress::WindowsWritten;
        Ok(())
    }

    /// Returns the writer of windows. A thread pays only if there is work for it, beside a next
    /// window.
    fn pipeline(&mut self, first_window: usize) -> &mut Pipeline {
        let EncodeOptions { secondary, undecodable, threads, .. } = self.options;
        let windows = || WindowWriter::new(secondary, undecodable);
        let on_thread = threads > 1 && secondary != Secondary::None && first_window == self.window;
        self.windows.get_or_insert_with(|| {
            if on_thread { Pipeline::on_thread(windows) } else { Pipeline::Here(windows()) }
        })
    }
}

/// Encodes a whole target in memory. The target's length replaces [`EncodeOptions::target_len`], as
/// for a named file.
///
/// # Errors
///
/// Fails if an option is invalid, the source cannot be read or a section cannot be written.
///
/// ```
/// use deltaglider_vcdiff::{EncodeOptions, encode};
///
/// let options = EncodeOptions::default();
/// let delta = encode(Some(b"the first version"), b"the second version", &options)?;
/// # Ok::<(), deltaglider_vcdiff::EncodeError>(())
/// ```
pub fn encode(
    source: Option<&[u8]>,
    target: &[u8],
    options: &EncodeOptions,
) -> Result<Vec<u8>, EncodeError> {
    let options = EncodeOptions { target_len: Some(target.len() as u64), ..options.clone() };
    Encoder::new(source, &options)?.all(target)
}

impl Encoder<&'static [u8]> {
    /// Creates an encoder for the delta of a file against itself: the target pushed through it must
    /// be the source, which is not read. Every window is one COPY, at most as large as
    /// [`Encoder::new`] would make it.
    ///
    /// The options of the matcher have no effect.
    pub fn identical(options: &EncodeOptions) -> Result<Self, EncodeError> {
        let window = options.plan()?.window;
        let strategy = Strategy::Identical(Identical::default());
        Ok(Self { source: None, encoder: WindowEncoder::new(strategy, window, options) })
    }
}

/// Encodes a file against itself, as [`Encoder::identical`] does. The target's length replaces
/// [`EncodeOptions::target_len`].
///
/// ```
/// use deltaglider_vcdiff::encode::identical;
/// use deltaglider_vcdiff::{DecodeOptions, EncodeOptions, decode};
///
/// let delta = identical(b"a file", &EncodeOptions::default())?;
/// assert_eq!(decode(Some(b"a file"), &delta, &DecodeOptions::default())?, b"a file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn identical(target: &[u8], options: &EncodeOptions) -> Result<Vec<u8>, EncodeError> {
    let options = EncodeOptions { target_len: Some(target.len() as u64), ..options.clone() };
    Encoder::identical(&options)?.all(target)
}
