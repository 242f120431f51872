//! A SHA-256 hasher that computes beside its caller's work.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::{Sha256Digest, Sha256Hasher};

/// The number of bytes after which a thread pays.
const WORTH_A_THREAD: usize = 1 << 20;
/// The number of bytes passed to the thread at a time.
const PIECE: usize = 256 << 10;
/// The number of pieces that wait for the thread.
const WAITING: usize = 2;
/// The maximum number of hashers with a thread in this process: each takes 1 MiB, and there are not
/// more cores to spare.
const MAX_THREADS: usize = 3;

/// The number of hashers with a thread.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// A streaming SHA-256 hasher that moves to a thread of its own for long content, while a core is
/// likely to be free for it.
#[derive(Debug)]
pub struct BackgroundHasher(State);

enum State {
    /// The hasher, and the number of bytes hashed here.
    Here(Sha256Hasher, usize),
    Beside(Thread),
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(..) => "Here",
            Self::Beside(_) => "Beside",
        })
    }
}

/// The thread of a hasher.
struct Thread {
    pieces: SyncSender<Vec<u8>>,
    /// The hashed pieces, to be filled again.
    hashed: Receiver<Vec<u8>>,
    filling: Vec<u8>,
    hasher: JoinHandle<Sha256Hasher>,
    _slot: Slot,
}

impl Default for BackgroundHasher {
    fn default() -> Self {
        Self(State::Here(Sha256Hasher::default(), 0))
    }
}

impl BackgroundHasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        if let State::Here(hasher, len) = &mut self.0 {
            if *len < WORTH_A_THREAD {
                hasher.update(bytes);
                *len = len.saturating_add(bytes.len());
                return;
            }
            match Thread::start(hasher) {
                Some(thread) => self.0 = State::Beside(thread),
                None => {
                    // Asked again for a thread when as much again was hashed.
                    hasher.update(bytes);
                    *len = bytes.len();
                    return;
                }
            }
        }
        if let State::Beside(thread) = &mut self.0 {
            thread.add(bytes);
        }
    }

    /// Returns the digest of all bytes added so far.
    pub fn so_far(&mut self) -> Sha256Digest {
        let hasher = std::mem::take(self).end();
        let digest = hasher.clone().finish();
        self.0 = State::Here(hasher, 0);
        digest
    }

    /// Returns the digest of all bytes added.
    pub fn finish(self) -> Sha256Digest {
        self.end().finish()
    }

    /// Ends the thread, if there is one.
    fn end(self) -> Sha256Hasher {
        match self.0 {
            State::Here(hasher, _) => hasher,
            State::Beside(thread) => thread.end(),
        }
    }
}

impl Thread {
    /// Moves a hasher to a new thread, if there is one to be had.
    fn start(hasher: &Sha256Hasher) -> Option<Self> {
        let slot = Slot::take()?;
        let (pieces, received) = sync_channel::<Vec<u8>>(WAITING);
        let (done, hashed) = sync_channel(WAITING + 2);
        let mut hasher = hasher.clone();
        let run = move || {
            for mut piece in received {
                hasher.update(&piece);
                piece.clear();
                // The other side may have ended.
                let _ = done.try_send(piece);
            }
            hasher
        };
        let hasher = thread::Builder::new().name("sha256".to_owned()).spawn(run).ok()?;
        Some(Self { pieces, hashed, filling: Vec::with_capacity(PIECE), hasher, _slot: slot })
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.filling.len()));
            self.filling.extend_from_slice(now);
            bytes = later;
            if self.filling.len() == PIECE {
                let next = self.hashed.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
                // The thread only ends early by a panic, which `end` passes on.
                let _ = self.pieces.send(std::mem::replace(&mut self.filling, next));
            }
        }
    }

    fn end(self) -> Sha256Hasher {
        let _ = self.pieces.send(self.filling);
        drop(self.pieces);
        match self.hasher.join() {
            Ok(hasher) => hasher,
            Err(panicked) => std::panic::resume_unwind(panicked),
        }
    }
}

/// The permission for one thread.
struct Slot;

impl Slot {
    fn take() -> Option<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let most = MAX_THREADS.min(cores - 1);
        let more = |running| (running < most).then(|| running + 1);
        THREADS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok().then_some(Self)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_is_that_of_all_bytes() {
        let bytes: Vec<u8> =
            (0..5_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for len in [0, 1, PIECE, WORTH_A_THREAD, WORTH_A_THREAD + 1, 4 << 20, bytes.len()] {
            for piece in [1 << 10, PIECE, PIECE + 1, 1 << 20, usize::MAX] {
                let (mut hasher, mut whole) = (BackgroundHasher::default(), Vec::new());
                for piece in bytes[..len].chunks(piece) {
                    hasher.update(piece);
                    whole.extend_from_slice(piece);
                    if whole.len() % 5 == 3 {
                        assert_eq!(hasher.so_far(), Sha256Digest::of(&whole));
                    }
                }
                assert_eq!(hasher.finish(), Sha256Digest::of(&bytes[..len]), "{len} by {piece}");
            }
        }
    }

    #[test]
    fn threads_are_bounded() {
        let long = vec![7; 2 * WORTH_A_THREAD];
        let hashers: Vec<_> = (0..2 * MAX_THREADS)
            .map(|_| {
                let mut hasher = BackgroundHasher::default();
                (0..3).for_each(|_| hasher.update(&long));
                hasher
            })
            .collect();
        assert!(THREADS.load(Ordering::Relaxed) <= MAX_THREADS);
        let expected = Sha256Digest::of(&[7; 6 * WORTH_A_THREAD]);
        assert!(hashers.into_iter().all(|hasher| hasher.finish() == expected));
    }
}
