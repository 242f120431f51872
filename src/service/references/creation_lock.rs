//! One creator of a reference in a deltaspace at a time, within this process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Lock, OwnedMutexGuard};

use crate::domain::{Deltaspace, ObjectName};

/// The deltaspaces in which an operation of this process makes a reference.
#[derive(Debug, Default)]
pub(crate) struct CreationLocks {
    /// By the name of the classic reference.
    locks: Mutex<BTreeMap<ObjectName, Weak<Lock<()>>>>,
    /// References made so far.
    made: AtomicU64,
}

impl CreationLocks {
    /// Returns how many references were made so far: whoever looked before the last one may not
    /// know of it.
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
        // Without a name there will be no reference either.
        let name = deltaspace.classic().ok()?;
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| lock.strong_count() > 0);
            match locks.get(&name).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::default();
                    locks.insert(name, Arc::downgrade(&lock));
                    lock
                }
            }
        };
        Some(lock.lock_owned().await)
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
    fn each_deltaspace_has_one_creator() {
        let creation = CreationLocks::default();
        let (a, b) = (deltaspace("a/x.zip"), deltaspace("b/x.zip"));
        let held = creation.lock(&a).now_or_never();
        assert!(held.is_some());
        assert!(creation.lock(&b).now_or_never().is_some());
        assert!(creation.lock(&a).now_or_never().is_none());
        drop(held);
        assert!(creation.lock(&a).now_or_never().is_some());
        assert!(creation.locks.lock().unwrap().len() <= 2);
    }
}
