//! Counts requests and injects faults into them by a test's script.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::access::{S3Access, S3AccessContext};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

/// A request that is about to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// The operation: `GetObject`, `PutObject`, …
    pub operation: &'a str,
    /// The bucket of the request.
    pub bucket: Option<&'a str>,
    /// The key of the request.
    pub key: Option<&'a str>,
    /// The number of requests of this operation so far, including this one.
    pub nth: u64,
    /// The query of the URL.
    pub query: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// A fault of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The server answers this status and S3 error code, and does nothing else.
    Refuse {
        /// The status.
        status: u16,
        /// The code, `SlowDown` for example.
        code: &'static str,
    },
    /// The server reports that the bucket is in this region.
    Elsewhere(&'static str),
    /// The server waits this long before it starts.
    Wait(Duration),
    /// The connection ends after this many bytes of the answer's body.
    Cut(u64),
    /// The request is executed, and the connection ends without an answer.
    Lost,
    /// The request is executed, and the answer is delayed by this time.
    Late(Duration),
    /// The request is executed, and the answer has another body.
    Rewrite(Rewrite),
}

/// A function that replaces the body of an answer.
#[derive(Clone)]
pub struct Rewrite(Arc<dyn Fn(String) -> String + Send + Sync>);

impl Rewrite {
    /// Creates a rewrite by this function.
    pub fn new(rewrite: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(rewrite))
    }

    pub(crate) fn apply(&self, body: String) -> String {
        (self.0)(body)
    }
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rewrite")
    }
}

impl PartialEq for Rewrite {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Rewrite {}

/// The fault to inject into an answer: inserted empty into a request's extensions by the
/// connection's handler, and set by [`Calls`].
#[derive(Clone, Default)]
pub(crate) struct Aftermath(Arc<Mutex<Option<Fault>>>);

impl Aftermath {
    fn set(&self, fault: Fault) {
        *locked(&self.0) = Some(fault);
    }

    pub(crate) fn take(&self) -> Option<Fault> {
        locked(&self.0).take()
    }
}

type Script = dyn Fn(&Call<'_>) -> Option<Fault> + Send + Sync;

/// The counts and the script, shared between a server and its handle.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<State>);

#[derive(Default)]
struct State {
    counts: Mutex<BTreeMap<String, u64>>,
    script: Mutex<Option<Arc<Script>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        locked(&self.0.counts).clone()
    }

    pub(crate) fn script(
        &self,
        script: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static,
    ) {
        *locked(&self.0.script) = Some(Arc::new(script));
    }

    fn count(&self, operation: &str) -> u64 {
        let mut counts = locked(&self.0.counts);
        let count = counts.entry(operation.to_owned()).or_default();
        *count += 1;
        *count
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl S3Access for Calls {
    /// Runs after the signature was verified and before the body is read.
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Signature is required"));
        }
        let operation = cx.s3_op().name();
        let nth = self.count(operation);
        let (bucket, key) =
            (cx.s3_path().get_bucket_name(), cx.s3_path().as_object().map(|(_, key)| key));
        let script = locked(&self.0.script).clone();
        let query = cx.uri().query().unwrap_or_default();
        match script.and_then(|script| {
            script(&Call { operation, bucket, key, nth, query, headers: cx.headers() })
        }) {
            Some(Fault::Refuse { status, code }) => {
                let code = S3ErrorCode::from_bytes(code.as_bytes())
                    .ok_or_else(|| s3_error!(InternalError))?;
                let mut error = S3Error::with_message(code, "as the test wants it");
                error.set_status_code(
                    StatusCode::from_u16(status).map_err(S3Error::internal_error)?,
                );
                return Err(error);
            }
            Some(Fault::Elsewhere(region)) => {
                let mut error =
                    S3Error::with_message(S3ErrorCode::PermanentRedirect, "as the test wants it");
                error.set_status_code(StatusCode::MOVED_PERMANENTLY);
                error.set_headers(HeaderMap::from_iter([(
                    HeaderName::from_static("x-amz-bucket-region"),
                    HeaderValue::from_static(region),
                )]));
                return Err(error);
            }
            Some(Fault::Wait(duration)) => tokio::time::sleep(duration).await,
            Some(fault @ (Fault::Cut(_) | Fault::Lost | Fault::Late(_) | Fault::Rewrite(_))) => {
                if let Some(aftermath) = cx.extensions_mut().get::<Aftermath>() {
                    aftermath.set(fault);
                }
            }
            None => {}
        }
        Ok(())
    }
}
