//! A store that aborts the process at a chosen call and keeps the effects of earlier calls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use deltaglider::domain::ObjectName;
use deltaglider::storage::{
    Attributes, Call, ETag, Layer, PutBody, PutOptions, Run, StorageError, Store,
};
use futures::StreamExt as _;

/// The variable that names the call at which the process aborts, counted from 1: `3` before it is
/// made, `3:during` once half of its bytes were sent, `3:after` once it has taken effect.
pub(crate) const CRASH_AT: &str = "DGTEST_CRASH_AT";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Before,
    During,
    After,
}

/// Wraps a store so that the process aborts at the call named by [`CRASH_AT`].
pub(crate) fn crashing(inner: Arc<dyn Store>) -> Arc<dyn Store> {
    let text = std::env::var(CRASH_AT).unwrap();
    let (number, moment) = match text.split_once(':') {
        None => (text.as_str(), Moment::Before),
        Some((number, "during")) => (number, Moment::During),
        Some((number, "after")) => (number, Moment::After),
        Some((_, other)) => panic!("{CRASH_AT} names an unknown moment: {other}"),
    };
    Arc::new(CrashingStore { inner, at: number.parse().unwrap(), moment, calls: AtomicU64::new(0) })
}

struct CrashingStore {
    inner: Arc<dyn Store>,
    at: u64,
    moment: Moment,
    calls: AtomicU64,
}

impl CrashingStore {
    /// Counts a call. Aborts before the chosen call, or returns when to abort during or after it.
    fn next(&self) -> Option<Moment> {
        let is_chosen = self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.at;
        if is_chosen && self.moment == Moment::Before {
            std::process::abort();
        }
        is_chosen.then_some(self.moment)
    }

    fn after<T>(&self, chosen: Option<Moment>, answer: T) -> T {
        if chosen == Some(Moment::After) {
            std::process::abort();
        }
        answer
    }
}

/// Returns a body that aborts the process after the first half of its bytes.
fn cut_in_half(body: &PutBody) -> PutBody {
    let (whole, half) = (body.clone(), body.len() / 2);
    PutBody::new(body.len(), move || {
        let mut left = half as usize;
        let pieces = whole.open().map(move |piece| {
            if left == 0 {
                std::process::abort();
            }
            let mut piece = piece?;
            piece.truncate(left);
            left -= piece.len();
            Ok(piece)
        });
        // A body of one piece is written when the next piece is requested.
        pieces.chain(futures::stream::once(async { std::process::abort() })).boxed()
    })
}

impl fmt::Debug for CrashingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrashingStore({:?}, {:?} call {})", self.inner, self.moment, self.at)
    }
}

#[async_trait::async_trait]
impl Layer for CrashingStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn around<'a, T: Send + 'a>(
        &'a self,
        _: Call<'a>,
        run: Run<'a, T>,
    ) -> Result<T, StorageError> {
        let chosen = self.next();
        self.after(chosen, run().await)
    }

    async fn put<'a>(
        &'a self,
        object: &'a ObjectName,
        body: PutBody,
        attributes: &'a Attributes,
        options: &'a PutOptions,
    ) -> Result<ETag, StorageError> {
        let chosen = self.next();
        let body = if chosen == Some(Moment::During) { cut_in_half(&body) } else { body };
        self.after(chosen, self.inner.put(object, body, attributes, options).await)
    }
}
