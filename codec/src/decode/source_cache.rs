//! Reads the source for copies. It caches pages for scattered copies and reads ahead for copies
//! that follow each other.

use super::file_digest::FileHasher;
use super::page_cache::{NO_PAGE, PAGE, PAGE_BITS, PageCache, RUN, RUN_LEN};
use super::read_buffer::ReadBuffer;
use super::target_window::TargetWindow;
use crate::error::{DecodeErrorKind, Fault, Limit};
use crate::source::Source;

/// The maximum number of pages read ahead at once; 256 KiB, which stay in the cache of a core
/// until they are copied.
const MAX_AHEAD: u64 = 64;
/// The number of pages that copies may skip and still follow each other.
const MAX_GAP: u64 = 4;

/// The cached parts of a source that does not lend its bytes, always the same source.
pub(crate) struct SourceCache {
    pages: PageCache,
    ahead: ReadAhead,
    /// The page used last.
    latest: u64,
    /// The bytes of a read before they are cached.
    read: ReadBuffer,
    /// The end of the source, as far as a read has shown it.
    end: u64,
    /// The bytes of all pages that copies of this window touched, cached or not, and the page
    /// touched last.
    touched: u64,
    last_touched: u64,
    allowed: u64,
}

/// The bytes read last for long copies and for copies that follow each other. Caching them would
/// only evict the pages of scattered copies.
struct ReadAhead {
    /// The offset of the bytes in the source.
    start: u64,
    /// The number of valid bytes.
    len: usize,
    bytes: ReadBuffer,
    /// The page that follows, if it continues.
    next: u64,
    /// The page that continues a run of cached pages.
    after_run: u64,
    /// The number of pages read last, and their maximum.
    pages: u64,
    max: u64,
}

impl ReadAhead {
    /// Returns the bytes from an offset on; none if they were not read.
    #[inline]
    fn from(&self, offset: u64) -> &[u8] {
        let start = usize::try_from(offset.wrapping_sub(self.start)).unwrap_or(usize::MAX);
        self.bytes.get(start, self.len)
    }
}

impl SourceCache {
    /// Creates a cache of up to `cache` bytes that lets the copies of one window touch pages of
    /// `allowed` bytes.
    pub(crate) fn new(cache: u64, allowed: u64) -> Self {
        let pages = PageCache::new(cache);
        let ahead = ReadAhead {
            start: 0,
            len: 0,
            bytes: ReadBuffer::default(),
            next: NO_PAGE,
            after_run: NO_PAGE,
            pages: 0,
            max: (pages.limit() / 4).clamp(RUN as u64, MAX_AHEAD),
        };
        Self {
            pages,
            ahead,
            latest: NO_PAGE,
            read: ReadBuffer::default(),
            end: u64::MAX,
            touched: 0,
            last_touched: NO_PAGE,
            allowed,
        }
    }

    /// Resets the count of touched pages for a window that copies from `len` bytes at `offset`.
    pub(crate) fn begin_window(&mut self, source: &dyn Source, offset: u64, len: u64) {
        (self.touched, self.last_touched) = (0, NO_PAGE);
        let last = offset.saturating_add(len.saturating_sub(1)) >> PAGE_BITS;
        let source_pages = source.len().map(|len| len >> PAGE_BITS);
        self.pages.begin_window(offset >> PAGE_BITS, last, source_pages);
    }

    /// Appends `len` bytes from `offset` on.
    #[inline]
    pub(crate) fn append(
        &mut self,
        source: &dyn Source,
        offset: u64,
        len: usize,
        window: &mut TargetWindow<'_>,
    ) -> Result<(), Fault> {
        if len == 0 {
            return Ok(());
        }
        let needed = offset.saturating_add(len as u64);
        let last = needed.saturating_sub(1) >> PAGE_BITS;
        self.count(offset >> PAGE_BITS, last)?;
        let ahead = self.ahead.from(offset);
        if ahead.len() >= len {
            window.extend_from_start(ahead, len);
            return Ok(());
        }
        self.append_pages(source, offset, needed, window)
    }

