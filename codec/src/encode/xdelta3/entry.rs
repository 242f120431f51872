//! Entries of the index tables: a position, and a fingerprint of its bytes in the spare bits.
//!
//! Most candidates are there because two checksums share a slot. Their fingerprints differ, and so
//! they are rejected without a look at the bytes, which are seldom in the processor's cache.

/// The entry of a slot that is not in use.
pub(super) const NONE: u32 = 0;

/// The division of an entry: a position in the low bits, a fingerprint in the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packing {
    position_mask: u32,
}

impl Packing {
    /// Entries of 32 bits of position.
    pub(super) const WITHOUT_FINGERPRINT: Self = Self { position_mask: u32::MAX };

    /// Returns the packing of positions below `limit` that are greater than 0.
    pub(super) fn of_positions_below(limit: u64) -> Self {
        let mask = limit.checked_next_power_of_two().unwrap_or(u64::MAX).saturating_sub(1);
        Self { position_mask: u32::try_from(mask).unwrap_or(u32::MAX) }
    }

    /// Returns the greatest position.
    pub(super) fn greatest(self) -> u32 {
        self.position_mask
    }

    /// Returns whether an entry has a fingerprint.
    pub(super) fn has_fingerprint(self) -> bool {
        self.position_mask != u32::MAX
    }

    /// Returns the entry of a position whose first four bytes have this hash.
    #[inline(always)]
    pub(super) fn pack(self, position: u32, hash: u32) -> u32 {
        position | (hash & !self.position_mask)
    }

    /// Returns the position of an entry.
    #[inline(always)]
    pub(super) fn position(self, entry: u32) -> u32 {
        entry & self.position_mask
    }

    /// Returns whether the four bytes at the entry's position may be those with this hash. If not,
    /// they differ.
    #[inline(always)]
    pub(super) fn may_match(self, entry: u32, hash: u32) -> bool {
        (entry ^ hash) & !self.position_mask == 0
    }

    /// Returns the entry with its position moved to another one.
    #[inline(always)]
    pub(super) fn moved(self, entry: u32, position: u32) -> u32 {
        entry & !self.position_mask | position
    }
}

#[cfg(test)]
mod tests {
    use super::super::checksum::hash;
    use super::*;

    #[test]
    fn positions_leave_fingerprint_bits() {
        for (limit, bits) in [(2, 1), (16, 4), (17, 5), (1 << 23, 23), ((1 << 23) + 1, 24)] {
            assert_eq!(Packing::of_positions_below(limit).greatest(), (1 << bits) - 1);
        }
        for limit in [(1 << 31) + 1, 1 << 32, 1 << 40, u64::MAX] {
            assert_eq!(Packing::of_positions_below(limit), Packing::WITHOUT_FINGERPRINT);
        }
        assert!(Packing::of_positions_below(1 << 31).has_fingerprint());
    }

    /// Other fingerprints mean other bytes, and the same bytes have the same fingerprint.
    #[test]
    fn fingerprints_reject_other_bytes() {
        for limit in [1 << 4, 1 << 16, 1 << 23, 1 << 31, 1 << 32] {
            let packing = Packing::of_positions_below(limit);
            let mut rejected = 0;
            for four in (0..1u32 << 16).map(|n| n.wrapping_mul(0x9e37_79b1)) {
                let position = four & packing.greatest();
                let entry = packing.pack(position, hash(four));
                assert_eq!(packing.position(entry), position);
                assert!(packing.may_match(entry, hash(four)));
                assert!(packing.may_match(packing.moved(entry, 1), hash(four)));
                assert_eq!(packing.position(packing.moved(entry, 1)), 1);
                rejected += u32::from(!packing.may_match(entry, hash(four ^ 0x0100_0001)));
            }
            assert_eq!(rejected > 0, packing.has_fingerprint());
        }
    }
}
