//! Zeroed memory that begins at a page, in huge pages where the kernel has them.
//!
//! The kernel clears a huge page faster than its 512 small ones. And some processors copy from a
//! page three times as slowly to a place a few bytes behind the start of another page, which is
//! where large allocations begin.

use std::ops::{Deref, DerefMut};

/// The least number of bytes that are mapped; fewer are allocated.
#[cfg(target_os = "linux")]
const MAPPED_FROM: usize = 128 << 10;

/// The least number of bytes for which huge pages are requested: two of them.
#[cfg(target_os = "linux")]
const HUGE_FROM: usize = 4 << 20;

/// Zeroed bytes; those never written take no memory.
#[derive(Debug)]
pub(super) enum Pages {
    Heap(Vec<u8>),
    #[cfg(target_os = "linux")]
    Mapped(memmap2::MmapMut),
}

impl Pages {
    /// Creates `len` bytes, each 0.
    pub(super) fn zeroed(len: usize) -> Self {
        #[cfg(target_os = "linux")]
        if len >= MAPPED_FROM
            && let Ok(map) = memmap2::MmapOptions::new().len(len).map_anon()
        {
            if len >= HUGE_FROM {
                // A kernel without huge pages refuses the advice; the map is as good then.
                let _ = map.advise(memmap2::Advice::HugePage);
            }
            return Self::Mapped(map);
        }
        Self::Heap(vec![0; len])
    }
}

impl Default for Pages {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl Deref for Pages {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            #[cfg(target_os = "linux")]
            Self::Mapped(map) => map,
        }
    }
}

impl DerefMut for Pages {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Heap(bytes) => bytes,
            #[cfg(target_os = "linux")]
            Self::Mapped(map) => map,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_begin_as_zero() {
        for len in [0, 1, 1000, (128 << 10) - 1, 128 << 10, (4 << 20) + 1] {
            let mut pages = Pages::zeroed(len);
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|&byte| byte == 0));
            if let Some(last) = pages.last_mut() {
                *last = 7;
            }
            assert_eq!(pages.iter().filter(|&&byte| byte == 7).count(), len.min(1));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn large_bytes_begin_at_a_page() {
        for len in [128 << 10, 9 << 20] {
            assert_eq!(Pages::zeroed(len).as_ptr().align_offset(4096), 0);
        }
    }
}
