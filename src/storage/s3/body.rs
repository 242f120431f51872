//! A body to store as a body of the SDK: opened again for each attempt, of exact length or failed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::{ByteStream as SdkStream, SdkBody};
use bytes::Bytes;
use futures::{Stream as _, TryStreamExt as _};
use http_body::{Body, Frame, SizeHint};

use crate::storage::{ByteStream, PutBody};

/// Why the body failed, if it did: the SDK would only tell that sending failed.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyFailure(Arc<Mutex<Option<io::Error>>>);

impl BodyFailure {
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the error and gives one that ends the request.
    fn keep(&self, error: io::Error) -> io::Error {
        let told = io::Error::new(error.kind(), error.to_string());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        told
    }
}

/// The body for the SDK, and where to look for the reason when the request failed.
pub(super) async fn for_sdk(body: &PutBody) -> io::Result<(SdkStream, BodyFailure)> {
    let failure = BodyFailure::default();
    if body.is_empty() {
        // A request without a body is sent without asking for one, so nobody would notice that
        // there are bytes.
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

/// Gives the bytes of a stream, and an error unless there are exactly as many as said.
struct Exact {
    body: PutBody,
    /// Opened when it is first read: the SDK makes several copies for each attempt. Never locked:
    /// the lock makes the stream `Sync`, which the SDK asks for.
    stream: Option<Mutex<ByteStream>>,
    /// Read and not yet given. The last piece is only given once the stream has ended: else the
    /// store would have the whole length before it is known that there is more.
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

    /// What is given before the end or the error, and the reason that is kept.
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
    async fn only_a_body_of_the_length_it_says_is_given_whole() {
        assert_eq!(sent(body(5, &["ab", "", "cde", ""])).await, ("abcde".to_owned(), None));
        assert_eq!(sent(body(0, &[""])).await, (String::new(), None));
        assert_eq!(sent(body(6, &["ab", "cde"])).await.1, Some(io::ErrorKind::UnexpectedEof));
        assert_eq!(sent(body(0, &["", "a"])).await.1, Some(io::ErrorKind::InvalidData));
        let (given, reason) = sent(body(5, &["ab", "cde", "f"])).await;
        assert_eq!(reason, Some(io::ErrorKind::InvalidData));
        assert!(given.len() < 5, "the store would take {given:?} for the whole");
    }

    #[tokio::test]
    async fn each_attempt_reads_from_the_start() {
        let (stream, _) = for_sdk(&body(5, &["ab", "cde"])).await.unwrap();
        let first = stream.into_inner();
        let second = first.try_clone().unwrap();
        for attempt in [first, second] {
            assert_eq!(attempt.content_length(), Some(5));
            assert_eq!(SdkStream::new(attempt).collect().await.unwrap().into_bytes(), "abcde");
        }
    }
}