    /// Appends the bytes from `at` to `needed`.
    fn append_pages(
        &mut self,
        source: &dyn Source,
        mut at: u64,
        needed: u64,
        window: &mut TargetWindow<'_>,
    ) -> Result<(), Fault> {
        let last = needed.saturating_sub(1) >> PAGE_BITS;
        let mut read_here = false;
        while at < needed {
            let left = needed.saturating_sub(at) as usize;
            let ahead = self.ahead.from(at);
            if !ahead.is_empty() {
                let part = left.min(ahead.len());
                window.extend_from_start(ahead, part);
                at = at.saturating_add(part as u64);
                continue;
            }
            let page = at >> PAGE_BITS;
            let long = last.saturating_sub(page) >= RUN as u64;
            let cached = if long { None } else { self.pages.find(page) };
            let place = match cached {
                Some(place) => place,
                None if long || self.continues(page) => {
                    // The rest of a long copy does not show that more follows.
                    let follows = !read_here && self.continues(page);
                    self.read_ahead(source, page, last, follows)?;
                    if needed > self.end {
                        return Err(too_short(source, needed, self.end));
                    }
                    read_here = true;
                    continue;
                }
                None => self.read(source, page, last)?,
            };
            if needed > self.end {
                return Err(too_short(source, needed, self.end));
            }
            let start = at as usize & (PAGE - 1);
            let part = left.min(PAGE.saturating_sub(start));
            window.extend_from_start(self.pages.bytes(place, start), part);
            self.latest = page;
            if self.ahead.next == page {
                self.ahead.next = page.saturating_add(1);
            }
            at = at.saturating_add(part as u64);
        }
        Ok(())
    }

    /// Returns whether a page that is not cached continues the bytes read ahead or a whole run.
    fn continues(&self, page: u64) -> bool {
        let gap = page.checked_sub(self.ahead.next);
        gap.is_some_and(|gap| gap < MAX_GAP) || page == self.ahead.after_run
    }

    /// Reads from a page on, without caching, as far as a copy to the page `last` needs or as much
    /// as fits. If the copy follows another one, it reads up to twice as much as the last time.
    #[cold]
    fn read_ahead(
        &mut self,
        source: &dyn Source,
        page: u64,
        last: u64,
        follows: bool,
    ) -> Result<(), Fault> {
        let copied = last.saturating_sub(page).saturating_add(1);
        let used = match follows {
            true if page == self.ahead.after_run => RUN as u64,
            true => self.ahead.pages,
            false => 0,
        };
        let more = used.saturating_mul(2);
        let pages = copied.max(more).min(self.ahead.max);
        let end = page.saturating_add(pages);
        // Sources that are read by aligned blocks then read none twice.
        let aligned = end & !(RUN as u64).saturating_sub(1);
        let end = if aligned > page && (aligned > last || end <= last) { aligned } else { end };
        let (_, window_last) = self.pages.window();
        let end = end.min(window_last.max(last).saturating_add(1));
        let pages = end.saturating_sub(page).max(1);

        let len = (pages as usize).saturating_mul(PAGE);
        let ahead = &mut self.ahead;
        (ahead.len, ahead.start) = (0, page.saturating_mul(PAGE as u64));
        let bytes = ahead.bytes.first_mut(len)?;
        let got = source.read_at(ahead.start, bytes).map_err(Fault::source)?.min(len);
        ahead.len = got;
        let before = if page == ahead.next { ahead.pages } else { RUN as u64 };
        (ahead.next, ahead.pages) = (end, pages.max(before));
        if got < len {
            self.end = self.end.min(ahead.start.saturating_add(got as u64));
        }
        Ok(())
    }

