//! Locks by key, within this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Mutex as Lock;

/// One lock per key, which exists while an operation holds it or waits for it.
#[derive(Debug)]
pub(crate) struct KeyedLocks<K>(Mutex<BTreeMap<K, Weak<Lock<()>>>>);

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord> KeyedLocks<K> {
    /// Returns the lock of a key.
    pub(crate) fn of(&self, key: K) -> Arc<Lock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(key, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_locks_are_forgotten() {
        let locks = KeyedLocks::default();
        let (a, b) = (locks.of('a'), locks.of('b'));
        let held = a.try_lock().unwrap();
        assert!(locks.of('a').try_lock().is_err());
        assert!(locks.of('b').try_lock().is_ok());
        drop(held);
        drop((a, b));
        assert!(locks.of('c').try_lock().is_ok());
        assert_eq!(locks.0.lock().unwrap().len(), 1);
    }
}
