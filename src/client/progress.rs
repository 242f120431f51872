//! Progress of a call: one event type for every verb, made only if somebody listens.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};

use crate::domain::ObjectName;
use crate::service::{DeltaService, Head, ReadObserver, Watch};
use crate::storage::{
    Attributes, ETag, Layer, ObjectBody, PutBody, PutOptions as StoredOptions, StorageError, Store,
};

/// The work that a call does at an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It has begun: it looks at what is stored.
    #[default]
    Looking,
    /// It reads a file to store, to hash or to encode it.
    Reading,
    /// It sends an object to the store.
    Sending,
    /// It receives an object from the store.
    Receiving,
    /// It hands the bytes of a file to the caller.
    Writing,
}

/// The progress of a call, at an event.
///
/// `done` and `total` count bytes of what the phase works on: of the file while it is read or
/// written, of the object while that is sent or received. A call on many files works on several at
/// once, so its `done` is the sum over all objects and its `total` is unknown.
///
/// ```
/// # use std::sync::{Arc, Mutex};
/// # use deltaglider::{DeltaGlider, Phase};
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
/// # dg.create_bucket("releases").await?;
/// let stored = Arc::new(Mutex::new(0));
/// let seen = stored.clone();
/// dg.put("s3://releases/notes.txt", "what is new")
///     .progress(move |progress| *seen.lock().unwrap() = progress.stored)
///     .await?;
/// assert_eq!(*stored.lock().unwrap(), 11);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The work that the call does.
    pub phase: Phase,
    /// Bytes of that work that are done.
    pub done: u64,
    /// Bytes of that work; `None` if unknown.
    pub total: Option<u64>,
    /// Bytes sent to the store so far, by the whole call.
    pub stored: u64,
    /// Bytes received from the store so far, by the whole call.
    pub received: u64,
    /// Files done so far, by a call on many.
    pub files: u64,
}

type Listener = dyn Fn(&Progress) + Send + Sync;

/// The listener of a call, if there is one.
#[derive(Clone, Default)]
pub(super) struct Meter(Option<Arc<Metered>>);

struct Metered {
    listener: Box<Listener>,
    /// The call works on several files at once.
    many: bool,
    progress: Mutex<Progress>,
}

impl fmt::Debug for Metered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metered")
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meter({})", self.0.is_some())
    }
}

impl Meter {
    pub(super) fn new(listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self::of(listener, false)
    }

    /// Returns the meter of a call on many files.
    pub(super) fn of_many(listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        Self::of(listener, true)
    }

    fn of(listener: impl Fn(&Progress) + Send + Sync + 'static, many: bool) -> Self {
        let progress = Mutex::default();
        Self(Some(Arc::new(Metered { listener: Box::new(listener), many, progress })))
    }

    /// Returns the service, observed if somebody listens.
    pub(super) fn observe(&self, service: DeltaService) -> DeltaService {
        match &self.0 {
            None => service,
            Some(metered) => {
                let layer = |inner| Arc::new(MeteredStore { inner, meter: metered.clone() }) as _;
                service.watched(layer, metered.clone())
            }
        }
    }

    /// Returns the observer of the bytes of a file to store.
    pub(super) fn watch(&self) -> Option<Arc<dyn Watch>> {
        self.0.clone().map(|metered| metered as _)
    }

    /// Reports bytes of a file to store that the caller's stream has given.
    pub(super) fn read(&self, more: u64, total: Option<u64>) {
        if let Some(metered) = &self.0 {
            metered.note(Phase::Reading, total, more);
        }
    }

    /// Reports that one of many files is done.
    pub(super) fn file_done(&self) {
        if let Some(metered) = &self.0 {
            metered.change(|progress| progress.files += 1);
        }
    }
}

impl Metered {
    /// Changes the progress and reports it. The lock keeps the events in order.
    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
        (self.listener)(&progress);
    }

    /// Reports that `more` bytes of a phase are done.
    fn note(&self, phase: Phase, total: Option<u64>, more: u64) {
        self.change(|progress| {
            match phase {
                Phase::Sending => progress.stored += more,
                Phase::Receiving => progress.received += more,
                Phase::Looking | Phase::Reading | Phase::Writing => {}
            }
            // A get receives while it writes; its work is what it writes.
            if !self.many && phase == Phase::Receiving && progress.phase == Phase::Writing {
                return;
            }
            if !self.many && progress.phase != phase {
                (progress.done, progress.total) = (0, total);
            }
            progress.phase = phase;
            progress.done += more;
        });
    }

    /// Reports that a pass over a file to store has come to byte `at` of `len`.
    fn come_to(&self, at: u64, len: u64) {
        if !self.many {
            self.change(|progress| {
                (progress.phase, progress.done) = (Phase::Reading, at);
                progress.total = Some(len);
            });
        }
    }

    /// Begins the work on the next object of a phase.
    fn begin(&self, phase: Phase, total: Option<u64>) {
        self.change(|progress| {
            progress.phase = phase;
            if !self.many {
                (progress.done, progress.total) = (0, total);
            }
        });
    }
}

impl Watch for Metered {
    fn chosen(&self, head: Head) {
        self.begin(Phase::Writing, Some(head.size));
    }

    fn of_read(self: Arc<Self>) -> ReadObserver {
        Arc::new(move |at, len| self.come_to(at, len))
    }

    fn written(&self, more: u64) {
        if !self.many {
            self.note(Phase::Writing, None, more);
        }
    }
}

/// A store that reports the bytes of objects on their way.
#[derive(Debug)]
struct MeteredStore {
    inner: Arc<dyn Store>,
    meter: Arc<Metered>,
}

#[async_trait::async_trait]
impl Layer for MeteredStore {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    async fn get<'a>(
        &'a self,
        object: &'a ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        let body = self.inner.get(object, range).await?;
        let meter = self.meter.clone();
        let seen =
            move |piece: &bytes::Bytes| meter.note(Phase::Receiving, None, piece.len() as u64);
        Ok(ObjectBody { stream: body.stream.inspect_ok(seen).boxed(), ..body })
    }

    async fn put<'a>(
        &'a self,
        object: &'a ObjectName,
        body: PutBody,
        attributes: &'a Attributes,
        options: &'a StoredOptions,
    ) -> Result<ETag, StorageError> {
        let (meter, total) = (self.meter.clone(), body.known_len());
        meter.begin(Phase::Sending, total);
        let body = body.inspected(move |more| meter.note(Phase::Sending, total, more));
        self.inner.put(object, body, attributes, options).await
    }
}
