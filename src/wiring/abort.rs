//! Ends the process at a chosen storage call, so that tests see what is left then. Only in builds with the feature `abort`, which no
//! release has.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt as _;

use crate::domain::ObjectName;
use crate::storage::{Attributes, Call, ETag, Layer, PutBody, PutOptions, Run, StorageError, Store};

/// Which call, counted from 1, and when: `3` before it is made, `3:during` when half of the bytes it stores were given, `3:after` when
/// it has taken effect.
const ABORT_AT: &str = "DG_ABORT_AT";

#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Before,
    During,
    After,
}

/// The store, with the end that the environment asks for.
pub(super) fn at_chosen_call(inner: Arc<dyn Store>) -> Arc<dyn Store> {
    let Ok(told) = std::env::var(ABORT_AT) else { return inner };
    let (number, moment) = match told.split_once(':') {
        None => (told.as_str(), Moment::Before),
        Some((number, "during")) => (number, Moment::During),
        Some((number, _)) => (number, Moment::After),
    };
    let Ok(at) = number.parse() else { return inner };
    Arc::new(Aborting { inner, at, moment, calls: AtomicU64::new(0) })
}

struct Aborting {
    inner: Arc<dyn Store>,
    at: u64,
    moment: Moment,
    calls: AtomicU64,
}

impl Aborting {
    /// Counts a call, and ends the process before it is made, or says when in it to do so.
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

/// Of whose bytes the first half is given.
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
        // Those of a body of one piece are written when the next is asked for.
        pieces.chain(futures::stream::once(async { std::process::abort() })).boxed()
    })
}

impl fmt::Debug for Aborting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, until call {} {:?}", self.inner, self.at, self.moment)
    }
}

#[async_trait::async_trait]
impl Layer for Aborting {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn around<'a, T: Send + 'a>(&'a self, _: Call<'a>, run: Run<'a, T>) -> Result<T, StorageError> {
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
