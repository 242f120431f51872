//! PUT: whole or in parts, under a condition, tried again where the store asks for it.

use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;

use crate::domain::ObjectName;
use crate::storage::{Attributes, ETag, PutBody, PutCondition, StorageError, StorageErrorKind};

use super::S3Store;
use super::attributes::{etag, set_expires, with_attributes};
use super::error::{Cause, Failed};

/// Times a put is tried while the store answers that another write to the key is under way.
const ATTEMPTS_IN_CONFLICT: u32 = 5;

/// Sets the condition of a request (they have no common trait in the SDK).
macro_rules! with_condition {
    ($request:expr, $condition:expr) => {
        match $condition {
            PutCondition::None => $request,
            PutCondition::IfAbsent => $request.if_none_match("*"),
            PutCondition::IfMatch(etag) => $request.if_match($crate::storage::s3::attributes::quoted(etag)),
        }
    };
}
pub(super) use with_condition;

/// Why nothing was stored, as far as is known.
pub(super) enum PutFailed {
    /// The body itself failed.
    Body(std::io::Error),
    /// The store or the way to it failed.
    Store(Failed),
    /// The store's answer misses something.
    Answer(Cause),
}

impl PutFailed {
    pub(super) fn answer(what: &str) -> Self {
        Self::Answer(Cause::new(what))
    }

    /// With the call it happened in.
    pub(super) fn at(self, operation: &'static str, target: impl std::fmt::Display) -> StorageError {
        match self {
            Self::Store(failed) => failed.at(operation, target),
            Self::Body(error) => StorageError::new(StorageErrorKind::Other, operation, target).because(error),
            Self::Answer(cause) => StorageError::new(StorageErrorKind::Other, operation, target).because(cause),
        }
    }
}

impl From<Cause> for PutFailed {
    fn from(cause: Cause) -> Self {
        Self::Answer(cause)
    }
}

impl<E> From<SdkError<E, HttpResponse>> for PutFailed
where
    Failed: From<SdkError<E, HttpResponse>>,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        Self::Store(error.into())
    }
}

impl S3Store {
    /// Stores an object.
    ///
    /// An answer that is lost makes the SDK send the request again, and a condition then meets the object of the first
    /// time: a conditional put that fails may have stored its own content.
    pub(super) async fn store(
        &self,
        object: &ObjectName,
        body: &PutBody,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<ETag, StorageError> {
        const OPERATION: &str = "PutObject";
        let mut attempt = 1;
        loop {
            let sent = if body.len() >= self.multipart_threshold {
                let client = &self.clients.transfers;
                super::multipart::put(client, object, body, attributes, condition, self.part_size, &self.aborts).await
            } else {
                self.put_whole(object, body, attributes, condition).await
            };
            let failed = match sent {
                Ok(etag) => return Ok(etag),
                Err(PutFailed::Store(failed)) => failed,
                Err(failed) => return Err(failed.at(OPERATION, object)),
            };
            if failed.is_conflict() && attempt < ATTEMPTS_IN_CONFLICT {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                attempt += 1;
                continue;
            }
            let failed = match condition {
                PutCondition::IfAbsent => {
                    failed.with_kind(StorageErrorKind::Precondition, StorageErrorKind::AlreadyExists)
                }
                // S3 answers 404 to If-Match when there is nothing to match.
                PutCondition::IfMatch(_) => {
                    failed.with_kind(StorageErrorKind::NotFound, StorageErrorKind::Precondition)
                }
                PutCondition::None => failed,
            };
            return Err(failed.at(OPERATION, object));
        }
    }

    async fn put_whole(
        &self,
        object: &ObjectName,
        body: &PutBody,
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> Result<ETag, PutFailed> {
        let (stream, failure) = super::body::for_sdk(body).await.map_err(PutFailed::Body)?;
        let client = &self.clients.transfers;
        let request = client.put_object().bucket(object.bucket.as_str()).key(object.key.as_str());
        let request = with_condition!(with_attributes!(request, attributes), condition).body(stream);
        let sent = request.customize().mutate_request(set_expires(attributes)).send().await;
        let answer = sent.map_err(|error| match failure.take() {
            Some(failure) => PutFailed::Body(failure),
            None => error.into(),
        })?;
        Ok(etag(answer.e_tag())?)
    }
}
