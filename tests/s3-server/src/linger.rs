//! Delivery of answers, with injected faults. Like S3, it reads the rest of a rejected body, so
//! that the connection is not reset before the client has read the answer.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use s3s::service::S3Service;
use s3s::{HttpError, HttpResponse};
use tokio::time::Sleep;

use crate::calls::{Aftermath, Fault};

/// The time limit for the rest of a rejected body.
const PATIENCE: Duration = Duration::from_secs(10);
/// The delay before a connection breaks, in which the bytes sent before are transmitted.
const LEAVES: Duration = Duration::from_millis(20);

/// Serves a request; after an error, reads and discards the rest of its body before the answer is
/// returned.
pub(crate) async fn serve(
    service: S3Service,
    request: Request<Incoming>,
) -> Result<HttpResponse, HttpError> {
    let (head, body) = request.into_parts();
    let body = SharedBody(Arc::new(Mutex::new(body)));
    let aftermath = Aftermath::default();
    let mut request = Request::from_parts(head, s3s::Body::http_body(body.clone()));
    request.extensions_mut().insert(aftermath.clone());
    let answer = service.call(request).await?;
    match aftermath.take() {
        // An error of the service ends the connection.
        Some(Fault::Lost) => return Err(HttpError::new("lost as the test wants it".into())),
        Some(Fault::Late(duration)) => tokio::time::sleep(duration).await,
        Some(Fault::Cut(left)) => {
            return Ok(answer
                .map(|body| s3s::Body::http_body_unsync(CutBody { body, left, breaks: None })));
        }
        Some(Fault::Rewrite(rewrite)) => {
            let (mut head, body) = answer.into_parts();
            let body = rewrite.apply(collect(body).await?);
            head.headers.remove(http::header::CONTENT_LENGTH);
            return Ok(HttpResponse::from_parts(head, s3s::Body::from(body)));
        }
        _ => {}
    }
    if answer.status() >= StatusCode::BAD_REQUEST {
        // Also answers a client that has stopped sending.
        let _ = tokio::time::timeout(PATIENCE, body.drain()).await;
    }
    Ok(answer)
}

/// Returns the text of a body.
async fn collect(mut body: s3s::Body) -> Result<String, HttpError> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(HttpError::new)?;
        bytes.extend_from_slice(frame.data_ref().map_or(&[], |piece| piece));
    }
    String::from_utf8(bytes).map_err(|error| HttpError::new(error.into()))
}

/// A body that can still be read after the service has finished.
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

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.with(|body| body.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.with(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|body| body.size_hint())
    }
}

/// A body that breaks off after `left` bytes.
struct CutBody {
    body: s3s::Body,
    left: u64,
    breaks: Option<Pin<Box<Sleep>>>,
}

impl Body for CutBody {
    type Data = Bytes;
    type Error = s3s::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left > 0
            && let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx))
        {
            let frame = frame?.map_data(|piece| {
                let piece = piece
                    .slice(..piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX)));
                self.left -= piece.len() as u64;
                piece
            });
            return Poll::Ready(Some(Ok(frame)));
        }
        let breaks = self.breaks.get_or_insert_with(|| Box::pin(tokio::time::sleep(LEAVES)));
        ready!(breaks.as_mut().poll(cx));
        Poll::Ready(Some(Err("cut as the test wants it".into())))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
