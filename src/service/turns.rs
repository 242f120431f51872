//! What operations of one process wait for each other for: encoders, which take memory and a core each, and a reference that one
//! of them makes for all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard, Semaphore, SemaphorePermit};

use crate::domain::{Deltaspace, ObjectName};

/// Encoders at once at most: each has its own indexes and windows, up to about 250 MiB.
const MAX_ENCODERS: usize = 4;

/// Who is at work.
#[derive(Debug)]
pub(super) struct Turns {
    encoders: Semaphore,
    /// Deltaspaces for which somebody makes a reference, by the name of their classic one.
    references: Mutex<BTreeMap<ObjectName, Weak<Turn<()>>>>,
    /// References made so far.
    made: AtomicU64,
}

impl Default for Turns {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            encoders: Semaphore::new(cores.min(MAX_ENCODERS)),
            references: Mutex::default(),
            made: AtomicU64::new(0),
        }
    }
}

impl Turns {
    /// Waits until there is a core for one more encoder.
    pub(super) async fn encoder(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.encoders.acquire().await.ok()
    }

    /// How many references were made so far: who looked before the last one may not know of it.
    pub(super) fn references_made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    /// A reference was made.
    pub(super) fn reference_made(&self) {
        self.made.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until nobody else in this process makes a reference for a deltaspace.
    ///
    /// All who come at the same time would store whole files, and all but one in vain.
    pub(super) async fn reference(&self, deltaspace: &Deltaspace) -> Option<OwnedMutexGuard<()>> {
        // Without a name there will be no reference either.
        let name = deltaspace.classic().ok()?;
        let turn = {
            let mut references = self.references.lock().unwrap_or_else(PoisonError::into_inner);
            references.retain(|_, turn| turn.strong_count() > 0);
            match references.get(&name).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::default();
                    references.insert(name, Arc::downgrade(&turn));
                    turn
                }
            }
        };
        Some(turn.lock_owned().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn deltaspace(key: &str) -> Deltaspace {
        Deltaspace::of(&format!("s3://bucket/{key}").parse::<crate::domain::S3Uri>().unwrap().object().unwrap())
    }

    #[test]
    fn a_reference_is_made_by_one_at_a_time_in_each_deltaspace() {
        let turns = Turns::default();
        let (a, b) = (deltaspace("a/x.zip"), deltaspace("b/x.zip"));
        let held = turns.reference(&a).now_or_never();
        assert!(held.is_some());
        assert!(turns.reference(&b).now_or_never().is_some());
        assert!(turns.reference(&a).now_or_never().is_none());
        drop(held);
        assert!(turns.reference(&a).now_or_never().is_some());
        assert!(turns.references.lock().unwrap().len() <= 2);
    }
}
