//! Converts a body to the SDK's: opened again for each attempt, and of exactly the declared length.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream as SdkStream, SdkBody};
use bytes::Bytes;
use futures::{Stream as _, TryStreamExt as _};
use http_body::{Body, Frame, SizeHint};

use crate::storage::{ByteStream, PutBody};

/// The reason why the body failed; the SDK would only report that sending failed.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyFailure(Arc<Mutex<Option<io::Error>>>);

impl BodyFailure {
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the error and returns a copy that ends the request.
    fn keep(&self, error: io::Error) -> io::Error {
        let copy = io::Error::new(error.kind(), error.to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        copy
    }
}

/// Returns the body for the SDK, and the holder of the reason if the request fails.
pub(super) async fn for_sdk(body: &PutBody) -> io::Result<(SdkStream, BodyFailure)> {
    let failure = BodyFailure::default();
    if body.is_empty() {
        // The SDK sends a request without a body without reading it, so extra bytes would go
        // unnoticed.
        let mut stream = body.open();
        while let Some(piece) = stream.try_next().await? {
            body.check_len(piece.len() as u64)?;
        }
        return Ok((SdkStream::from_static(b""), failure));
    }
    let (body, kept) = (body.clone(), failure.clone());
    let open = move || {
        SdkBody::from_body_1_x(Exact {
            body: body.clone(),
            stream: None,
            held: None,
            read: 0,
            ended: false,
            failure: kept.clone(),
        })
    };
    Ok((SdkStream::new(SdkBody::retryable(open)), failure))
}

/// A body that fails unless its stream has exactly the declared number of bytes.
struct Exact {
    body: PutBody,
    /// The stream, opened by the first read: the SDK makes several copies for each attempt. Never
    /// locked: the mutex only makes it `Sync`, which the SDK requires.
    stream: Option<Mutex<ByteStream>>,
    /// The piece that was read and not yet returned. The last piece is only returned once the
    /// stream has ended; otherwise the store would have the whole length before an excess is
    /// noticed.
    held: Option<Bytes>,
    read: u64,
    ended: bool,
    failure: BodyFailure,
}

impl Exact {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        while !self.ended {
            let stream = self.stream.get_or_insert_with(|| Mutex::new(self.body.open()));
            let stream = stream.get_mut().unwrap_or_else(PoisonError::into_inner);
            match ready!(Pin::new(stream).poll_next(cx)).transpose()? {
                Some(piece) if piece.is_empty() => {}
                Some(piece) => {
                    self.read = self.read.saturating_add(piece.len() as u64);
                    if self.read > self.body.len() {
                        self.body.check_len(self.read)?;
                    }
                    if let Some(before) = self.held.replace(piece) {
                        return Poll::Ready(Ok(Some(before)));
                    }
                }
                None => {
                    self.ended = true;
                    self.body.check_len(self.read)?;
                }
            }
        }
        Poll::Ready(Ok(self.held.take()))
    }
}

impl Body for Exact {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        let piece = ready!(this.poll_piece(cx)).map_err(|error| this.failure.keep(error));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)).transpose())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().map_or(0, |held| held.len() as u64);
        SizeHint::with_exact(self.body.len().saturating_sub(self.read.saturating_sub(held)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    fn body(len: u64, pieces: &'static [&'static str]) -> PutBody {
        PutBody::new(len, move || {
            futures::stream::iter(
                pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))),
            )
            .boxed()
        })
    }

    /// Returns the bytes sent before the end or the error, and the kind of the kept error.
    async fn sent(body: PutBody) -> (String, Option<io::ErrorKind>) {
        let (mut stream, failure) = match for_sdk(&body).await {
            Ok(sdk) => sdk,
            Err(error) => return (String::new(), Some(error.kind())),
        };
        let mut sent = Vec::new();
        while let Some(Ok(piece)) = stream.next().await {
            sent.extend_from_slice(&piece);
        }
        (String::from_utf8(sent).unwrap(), failure.take().map(|error| error.kind()))
    }

    #[tokio::test]
    async fn body_length_must_be_exact() {
        assert_eq!(sent(body(5, &["ab", "", "cde", ""])).await, ("abcde".to_owned(), None));
        assert_eq!(sent(body(0, &[""])).await, (String::new(), None));
        assert_eq!(sent(body(6, &["ab", "cde"])).await.1, Some(io::ErrorKind::UnexpectedEof));
        assert_eq!(sent(body(0, &["", "a"])).await.1, Some(io::ErrorKind::InvalidData));
        let (given, reason) = sent(body(5, &["ab", "cde", "f"])).await;
        assert_eq!(reason, Some(io::ErrorKind::InvalidData));
        assert!(given.len() < 5, "the store would take {given:?} for the whole");
    }

    #[tokio::test]
    async fn each_attempt_restarts_the_body() {
        let (stream, _) = for_sdk(&body(5, &["ab", "cde"])).await.unwrap();
        let first = stream.into_inner();
        let second = first.try_clone().unwrap();
        for attempt in [first, second] {
            assert_eq!(attempt.content_length(), Some(5));
            assert_eq!(SdkStream::new(attempt).collect().await.unwrap().into_bytes(), "abcde");
        }
    }
}
