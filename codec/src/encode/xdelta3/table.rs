//! The memory of an index: 32-bit entries, zeroed, in huge pages where the kernel has them.
//!
//! Nearly every access to a large table misses the processor's caches; with huge pages it does not
//! miss the cache of page addresses as well.

use std::ops::{Deref, DerefMut};

#[cfg(target_os = "linux")]
use crate::encode::pages::Pages;

/// The size of a table from which it is mapped, in bytes: two huge pages.
#[cfg(target_os = "linux")]
const MAPPED_FROM: usize = 4 << 20;

/// A table of zeroed entries.
#[derive(Debug)]
pub(super) enum Table {
    Heap(Vec<u32>),
    #[cfg(target_os = "linux")]
    Mapped(Pages),
}

impl Table {
    /// Creates a table without entries.
    pub(super) fn empty() -> Self {
        Self::Heap(Vec::new())
    }

    /// Creates a table of `len` entries, each 0.
    pub(super) fn zeroed(len: usize) -> Self {
        #[cfg(target_os = "linux")]
        if len >= MAPPED_FROM / size_of::<u32>() {
            let pages = Pages::zeroed(len * size_of::<u32>());
            if matches!(pages, Pages::Mapped(_)) {
                return Self::Mapped(pages);
            }
        }
        Self::Heap(vec![0; len])
    }
}

impl Deref for Table {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        match self {
            Self::Heap(entries) => entries,
            // A map begins at a page, and its length is a multiple of four.
            #[cfg(target_os = "linux")]
            Self::Mapped(pages) => zerocopy::FromBytes::ref_from_bytes(pages).unwrap_or_default(),
        }
    }
}

impl DerefMut for Table {
    fn deref_mut(&mut self) -> &mut [u32] {
        match self {
            Self::Heap(entries) => entries,
            #[cfg(target_os = "linux")]
            Self::Mapped(pages) => zerocopy::FromBytes::mut_from_bytes(pages).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_begin_as_zero() {
        for len in [0, 1, 1000, (1 << 20) - 1, 1 << 20, 3 << 20] {
            let mut table = Table::zeroed(len);
            assert_eq!(table.len(), len);
            assert!(table.iter().all(|&entry| entry == 0));
            if let Some(last) = table.last_mut() {
                *last = 7;
            }
            assert_eq!(table.iter().filter(|&&entry| entry == 7).count(), len.min(1));
        }
    }
}
