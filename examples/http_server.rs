//! Serves the files of a prefix over HTTP: `http_server s3://BUCKET/PREFIX ADDRESS`.
//!
//! A file is streamed while it is restored. Its last piece is sent only once its SHA-256 agrees;
//! otherwise the connection ends before the `Content-Length` that was declared.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use deltaglider::domain::ByteRange;
use deltaglider::{DeltaGlider, ErrorKind, FileStream};
use futures::Stream as _;
use http_body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [prefix, address] = arguments.as_slice() else {
        return Err("usage: http_server s3://BUCKET/PREFIX ADDRESS".into());
    };
    let dg = DeltaGlider::from_env().build().await?;
    serve(dg, prefix.clone(), TcpListener::bind(address).await?).await
}

/// Answers requests until the task is dropped.
pub(crate) async fn serve(
    dg: DeltaGlider,
    prefix: String,
    listener: TcpListener,
) -> Result<(), Box<dyn Error>> {
    let prefix = Arc::new(prefix);
    loop {
        let (socket, _) = listener.accept().await?;
        let (dg, prefix) = (dg.clone(), prefix.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request| answer(dg.clone(), prefix.clone(), request));
            let connection = Builder::new(TokioExecutor::new());
            if let Err(error) = connection.serve_connection(TokioIo::new(socket), answer).await {
                eprintln!("connection: {error}");
            }
        });
    }
}

/// The body of an answer: a file, or nothing.
pub(crate) struct FileBody(Option<FileStream>);

impl Body for FileBody {
    type Data = Bytes;
    type Error = deltaglider::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.0 {
            Some(file) => Pin::new(file).poll_next(cx).map_ok(Frame::data),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, FileStream::content_len))
    }
}

async fn answer<B>(
    dg: DeltaGlider,
    prefix: Arc<String>,
    request: Request<B>,
) -> Result<Response<FileBody>, http::Error> {
    let get = dg.get(format!("{prefix}{}", request.uri().path()));
    let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
    // A range that makes no sense is ignored (RFC 9110, section 14.2).
    let range = range.and_then(|range| range.parse::<ByteRange>().ok());
    let get = match range {
        Some(range) => get.byte_range(range),
        None => get,
    };
    let file = match get.await {
        Ok(file) => file,
        Err(error) => {
            return Response::builder().status(status(error.kind())).body(FileBody(None));
        }
    };
    let info = file.info();
    let kind = info.attributes.content_type.as_deref().unwrap_or("application/octet-stream");
    let answer =
        Response::builder().header(CONTENT_TYPE, kind).header(ETAG, format!("\"{}\"", info.etag));
    let answer = match range.and_then(|range| range.within(info.size)) {
        Some(part) => answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(CONTENT_RANGE, format!("bytes {}-{}/{}", part.start, part.end - 1, info.size)),
        None => answer,
    };
    answer.body(FileBody(Some(file)))
}

fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound | ErrorKind::NoSuchBucket => StatusCode::NOT_FOUND,
        ErrorKind::InvalidRange => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::Throttled => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    }
}
