//! PUT: whole or in parts, under a condition, retried where the store asks for it.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;

use crate::domain::ObjectName;
use crate::storage::{
    Attributes, ByteStream, ETag, ObjectHead, ObjectStore as _, PutBody, PutCondition,
    StorageError, StorageErrorKind,
};

use super::S3Store;
use super::attributes::{etag, set_expires, with_attributes, with_class};
use super::checksum::Checksum;
use super::conditions::Conditional;
use super::put_failed::PutFailed;
use super::retry::Sendings;

/// The maximum number of attempts of a write while the store reports a concurrent write to the key.
pub(super) const ATTEMPTS_IN_CONFLICT: u32 = 5;

/// Sets the condition of a request (the SDK's requests have no common trait).
macro_rules! with_condition {
    ($request:expr, $condition:expr) => {
        match $condition {
            PutCondition::None => $request,
            PutCondition::IfAbsent => $request.if_none_match("*"),
            PutCondition::IfMatch(etag) => {
                $request.if_match($crate::storage::s3::attributes::quoted(etag))
            }
        }
    };
}
pub(super) use with_condition;

impl S3Store {
    /// Stores an object.
    ///
    /// If an answer is lost, the request is sent again, and its condition then fails on the object
    /// of the first attempt, or the end of an upload finds no upload. So after a repeated attempt,
    /// the stored object is compared with the body.
    pub(super) async fn store(
        &self,
        object: &ObjectName,
        body: &PutBody,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<ETag, StorageError> {
        const OPERATION: &str = "PutObject";
        let mut attempt = 1;
        let sendings = Sendings::default();
        loop {
            let checksum = self.checksum.now();
            let sent = if body.len() >= self.multipart_threshold {
                match self.upload(object, attributes).await {
                    Ok(upload) => upload.put(self, body, condition, &sendings).await,
                    Err(failed) => Err(failed),
                }
            } else {
                self.put_whole(object, body, attributes, condition, &sendings).await
            };
            let failed = match sent {
                Ok(etag) => return Ok(etag),
                Err(PutFailed::Store(failed)) => failed,
                Err(failed) => return Err(failed.at(OPERATION, object)),
            };
            if self.checksum.refused(checksum, &failed) {
                continue;
            }
            if failed.is_conflict() && attempt < ATTEMPTS_IN_CONFLICT {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                attempt += 1;
                continue;
            }
            if (failed.kind() == StorageErrorKind::Precondition || failed.is_no_such_upload())
                && sendings.count() > attempt
                && let Some(etag) = self.stored_already(object, body, attributes).await
            {
                return Ok(etag);
            }
            let failed = match condition {
                PutCondition::IfAbsent => failed
                    .with_kind(StorageErrorKind::Precondition, StorageErrorKind::AlreadyExists),
                // S3 answers 404 to If-Match if the object does not exist.
                PutCondition::IfMatch(_) => {
                    failed.with_kind(StorageErrorKind::NotFound, StorageErrorKind::Precondition)
                }
                PutCondition::None => failed,
            };
            return Err(failed.at(OPERATION, object));
        }
    }

    /// Returns the tag of the stored object if it equals the body, byte by byte.
    async fn stored_already(
        &self,
        object: &ObjectName,
        body: &PutBody,
        attributes: &Attributes,
    ) -> Option<ETag> {
        let same = |head: &ObjectHead| {
            head.size == body.len() && head.attributes.metadata == attributes.metadata
        };
        // The metadata of a concurrent writer's object differs, so it need not be read.
        self.head(object).await.ok().filter(same)?;
        let stored = self.open(object, None).await.ok().filter(|stored| same(&stored.head))?;
        let is_same = same_bytes(stored.stream, body.open()).await.unwrap_or(false);
        is_same.then_some(stored.head.etag)
    }

    async fn put_whole(
        &self,
        object: &ObjectName,
        body: &PutBody,
        attributes: &Attributes,
        condition: &PutCondition,
        sendings: &Sendings,
    ) -> Result<ETag, PutFailed> {
        let send = |with| {
            let condition = if with { condition } else { &PutCondition::None };
            let send = move || self.put_once(object, body, attributes, condition, sendings);
            self.clients.attempts.send(Some(object.bucket.as_str()), send)
        };
        self.under_condition(Conditional::put(condition), matched(object, condition), send).await
    }

    async fn put_once(
        &self,
        object: &ObjectName,
        body: &PutBody,
        attributes: &Attributes,
        condition: &PutCondition,
        sendings: &Sendings,
    ) -> Result<ETag, PutFailed> {
        let (stream, failure) = super::body::for_sdk(body).await.map_err(PutFailed::Body)?;
        let client = &self.clients.transfers;
        let request = client.put_object().bucket(object.bucket.as_str()).key(object.key.as_str());
        let request = with_class!(
            with_attributes!(request, attributes, self),
            attributes,
            self.customer_key.as_ref()
        );
        let checksum = self.checksum.now();
        let checksums = match checksum {
            Checksum::Sdk => None,
            Checksum::Md5 | Checksum::Crc32 => {
                Some(body.checksums().await.map_err(PutFailed::Body)?)
            }
        };
        let request =
            request.set_content_md5(checksums.as_ref().and_then(|sums| checksum.md5(sums)));
        let request =
            request.set_checksum_crc32(checksums.as_ref().and_then(|sums| checksum.crc32(sums)));
        let request = with_condition!(request, condition).body(stream);
        let time = self.clients.time_to_send(body.len());
        let request =
            request.customize().config_override(time).mutate_request(set_expires(attributes));
        let sent = request.interceptor(sendings.clone()).send().await;
        let answer = sent.map_err(|error| match failure.take() {
            Some(failure) => PutFailed::Body(failure),
            None => error.into(),
        })?;
        Ok(etag(answer.e_tag())?)
    }
}

/// Returns the object and the tag it must have; `None` without `If-Match`.
pub(super) fn matched<'a>(
    object: &'a ObjectName,
    condition: &'a PutCondition,
) -> Option<(&'a ObjectName, &'a ETag)> {
    match condition {
        PutCondition::IfMatch(tag) => Some((object, tag)),
        PutCondition::None | PutCondition::IfAbsent => None,
    }
}

/// Returns whether two streams have the same bytes, however they are split into pieces.
async fn same_bytes(mut a: ByteStream, mut b: ByteStream) -> std::io::Result<bool> {
    let (mut of_a, mut of_b) = (Bytes::new(), Bytes::new());
    loop {
        for (stream, left) in [(&mut a, &mut of_a), (&mut b, &mut of_b)] {
            while left.is_empty()
                && let Some(piece) = stream.try_next().await?
            {
                *left = piece;
            }
        }
        let len = of_a.len().min(of_b.len());
        if len == 0 {
            return Ok(of_a.is_empty() && of_b.is_empty());
        }
        if of_a.split_to(len) != of_b.split_to(len) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    fn stream(pieces: &'static [&'static str]) -> ByteStream {
        futures::stream::iter(pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))))
            .boxed()
    }

    #[tokio::test]
    async fn streams_compare_across_pieces() {
        let same = async |a, b| same_bytes(stream(a), stream(b)).await.unwrap();
        assert!(same(&["ab", "", "cde"], &["abcd", "e", ""]).await);
        assert!(same(&[], &[""]).await);
        for other in [&["abcd"][..], &["abcde", "f"], &["abXde"], &[]] {
            assert!(!same(&["ab", "cde"], other).await, "{other:?}");
            assert!(!same(other, &["ab", "cde"]).await, "{other:?}");
        }
    }
}
