//! The address cache of RFC 3284, section 5.1, in the sizes of the default code table.

const NEAR: usize = 4;
const SAME: usize = 3;
const SAME_SLOTS: usize = SAME * 256;

/// Mode of an address given as it is.
pub(crate) const MODE_SELF: u8 = 0;
/// Mode of an address given as the distance back from the current position.
pub(crate) const MODE_HERE: u8 = 1;
/// First of the modes relative to one of the last addresses.
pub(crate) const MODE_NEAR: u8 = 2;
/// First of the modes that name an address seen before in one byte.
pub(crate) const MODE_SAME: u8 = MODE_NEAR + NEAR as u8;

/// Near and same caches of one window; addresses count from the start of the copy window.
#[derive(Debug, Clone)]
pub(crate) struct AddressCache {
    near: [u64; NEAR],
    next: usize,
    same: [u64; SAME_SLOTS],
}

impl AddressCache {
    /// Both caches as every window starts with them: all zero.
    pub(crate) fn new() -> Self {
        Self { near: [0; NEAR], next: 0, same: [0; SAME_SLOTS] }
    }

    /// Forgets everything, for the next window.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    /// The addresses near modes are relative to, in the order of their modes.
    pub(crate) fn near(&self) -> &[u64; NEAR] {
        &self.near
    }

    /// The address a near mode is relative to; `None` when `slot` is not one of the cache.
    pub(crate) fn near_at(&self, slot: u8) -> Option<u64> {
        self.near.get(usize::from(slot)).copied()
    }

    /// The address behind `byte` in same mode `slot` (0 for [`MODE_SAME`]).
    pub(crate) fn same_at(&self, slot: u8, byte: u8) -> Option<u64> {
        self.same.get(usize::from(slot) << 8 | usize::from(byte)).copied()
    }

    /// Where in the same cache `address` would stand, as mode offset and byte, if it is the one kept there.
    pub(crate) fn find_same(&self, address: u64) -> Option<(u8, u8)> {
        let slot = (address % SAME_SLOTS as u64) as usize;
        (self.same.get(slot) == Some(&address)).then_some(((slot >> 8) as u8, slot as u8))
    }

    /// Remembers an address after its COPY.
    pub(crate) fn update(&mut self, address: u64) {
        if let Some(near) = self.near.get_mut(self.next) {
            *near = address;
        }
        self.next = (self.next + 1) % NEAR;
        if let Some(same) = self.same.get_mut((address % SAME_SLOTS as u64) as usize) {
            *same = address;
        }
    }
}
