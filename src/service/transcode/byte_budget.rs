//! Memory shared by the encoders and decoders of one process: reserved before it is used, in the
//! order of the requests.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of bytes of one permit.
const UNIT: u64 = 1 << 10;

/// A number of bytes from which reservations are made.
///
/// Requests are served in their order, so small requests cannot starve a large one. One rule rules
/// out deadlock: an operation that holds a reservation never waits for another one.
#[derive(Debug)]
pub(super) struct ByteBudget {
    permits: Arc<Semaphore>,
    total: u32,
}

/// Bytes reserved from a [`ByteBudget`], returned on drop.
#[derive(Debug)]
pub(crate) struct Reservation(
    #[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit,
);

impl ByteBudget {
    /// Creates a budget of `bytes`, rounded down to KiB.
    pub(super) fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        Self { permits: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Waits for `bytes`; a request for more than the whole budget waits until no other reservation
    /// is held.
    pub(super) async fn reserve(&self, bytes: u64) -> Option<Reservation> {
        let permit = Arc::clone(&self.permits).acquire_many_owned(units(bytes, self.total)).await;
        // The semaphore is never closed.
        permit.ok().map(Reservation)
    }

    /// Reserves `bytes` if they are free and no earlier request waits.
    pub(super) fn try_reserve(&self, bytes: u64) -> Option<Reservation> {
        let permit = Arc::clone(&self.permits).try_acquire_many_owned(units(bytes, self.total));
        permit.ok().map(Reservation)
    }
}

/// Returns the number of permits for `bytes`, at most all.
fn units(bytes: u64, total: u32) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn large_request_is_not_overtaken() {
        let budget = ByteBudget::new(10 << 10);
        let held = budget.try_reserve(4 << 10).unwrap();
        let mut whole = Box::pin(budget.reserve(10 << 10));
        assert!(whole.as_mut().now_or_never().is_none());
        assert!(
            budget.try_reserve(1 << 10).is_none(),
            "six units are free, but an earlier request waits"
        );
        let mut later = Box::pin(budget.reserve(1 << 10));
        assert!(later.as_mut().now_or_never().is_none());
        drop(held);
        let whole = whole.now_or_never().unwrap();
        assert!(later.as_mut().now_or_never().is_none());
        drop(whole);
        assert!(later.now_or_never().is_some());
    }

    #[test]
    fn oversized_request_gets_it_all() {
        let budget = ByteBudget::new(10 << 10);
        let all = budget.try_reserve(1 << 40).unwrap();
        assert!(budget.try_reserve(1).is_none());
        drop(all);
        assert!(budget.try_reserve(10 << 10).is_some());
    }
}
