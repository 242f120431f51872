//! Retries of requests: conditions, delays and regions.
//!
//! The SDK sends each request once. Its own retries treat all failures alike and do not follow a
//! bucket to another region.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::time::Instant;

use super::Patience;
use super::again::Again;
use super::error::Failed;
use super::place::Places;
use super::put_failed::PutFailed;

/// The maximum number of attempts of a request while the store fails, unless a setting changes it.
const ATTEMPTS: u32 = 3;
/// The maximum delay before a retry, and the maximum that a store may ask for.
const MAX_DELAY: Duration = Duration::from_secs(20);
/// The number of rejections in a row, over all requests, after which all requests wait.
const CROWD: u32 = 8;

/// Sends a request of the SDK for a bucket, with retries where they may help.
macro_rules! send {
    ($attempts:expr, $bucket:expr, $request:expr) => {{
        let request = $request;
        let send = || {
            let request = request.clone();
            async move { request.send().await.map_err($crate::storage::s3::error::Failed::from) }
        };
        $attempts.send(Some($bucket.as_str()), send).await
    }};
}
pub(super) use send;

/// An error that may come from a store.
pub(super) trait StoreFailure {
    /// Returns the failure of the store or of the connection to it.
    fn failed(&mut self) -> Option<&mut Failed>;
}

impl StoreFailure for Failed {
    fn failed(&mut self) -> Option<&mut Failed> {
        Some(self)
    }
}

impl StoreFailure for PutFailed {
    fn failed(&mut self) -> Option<&mut Failed> {
        match self {
            Self::Store(failed) => Some(failed),
            Self::Body(_) | Self::Answer(_) => None,
        }
    }
}

/// Sends requests, with retries where they may help. Clones share their knowledge of the store.
#[derive(Clone)]
pub(super) struct Attempts(Arc<Shared>);

struct Shared {
    /// The client that asks for a bucket's region.
    client: Client,
    endpoint: Option<String>,
    /// The configured number of attempts, for failures of every kind.
    most: Option<u32>,
    patience: Patience,
    places: Places,
    busy: Mutex<Busy>,
}

/// The state of a store that asks for fewer requests.
#[derive(Debug, Default)]
struct Busy {
    /// The number of rejections since the last success.
    refusals: u32,
    /// The time before which no request is sent.
    until: Option<Instant>,
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempts").field("endpoint", &self.0.endpoint).finish_non_exhaustive()
    }
}

impl Attempts {
    pub(super) fn new(
        client: Client,
        endpoint: Option<String>,
        most: Option<u32>,
        patience: Patience,
        places: Places,
    ) -> Self {
        Self(Arc::new(Shared { client, endpoint, most, patience, places, busy: Mutex::default() }))
    }

    /// Sends a request for `bucket`, if it is for one, by `send`. Retries after transient failures,
    /// and at once if the store reports another region of the bucket or a wrong clock.
    pub(super) async fn send<T, E: StoreFailure, F: Future<Output = Result<T, E>>>(
        &self,
        bucket: Option<&str>,
        send: impl Fn() -> F,
    ) -> Result<T, E> {
        let (mut sent, mut failures, mut first_refusal) = (0, 0, None);
        let (mut followed, mut corrected) = (false, false);
        loop {
            self.wait_for_turn().await;
            sent += 1;
            let mut error = match send().await {
                Ok(done) => {
                    self.busy().refusals = 0;
                    return Ok(done);
                }
                Err(error) => error,
            };
            let Some(failed) = error.failed() else { return Err(error) };
            if !followed
                && let Some(bucket) = bucket
                && self.follow(bucket, failed).await
            {
                (followed, sent) = (true, 0);
                continue;
            }
            // The SDK has taken the store's time from the answer.
            if !corrected && failed.refuses_time() {
                (corrected, sent) = (true, 0);
                continue;
            }
            let delay = match failed.again() {
                Again::No => None,
                Again::Failure => {
                    failures += 1;
                    let may_fail = self.0.most.map_or(failures < ATTEMPTS, |most| sent < most);
                    may_fail.then(|| self.delay(sent))
                }
                Again::Busy(asked) => {
                    self.slow_down(asked);
                    let delay = self.delay(sent).max(asked.unwrap_or_default().min(MAX_DELAY));
                    let first_refusal = *first_refusal.get_or_insert_with(Instant::now);
                    let may_wait = match self.0.most {
                        Some(most) => sent < most,
                        None => first_refusal.elapsed() + delay < self.0.patience.busy,
                    };
                    may_wait.then_some(delay)
                }
            };
            let Some(delay) = delay else {
                if let Some(endpoint) = &self.0.endpoint {
                    failed.name_address(endpoint);
                }
                return Err(error);
            };
            tracing::debug!(sent, ?delay, error = %failed, "retrying the request");
            tokio::time::sleep(delay).await;
        }
    }

    /// Learns the region of a bucket from a failure. Returns whether it is known.
    async fn follow(&self, bucket: &str, failed: &Failed) -> bool {
        if !failed.is_elsewhere() {
            return false;
        }
        let region = match failed.region() {
            Some(region) => Some(region.to_owned()),
            None => match self.0.client.head_bucket().bucket(bucket).send().await {
                Ok(answer) => answer.bucket_region().map(str::to_owned),
                Err(error) => Failed::from(error).region().map(str::to_owned),
            },
        };
        let is_known = region.is_some();
        if let Some(region) = region {
            self.0.places.learn(bucket, region);
        }
        is_known
    }

    fn busy(&self) -> MutexGuard<'_, Busy> {
        // Nothing panics while it is held.
        self.0.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a rejection by a store that asks for fewer requests, and its requested delay.
    fn slow_down(&self, asked: Option<Duration>) {
        let mut busy = self.busy();
        busy.refusals = busy.refusals.saturating_add(1);
        let crowded = (busy.refusals >= CROWD).then(|| self.longest(busy.refusals / CROWD));
        if let Some(pause) = asked.map(|asked| asked.min(MAX_DELAY)).max(crowded) {
            busy.until = busy.until.max(Some(Instant::now() + pause));
        }
    }

    /// Waits while the store accepts no requests.
    async fn wait_for_turn(&self) {
        loop {
            let until = self.busy().until.filter(|until| *until > Instant::now());
            let Some(until) = until else { return };
            // The random delay keeps the waiting requests from starting all at once.
            tokio::time::sleep_until(until + share(self.0.patience.before_retry)).await;
        }
    }

    /// Returns the delay before the next attempt after `sent` attempts.
    fn delay(&self, sent: u32) -> Duration {
        share(self.longest(sent))
    }

    fn longest(&self, sent: u32) -> Duration {
        let doublings = sent.saturating_sub(1).min(16);
        self.0.patience.before_retry.saturating_mul(1 << doublings).min(MAX_DELAY)
    }
}

/// Returns a random time up to `longest`.
fn share(longest: Duration) -> Duration {
    // The whole time if the system has no randomness, which is not known to happen.
    let part = SysRng.try_next_u32().unwrap_or(u32::MAX);
    longest.mul_f64(f64::from(part) / f64::from(u32::MAX))
}
