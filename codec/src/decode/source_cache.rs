//! A page cache for the source that keeps the pages used last. A source that lends its bytes is
//! neither read nor cached.

use super::file_digest::FileHasher;
use crate::error::{DecodeErrorKind, Fault, Limit};
use crate::source::Source;

/// The size of a page in bytes, the least that is read. Copies of a re-sorted table are a few bytes
/// each, all from different places.
const PAGE: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 12;
/// The number of pages read at once where more of them are likely to be needed; 64 KiB.
const RUN: usize = 16;
/// The length of a run in bytes. A copy of at least this length is read directly into the output,
/// and its pages are not cached.
const LONG: usize = RUN * PAGE;
/// The least number of slots: a run must not replace its own pages.
const MIN_SLOTS: usize = 2 * RUN;
/// The maximum number of pages in a cache; 4 TiB.
const MAX_PAGES: u64 = 1 << 30;
/// The number of an absent page.
const NO_PAGE: u64 = u64::MAX;
/// The number of places searched for one whose page is outside the copy window, before any is
/// taken.
const TRIES: u32 = 64;
/// The length in bytes up to which a copy costs no call: most copies of a re-sorted table are that
/// short.
const SHORT: usize = 32;

/// A cached page and its place in the memory of the cache.
#[derive(Clone, Copy)]
struct Slot {
    page: u64,
    place: u32,
}

const EMPTY: Slot = Slot { page: NO_PAGE, place: 0 };

/// The source of one delta.
///
/// It caches as many pages as the longest copy window has, up to a limit, so that no page of such a
/// window is read twice. Memory is allocated as pages are read.
pub(crate) struct SourceCache {
    /// The slots, a power of two of them. A page is in the slot of the lowest bits of its number,
    /// so the pages of one window do not collide.
    slots: Vec<Slot>,
    /// The memory: runs of pages.
    memory: Vec<Box<[u8]>>,
    /// The page in each place, in the order of the memory.
    pages: Vec<u64>,
    /// The place tried first when one is needed: pages are evicted in the order they arrived.
    next: u32,
    /// The maximum number of cached pages.
    limit: u64,
    /// The first and the last page of the copy window.
    window: (u64, u64),
    /// `true` if all pages of the copy window fit into the cache.
    fits: bool,
    /// The page used last.
    latest: u64,
    /// The bytes of a read before they are stored in their places.
    run: Vec<u8>,
    /// The end of the source, as far as a read has shown it.
    end: u64,
    /// The bytes of all pages that copies of this window touched, cached or not, and the page
    /// touched last.
    touched: u64,
    last_touched: u64,
    allowed: u64,
}

impl SourceCache {
    /// Creates a cache of up to `cache` bytes that lets the copies of one window touch pages of
    /// `allowed` bytes.
    pub(crate) fn new(cache: u64, allowed: u64) -> Self {
        Self {
            slots: vec![EMPTY; MIN_SLOTS],
            memory: Vec::new(),
            pages: Vec::new(),
            next: 0,
            // A window that does not begin at a page boundary has one page more.
            limit: (cache >> PAGE_BITS).saturating_add(1).clamp(MIN_SLOTS as u64, MAX_PAGES),
            window: (0, NO_PAGE),
            fits: false,
            latest: NO_PAGE,
            run: Vec::new(),
            end: u64::MAX,
            touched: 0,
            last_touched: NO_PAGE,
            allowed,
        }
    }

    /// Resets the count of touched pages for a window that copies from `len` bytes at `offset`.
    pub(crate) fn begin_window(&mut self, source: &dyn Source, offset: u64, len: u64) {
        (self.touched, self.last_touched) = (0, NO_PAGE);
        self.window =
            (offset >> PAGE_BITS, offset.saturating_add(len.saturating_sub(1)) >> PAGE_BITS);
        if source.bytes().is_some() {
            return;
        }
        let (first, last) = self.window;
        let last = last.min(source.len().map_or(u64::MAX, |len| len >> PAGE_BITS));
        let pages = last.saturating_sub(first).saturating_add(1);
        let wanted = pages.min(self.limit);
        if wanted > self.slots.len() as u64 {
            self.make_slots(wanted);
        }
        self.fits = wanted == pages && pages <= self.slots.len() as u64;
    }

