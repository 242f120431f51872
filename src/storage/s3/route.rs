//! The route to a host: direct, or through a proxy.

use std::error::Error;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Opens byte streams to the host of a URL; TLS to that host runs over them.
#[derive(Clone)]
pub(super) struct Route {
    straight: HttpConnector,
    /// The connector to the proxy, with TLS if the proxy's URL asks for it.
    to_proxy: HttpsConnector<HttpConnector>,
    proxies: Option<Arc<Matcher>>,
}

impl Route {
    pub(super) fn new(tls: &ClientConfig, proxies: Option<Arc<Matcher>>) -> Self {
        let mut straight = HttpConnector::new();
        straight.enforce_http(false);
        // Sends small requests at once.
        straight.set_nodelay(true);
        Self { to_proxy: HttpsConnector::from((straight.clone(), tls.clone())), straight, proxies }
    }

    fn through(&mut self, proxy: &Intercept, to: Uri) -> <Self as Service<Uri>>::Future {
        if to.scheme() == Some(&Scheme::HTTPS) {
            let tunnel = Tunnel::new(proxy.uri().clone(), self.to_proxy.clone());
            let mut tunnel = match proxy.basic_auth() {
                Some(password) => tunnel.with_auth(password.clone()),
                None => tunnel,
            };
            return Box::pin(async move {
                Ok(Stream { inner: tunnel.call(to).await?, forwards: false })
            });
        }
        let connected = self.to_proxy.call(proxy.uri().clone());
        Box::pin(async move { Ok(Stream { inner: connected.await?, forwards: true }) })
    }
}

impl Service<Uri> for Route {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.straight.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        if let Some(proxy) = self.proxies.as_ref().and_then(|proxies| proxies.intercept(&to)) {
            return self.through(&proxy, to);
        }
        let connected = self.straight.call(to);
        Box::pin(async move {
            Ok(Stream { inner: MaybeHttpsStream::Http(connected.await?), forwards: false })
        })
    }
}

/// A connection to a host, or to a proxy.
pub(super) struct Stream {
    inner: MaybeHttpsStream<TokioIo<TcpStream>>,
    /// Set if a proxy reads and forwards the requests, which then carry the full URL.
    forwards: bool,
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = self.inner.connected();
        if self.forwards { connected.proxy(true) } else { connected }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }
}