    /// Reads a page that is not cached, with those up to `last` that the same copy needs, and
    /// returns its place.
    ///
    /// It reads more only where that is likely to be needed: after a copy from the page before, the
    /// rest of the run; next to a cached page, the run, if that evicts nothing.
    #[cold]
    fn read(&mut self, source: &dyn Source, page: u64, last: u64) -> Result<u32, Fault> {
        let run = page & !(RUN as u64).saturating_sub(1);
        let run_end = run.saturating_add(RUN as u64).saturating_sub(1);
        let (mut from, mut to) =
            (page, last.min(page.saturating_add(RUN as u64).saturating_sub(1)));
        let (window_from, window_to) = self.pages.window();
        if self.latest.saturating_add(1) == page {
            to = to.max(run_end.min(window_to));
            self.ahead.after_run = to.saturating_add(1);
        } else if self.pages.fits() && (run..=run_end).any(|page| self.pages.has(page)) {
            (from, to) = (run.max(window_from), to.max(run_end.min(window_to)));
        }
        while from < page && self.pages.has(from) {
            from = from.saturating_add(1);
        }
        while to > last.max(page) && self.pages.has(to) {
            to = to.saturating_sub(1);
        }
        let pages = to.saturating_sub(from).saturating_add(1) as usize;
        let len = pages.saturating_mul(PAGE);
        let bytes = self.read.first_mut(len)?;
        let offset = from.saturating_mul(PAGE as u64);
        let got = source.read_at(offset, bytes).map_err(Fault::source)?;
        if got < len {
            self.end = self.end.min(offset.saturating_add(got as u64));
        }
        let numbered = || (from..).zip(bytes.as_chunks::<PAGE>().0);
        for (number, bytes) in numbered().filter(|&(number, _)| number != page) {
            if !self.pages.has(number) {
                self.pages.keep(number, bytes)?;
            }
        }
        // Takes the last one, so that no other page of the run can replace it.
        let mut place = 0;
        for (number, bytes) in numbered().filter(|&(number, _)| number == page) {
            place = self.pages.keep(number, bytes)?;
        }
        Ok(place)
    }

    /// Counts the pages of a copy as if none were cached: the limit on a delta must not depend on
    /// the state of this cache.
    #[inline]
    fn count(&mut self, first: u64, last: u64) -> Result<(), Fault> {
        let pages =
            last.saturating_sub(first).saturating_add(u64::from(first != self.last_touched));
        self.last_touched = last;
        self.touched = self.touched.saturating_add(pages.saturating_mul(PAGE as u64));
        Limit::SourceReads.check(self.touched, self.allowed)
    }
}

/// Returns the fault of a source with fewer than `needed` bytes. `end` is where reading
/// stopped: the end of the source, unless the read began beyond it.
#[cold]
fn too_short(source: &dyn Source, needed: u64, end: u64) -> Fault {
    let available = source.len().unwrap_or(end);
    DecodeErrorKind::SourceTooShort { needed, available }.into()
}

/// Appends `len` bytes from `offset` on of a source that lends its bytes.
#[inline]
pub(crate) fn append_lent(
    source: &dyn Source,
    lent: &[u8],
    offset: u64,
    len: usize,
    window: &mut TargetWindow<'_>,
) -> Result<(), Fault> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    match lent.get(start..).filter(|bytes| <[u8]>::len(bytes) >= len) {
        Some(bytes) => window.extend_from_start(bytes, len),
        None if len == 0 => {}
        None => {
            let needed = offset.saturating_add(len as u64);
            return Err(too_short(source, needed, <[u8]>::len(lent) as u64));
        }
    }
    Ok(())
}

/// Reads the whole source and returns its digest.
pub(crate) fn digest(source: &dyn Source, mut digest: FileHasher) -> Result<[u8; 32], Fault> {
    if let Some(lent) = source.bytes() {
        digest.update(lent);
        return Ok(digest.finish());
    }
    let mut piece = vec![0; RUN_LEN];
    let mut at = 0u64;
    loop {
        let got = source.read_at(at, &mut piece).map_err(Fault::source)?;
        let bytes = piece.get(..got).unwrap_or(&piece);
        digest.update(bytes);
        at = at.saturating_add(bytes.len() as u64);
        if bytes.len() < RUN_LEN {
            return Ok(digest.finish());
        }
    }
}

#[cfg(test)]
#[path = "source_cache_tests.rs"]
mod tests;
