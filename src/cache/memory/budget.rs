//! How much of a cache in memory is taken. `tests/loom/` has this file run under every order of its
//! steps.

use super::{Arc, AtomicU64, Ordering};

/// How many bytes may be taken, and are.
#[derive(Debug)]
pub(super) struct ByteBudget {
    limit: u64,
    taken: AtomicU64,
}

impl ByteBudget {
    /// Of which nothing is taken.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, taken: AtomicU64::new(0) }
    }

    /// Bytes that are taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }
}

/// A part of a budget, given back when this is dropped, with the bytes it stands for.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<ByteBudget>,
    bytes: u64,
}

impl Reservation {
    /// Takes bytes if they fit.
    pub(super) fn take(budget: &Arc<ByteBudget>, bytes: u64) -> Option<Self> {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|total| *total <= budget.limit);
        budget.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).ok()?;
        Some(Self { budget: budget.clone(), bytes })
    }

    /// Bytes of it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
