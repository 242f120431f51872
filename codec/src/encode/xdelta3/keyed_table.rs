//! The table of a short source: only the slots in use, each with its number.
//!
//! It finds what a table of all slots finds, and takes memory by the number of its entries.

use super::entry::NONE;

/// The number of bytes per entry that a table of all slots saves nothing at.
const WORTH: usize = 4;

/// Entries by slot, in a hash table with open addressing that is at most half full.
#[derive(Debug)]
pub(super) struct KeyedTable {
    /// The number of a slot + 1 in the high 32 bits, its entry in the low ones; 0 for none.
    places: Vec<u64>,
}

impl KeyedTable {
    /// Returns a table for at most `most` entries if it is much smaller than one of `slots` slots.
    pub(super) fn instead_of(slots: usize, most: u64) -> Option<Self> {
        let most = usize::try_from(most).ok()?;
        let len = most.checked_mul(2)?.checked_next_power_of_two()?;
        let bytes = len.checked_mul(size_of::<u64>())?;
        (bytes <= slots * size_of::<u32>() / WORTH).then(|| Self { places: vec![0; len] })
    }

    /// Returns the entry of a slot.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> u32 {
        let place = self.places[self.place(slot)];
        if place == 0 { NONE } else { place as u32 }
    }

    /// Replaces the entry of a slot.
    #[inline]
    pub(super) fn set(&mut self, slot: u32, entry: u32) {
        let place = self.place(slot);
        self.places[place] = key(slot) | u64::from(entry);
    }

    /// Returns the place of a slot, or that where it belongs.
    #[inline]
    fn place(&self, slot: u32) -> usize {
        let mask = self.places.len() - 1;
        let key = key(slot);
        let mut place = slot as usize & mask;
        while self.places[place] != 0 && self.places[place] >> u32::BITS << u32::BITS != key {
            place = (place + 1) & mask;
        }
        place
    }
}

fn key(slot: u32) -> u64 {
    (u64::from(slot) + 1) << u32::BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_table_of_all_slots() {
        let slots = 1 << 16;
        let mut all = vec![NONE; slots];
        let mut keyed = KeyedTable::instead_of(slots, 1000).unwrap();
        for n in 1..=1000u32 {
            // Many share the low bits that choose the place.
            let slot = n.wrapping_mul(0x9e37_79b1) >> 16 & !0x3f;
            all[slot as usize] = n;
            keyed.set(slot, n);
        }
        for slot in 0..slots as u32 {
            assert_eq!(keyed.get(slot), all[slot as usize]);
        }
    }

    #[test]
    fn large_sources_have_all_slots() {
        assert!(KeyedTable::instead_of(1 << 25, 100_000).is_some());
        assert!(KeyedTable::instead_of(1 << 21, 1 << 20).is_none());
        assert!(KeyedTable::instead_of(1 << 25, u64::MAX).is_none());
    }
}
