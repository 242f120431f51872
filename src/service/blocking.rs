//! Work that blocks (files, codec, digests) beside work that waits (the store).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use crate::storage::ByteStream;

/// Pieces on their way from the store to the thread that takes them: a few, so that memory stays
/// bounded.
const PIECES_IN_FLIGHT: usize = 2;

/// Tells work on another thread that nobody waits for it any more.
#[derive(Debug, Clone)]
pub(crate) struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// An error once the caller has gone.
    pub(crate) fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) { Err(interrupted()) } else { Ok(()) }
    }
}

fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "the operation was cancelled")
}

struct CancelOnDrop(Cancelled);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` on a thread that may block; dropping the future cancels it.
pub(crate) async fn run<T: Send + 'static>(
    work: impl FnOnce(&Cancelled) -> T + Send + 'static,
) -> T {
    let guard = CancelOnDrop(Cancelled(Arc::new(AtomicBool::new(false))));
    let cancelled = guard.0.clone();
    match tokio::task::spawn_blocking(move || work(&cancelled)).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Bytes of a stream, taken on a thread that may block.
#[derive(Debug)]
pub(crate) struct Incoming {
    cancelled: Cancelled,
    pieces: mpsc::Receiver<Option<io::Result<Bytes>>>,
    ended: bool,
}

impl Incoming {
    /// Tells work that goes on after the stream's end that nobody waits for it any more.
    pub(crate) fn cancelled(&self) -> &Cancelled {
        &self.cancelled
    }

    /// The next piece; `None` at the end of the stream, an error if it failed or nobody waits any
    /// more.
    pub(crate) fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        match self.pieces.blocking_recv() {
            Some(Some(piece)) => piece.map(Some),
            Some(None) => {
                self.ended = true;
                Ok(None)
            }
            None => Err(interrupted()),
        }
    }
}

/// Runs `work` on a thread that may block and feeds it the stream; dropping the future cancels it.
pub(crate) async fn feed<T: Send + 'static>(
    mut stream: ByteStream,
    work: impl FnOnce(&mut Incoming) -> T + Send + 'static,
) -> T {
    let (sender, pieces) = mpsc::channel(PIECES_IN_FLIGHT);
    let pump = async move {
        while let Some(piece) = stream.next().await {
            if sender.send(Some(piece)).await.is_err() {
                return;
            }
        }
        // Closing the channel is no end: that is what cancelling looks like.
        let _ = sender.send(None).await;
    };
    let taken = run(move |cancelled| {
        let mut incoming = Incoming { cancelled: cancelled.clone(), pieces, ended: false };
        work(&mut incoming)
    });
    let (done, ()) = futures::join!(taken, pump);
    done
}
