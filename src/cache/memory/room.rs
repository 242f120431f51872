//! How much of a cache in memory is taken. `tests/cache-model/` has this file run under every order of its steps.

use super::{Arc, AtomicU64, Ordering};

/// How many bytes may be taken, and are.
#[derive(Debug)]
pub(super) struct Room {
    limit: u64,
    taken: AtomicU64,
}

impl Room {
    /// Of which nothing is taken.
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, taken: AtomicU64::new(0) }
    }

    /// Bytes that are taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }
}

/// A part of a room, given back when this is dropped, with the bytes it stands for.
#[derive(Debug)]
pub(super) struct Taken {
    room: Arc<Room>,
    bytes: u64,
}

impl Taken {
    /// Takes bytes if they fit.
    pub(super) fn of(room: &Arc<Room>, bytes: u64) -> Option<Self> {
        let fits = |taken: u64| taken.checked_add(bytes).filter(|total| *total <= room.limit);
        room.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).ok()?;
        Some(Self { room: room.clone(), bytes })
    }

    /// Bytes of it.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}
