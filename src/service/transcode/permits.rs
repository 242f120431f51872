//! In-process limits: each encoder takes one core, and a second one while no other encoder runs;
//! one encoder and all decoders share a byte budget.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::byte_budget::{ByteBudget, Reservation};

/// The maximum number of concurrent encoders; each has its own indexes and windows, up to about 250
/// MiB.
const MAX_ENCODERS: usize = 4;

/// The number of bytes for all decoders and one encoder together. With the other memory of a
/// command, including the buffers of 64 transfers, this stays below the 400 MiB of the README. A
/// decoder with [`DecodeMemory::Most`](super::decode_memory::DecodeMemory) takes up to 320 MiB, so
/// one that needs more than an ordinary one reserves the whole budget and runs alone.
const MEMORY: u64 = 256 << 20;

/// The number of bytes of one encoder at level 9: the source blocks, their index and the windows
/// (210 MiB measured, without the window of a second thread and the decoder beside).
const ENCODER_MEMORY: u64 = 240 << 20;

/// The limits that all encoders and decoders of this process share.
#[derive(Debug)]
pub(super) struct Permits {
    /// The number of threads, and the maximum number of concurrent encoders.
    threads: usize,
    encoders: Arc<Semaphore>,
    /// The encoders that do not share the memory of the decoders: all but one.
    further_encoders: Arc<Semaphore>,
    memory: ByteBudget,
}

impl Default for Permits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads(cores.min(MAX_ENCODERS))
    }
}

impl Permits {
    /// Creates limits for encoders on at most this many threads, which is at least 1.
    pub(super) fn with_threads(threads: usize) -> Self {
        let encoders = threads.clamp(1, MAX_ENCODERS);
        Self {
            threads: encoders,
            encoders: Arc::new(Semaphore::new(encoders)),
            further_encoders: Arc::new(Semaphore::new(encoders - 1)),
            memory: ByteBudget::new(MEMORY),
        }
    }
}

impl Permits {
    /// Returns the same limits with another number of bytes for all decoders and one encoder.
    pub(super) fn with_memory(self, bytes: u64) -> Self {
        Self { memory: ByteBudget::new(bytes), ..self }
    }
}

/// The permission to run one encoder.
#[derive(Debug)]
pub(super) struct EncoderPermit {
    threads: usize,
    _core: Option<OwnedSemaphorePermit>,
    _memory: EncoderMemory,
}

impl EncoderPermit {
    /// Returns the number of threads for this encoder.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }
}

#[derive(Debug)]
enum EncoderMemory {
    Own(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit),
    Shared(#[expect(dead_code, reason = "held for its drop")] Option<Reservation>),
}

impl Permits {
    /// Waits until a core and memory for one more encoder are free.
    ///
    /// The caller must not hold a decoder's reservation.
    pub(super) async fn encoder(&self) -> EncoderPermit {
        // The semaphores are never closed.
        let core = Arc::clone(&self.encoders).acquire_owned().await.ok();
        let memory = match Arc::clone(&self.further_encoders).try_acquire_owned() {
            Ok(own) => EncoderMemory::Own(own),
            Err(_) => EncoderMemory::Shared(self.memory.reserve(ENCODER_MEMORY).await),
        };
        let threads = if self.encoders.available_permits() + 1 == self.threads { 2 } else { 1 };
        EncoderPermit { threads: threads.min(self.threads), _core: core, _memory: memory }
    }

    /// Returns the byte budget of the decoders.
    pub(super) fn memory(&self) -> &ByteBudget {
        &self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn lone_encoder_has_two_threads() {
        let threads = |permit: &EncoderPermit| permit.threads();
        let permits = Permits::with_threads(2);
        let first = permits.encoder().now_or_never().unwrap();
        assert_eq!(threads(&first), 2);
        let second = permits.encoder().now_or_never().unwrap();
        assert_eq!(threads(&second), 1);
        assert!(permits.encoder().now_or_never().is_none());
        drop((first, second));
        assert_eq!(threads(&permits.encoder().now_or_never().unwrap()), 2);
        let permits = Permits::with_threads(1);
        let only = permits.encoder().now_or_never().unwrap();
        assert_eq!(threads(&only), 1);
        assert!(permits.encoder().now_or_never().is_none());
    }

    #[test]
    fn last_encoder_shares_budget() {
        let permits = Permits::default();
        let decoder = permits.memory().try_reserve(64 << 20).unwrap();
        let further = permits.further_encoders.available_permits();
        let own: Vec<_> = (0..further).map(|_| permits.encoder().now_or_never().unwrap()).collect();
        let mut last = Box::pin(permits.encoder());
        assert!(last.as_mut().now_or_never().is_none());
        drop(decoder);
        assert!(last.now_or_never().is_some());
        drop(own);
        assert!(permits.encoder().now_or_never().is_some());
    }
}
