//! Allows one creator of a reference per deltaspace at a time, within this process.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::OwnedMutexGuard;

use super::keyed_locks::KeyedLocks;
use crate::domain::{Deltaspace, ObjectName};

/// The locks of the deltaspaces in which an operation of this process makes a reference.
#[derive(Debug, Default)]
pub(crate) struct CreationLocks {
    /// The locks, by the name of the classic reference.
    locks: KeyedLocks<ObjectName>,
    /// The number of references made so far.
    made: AtomicU64,
}

impl CreationLocks {
    /// Returns the number of references made so far: a lookup before the last one may have missed
    /// it.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// Counts a reference that was made.
    pub(crate) fn count(&self) {
        self.made.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until no other operation of this process makes a reference in a deltaspace.
    ///
    /// Without the lock, operations that start together would each store a whole file, and all but
    /// one in vain.
    pub(crate) async fn lock(&self, deltaspace: &Deltaspace) -> Option<OwnedMutexGuard<()>> {
        // A deltaspace without a valid classic name gets no reference either.
        let name = deltaspace.classic().ok()?;
        Some(self.locks.of(name).lock_owned().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn deltaspace(key: &str) -> Deltaspace {
        Deltaspace::of(
            &format!("s3://bucket/{key}")
                .parse::<crate::domain::S3Uri>()
                .unwrap()
                .object()
                .unwrap(),
        )
    }

    #[test]
    fn one_creator_per_deltaspace() {
        let creation = CreationLocks::default();
        let (a, b) = (deltaspace("a/x.zip"), deltaspace("b/x.zip"));
        let held = creation.lock(&a).now_or_never();
        assert!(held.is_some());
        assert!(creation.lock(&b).now_or_never().is_some());
        assert!(creation.lock(&a).now_or_never().is_none());
        drop(held);
        assert!(creation.lock(&a).now_or_never().is_some());
    }
}
