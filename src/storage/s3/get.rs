//! GET: the bytes of one version, complete or an error, resumed after a broken connection.

use std::io;
use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream as SdkStream;
use bytes::Bytes;
use futures::StreamExt as _;

use crate::domain::ObjectName;
use crate::storage::{
    ByteStream, CustomerKey, ETag, ObjectBody, ObjectStore as _, StorageError, StorageErrorKind,
};

use super::S3Store;
use super::attempts::Attempts;
use super::attributes::{head_of, quoted, size, with_key};
use super::error::{Cause, Failed};

const OPERATION: &str = "GetObject";
const CHECKSUM_MODE: &str = "x-amz-checksum-mode";
/// The maximum number of resumptions of a download without progress.
const RESUMPTIONS: u32 = 5;
/// The number of bytes after which a broken connection counts as progress.
const PROGRESS: u64 = 1 << 20;

impl S3Store {
    pub(super) async fn open(
        &self,
        object: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<ObjectBody, StorageError> {
        if range.as_ref().is_some_and(Range::is_empty) {
            // A Range header cannot express an empty range.
            return Err(StorageError::new(StorageErrorKind::Invalid, OPERATION, object)
                .because("an empty range"));
        }
        let client = self.sender();
        let (answer, key) = self
            .with_fitting_key(|key| client.get(object, range.as_ref(), None, key))
            .await
            .map_err(|failed| failed.at(OPERATION, object))?;
        let unreadable = |cause: Cause| {
            StorageError::new(StorageErrorKind::Other, OPERATION, object).because(cause)
        };
        let len = match answer.content_length() {
            None if range.is_none() => Some(self.size_of(object, answer.e_tag()).await?),
            _ => None,
        };
        let (given, whole) = given(&answer, range.as_ref(), len).map_err(unreadable)?;
        let head = head_of!(answer, whole, self.stated(object)).map_err(unreadable)?;
        let download = Download {
            client,
            object: object.clone(),
            etag: head.etag.clone(),
            is_weak: answer.e_tag().is_some_and(|tag| tag.starts_with("W/")),
            key: key.cloned(),
            resumed_at: given.start,
            left: given,
            is_cut: false,
            body: answer.body,
            resumptions: 0,
        };
        Ok(ObjectBody { head, stream: self.ranges.stream(download).await })
    }

    /// Sends a request with the customer's key, if there is one, and without it if the object may
    /// not be encrypted with it. Returns the key that was accepted.
    pub(super) async fn with_fitting_key<'a, T, F: Future<Output = Result<T, Failed>>>(
        &'a self,
        ask: impl Fn(Option<&'a CustomerKey>) -> F,
    ) -> Result<(T, Option<&'a CustomerKey>), Failed> {
        let key = self.customer_key.as_ref();
        let failed = match ask(key).await {
            Ok(answer) => return Ok((answer, key)),
            Err(failed) => failed,
        };
        // 400: not encrypted with a customer's key. 403: encrypted with another key, or access is
        // denied.
        if key.is_none() || !matches!(failed.status(), Some(400 | 403)) {
            return Err(failed);
        }
        match ask(None).await {
            Ok(answer) => Ok((answer, None)),
            // Another answer without any key: a key is needed, and it is not this one.
            Err(without) if failed.status() == Some(403) && without.status() == Some(400) => {
                Err(without.needs_key())
            }
            Err(_) => Err(failed),
        }
    }

    /// Returns the reason why GET is refused, after a HEAD that was refused without a code; `None`
    /// if GET succeeds.
    pub(super) async fn reason_of(&self, object: &ObjectName) -> Option<Failed> {
        let range = 0..1;
        let asked = self.sender().get(object, Some(&range), None, None).await;
        asked.err()
    }

    /// Requests the size of an object that was sent without it.
    async fn size_of(&self, object: &ObjectName, tag: Option<&str>) -> Result<u64, StorageError> {
        let head = self.head(object).await?;
        if super::attributes::etag(tag).ok().as_ref() == Some(&head.etag) {
            return Ok(head.size);
        }
        let why = "the store sent no size, and the object changed before HEAD asked for it";
        Err(StorageError::new(StorageErrorKind::Other, OPERATION, object).because(why))
    }

    fn sender(&self) -> Sender {
        Sender {
            client: self.clients.calls.clone(),
            attempts: self.clients.attempts.clone(),
            asks_for_checksums: self.is_aws,
        }
    }
}

/// Sends GET requests.
#[derive(Clone)]
struct Sender {
    client: Client,
    attempts: Attempts,
    /// Set if the store is asked for the checksums of whole objects; only AWS is, since other
    /// stores reject headers that they do not know.
    asks_for_checksums: bool,
}

impl Sender {
    async fn get(
        &self,
        object: &ObjectName,
        range: Option<&Range<u64>>,
        if_match: Option<&ETag>,
        key: Option<&CustomerKey>,
    ) -> Result<GetObjectOutput, Failed> {
        let header =
            range.map(|range| format!("bytes={}-{}", range.start, range.end.saturating_sub(1)));
        let request =
            self.client.get_object().bucket(object.bucket.as_str()).key(object.key.as_str());
        let request = with_key!(request, key).set_range(header).set_if_match(if_match.map(quoted));
        let asks = self.asks_for_checksums && range.is_none();
        let send = || {
            let request = request.clone();
            async move {
                // Only sets the header: the SDK would also verify by itself, but not across two
                // pieces.
                let request = request.customize().mutate_request(move |request| {
                    if asks {
                        request.headers_mut().insert(CHECKSUM_MODE, "ENABLED");
                    }
                });
                request.send().await.map_err(Failed::from)
            }
        };
        self.attempts.send(Some(object.bucket.as_str()), send).await
    }
}

/// Returns the range of the bytes in an answer and the size of the whole object. `known` is that
/// size if the answer lacks it.
fn given(
    answer: &GetObjectOutput,
    asked: Option<&Range<u64>>,
    known: Option<u64>,
) -> Result<(Range<u64>, u64), Cause> {
    let len = match known {
        Some(len) => len,
        None => size(answer.content_length())?,
    };
    let Some(asked) = asked else { return Ok((0..len, len)) };
    let odd = || {
        Cause::new(format!(
            "asked for bytes {asked:?}, the store sent {:?}",
            answer.content_range()
        ))
    };
    let (given, whole) = answer.content_range().and_then(content_range).ok_or_else(odd)?;
    let expected = asked.start..asked.end.min(whole);
    if given == expected && given.end - given.start == len {
        Ok((given, whole))
    } else {
        Err(odd())
    }
}

/// Parses `bytes 0-4/10` (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, end, whole) =
        (first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?, whole.parse().ok()?);
    (first < end && end <= whole).then_some((first..end, whole))
}

