//! Proposes where the streams of an archive begin.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::io;

use super::{gzip, zip};
use crate::limits::Limits;

/// The bytes of an archive, read at any position.
pub trait Input {
    /// Returns the number of bytes.
    fn len(&self) -> u64;

    /// Returns `true` if there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads bytes from `at` on into `to`, and returns how many: none only at the end.
    ///
    /// # Errors
    ///
    /// Fails if the bytes cannot be read.
    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize>;
}

impl Input for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let from = self.get(at..).unwrap_or_default();
        let len = from.len().min(to.len());
        if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
            to.copy_from_slice(from);
        }
        Ok(len)
    }
}

/// Reads up to `len` bytes from `at` on; fewer only at the end.
pub(super) fn read(input: &(impl Input + ?Sized), at: u64, len: usize) -> io::Result<Vec<u8>> {
    let left = usize::try_from(input.len().saturating_sub(at)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len.min(left)];
    let mut done = 0usize;
    while done < bytes.len() {
        let rest = bytes.get_mut(done..).unwrap_or_default();
        let count = input.read_at(at.saturating_add(done as u64), rest)?;
        if count == 0 {
            break;
        }
        done = done.saturating_add(count);
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// A format that holds deflate streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// gzip with one member or several.
    Gzip,
    /// zip, also as wheel, jar, apk and office document.
    Zip,
}

/// A place where a stream may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The offset in the archive.
    pub offset: u64,
    /// The offset that the stream must not pass.
    pub end: u64,
}

/// A scan of an archive.
///
/// The central directory of a zip file is a hint only: it may list entries twice, leave some out or
/// point anywhere. A stream that does not parse, or passes its end, stays glue.
///
/// ```
/// use deltaglider_deflate::archive::{Format, Scan, Start};
/// use deltaglider_deflate::Limits;
///
/// let member = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0";
/// let file = [&member[..], member, b"trailing"].concat();
/// let mut scan = Scan::new(&file[..], &Limits::default())?;
/// assert_eq!(scan.format(), Some(Format::Gzip));
/// let end = file.len() as u64;
/// assert_eq!(scan.next(&file[..])?, Some(Start { offset: 10, end }));
/// scan.end_stream(13);
/// assert_eq!(scan.next(&file[..])?, Some(Start { offset: 31, end }));
/// scan.end_stream(34);
/// assert_eq!(scan.next(&file[..])?, None);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Scan {
    format: Option<Format>,
    /// The end of the last stream, and of what belongs to its entry or member.
    at: u64,
    /// The local headers left, the next one last.
    headers: Vec<u64>,
    /// A member may begin at `at`.
    expects_member: bool,
}

impl Scan {
    /// Recognises the format and, of a zip file, reads the central directory.
    ///
    /// # Errors
    ///
    /// Fails if the input cannot be read.
    pub fn new(input: &(impl Input + ?Sized), limits: &Limits) -> io::Result<Self> {
        let start = read(input, 0, gzip::MAX_HEADER)?;
        let mut scan = Self { format: None, at: 0, headers: Vec::new(), expects_member: false };
        if gzip::header_len(&start).is_some() {
            scan.format = Some(Format::Gzip);
            scan.expects_member = true;
            return Ok(scan);
        }
        if let Some(mut headers) = zip::local_headers(input, limits.zip_entries)? {
            headers.reverse();
            scan.format = (!headers.is_empty()).then_some(Format::Zip);
            scan.headers = headers;
        }
        Ok(scan)
    }

    /// Returns the format; `None` if the input has no streams.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Returns the next place where a stream may begin.
    ///
    /// # Errors
    ///
    /// Fails if the input cannot be read.
    pub fn next(&mut self, input: &(impl Input + ?Sized)) -> io::Result<Option<Start>> {
        if std::mem::take(&mut self.expects_member) {
            let header = read(input, self.at, gzip::MAX_HEADER)?;
            let len = gzip::header_len(&header).map(|len| len as u64);
            let offset = len.and_then(|len| self.at.checked_add(len));
            return Ok(offset.map(|offset| Start { offset, end: input.len() }));
        }
        let Some((_, offset)) = self.next_entry(input)? else { return Ok(None) };
        self.at = offset;
        let next = self.next_entry(input)?;
        let end = next.map_or(input.len(), |(header, _)| header);
        // The entry after this one comes again.
        self.headers.extend(next.map(|(header, _)| header));
        Ok(Some(Start { offset, end }))
    }

    /// Removes the headers up to the next one of a deflated entry; returns its offset and that of
    /// its data.
    fn next_entry(&mut self, input: &(impl Input + ?Sized)) -> io::Result<Option<(u64, u64)>> {
        while let Some(header) = self.headers.pop() {
            if header < self.at {
                continue;
            }
            if let Some(offset) = zip::data_offset(input, header)? {
                return Ok(Some((header, offset)));
            }
        }
        Ok(None)
    }

    /// Notes that the stream returned last ends at this offset. Not called for a stream that does
    /// not parse: of a gzip file nothing more is proposed then.
    pub fn end_stream(&mut self, end: u64) {
        self.at = end;
        if self.format == Some(Format::Gzip) {
            self.at = end.saturating_add(gzip::TRAILER);
            self.expects_member = true;
        }
    }
}