    /// Allocates slots for `pages` pages, if there is memory, and enters the cached pages.
    fn make_slots(&mut self, pages: u64) {
        let len = usize::try_from(pages)
            .unwrap_or(usize::MAX)
            .checked_next_power_of_two()
            .unwrap_or(usize::MAX);
        let mut slots = Vec::new();
        if slots.try_reserve_exact(len).is_err() {
            return;
        }
        slots.resize(len, EMPTY);
        self.slots = slots;
        for place in 0..self.pages.len() {
            let page = self.pages.get(place).copied().unwrap_or(NO_PAGE);
            if let Some(slot) = self.slot(page).filter(|_| page != NO_PAGE) {
                let before = std::mem::replace(slot, Slot { page, place: place as u32 });
                if before.page != NO_PAGE
                    && let Some(page) = self.pages.get_mut(before.place as usize)
                {
                    *page = NO_PAGE;
                }
            }
        }
    }

    /// Appends `len` bytes from `offset` on.
    #[inline]
    pub(crate) fn append(
        &mut self,
        source: &dyn Source,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        if len == 0 {
            return Ok(());
        }
        if let Some(lent) = source.bytes() {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let Some(bytes) = lent.get(start..start.saturating_add(len)) else {
                return Err(too_short(
                    source,
                    offset.saturating_add(len as u64),
                    lent.len() as u64,
                ));
            };
            out.extend_from_slice(bytes);
            return Ok(());
        }
        let needed = offset.saturating_add(len as u64);
        let last = needed.saturating_sub(1) >> PAGE_BITS;
        self.count(offset >> PAGE_BITS, last)?;
        if len >= LONG {
            return self.append_directly(source, offset, len, out);
        }
        let mut at = offset;
        let mut left = len;
        while left > 0 {
            let page = at >> PAGE_BITS;
            let place = match self.find(page) {
                Some(place) => place,
                None => self.read(source, page, last)?,
            };
            if needed > self.end {
                return Err(too_short(source, needed, self.end));
            }
            let start = at as usize & (PAGE - 1);
            let part = left.min(PAGE.saturating_sub(start));
            let from = (place as usize & (RUN - 1)).saturating_mul(PAGE).saturating_add(start);
            let run = self.memory.get(place as usize / RUN).map(|run| &run[..]).unwrap_or_default();
            match run.get(from..).and_then(|bytes| bytes.first_chunk::<SHORT>()) {
                Some(bytes) if part <= SHORT => {
                    let end = out.len().saturating_add(part);
                    out.extend_from_slice(bytes);
                    out.truncate(end);
                }
                _ => out.extend_from_slice(
                    run.get(from..from.saturating_add(part)).unwrap_or_default(),
                ),
            }
            self.latest = page;
            at = at.saturating_add(part as u64);
            left = left.saturating_sub(part);
        }
        Ok(())
    }

    /// Reads a long copy directly into the output: caching its pages would only evict other pages.
    fn append_directly(
        &mut self,
        source: &dyn Source,
        offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let start = out.len();
        out.resize(start.saturating_add(len), 0);
        let got = source
            .read_at(offset, out.get_mut(start..).unwrap_or_default())
            .map_err(Fault::source)?;
        if got < len {
            let needed = offset.saturating_add(len as u64);
            return Err(too_short(source, needed, offset.saturating_add(got as u64)));
        }
        Ok(())
    }

    /// Returns the place of a cached page.
    #[inline]
    fn find(&self, page: u64) -> Option<u32> {
        let slot = self.slots.get(page as usize & self.slots.len().saturating_sub(1))?;
        (slot.page == page).then_some(slot.place)
    }

    fn slot(&mut self, page: u64) -> Option<&mut Slot> {
        let mask = self.slots.len().saturating_sub(1);
        self.slots.get_mut(page as usize & mask)
    }

