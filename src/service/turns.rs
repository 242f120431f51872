//! What operations of one process wait for each other for: encoders, which take memory and a core each, and a reference that one
//! of them makes for all.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::byte_budget::{ByteBudget, Reservation};
use crate::domain::{Deltaspace, ObjectName};

/// Encoders at once at most: each has its own indexes and windows, up to about 250 MiB.
const MAX_ENCODERS: usize = 4;

/// Bytes for all decoders and one encoder together. With what a command takes besides, buffers of 64 transfers included, this
/// stays below the 400 MiB of the README. A decoder with [`DecodeMemory::Most`](super::decode_memory::DecodeMemory) takes 320 MiB
/// at worst, so one that needs more than an ordinary one gets all of it and runs alone.
const MEMORY: u64 = 256 << 20;

/// Bytes of one encoder at level 9: the source at hand, its index and the windows (210 MiB measured).
const ENCODER_MEMORY: u64 = 240 << 20;

/// Who is at work.
#[derive(Debug)]
pub(super) struct Turns {
    encoders: Arc<Semaphore>,
    /// Encoders that need not share the memory of the decoders: all but one.
    further_encoders: Arc<Semaphore>,
    memory: ByteBudget,
    /// Deltaspaces for which somebody makes a reference, by the name of their classic one.
    references: Mutex<BTreeMap<ObjectName, Weak<Turn<()>>>>,
    /// References made so far.
    made: AtomicU64,
}

impl Default for Turns {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let encoders = cores.min(MAX_ENCODERS);
        Self {
            encoders: Arc::new(Semaphore::new(encoders)),
            further_encoders: Arc::new(Semaphore::new(encoders - 1)),
            memory: ByteBudget::new(MEMORY),
            references: Mutex::default(),
            made: AtomicU64::new(0),
        }
    }
}

/// The permission to run one encoder.
#[derive(Debug)]
pub(super) struct EncoderPermit {
    _core: Option<OwnedSemaphorePermit>,
    _memory: EncoderMemory,
}

#[derive(Debug)]
enum EncoderMemory {
    Own(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit),
    Shared(#[expect(dead_code, reason = "held for its drop")] Option<Reservation>),
}

impl Turns {
    /// Waits until there are a core and memory for one more encoder.
    ///
    /// The caller must not hold a decoder's reservation.
    pub(super) async fn encoder(&self) -> EncoderPermit {
        // The semaphores are never closed.
        let core = Arc::clone(&self.encoders).acquire_owned().await.ok();
        let memory = match Arc::clone(&self.further_encoders).try_acquire_owned() {
            Ok(own) => EncoderMemory::Own(own),
            Err(_) => EncoderMemory::Shared(self.memory.reserve(ENCODER_MEMORY).await),
        };
        EncoderPermit { _core: core, _memory: memory }
    }

    /// The memory of the decoders.
    pub(super) fn memory(&self) -> &ByteBudget {
        &self.memory
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
    fn last_encoder_shares_memory_with_decoders() {
        let turns = Turns::default();
        let decoder = turns.memory().try_reserve(64 << 20).unwrap();
        let further = turns.further_encoders.available_permits();
        let own: Vec<_> = (0..further).map(|_| turns.encoder().now_or_never().unwrap()).collect();
        let mut last = Box::pin(turns.encoder());
        assert!(last.as_mut().now_or_never().is_none());
        drop(decoder);
        assert!(last.now_or_never().is_some());
        drop(own);
        assert!(turns.encoder().now_or_never().is_some());
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
