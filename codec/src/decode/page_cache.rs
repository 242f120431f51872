//! A cache of pages of the source that keeps the pages used last.

use crate::error::{DecodeErrorKind, Fault};

/// The size of a page in bytes, the least that is read. Copies of a re-sorted table are a few bytes
/// each, all from different places.
pub(super) const PAGE: usize = 1 << PAGE_BITS;
pub(super) const PAGE_BITS: u32 = 12;
/// The number of pages read at once where more of them are likely to be needed; 64 KiB.
pub(super) const RUN: usize = 16;
/// The length of a run in bytes.
pub(super) const RUN_LEN: usize = RUN * PAGE;
/// The number of an absent page.
pub(super) const NO_PAGE: u64 = u64::MAX;
/// The least number of slots: a run must not replace its own pages.
const MIN_SLOTS: usize = 2 * RUN;
/// The maximum number of pages in a cache; 4 TiB.
const MAX_PAGES: u64 = 1 << 30;
/// The number of pages in one allocation; 1 MiB.
const BLOCK: usize = 256;
/// The number of places searched for one whose page is outside the copy window, before any is
/// taken.
const TRIES: u32 = 64;

/// A cached page and its place in the memory of the cache.
#[derive(Clone, Copy)]
struct Slot {
    page: u64,
    place: u32,
}

const EMPTY: Slot = Slot { page: NO_PAGE, place: 0 };

/// The cached pages.
///
/// There are as many as the longest copy window has, up to a limit, so that no page of such a
/// window is evicted. Memory is allocated as pages are read.
pub(super) struct PageCache {
    /// The slots, a power of two of them. A page is in the slot of the lowest bits of its number,
    /// so the pages of one window do not collide.
    slots: Vec<Slot>,
    /// The memory: blocks of pages. All but the last are full.
    memory: Vec<Vec<u8>>,
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
}

impl PageCache {
    /// Creates a cache of up to `bytes` bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Self {
            slots: vec![EMPTY; MIN_SLOTS],
            memory: Vec::new(),
            pages: Vec::new(),
            next: 0,
            // A window that does not begin at a page boundary has one page more.
            limit: (bytes >> PAGE_BITS).saturating_add(1).clamp(MIN_SLOTS as u64, MAX_PAGES),
            window: (0, NO_PAGE),
            fits: false,
        }
    }

    /// Returns the maximum number of cached pages.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the number of places that hold a page or held one.
    #[cfg(test)]
    pub(super) fn places(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Returns the first and the last page of the copy window.
    pub(super) fn window(&self) -> (u64, u64) {
        self.window
    }

    /// Returns whether all pages of the copy window fit into the cache.
    pub(super) fn fits(&self) -> bool {
        self.fits
    }

    /// Prepares for a window that copies from the pages `first` to `last` of a source of `len`
    /// pages.
    pub(super) fn begin_window(&mut self, first: u64, last: u64, len: Option<u64>) {
        self.window = (first, last);
        let last = last.min(len.unwrap_or(u64::MAX));
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

    /// Returns the place of a cached page.
    #[inline]
    pub(super) fn find(&self, page: u64) -> Option<u32> {
        let slot = self.slots.get(page as usize & self.slots.len().saturating_sub(1))?;
        (slot.page == page).then_some(slot.place)
    }

    /// Returns whether a page is cached.
    pub(super) fn has(&self, page: u64) -> bool {
        self.find(page).is_some()
    }

    fn slot(&mut self, page: u64) -> Option<&mut Slot> {
        let mask = self.slots.len().saturating_sub(1);
        self.slots.get_mut(page as usize & mask)
    }

    /// Returns the bytes from `start` of the page in a place on, to the end of its block.
    #[inline]
    pub(super) fn bytes(&self, place: u32, start: usize) -> &[u8] {
        let from = (place as usize & (BLOCK - 1)).saturating_mul(PAGE).saturating_add(start);
        let block = self.memory.get(place as usize / BLOCK).map(Vec::as_slice).unwrap_or_default();
        block.get(from..).unwrap_or_default()
    }

    /// Caches a page and returns its place.
    pub(super) fn keep(&mut self, page: u64, bytes: &[u8; PAGE]) -> Result<u32, Fault> {
        let place = match self.slot(page).copied() {
            Some(slot) if slot.page != NO_PAGE => self.store(slot.place, bytes),
            _ if (self.pages.len() as u64) < self.limit => self.add(bytes)?,
            _ => {
                let place = self.evict();
                self.store(place, bytes)
            }
        };
        if let Some(slot) = self.slot(page) {
            *slot = Slot { page, place };
        }
        if let Some(kept) = self.pages.get_mut(place as usize) {
            *kept = page;
        }
        Ok(place)
    }

    /// Replaces the page in a place.
    fn store(&mut self, place: u32, bytes: &[u8; PAGE]) -> u32 {
        let pages = self.memory.get_mut(place as usize / BLOCK);
        let pages = pages.map(|block| block.as_chunks_mut::<PAGE>().0).unwrap_or_default();
        if let Some(to) = pages.get_mut(place as usize & (BLOCK - 1)) {
            *to = *bytes;
        }
        place
    }

    /// Appends a page to the memory and returns its place.
    fn add(&mut self, bytes: &[u8; PAGE]) -> Result<u32, Fault> {
        let place = self.pages.len();
        if place / BLOCK >= self.memory.len() {
            let pages = self.limit.saturating_sub(place as u64).min(BLOCK as u64);
            let asked = pages.saturating_mul(PAGE as u64);
            let mut block = Vec::new();
            block
                .try_reserve_exact(asked as usize)
                .map_err(|_| DecodeErrorKind::OutOfMemory { asked })?;
            self.memory.push(block);
        }
        if let Some(block) = self.memory.last_mut() {
            block.extend_from_slice(bytes);
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
}
