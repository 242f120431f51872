//! Runs blocking work (files, codec, digests) beside asynchronous work (the store).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc;

use crate::storage::ByteStream;

/// The maximum number of pieces in flight from the store to the thread that takes them; bounds the
/// memory.
const PIECES_IN_FLIGHT: usize = 2;

/// A flag that reports to work on another thread that its caller has gone.
#[derive(Debug, Clone)]
pub(crate) struct Cancelled(Arc<AtomicBool>);

impl Cancelled {
    /// Fails with `Interrupted` once the caller has gone.
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

/// Pieces of a stream, received on a thread that may block.
#[derive(Debug)]
pub(crate) struct Incoming {
    cancelled: Cancelled,
    pieces: mpsc::Receiver<Option<io::Result<Bytes>>>,
    ended: bool,
}

impl Incoming {
    /// Returns the flag for work that goes on after the stream's end.
    pub(crate) fn cancelled(&self) -> &Cancelled {
        &self.cancelled
    }

    /// Returns the next piece; `None` at the end of the stream.
    ///
    /// # Errors
    ///
    /// The stream failed, or the caller has gone.
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
        // A channel closed without this message means that the future was cancelled.
        let _ = sender.send(None).await;
    };
    let taken = run(move |cancelled| {
        let mut incoming = Incoming { cancelled: cancelled.clone(), pieces, ended: false };
        work(&mut incoming)
    });
    let (done, ()) = futures::join!(taken, pump);
    done
}
