//! A store on which one call goes wrong: it fails, hangs, is cut, or loses its answer.
pub(crate) mod disk;
pub(crate) mod many;
pub(crate) mod outcome;
mod packed;
pub(crate) mod scenario;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deltaglider::domain::ObjectName;
use deltaglider::storage::{
    Attributes, ByteStream, Call, CopyOptions, ETag, Layer, MemoryStore, ObjectBody,
    ObjectStore as _, Presigned, PutBody, PutCondition, PutOptions, Run, StorageError,
    StorageErrorKind, Store,
};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

/// A fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The store answers with this error and does nothing.
    Refused(StorageErrorKind),
    /// This call and every later one fail with this error.
    Down(StorageErrorKind),
    /// The call takes effect, and its answer is lost.
    Lost,
    /// The answer is lost, and the client sends the request again: the caller gets the second
    /// answer.
    SentAgain,
    /// The call has no effect and never ends.
    Hangs,
    /// The call takes effect, and its answer never comes.
    HangsAfter,
    /// The bytes of the answer break off with an error; other calls are as always.
    Breaks,
    /// The bytes of the answer end early, as if complete; other calls are as always.
    Short,
    /// The call takes a while.
    Delayed,
    /// One byte of the stored object is changed, and the tag is that of the changed bytes; other
    /// calls are as always.
    Garbles,
}

impl Fault {
    pub(crate) const ALL: [Self; 11] = [
        Self::Refused(StorageErrorKind::Other),
        Self::Refused(StorageErrorKind::Denied),
        Self::Down(StorageErrorKind::Other),
        Self::Down(StorageErrorKind::Throttled),
        Self::Lost,
        Self::SentAgain,
        Self::Hangs,
        Self::HangsAfter,
        Self::Breaks,
        Self::Short,
        Self::Delayed,
    ];
}

/// The model store with a fault in one of its calls. Each call yields before and after it takes
/// effect, so that the caller can be dropped at both points.
pub(crate) struct Faulty {
    inner: Arc<MemoryStore>,
    fault: Option<(u64, Fault)>,
    calls: AtomicU64,
    /// The operation of the first call with the fault.
    struck: OnceLock<&'static str>,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<MemoryStore>, fault: Option<(u64, Fault)>) -> Self {
        Self { inner, fault, calls: AtomicU64::new(0), struck: OnceLock::new() }
    }

    /// Returns whether the fault has happened.
    pub(crate) fn struck(&self) -> bool {
        self.struck.get().is_some()
    }

    /// Returns whether the fault has happened to a call of `operation`.
    pub(crate) fn struck_at(&self, operation: &str) -> bool {
        self.struck.get() == Some(&operation)
    }

    /// Returns the number of calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Returns whether the next call stores changed bytes.
    fn garbles(&self, fault: Option<Fault>) -> bool {
        let garbles = fault == Some(Fault::Garbles);
        if garbles {
            self.strike("PutObject");
        }
        garbles
    }

    /// Counts a call and returns its fault.
    fn next(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let (at, fault) = self.fault?;
        (call == at || call > at && matches!(fault, Fault::Down(_))).then_some(fault)
    }

    fn strike(&self, operation: &'static str) {
        self.struck.get_or_init(|| operation);
    }

    async fn call<'a, T>(
        &'a self,
        fault: Option<Fault>,
        call: Call<'a>,
        run: Run<'a, T>,
    ) -> Result<T, StorageError> {
        let failed = |kind| {
            Err(StorageError::new(kind, call.operation, call.target)
                .because("as the test wants it"))
        };
        tokio::task::yield_now().await;
        let answer = match fault {
            None => run().await,
            Some(fault) => {
                self.strike(call.operation);
                match fault {
                    Fault::Refused(kind) | Fault::Down(kind) => failed(kind),
                    Fault::Lost => {
                        let _ = run().await;
                        failed(StorageErrorKind::Other)
                    }
                    Fault::SentAgain => {
                        let _ = run().await;
                        run().await
                    }
                    Fault::Hangs => std::future::pending().await,
                    Fault::HangsAfter => {
                        let _ = run().await;
                        std::future::pending().await
                    }
                    Fault::Delayed => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        run().await
                    }
                    Fault::Breaks | Fault::Short | Fault::Garbles => run().await,
                }
            }
        };
        tokio::task::yield_now().await;
        answer
    }

    async fn bare<'a, T>(
        &'a self,
        fault: Option<Fault>,
        call: Call<'a>,
        run: Run<'a, T>,
    ) -> Result<T, StorageError> {
        let fault =
            fault.filter(|fault| !matches!(fault, Fault::Breaks | Fault::Short | Fault::Garbles));
        self.call(fault, call, run).await
    }

    /// Changes one byte of a copied object.
    async fn garble(&self, copy: &ObjectName) -> Result<ETag, StorageError> {
        let copied = self.inner.get(copy, None).await?;
        let attributes = copied.head.attributes.clone();
        self.inner
            .put(copy, garbled(copied.stream).await, &attributes, &PutCondition::None.into())
            .await
    }
}