    fn is_kept(&self, page: u64) -> bool {
        self.find(page).is_some()
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
        let (window_from, window_to) = self.window;
        if self.latest.saturating_add(1) == page {
            to = to.max(run_end.min(window_to));
        } else if self.fits && (run..=run_end).any(|page| self.is_kept(page)) {
            (from, to) = (run.max(window_from), to.max(run_end.min(window_to)));
        }
        while from < page && self.is_kept(from) {
            from = from.saturating_add(1);
        }
        while to > last.max(page) && self.is_kept(to) {
            to = to.saturating_sub(1);
        }
        let pages = to.saturating_sub(from).saturating_add(1) as usize;
        let mut bytes = std::mem::take(&mut self.run);
        bytes.resize(pages.saturating_mul(PAGE), 0);
        let offset = from.saturating_mul(PAGE as u64);
        let got = source.read_at(offset, &mut bytes).map_err(Fault::source)?;
        if got < bytes.len() {
            self.end = self.end.min(offset.saturating_add(got as u64));
        }
        let numbered = || (from..).zip(bytes.chunks(PAGE));
        for (number, bytes) in numbered().filter(|&(number, _)| number != page) {
            if !self.is_kept(number) {
                self.keep(number, bytes)?;
            }
        }
        // Takes the last one, so that no other page of the run can replace it.
        let mut place = 0;
        for (number, bytes) in numbered().filter(|&(number, _)| number == page) {
            place = self.keep(number, bytes)?;
        }
        self.run = bytes;
        Ok(place)
    }

    /// Caches a page and returns its place.
    fn keep(&mut self, page: u64, bytes: &[u8]) -> Result<u32, Fault> {
        let place = match self.slot(page).copied() {
            Some(slot) if slot.page != NO_PAGE => slot.place,
            _ if (self.pages.len() as u64) < self.limit => self.new_place()?,
            _ => self.evict(),
        };
        if let Some(slot) = self.slot(page) {
            *slot = Slot { page, place };
        }
        if let Some(kept) = self.pages.get_mut(place as usize) {
            *kept = page;
        }
        let start = (place as usize & (RUN - 1)).saturating_mul(PAGE);
        let run =
            self.memory.get_mut(place as usize / RUN).map(|run| &mut run[..]).unwrap_or_default();
        if let Some(to) = run.get_mut(start..start.saturating_add(bytes.len())) {
            to.copy_from_slice(bytes);
        }
        Ok(place)
    }

    fn new_place(&mut self) -> Result<u32, Fault> {
        let place = self.pages.len();
        if place / RUN >= self.memory.len() {
            let mut run = Vec::new();
            run.try_reserve_exact(LONG)
                .map_err(|_| DecodeErrorKind::OutOfMemory { asked: LONG as u64 })?;
            run.resize(LONG, 0);
            self.memory.push(run.into_boxed_slice());
        }
        self.pages.push(NO_PAGE);
        Ok(place as u32)
    }

    /// Evicts the page that arrived first, preferring pages outside the copy window, and returns
    /// its place.
    fn evict(&mut self) -> u32 {
        let (first, last) = self.window;
        let mut place = self.next;
        for _ in 0..TRIES {
            place = self.next;
            self.next = if place as usize >= self.pages.len().saturating_sub(1) {
                0
            } else {
                place.saturating_add(1)
            };
            let page = self.pages.get(place as usize).copied().unwrap_or(NO_PAGE);
            if !self.fits || page < first || page > last {
                break;
            }
        }
        let page = self.pages.get(place as usize).copied().unwrap_or(NO_PAGE);
        if let Some(slot) = self.slot(page).filter(|slot| slot.page == page) {
            *slot = EMPTY;
        }
        place
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
fn too_short(source: &dyn Source, needed: u64, end: u64) -> Fault {
    let available = source.len().unwrap_or(end);
    DecodeErrorKind::SourceTooShort { needed, available }.into()
}

/// Reads the whole source and returns its digest.
pub(crate) fn digest(source: &dyn Source, mut digest: FileHasher) -> Result<[u8; 32], Fault> {
    if let Some(lent) = source.bytes() {
        digest.update(lent);
        return Ok(digest.finish());
    }
    let mut piece = vec![0; LONG];
    let mut at = 0u64;
    loop {
        let got = source.read_at(at, &mut piece).map_err(Fault::source)?;
        let bytes = piece.get(..got).unwrap_or(&piece);
        digest.update(bytes);
        at = at.saturating_add(bytes.len() as u64);
        if bytes.len() < LONG {
            return Ok(digest.finish());
        }
    }
}

#[cfg(test)]
#[path = "source_cache_tests.rs"]
mod tests;
