//! Downloads of large objects: several ranges at once, each held in memory until its turn comes.
//!
//! The first request asks for the whole object, since only then does the store state its checksums.
//! The second one asks for the second range: a store that does not serve it as asked, and any store
//! while other downloads hold the memory, goes on with the answer to the first request.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::get::Download;
use crate::storage::ByteStream;

/// The maximum number of bytes of a range.
pub(super) const RANGE_SIZE: u64 = 4 << 20;
/// The maximum number of ranges of one download at once.
const AT_ONCE: u32 = 4;
/// The maximum number of ranges of all downloads of a store at once.
const ALL_AT_ONCE: usize = 12;
/// The number of ranges from which on a download is worth it.
const WORTH: u64 = 4;

/// The memory for ranges, shared by the downloads of a store.
#[derive(Debug, Clone)]
pub(super) struct Ranges {
    /// One permit for each range in memory.
    held: Arc<Semaphore>,
    /// The number of bytes of a range.
    len: u64,
}

impl Ranges {
    pub(super) fn new(len: u64) -> Self {
        Self { held: Arc::new(Semaphore::new(ALL_AT_ONCE)), len: len.max(1) }
    }

    /// Returns the bytes of a download that has just begun.
    pub(super) async fn stream(&self, mut first: Download) -> ByteStream {
        let whole = first.left();
        let worth = whole.end.saturating_sub(whole.start) >= WORTH.saturating_mul(self.len);
        if !worth || !first.may_be_split() {
            return first.into_stream();
        }
        let Some(permit) = self.permit() else { return first.into_stream() };
        let len = self.len;
        let range = move |start: u64| start..start.saturating_add(len).min(whole.end);
        let mut second = first.range(range(whole.start.saturating_add(len)));
        if second.resume().await.is_err() {
            return first.into_stream();
        }
        let later = second.left().end;
        let at_once = permit.num_permits();
        first.cut(range(whole.start).end);
        let template = first.range(later..later);
        let starts = (later..whole.end).step_by(usize::try_from(len).unwrap_or(usize::MAX));
        let rest = starts.map(move |start| {
            // Held as long as the stream.
            let _ = &permit;
            (template.range(range(start)), false)
        });
        let downloads = [(first, true), (second, true)].into_iter().chain(rest);
        stream::iter(downloads)
            .map(|(download, is_open)| collect(download, is_open))
            .buffered(at_once)
            .map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let held = || self.held.clone();
        let most = held().try_acquire_many_owned(AT_ONCE);
        most.or_else(|_| held().try_acquire_many_owned(2)).ok()
    }
}

/// Downloads a range on a task of its own, so that it goes on while the bytes before it are used.
async fn collect(mut download: Download, is_open: bool) -> io::Result<Vec<Bytes>> {
    // Dropping the set ends the task.
    let mut task = JoinSet::new();
    task.spawn(async move {
        if !is_open {
            download.resume().await?;
        }
        let mut pieces = Vec::new();
        while let Some(piece) = download.next().await? {
            pieces.push(piece);
        }
        Ok(pieces)
    });
    match task.join_next().await {
        Some(Ok(pieces)) => pieces,
        Some(Err(failed)) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Some(Err(_)) | None => Err(io::Error::other("the download was cancelled")),
    }
}
