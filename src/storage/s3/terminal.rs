//! Prompts on the terminal, independent of standard input and output.

use std::io;

/// Prompts on the terminal of this process and returns the line that is entered. If the future is
/// dropped, no answer is read.
#[cfg(unix)]
pub(super) async fn ask(question: String) -> io::Result<String> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    struct Stop(Arc<AtomicBool>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = Stop(Arc::default());
    let stopped = stop.0.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        ask_at(&mut terminal, &question, || stopped.load(Ordering::Relaxed))
    });
    asked.await.map_err(io::Error::other)?
}

#[cfg(not(unix))]
pub(super) async fn ask(_: String) -> io::Result<String> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(unix)]
fn ask_at(
    terminal: &mut std::fs::File,
    question: &str,
    stopped: impl Fn() -> bool,
) -> io::Result<String> {
    use std::io::{Read as _, Write as _};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    /// The interval at which a pending question checks whether it was cancelled.
    const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    /// The maximum length of a line in bytes; a terminal returns no more at once (termios(3),
    /// "canonical mode").
    const LINE: usize = 4096;

    terminal.write_all(question.as_bytes())?;
    while !stopped() {
        if poll(&mut [PollFd::new(terminal, PollFlags::IN)], Some(&TICK))? == 0 {
            continue;
        }
        let mut line = vec![0; LINE];
        let len = terminal.read(&mut line)?;
        line.truncate(len);
        return Ok(String::from_utf8_lossy(&line).into_owned());
    }
    Err(io::ErrorKind::Interrupted.into())
}
