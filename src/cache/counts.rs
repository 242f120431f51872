//! What happened in a cache, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers since the cache was opened by this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// References that were at hand.
    pub hits: u64,
    /// References that were not.
    pub misses: u64,
    /// Entries that were removed because they were not what they should be.
    pub damaged: u64,
    /// What was done to the entries of a shared cache by others than its users, as far as it is
    /// watched (on Linux).
    pub events: u64,
    /// Entries that made room for others, or whose time was over.
    pub removed: u64,
}

/// Counts from any number of threads.
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