/// Returns the body with one byte changed.
async fn garbled(stream: ByteStream) -> PutBody {
    let mut bytes = stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 1;
    }
    PutBody::from_bytes(bytes)
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("fault", &self.fault).finish_non_exhaustive()
    }
}

/// Splits a body into two pieces and yields before each. In a body that is cut, the second piece is
/// an error or missing.
async fn in_halves(body: ObjectBody, fault: Option<Fault>) -> ObjectBody {
    let ObjectBody { head, stream } = body;
    let bytes = stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut pieces = vec![Ok(first.to_vec().into())];
    match fault {
        Some(Fault::Breaks) => pieces.push(Err(io::Error::from(io::ErrorKind::ConnectionReset))),
        Some(Fault::Short) => {}
        _ => pieces.push(Ok(second.to_vec().into())),
    }
    let stream = futures::stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    ObjectBody { head, stream: stream.boxed() }
}

#[async_trait::async_trait]
impl Layer for Faulty {
    fn inner(&self) -> &dyn Store {
        &*self.inner
    }

    /// Makes a call whose answer has no body that could break off.
    async fn around<'a, T: Send + 'a>(
        &'a self,
        call: Call<'a>,
        run: Run<'a, T>,
    ) -> Result<T, StorageError> {
        self.bare(self.next(), call, run).await
    }

    async fn get<'a>(
        &'a self,
        object: &'a ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        let fault = self.next();
        let call = Call::of("GetObject", object);
        let body = self.call(fault, call, &|| self.inner.get(object, range.clone())).await?;
        Ok(in_halves(body, fault).await)
    }

    async fn put<'a>(
        &'a self,
        object: &'a ObjectName,
        body: PutBody,
        attributes: &'a Attributes,
        options: &'a PutOptions,
    ) -> Result<ETag, StorageError> {
        let fault = self.next();
        let body = if self.garbles(fault) { garbled(body.open()).await } else { body };
        let put = || self.inner.put(object, body.clone(), attributes, options);
        self.bare(fault, Call::of("PutObject", object), &put).await
    }

    async fn copy<'a>(
        &'a self,
        from: &'a ObjectName,
        to: &'a ObjectName,
        options: &'a CopyOptions,
    ) -> Result<ETag, StorageError> {
        let fault = self.next();
        let tag = self
            .bare(fault, Call::of("CopyObject", from), &|| self.inner.copy(from, to, options))
            .await?;
        if self.garbles(fault) { self.garble(to).await } else { Ok(tag) }
    }

    /// Returns a made-up URL: the model store has none.
    async fn presign<'a>(
        &'a self,
        object: &'a ObjectName,
        _: &'a Presigned,
        _: Duration,
    ) -> Result<String, StorageError> {
        let url = || async move { Ok(format!("a URL of {object}")) }.boxed();
        self.around(Call::of("Presign", object), &url).await
    }
}
