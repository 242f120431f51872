//! The contents of a delta: headers, window headers and instructions, parsed by the decoder's code.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod pieces;
mod window;

use std::io::Read;
use std::iter::FusedIterator;
use std::sync::Arc;

use crate::decode::{Sections, codes};
use crate::error::{DecodeError, Fault, Part};
pub use crate::format::app_header::FileName;
use crate::format::code_table::Codes;
pub use crate::format::header::Header;
use crate::format::header::SECONDARY_AT;
use crate::format::window::WindowHeader as Fields;
pub use crate::format::window::{CopyWindow, SectionLengths};
use crate::limits::DecodeLimits;
use crate::secondary::SectionDecoder;
use pieces::Pieces;
pub use window::{CopyFrom, Instruction, Operation, Window, WindowHeader};

/// Reads the file header of a delta and returns an iterator over its windows. It needs no source
/// and does not produce the target. At most one window of the delta is in memory at a time.
///
/// # Errors
///
/// Fails if the file header is invalid or cannot be read.
///
/// ```
/// use deltaglider_vcdiff::inspect::inspect;
/// use deltaglider_vcdiff::{DecodeLimits, EncodeOptions, encode};
///
/// let delta = encode(None, b"a file", &EncodeOptions::default())?;
/// for window in inspect(delta.as_slice(), &DecodeLimits::default())? {
///     let window = window?;
///     assert_eq!((window.target_len(), window.copy_window()), (6, None));
///     for instruction in window.instructions() {
///         println!("{:?}", instruction?);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect<R: Read>(delta: R, limits: &DecodeLimits) -> Result<Inspection<R>, DecodeError> {
    let mut delta = Pieces::new(delta);
    let (header, len) = delta
        .header(Part::Header, |bytes| Header::parse(bytes, limits))
        .map_err(|(fault, start)| DecodeError::new(fault, None, start))?;
    let fail = |fault| DecodeError::new(fault, None, 0);
    let sections = match header.secondary {
        Some(id) => {
            Some(SectionDecoder::new(id, limits).map_err(|fault| fail(fault.at(SECONDARY_AT)))?)
        }
        None => None,
    };
    let codes = Arc::new(codes(&header).map_err(fail)?);
    delta.take(len);
    Ok(Inspection {
        codes,
        header,
        header_len: len as u64,
        sections,
        limits: limits.clone(),
        delta,
        number: 0,
        produced: 0,
        ended: false,
    })
}

/// An iterator over the windows of a delta, in order; it ends after the first error.
#[derive(Debug)]
pub struct Inspection<R> {
    codes: Arc<Codes>,
    header: Header,
    header_len: u64,
    sections: Option<SectionDecoder>,
    limits: DecodeLimits,
    delta: Pieces<R>,
    number: u64,
    produced: u64,
    ended: bool,
}

/// A fault, and the offset in the delta that its position counts from.
type Failed = (Fault, u64);

impl<R> Inspection<R> {
    /// Returns the file header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the length of the file header in bytes.
    pub fn header_len(&self) -> u64 {
        self.header_len
    }

    /// Returns the number of bytes of the delta in the file header and the windows so far.
    pub fn delta_offset(&self) -> u64 {
        self.delta.offset()
    }

    /// Returns an iterator over the window headers alone; it skips the sections without checking
    /// them.
    pub fn headers(self) -> WindowHeaders<R> {
        WindowHeaders { inspection: self, before: None }
    }
}

impl<R: Read> Inspection<R> {
    /// Returns the next window's header; `None` at the end.
    fn window_header(&mut self) -> Result<Option<WindowHeader>, Failed> {
        if self.delta.is_at_end()? {
            return Ok(None);
        }
        let start = self.delta.offset();
        let parse = |bytes: &[u8]| Fields::parse(bytes, &self.header, self.produced, &self.limits);
        let parsed = self.delta.header(Part::WindowHeader, parse)?;
        self.delta.take(parsed.len);
        Ok(Some(WindowHeader {
            number: self.number,
            delta_offset: start,
            target_offset: self.produced,
            parsed,
        }))
    }

    fn window(&mut self) -> Result<Option<Window>, Failed> {
        let Some(header) = self.window_header()? else { return Ok(None) };
        let body = self.delta.body(header.parsed.fields.sections.total())?;
        let opened = Sections::open(&header.parsed, &body, &mut self.sections, &self.limits)
            .map_err(|fault| (fault, header.delta_offset))?;
        let window = Window {
            header,
            decompressed: SectionLengths::of([opened.data, opened.instructions, opened.addresses]),
            data: opened.data.to_vec(),
            instructions: opened.instructions.to_vec(),
            addresses: opened.addresses.to_vec(),
            codes: self.codes.clone(),
            limits: self.limits.clone(),
        };
        self.passed(&header);
        Ok(Some(window))
    }

    fn passed(&mut self, header: &WindowHeader) {
        self.number = self.number.saturating_add(1);
        self.produced = self.produced.saturating_add(header.target_len());
    }

    /// Ends the iteration after an error.
    fn step<T>(
        &mut self,
        next: impl FnOnce(&mut Self) -> Result<Option<T>, Failed>,
    ) -> Option<Result<T, DecodeError>> {
        if self.ended {
            return None;
        }
        let step = next(self);
        self.ended = !matches!(step, Ok(Some(_)));
        step.map_err(|(fault, start)| DecodeError::new(fault, Some(self.number), start)).transpose()
    }
}

impl<R: Read> Iterator for Inspection<R> {
    type Item = Result<Window, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Self::window)
    }
}

impl<R: Read> FusedIterator for Inspection<R> {}

/// An iterator over the window headers of a delta, in order; it ends after the first error. It
/// yields each header as soon as it is read, and checks that the window's sections are complete
/// only when the next one is requested.
#[derive(Debug)]
pub struct WindowHeaders<R> {
    inspection: Inspection<R>,
    /// The last header returned, whose sections come next.
    before: Option<WindowHeader>,
}

impl<R: Read> Iterator for WindowHeaders<R> {
    type Item = Result<WindowHeader, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let before = &mut self.before;
        self.inspection.step(|inspection| {
            if let Some(header) = before.take() {
                inspection.delta.skip(header.parsed.fields.sections.total())?;
                inspection.passed(&header);
            }
            *before = inspection.window_header()?;
            Ok(*before)
        })
    }
}

impl<R: Read> FusedIterator for WindowHeaders<R> {}
