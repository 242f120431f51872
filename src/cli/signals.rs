//! SIGINT, SIGTERM and SIGHUP: the first signal ends the command in order and in time, a second one
//! at once.
//!
//! A separate thread watches for them, since the command's thread may be waiting for a pipe, a lock
//! or a terminal.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::{Exit, Failure};

/// The time from a signal to the end of the process if all threads wait for a pipe, a lock or a
/// terminal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The same if uploads are being aborted or threads are at work: on a busy machine, removing what
/// was begun takes a while.
pub(super) const ABORTS_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two looks at the threads.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The number of successive looks that must find no thread at work: one that reads or writes sleeps
/// now and then.
const LOOKS: u32 = 4;

/// The receiving end of the signal watch.
pub(super) struct Signals {
    first: oneshot::Receiver<SignalKind>,
    aborting: Arc<AtomicBool>,
}

impl Signals {
    /// Starts the watch.
    pub(super) fn watch() -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::system)?;
        let entered = runtime.enter();
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let received = |kind: SignalKind| match is_ignored(&status, kind) {
            true => Ok(None),
            false => signal(kind).map(Some).map_err(Failure::system),
        };
        let mut signals = Received {
            interrupt: received(SignalKind::interrupt())?,
            terminate: received(SignalKind::terminate())?,
            hang_up: received(SignalKind::hangup())?,
        };
        drop(entered);
        let (sender, first) = oneshot::channel();
        let aborting = Arc::new(AtomicBool::new(false));
        let is_aborting = aborting.clone();
        let watch = move || {
            runtime.block_on(async {
                let kind = signals.next().await;
                let received = Instant::now();
                // If the receiver is gone, the command has ended and the process is about to.
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
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(watch)
            .map_err(Failure::system)?;
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

    /// Extends the time until the process ends, since uploads are being aborted.
    pub(super) fn wait_for_aborts(&self) {
        self.aborting.store(true, Ordering::Relaxed);
    }
}

async fn out_of_time(received: Instant, aborting: &AtomicBool) {
    tokio::time::sleep_until(received + SHUTDOWN_TIMEOUT).await;
    let mut idle = 0;
    while received.elapsed() < ABORTS_TIMEOUT && idle < LOOKS {
        let is_at_work =
            aborting.load(Ordering::Relaxed) || are_threads_at_work(Path::new("/proc"));
        idle = if is_at_work { 0 } else { idle + 1 };
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Returns whether another thread of this process computes or waits for a disk, by proc(5); `false`
/// where the system does not say.
fn are_threads_at_work(proc: &Path) -> bool {
    let own = std::fs::read_link(proc.join("thread-self")).unwrap_or_default();
    let Ok(threads) = std::fs::read_dir(proc.join("self/task")) else { return false };
    threads.flatten().filter(|thread| own.file_name() != Some(&thread.file_name())).any(|thread| {
        // `TID (name) STATE …`, and the name may hold anything.
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['R', 'D']))
    })
}

/// Returns whether the process was started with this signal ignored, as `nohup` does, by the text
/// of `/proc/self/status` (proc(5)); `false` where the system does not say. It stays ignored then.
fn is_ignored(status: &str, kind: SignalKind) -> bool {
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let bit = kind.as_raw_value().checked_sub(1).and_then(|bit| u32::try_from(bit).ok());
    mask.zip(bit).is_some_and(|(mask, bit)| mask.checked_shr(bit).unwrap_or(0) & 1 == 1)
}

/// The signals that end the command; `None` for those that are ignored.
struct Received {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hang_up: Option<Signal>,
}

async fn receive(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

impl Received {
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            () = receive(&mut self.interrupt) => SignalKind::interrupt(),
            () = receive(&mut self.terminate) => SignalKind::terminate(),
            () = receive(&mut self.hang_up) => SignalKind::hangup(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Creates a `/proc` of threads in these states; the first is the calling thread.
    fn proc(states: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (n, state) in states.iter().enumerate() {
            let thread = folder.path().join(format!("self/task/{n}"));
            fs::create_dir_all(&thread).unwrap();
            fs::write(thread.join("stat"), format!("{n} (a) R (b) {state} 1 2 3")).unwrap();
        }
        std::os::unix::fs::symlink("self/task/0", folder.path().join("thread-self")).unwrap();
        folder
    }

    #[test]
    fn ignored_signals_are_seen() {
        let status = "Name:\tx\nSigBlk:\t0000000000000003\nSigIgn:\t0000000000001001\n";
        assert!(is_ignored(status, SignalKind::hangup()));
        assert!(
            !is_ignored(status, SignalKind::interrupt()) && !is_ignored("", SignalKind::hangup())
        );
    }

    #[test]
    fn other_threads_at_work_are_seen() {
        for (states, expected) in [
            (&["R"][..], false),
            (&["R", "S"], false),
            (&["R", "S", "R"], true),
            (&["S", "D"], true),
        ] {
            assert_eq!(are_threads_at_work(proc(states).path()), expected, "{states:?}");
        }
        assert!(!are_threads_at_work(Path::new("/nonexistent")));
    }
}