/// A download in progress.
pub(super) struct Download {
    client: Sender,
    object: ObjectName,
    etag: ETag,
    /// Set for a weak tag, which never satisfies `If-Match` (RFC 9110, section 13.1.1).
    is_weak: bool,
    key: Option<CustomerKey>,
    left: Range<u64>,
    /// The body has more bytes than are left.
    is_cut: bool,
    body: SdkStream,
    /// The number of resumptions since the last progress.
    resumptions: u32,
    /// The offset of the last resumption.
    resumed_at: u64,
}

impl Download {
    /// Returns the bytes as they arrive.
    pub(super) fn into_stream(self) -> ByteStream {
        futures::stream::try_unfold(self, |mut download| async move {
            let piece = download.next().await?;
            Ok(piece.map(|piece| (piece, download)))
        })
        .boxed()
    }

    /// Returns the range of the bytes still to come.
    pub(super) fn left(&self) -> Range<u64> {
        self.left.clone()
    }

    /// Returns whether other requests can ask for parts of the same version.
    pub(super) fn may_be_split(&self) -> bool {
        !self.is_weak
    }

    /// Returns a download of a range of the same version, for which no request was sent yet.
    pub(super) fn range(&self, range: Range<u64>) -> Self {
        Self {
            client: self.client.clone(),
            object: self.object.clone(),
            etag: self.etag.clone(),
            is_weak: self.is_weak,
            key: self.key.clone(),
            resumed_at: range.start,
            left: range,
            is_cut: false,
            body: SdkStream::from_static(b""),
            resumptions: 0,
        }
    }

