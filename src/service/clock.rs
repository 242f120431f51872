//! The clocks that decide how old an object is and how long an operation has been running.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use crate::domain::Timestamp;

/// A source of time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> SystemTime;

    /// Returns the time since some fixed instant. It never goes back and includes the time for
    /// which the machine was suspended.
    fn running(&self) -> Duration;
}

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn running(&self) -> Duration {
        // `Instant` is CLOCK_MONOTONIC on Linux, which stops during suspension.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = rustix::time::ClockId::Monotonic;
        let time = rustix::time::clock_gettime(id);
        Duration::new(
            time.tv_sec.try_into().unwrap_or_default(),
            time.tv_nsec.try_into().unwrap_or_default(),
        )
    }
}

/// Drives `call` until it ends or `deadline` is reached by `clock`; returns `None` in the second
/// case.
///
/// The clock is read before every step of the call, so a request is neither signed nor sent again
/// after the deadline, even if the process was suspended in between.
pub(crate) async fn until<T>(
    clock: &dyn Clock,
    deadline: Duration,
    call: impl Future<Output = T>,
) -> Option<T> {
    let mut call = pin!(call);
    poll_fn(|context| {
        if clock.running() >= deadline {
            return Poll::Ready(None);
        }
        call.as_mut().poll(context).map(Some)
    })
    .await
}

/// Returns the time of day of this machine, as it is written in metadata.
pub(crate) fn timestamp() -> Timestamp {
    SystemTime::now().into()
}
