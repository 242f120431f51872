//! The byte budget of references in memory. `tests/loom/` runs this file under every interleaving
//! of its steps.

use super::{Arc, AtomicU64, Ordering};

/// A limit in bytes and the number of bytes reserved so far.
#[derive(Debug)]
pub(super) struct ByteBudget {
    limit: u64,
    taken: AtomicU64,
}

impl ByteBudget {
    /// Creates a budget of `limit` bytes, none of them reserved.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, taken: AtomicU64::new(0) }
    }

    /// Returns the number of reserved bytes.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }
}

/// A part of a budget, released on drop.
#[derive(Debug)]
pub(super) struct Reservation {
    budget: Arc<ByteBudget>,
    bytes: u64,
}

impl Reservation {
    /// Reserves bytes; `None` if they do not fit.
    pub(super) fn take(budget: &Arc<ByteBudget>, bytes: u64) -> Option<Self> {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|total| *total <= budget.limit);
        budget.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).ok()?;
        Some(Self { budget: budget.clone(), bytes })
    }

    /// Returns the number of bytes reserved.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
