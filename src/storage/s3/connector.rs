//! Connections to stores and to the services that issue credentials: TLS, proxies, time limits and
//! one shared pool.
//!
//! The SDK's own connector does not accept a custom certificate verifier.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http::Uri;
use http::header::PROXY_AUTHORIZATION;
use http::uri::Scheme;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpInfo, capture_connection};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use tower_service::Service;

use super::route::Route;

type BoxError = Box<dyn Error + Send + Sync>;
type Pool = Client<Limited<HttpsConnector<Route>>, SdkBody>;

/// Connections with one TLS configuration.
pub(super) struct Connections {
    https: HttpsConnector<Route>,
    proxies: Option<Arc<Matcher>>,
    /// The pools by their time limit for a connection.
    pools: Mutex<HashMap<Option<Duration>, Pool>>,
}

impl Connections {
    /// Creates connections with this TLS configuration, through the proxies that the matcher names.
    pub(super) fn new(mut tls: ClientConfig, proxies: Option<Matcher>) -> Self {
        let proxies = proxies.map(Arc::new);
        let route = Route::new(&tls, proxies.clone());
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { https: HttpsConnector::from((route, tls)), proxies, pools: Mutex::default() }
    }

    fn pool(&self, connect_timeout: Option<Duration>) -> Pool {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let connect = Limited { inner: self.https.clone(), limit: connect_timeout };
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connect)
        };
        pools.entry(connect_timeout).or_insert_with(make).clone()
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connections")
    }
}

impl HttpClient for Connections {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Sender {
            pool: self.pool(settings.connect_timeout()),
            proxies: self.proxies.clone(),
            limit: settings.read_timeout(),
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

/// Sends requests over a pool of connections.
struct Sender {
    pool: Pool,
    proxies: Option<Arc<Matcher>>,
    /// The time limit from the request to the first byte of its answer.
    limit: Option<Duration>,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl HttpConnector for Sender {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        self.authorize(&mut request);
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || metadata_of(&connection));
        }
        let answer = within(self.limit, "an answer", self.pool.request(request));
        HttpConnectorFuture::new(async move {
            let answer = answer.await.map_err(classify)?.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(answer)
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl Sender {
    /// Adds the proxy's password to requests that the proxy itself forwards; a tunnel sends its
    /// own.
    fn authorize(&self, request: &mut http::Request<SdkBody>) {
        if request.uri().scheme() != Some(&Scheme::HTTP) {
            return;
        }
        let proxy = self.proxies.as_ref().and_then(|proxies| proxies.intercept(request.uri()));
        if let Some(password) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
            request.headers_mut().entry(PROXY_AUTHORIZATION).or_insert_with(|| password.clone());
        }
    }
}

/// Returns the connection's metadata for the SDK once it is established; the SDK closes connections
/// whose requests failed.
fn metadata_of(capture: &CaptureConnection) -> Option<ConnectionMetadata> {
    let mut extras = http::Extensions::new();
    let is_proxied = {
        let connected = capture.connection_metadata();
        let connected = connected.as_ref()?;
        connected.get_extras(&mut extras);
        connected.is_proxied()
    };
    let addresses = extras.get::<HttpInfo>();
    let poisoned = capture.clone();
    let mut metadata = ConnectionMetadata::builder().proxied(is_proxied).poison_fn(move || {
        if let Some(connected) = poisoned.connection_metadata().as_ref() {
            connected.poison();
        }
    });
    metadata.set_local_addr(addresses.map(HttpInfo::local_addr));
    metadata.set_remote_addr(addresses.map(HttpInfo::remote_addr));
    Some(metadata.build())
}

/// Classifies a failure as one of time, of the request or of the connection.
fn classify(error: BoxError) -> ConnectorError {
    if find::<TimedOut>(&*error).is_some() {
        return ConnectorError::timeout(error);
    }
    match find::<hyper::Error>(&*error) {
        Some(hyper) if hyper.is_timeout() => ConnectorError::timeout(error),
        Some(hyper) if hyper.is_user() => ConnectorError::user(error),
        // The other side closed the connection while it was idle.
        Some(hyper) if hyper.is_incomplete_message() => {
            ConnectorError::other(error, Some(ErrorKind::TransientError))
        }
        _ => ConnectorError::io(error),
    }
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

/// The error of an expired time limit.
#[derive(Debug, thiserror::Error)]
#[error("{what} took longer than {limit:?}")]
struct TimedOut {
    what: &'static str,
    limit: Duration,
}

async fn within<T, E: Into<BoxError>>(
    limit: Option<Duration>,
    what: &'static str,
    done: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    match limit {
        Some(limit) => match tokio::time::timeout(limit, done).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(TimedOut { what, limit }.into()),
        },
        None => done.await.map_err(Into::into),
    }
}

/// A connector that fails if a connection takes longer than the limit.
#[derive(Clone)]
struct Limited<C> {
    inner: C,
    limit: Option<Duration>,
}

impl<C> Service<Uri> for Limited<C>
where
    C: Service<Uri>,
    C::Response: 'static,
    C::Future: Send + 'static,
    C::Error: Into<BoxError> + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(within(self.limit, "a connection", self.inner.call(to)))
    }
}
