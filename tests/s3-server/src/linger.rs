//! Refusals that reach the client: S3 reads on what it has refused, so that the connection is not reset under its answer.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use s3s::service::S3Service;
use s3s::{HttpError, HttpResponse};

/// How long the rest of a refused body is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves a request; after an error the rest of its body is read and forgotten before the answer is given.
pub(crate) async fn serve(service: S3Service, request: Request<Incoming>) -> Result<HttpResponse, HttpError> {
    let (head, body) = request.into_parts();
    let body = SharedBody(Arc::new(Mutex::new(body)));
    let answer = service.call(Request::from_parts(head, s3s::Body::http_body(body.clone()))).await?;
    if answer.status() >= StatusCode::BAD_REQUEST {
        // The answer is given also to a client that has stopped sending.
        let _ = tokio::time::timeout(PATIENCE, body.drain()).await;
    }
    Ok(answer)
}

/// A body that can still be read when the service is done with it.
#[derive(Clone)]
struct SharedBody(Arc<Mutex<Incoming>>);

impl SharedBody {
    fn with<T>(&self, f: impl FnOnce(Pin<&mut Incoming>) -> T) -> T {
        f(Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    async fn drain(&self) {
        while let Some(Ok(_)) = poll_fn(|cx| self.with(|body| body.poll_frame(cx))).await {}
    }
}

impl Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.with(|body| body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}
