//! SIGINT, SIGTERM and SIGHUP: the first one ends the command in order and in time, a second one at once.
//!
//! A thread of its own watches for them: the command's may be waiting for a pipe, a lock or a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::failure::{Exit, Failure};

/// How long threads that wait may go on after a signal, so that those that do not wait remove what they had begun.
pub(super) const THREADS_TIMEOUT: Duration = Duration::from_secs(1);
/// When the process ends after a signal, whatever it waits for.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The same where uploads are being aborted.
pub(super) const ABORTS_TIMEOUT: Duration = Duration::from_secs(10);

/// The watch for signals.
pub(super) struct Signals {
    first: oneshot::Receiver<SignalKind>,
    aborting: Arc<AtomicBool>,
}

impl Signals {
    /// Starts the watch.
    pub(super) fn watch() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::system)?;
        let entered = runtime.enter();
        let mut signals = Received {
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::system)?,
            terminate: signal(SignalKind::terminate()).map_err(Failure::system)?,
            hang_up: signal(SignalKind::hangup()).map_err(Failure::system)?,
        };
        drop(entered);
        let (sender, first) = oneshot::channel();
        let aborting = Arc::new(AtomicBool::new(false));
        let is_aborting = aborting.clone();
        let watch = move || {
            runtime.block_on(async {
                let kind = signals.next().await;
                let received = Instant::now();
                // Where the command has ended, so does the process.
                let _ = sender.send(kind);
                let second = async {
                    tokio::select! {
                        kind = signals.next() => kind,
                        () = out_of_time(received, &is_aborting) => kind,
                    }
                };
                std::process::exit(128 + second.await.as_raw_value())
            })
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(watch).map_err(Failure::system)?;
        Ok(Self { first, aborting })
    }

    /// Waits for the first signal.
    pub(super) async fn first(&mut self) -> Exit {
        match (&mut self.first).await {
            Ok(kind) => Exit::Signal(kind.as_raw_value()),
            // The watch ends with the process only.
            Err(_) => std::future::pending().await,
        }
    }

    /// Gives the process more time: uploads are being aborted.
    pub(super) fn wait_for_aborts(&self) {
        self.aborting.store(true, Ordering::Relaxed);
    }
}

async fn out_of_time(received: Instant, aborting: &AtomicBool) {
    tokio::time::sleep_until(received + SHUTDOWN_TIMEOUT).await;
    if aborting.load(Ordering::Relaxed) {
        tokio::time::sleep_until(received + ABORTS_TIMEOUT).await;
    }
}

struct Received {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Received {
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hang_up.recv() => SignalKind::hangup(),
        }
    }
}