    /// Ends the download at `end`, before the end of its body.
    pub(super) fn cut(&mut self, end: u64) {
        self.left.end = end;
        self.is_cut = true;
    }

    /// Returns the next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if self.is_cut && self.left.is_empty() {
                return Ok(None);
            }
            let broken = match self.body.next().await {
                Some(Ok(piece)) if piece.is_empty() => continue,
                Some(Ok(mut piece)) => {
                    let left = self.left.end - self.left.start;
                    if self.is_cut {
                        piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    }
                    let len = piece.len() as u64;
                    if len > left {
                        return Err(self.error(
                            io::ErrorKind::InvalidData,
                            "the store sent more bytes than it said",
                        ));
                    }
                    self.left.start += len;
                    return Ok(Some(piece));
                }
                None if self.left.is_empty() => return Ok(None),
                None => Cause::new("the bytes ended early"),
                Some(Err(error)) if self.left.is_empty() => {
                    // An error after the last byte counts too: it may be a failed checksum.
                    return Err(self.error(io::ErrorKind::InvalidData, Cause::of(&error)));
                }
                Some(Err(error)) => Cause::of(&error),
            };
            if self.left.start.saturating_sub(self.resumed_at) >= PROGRESS {
                self.resumptions = 0;
            }
            if self.resumptions == RESUMPTIONS {
                return Err(self.error(io::ErrorKind::UnexpectedEof, broken));
            }
            self.resumptions += 1;
            self.resumed_at = self.left.start;
            tokio::time::sleep(Duration::from_millis(50 << self.resumptions)).await;
            self.resume().await?;
        }
    }

    /// Requests the rest of the same version.
    pub(super) async fn resume(&mut self) -> io::Result<()> {
        let if_match = Some(&self.etag).filter(|_| !self.is_weak);
        let answer =
            self.client.get(&self.object, Some(&self.left), if_match, self.key.as_ref()).await;
        let answer =
            answer.map_err(|failed| io::Error::other(failed.at(OPERATION, &self.object)))?;
        let (given, _) = given(&answer, Some(&self.left), None)
            .map_err(|cause| self.error(io::ErrorKind::Other, cause))?;
        if given != self.left
            || super::attributes::etag(answer.e_tag()).ok().as_ref() != Some(&self.etag)
        {
            return Err(self.error(io::ErrorKind::Other, "the object changed while it was read"));
        }
        (self.body, self.is_cut) = (answer.body, false);
        Ok(())
    }

    fn error(&self, kind: io::ErrorKind, cause: impl std::fmt::Display) -> io::Error {
        let left = self.left.end - self.left.start;
        io::Error::new(
            kind,
            format!("{OPERATION} {}: {cause}, with {left} bytes missing", self.object),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_is_strict() {
        assert_eq!(content_range("bytes 2-4/10"), Some((2..5, 10)));
        for odd in [
            "bytes 2-4/*",
            "bytes */10",
            "bytes 4-2/10",
            "bytes 2-10/10",
            "2-4/10",
            "bytes 0-18446744073709551615/3",
        ] {
            assert_eq!(content_range(odd), None, "{odd}");
        }
    }

    #[test]
    fn mismatched_range_is_refused() {
        let answer = |len: i64, range: Option<&str>| {
            let body = SdkStream::from_static(b"");
            GetObjectOutput::builder()
                .content_length(len)
                .set_content_range(range.map(str::to_owned))
                .body(body)
                .build()
        };
        assert_eq!(
            given(&answer(3, Some("bytes 2-4/10")), Some(&(2..5)), None).unwrap(),
            (2..5, 10)
        );
        assert_eq!(
            given(&answer(8, Some("bytes 2-9/10")), Some(&(2..50)), None).unwrap(),
            (2..10, 10)
        );
        assert_eq!(given(&answer(10, None), None, None).unwrap(), (0..10, 10));
        // A store that ignores ranges, one that sends other bytes, one whose length differs.
        assert!(given(&answer(10, None), Some(&(2..5)), None).is_err());
        assert!(given(&answer(3, Some("bytes 0-2/10")), Some(&(2..5)), None).is_err());
        assert!(given(&answer(2, Some("bytes 2-4/10")), Some(&(2..5)), None).is_err());
    }
}
