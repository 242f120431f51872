//! Event counters of a cache.

use std::sync::atomic::{AtomicU64, Ordering};

/// Event counts since this process opened the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Lookups that found a reference.
    pub hits: u64,
    /// Lookups that did not.
    pub misses: u64,
    /// Entries that were deleted because they were invalid.
    pub damaged: u64,
    /// Changes by other programs to the entries of a shared cache, as far as it is watched (on
    /// Linux).
    pub events: u64,
    /// Entries that were evicted or had expired.
    pub removed: u64,
}

/// Counters that any number of threads may update.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) damaged: Counter,
    pub(super) events: Counter,
    pub(super) removed: Counter,
}

impl Counters {
    pub(super) fn read(&self) -> Counts {
        Counts {
            hits: self.hits.read(),
            misses: self.misses.read(),
            damaged: self.damaged.read(),
            events: self.events.read(),
            removed: self.removed.read(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
