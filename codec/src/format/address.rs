//! The address cache of RFC 3284, section 5.1.

/// The sizes of both caches with the default code table.
pub(crate) const NEAR: u8 = 4;
pub(crate) const SAME: u8 = 3;
/// The number of addresses in each slot of the same cache.
const SLOT: usize = 256;
const DEFAULT_SAME: usize = SAME as usize * SLOT;

/// The mode of an address given as it is.
pub(crate) const MODE_SELF: u8 = 0;
/// The mode of an address given as the distance back from the current position.
pub(crate) const MODE_HERE: u8 = 1;
/// The first of the modes relative to one of the last addresses.
pub(crate) const MODE_NEAR: u8 = 2;
/// The first of the modes that name an earlier address in one byte, with the default code table.
pub(crate) const MODE_SAME: u8 = MODE_NEAR + NEAR;

/// Near and same caches of one window; addresses count from the start of the copy window.
#[derive(Debug, Clone)]
pub(crate) struct AddressCache {
    near: Vec<u64>,
    next: usize,
    same: Vec<u64>,
}

impl AddressCache {
    /// Creates both caches as every window starts with them: all zero.
    pub(crate) fn new(near: u8, same: u8) -> Self {
        Self { near: vec![0; usize::from(near)], next: 0, same: vec![0; usize::from(same) * SLOT] }
    }

    /// Clears both caches for the next window.
    pub(crate) fn reset(&mut self) {
        self.near.fill(0);
        self.next = 0;
        self.same.fill(0);
    }

    /// Returns the first of the modes that name an earlier address in one byte.
    pub(crate) fn first_same_mode(&self) -> u8 {
        MODE_NEAR.saturating_add(self.near.len() as u8)
    }

    #[inline]
    fn slot(&self, address: u64) -> usize {
        // The remainder of a division by a constant is so much faster that the branch for the usual
        // size pays.
        match self.same.len() {
            DEFAULT_SAME => (address % DEFAULT_SAME as u64) as usize,
            0 => 0,
            slots => (address % slots as u64) as usize,
        }
    }

    /// Returns the addresses that near modes are relative to, in the order of their modes.
    pub(crate) fn near(&self) -> &[u64] {
        &self.near
    }

    /// Returns the address a near mode is relative to; `None` when the cache has no such `slot`.
    pub(crate) fn near_at(&self, slot: u8) -> Option<u64> {
        self.near.get(usize::from(slot)).copied()
    }

    /// Returns the address stored for `byte` in same mode `slot` (0 for the first of them).
    pub(crate) fn same_at(&self, slot: u8, byte: u8) -> Option<u64> {
        self.same.get(usize::from(slot) << 8 | usize::from(byte)).copied()
    }

    /// Returns the place of `address` in the same cache, as mode offset and byte, if the cache
    /// holds it.
    pub(crate) fn find_same(&self, address: u64) -> Option<(u8, u8)> {
        let slot = self.slot(address);
        (self.same.get(slot) == Some(&address)).then_some(((slot >> 8) as u8, slot as u8))
    }

    /// Enters the address of a COPY into both caches.
    pub(crate) fn update(&mut self, address: u64) {
        if let Some(near) = self.near.get_mut(self.next) {
            *near = address;
        }
        self.next = if self.next + 1 < self.near.len() { self.next + 1 } else { 0 };
        let slot = self.slot(address);
        if let Some(same) = self.same.get_mut(slot) {
            *same = address;
        }
    }
}
