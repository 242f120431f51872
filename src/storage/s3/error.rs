//! Converts the SDK's errors to those of the storage interface: a kind, and a cause in plain text.
//!
//! Nothing of a request is copied into a cause (no URL, no header, no credential), only what the
//! store or the network reported.

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::{RequestId as _, RequestIdExt as _};
use aws_sdk_s3::types::error::InvalidObjectState;

use super::again::{Again, has_no_body, is_passing, seconds_or_date};
use super::hints::{CONFLICT, elsewhere, first_line, hint, needs, refused_certificate};
use crate::storage::{StorageError, StorageErrorKind};

/// Headers of checksums, as stores name them when they reject a request.
pub(super) const MD5_HEADER: &str = "content-md5";
pub(super) const CHECKSUM_HEADERS: [&str; 2] = ["x-amz-checksum", "x-amz-sdk-checksum"];

/// The facts known about a failed call.
#[derive(Debug)]
pub(super) struct Failed {
    kind: StorageErrorKind,
    /// The HTTP status, if the store answered.
    status: Option<u16>,
    /// S3's error code, if the answer had one.
    code: Option<String>,
    cause: Cause,
    again: Again,
    /// The region of the bucket according to the store.
    region: Option<String>,
    /// Set if no answer came.
    is_unreached: bool,
}

impl Failed {
    pub(super) fn again(&self) -> Again {
        self.again
    }

    /// Adjusts a failed HEAD: its answer has no body, so the absence of a code means nothing.
    pub(super) fn of_head(mut self) -> Self {
        if self.is_silent() {
            self.again = Again::No;
        }
        self
    }

    /// Returns whether the store rejected the request itself and gave the header of a checksum as
    /// the reason.
    fn names_checksum(&self) -> bool {
        self.names(MD5_HEADER) || CHECKSUM_HEADERS.iter().any(|header| self.names(header))
    }

    /// Returns whether the store rejected the request itself with `text`, in lower case, in its
    /// reason.
    pub(super) fn names(&self, text: &str) -> bool {
        matches!(self.status, Some(400 | 501))
            && self.cause.text.to_ascii_lowercase().contains(text)
    }

    /// Returns whether a request was rejected without a reason.
    pub(super) fn is_silent(&self) -> bool {
        self.code.is_none() && matches!(self.status, Some(400 | 403))
    }

    /// Returns whether the store reported that the bucket is in another region.
    pub(super) fn is_elsewhere(&self) -> bool {
        let codes = [
            "PermanentRedirect",
            "TemporaryRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
        ];
        let by_code = self.code().is_some_and(|code| codes.contains(&code));
        by_code || matches!(self.status, Some(301 | 307 | 400)) && self.region.is_some()
    }

    /// Returns the region of the bucket according to the store.
    pub(super) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// Returns whether the store rejected the time of the request.
    pub(super) fn refuses_time(&self) -> bool {
        matches!(
            self.code(),
            Some("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture")
        )
    }

    /// Adds the address of a store that did not answer to the cause.
    pub(super) fn name_address(&mut self, endpoint: &str) {
        if self.is_unreached {
            self.cause.text = format!("{endpoint}: {}", self.cause.text);
        }
    }

    /// Replaces the kind `from` by `to`, for calls in which the answer has another meaning.
    pub(super) fn with_kind(mut self, from: StorageErrorKind, to: StorageErrorKind) -> Self {
        if self.kind == from {
            self.kind = to;
        }
        self
    }

    /// Returns the HTTP status, if the store answered.
    pub(super) fn status(&self) -> Option<u16> {
        self.status
    }

    /// Creates the failure of a call whose condition the store does not support. `refused` is the
    /// rejection by the store, if the call was sent.
    pub(super) fn lacks_condition(text: String, refused: Option<Self>) -> Self {
        let status = refused.as_ref().and_then(Self::status);
        let text = match refused {
            Some(refused) => format!("{text}; the store answered {}", refused.cause.text),
            None => text,
        };
        Self {
            kind: StorageErrorKind::ConditionUnsupported,
            status,
            code: None,
            cause: Cause::new(text),
            again: Again::No,
            region: None,
            is_unreached: false,
        }
    }

    /// Returns whether a conditional call may have been rejected because of its condition: by 501
    /// or 400 without a reason of its own.
    pub(super) fn is_refused_condition(&self) -> bool {
        let reason = [
            "MetadataTooLarge",
            "EntityTooLarge",
            "EntityTooSmall",
            "KeyTooLongError",
            "InvalidBucketName",
        ];
        self.kind == StorageErrorKind::Invalid
            && matches!(self.status, Some(400 | 501))
            && !self.names_checksum()
            && !self.code().is_some_and(|code| reason.contains(&code))
    }

    /// Changes the kind to [`StorageErrorKind::KeyNeeded`].
    pub(super) fn needs_key(self) -> Self {
        Self { kind: StorageErrorKind::KeyNeeded, ..self }
    }

    /// Returns whether the store does not support the call (501).
    pub(super) fn is_unknown_call(&self) -> bool {
        self.status == Some(501)
    }

    /// Returns whether the store answered 404.
    pub(super) fn is_404(&self) -> bool {
        self.status == Some(404)
    }

    /// Returns whether the store does not support the call, by status (405, 501) or code.
    pub(super) fn is_not_implemented(&self) -> bool {
        matches!(self.status, Some(405 | 501)) || self.code() == Some("NotImplemented")
    }

    /// Returns S3's error code, if the answer had one.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Returns whether the object of a conditional write was missing.
    pub(super) fn is_no_such_key(&self) -> bool {
        self.kind == StorageErrorKind::NotFound
    }

    /// Returns whether the write met a concurrent one and may be tried again.
    pub(super) fn is_conflict(&self) -> bool {
        self.code.as_deref() == Some(CONFLICT)
    }

    /// Returns whether the upload no longer exists: it was completed or aborted.
    pub(super) fn is_no_such_upload(&self) -> bool {
        self.code() == Some("NoSuchUpload")
    }

    pub(super) fn kind(&self) -> StorageErrorKind {
        self.kind
    }

    /// Converts to an error of the call; adds the permissions it needs if it was denied.
    pub(super) fn at(mut self, operation: &'static str, target: impl fmt::Display) -> StorageError {
        // Other codes are those of wrong credentials. An answer to HEAD has none.
        let by_policy =
            self.status.is_some() && matches!(self.code.as_deref(), None | Some("AccessDenied"));
        if self.kind == StorageErrorKind::Locked && !operation.starts_with("Delete") {
            // The lock protects the stored version; it is no reason to reject a new one.
            self.kind = kind_of_answer(self.status.unwrap_or_default(), self.code.as_deref());
        }
        if self.kind == StorageErrorKind::Denied
            && by_policy
            && let Some(needs) = needs(operation)
        {
            self.cause.text = format!("{}; {needs}", self.cause.text);
        }
        StorageError::new(self.kind, operation, target).because(self.cause)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Failed
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    SdkError<E, HttpResponse>: Error,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let answer = error.raw_response();
        let status = answer.map(|answer| answer.status().as_u16());
        let code = error.code().map(str::to_owned);
        let header =
            |name: &str| answer.and_then(|answer| answer.headers().get(name)).map(str::to_owned);
        let kind = match (&error, status) {
            // The newest version is a delete marker: the object does not exist, but the bucket
            // does.
            (SdkError::ServiceError(_), Some(404 | 405))
                if header("x-amz-delete-marker").as_deref() == Some("true") =>
            {
                StorageErrorKind::NotFound
            }
            (SdkError::ServiceError(_), Some(_))
                if is_object_lock(code.as_deref(), error.message()) =>
            {
                StorageErrorKind::Locked
            }
            (SdkError::ServiceError(_), Some(_))
                if is_missing_key(code.as_deref(), error.message()) =>
            {
                StorageErrorKind::KeyNeeded
            }
            (SdkError::ServiceError(_), Some(status)) => kind_of_answer(status, code.as_deref()),
            (SdkError::ConstructionFailure(_), _) => StorageErrorKind::Invalid,
            _ => StorageErrorKind::Other,
        };
        if let Some(credentials) = find::<CredentialsError>(&error) {
            let kind = match credentials {
                CredentialsError::ProviderTimedOut(_) => StorageErrorKind::Other,
                _ => StorageErrorKind::Credentials,
            };
            return Self {
                kind,
                status,
                code,
                cause: cause_of_credentials(credentials),
                again: Again::No,
                region: None,
                is_unreached: false,
            };
        }
        let certificate = refused_certificate(&error);
        let mut cause = match &error {
            // The SDK also reports an unparsable answer as a service error. An error in an answer
            // that began with 200, as possible for a copy, has a code.
            SdkError::ServiceError(_)
                if code.is_none() && status.is_some_and(|status| (200..300).contains(&status)) =>
            {
                Cause::new("the store's answer could not be read").with(error.source())
            }
            SdkError::ServiceError(_) => {
                let request =
                    error.request_id().map(|id| format!(", request {id}")).unwrap_or_default();
                let host = error
                    .extended_request_id()
                    .map(|id| format!(", host {id}"))
                    .unwrap_or_default();
                let reason = match (code.as_deref(), error.message()) {
                    (Some(code), Some(message)) => format!("{code}: {message}"),
                    (Some(code), None) => code.to_owned(),
                    (None, Some(message)) => message.to_owned(),
                    (None, None) => match first_line(error.raw_response()) {
                        Some(line) => format!("an answer without an S3 error code: {line}"),
                        None => "an answer without an S3 error code".to_owned(),
                    },
                };
                Cause::new(format!("{reason} (HTTP {}{request}{host})", status.unwrap_or_default()))
            }
            SdkError::TimeoutError(_) => Cause::new("the store did not answer in time"),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                Cause::new("the store could not be reached in time").with(error.source())
            }
            SdkError::DispatchFailure(_) => {
                let hint = certificate.map(|hint| format!("; {hint}")).unwrap_or_default();
                Cause::new(format!("the store could not be reached{hint}")).with(error.source())
            }
            SdkError::ResponseError(_) => {
                Cause::new("the store's answer could not be read").with(error.source())
            }
            _ => Cause::new("the request could not be made").with(error.source()),
        };
        let region = header("x-amz-bucket-region");
        if let Some(hint) = elsewhere(status, code.as_deref(), header("location")) {
            cause.text = format!("{}; {hint}", cause.text);
        } else if let Some(hint) = hint(status, code.as_deref(), region.clone()) {
            cause.text = format!("{}; {hint}", cause.text);
        }
        if kind == StorageErrorKind::Archived {
            let reported =
                find::<InvalidObjectState>(&error).and_then(|state| state.storage_class());
            let class = reported
                .map(|class| class.as_str().to_owned())
                .or_else(|| header("x-amz-storage-class"));
            if let Some(class) = class {
                cause.text = format!("{}; its storage class is {class}", cause.text);
            }
        }
        let is_unreached =
            matches!(&error, SdkError::TimeoutError(_) | SdkError::DispatchFailure(_));
        let again = match &error {
            SdkError::ServiceError(_) if kind == StorageErrorKind::Throttled => {
                Again::Busy(header("retry-after").and_then(|text| seconds_or_date(&text)))
            }
            SdkError::ServiceError(_) if is_passing(status, code.as_deref()) => Again::Failure,
            // Some stores answer like this, without a body, when they are busy (Hetzner).
            SdkError::ServiceError(_)
                if status == Some(400) && code.is_none() && has_no_body(error.raw_response()) =>
            {
                Again::Failure
            }
            SdkError::DispatchFailure(failure) if !failure.is_user() && certificate.is_none() => {
                Again::Failure
            }
            SdkError::TimeoutError(_) | SdkError::ResponseError(_) => Again::Failure,
            _ => Again::No,
        };
        Self { kind, status, code, cause, again, region, is_unreached }
    }
}

/// Returns whether a rejection is due to an object lock, which has no code of its own: AWS answers
/// 403 `AccessDenied`, "Access Denied because object protected by object lock"; MinIO 400
/// `InvalidRequest`, "Object is WORM protected and cannot be overwritten".
fn is_object_lock(code: Option<&str>, message: Option<&str>) -> bool {
    let (Some("AccessDenied" | "InvalidRequest"), Some(message)) = (code, message) else {
        return false;
    };
    let message = message.to_ascii_lowercase();
    // A missing permission is reported with the names of the action and the object, which may
    // contain these words.
    !message.contains("not authorized")
        && ["object lock", "worm protected", "retention", "legal hold"]
            .iter()
            .any(|words| message.contains(words))
}

/// Returns whether a rejection is due to a missing customer's key, which has no code of its own:
/// AWS and MinIO answer 400 `InvalidRequest`, "The object was stored using a form of Server Side
/// Encryption. The correct parameters must be provided to retrieve the object."
fn is_missing_key(code: Option<&str>, message: Option<&str>) -> bool {
    code == Some("InvalidRequest")
        && message.is_some_and(|message| {
            message.contains("stored using a form of Server Side Encryption")
        })
}

/// Returns the kind for S3's error code (API reference, "Error responses"), or for the status if
/// the code is missing or unknown.
fn kind_of_answer(status: u16, code: Option<&str>) -> StorageErrorKind {
    use StorageErrorKind as Kind;
    match code.unwrap_or_default() {
        "NoSuchBucket" => Kind::NoSuchBucket,
        "NoSuchKey" => Kind::NotFound,
        "BucketAlreadyExists" | "BucketAlreadyOwnedByYou" => Kind::AlreadyExists,
        "BucketNotEmpty" => Kind::NotEmpty,
        "InvalidRange" => Kind::InvalidRange,
        "PreconditionFailed" => Kind::Precondition,
        // Alibaba Cloud OSS, for a bucket in the path; sent with 403.
        "SecondLevelDomainForbidden" => Kind::Invalid,
        // Also in an answer that began with 200.
        "AccessDenied" => Kind::Denied,
        // The second code is that of copies.
        "InvalidObjectState" | "ObjectNotInActiveTierError" => Kind::Archived,
        "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch" => Kind::Credentials,
        "RequestTimeTooSkewed" | "RequestExpired" | "NotSignedUp" => Kind::Credentials,
        // Sent with 400, but a failure of the connection.
        "RequestTimeout" | "IncompleteBody" | "BadDigest" => Kind::Other,
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "ServiceUnavailable"
        | "RequestLimitExceeded" => Kind::Throttled,
        "TooManyRequests" | "TooManyRequestsException" | "Throttling" | "ThrottlingException" => {
            Kind::Throttled
        }
        "XMinioStorageFull" | "XMinioBackendDown.StorageFull" | "QuotaExceeded" => Kind::NoSpace,
        _ => match status {
            401 | 403 => Kind::Denied,
            412 => Kind::Precondition,
            416 => Kind::InvalidRange,
            429 | 503 => Kind::Throttled,
            507 => Kind::NoSpace,
            301 | 307 | 400 | 405 | 411 | 413 | 414 | 501 => Kind::Invalid,
            // Also a 404 without a code: it does not report that the object is missing.
            _ => Kind::Other,
        },
    }
}

fn cause_of_credentials(error: &CredentialsError) -> Cause {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => Cause::new(
            "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
             choose a profile by --profile or AWS_PROFILE, \
             or use --no-sign-request for a public bucket",
        ),
        _ => {
            let hint =
                refused_certificate(error).map(|hint| format!("; {hint}")).unwrap_or_default();
            Cause::new(format!("the AWS credentials could not be loaded{hint}")).with(Some(error))
        }
    }
}

pub(super) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// Iterates over the error and its causes.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// A cause in plain text, with its own causes.
#[derive(Debug)]
pub(super) struct Cause {
    text: String,
    source: Option<Box<Cause>>,
}

impl Cause {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), source: None }
    }

    /// Joins the whole chain of an error into one text.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut texts: Vec<String> = Vec::new();
        for error in chain(error) {
            let text = error.to_string();
            // Some errors repeat their cause.
            if !texts.last().is_some_and(|last| last.ends_with(&text)) {
                texts.push(text);
            }
        }
        Self::new(texts.join(": "))
    }

    fn with(mut self, source: Option<&(dyn Error + 'static)>) -> Self {
        self.source = source.map(|source| Box::new(Self::of(source)));
        self
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Cause {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StorageErrorKind as Kind;

    /// A 404 without S3's code does not mean that the object is absent.
    #[test]
    fn only_codes_mean_absent() {
        assert_eq!(kind_of_answer(404, Some("NoSuchKey")), Kind::NotFound);
        assert_eq!(kind_of_answer(404, Some("NoSuchBucket")), Kind::NoSuchBucket);
        for code in [None, Some("NotFound"), Some("NoSuchUpload"), Some("NoSuchVersion")] {
            assert_eq!(kind_of_answer(404, code), Kind::Other, "{code:?}");
        }
        for status in [400, 403, 429, 500, 502, 503, 504] {
            assert!(
                !matches!(kind_of_answer(status, None), Kind::NotFound | Kind::NoSuchBucket),
                "{status}"
            );
        }
    }

    #[test]
    fn answers_have_their_error_kinds() {
        for (status, code, kind) in [
            (403, "AccessDenied", Kind::Denied),
            (200, "AccessDenied", Kind::Denied),
            (200, "InternalError", Kind::Other),
            (200, "SlowDown", Kind::Throttled),
            (200, "NoSuchKey", Kind::NotFound),
            (403, "SignatureDoesNotMatch", Kind::Credentials),
            (400, "ExpiredToken", Kind::Credentials),
            (403, "InvalidObjectState", Kind::Archived),
            (403, "ObjectNotInActiveTierError", Kind::Archived),
            (429, "", Kind::Throttled),
            (503, "SlowDown", Kind::Throttled),
            (500, "InternalError", Kind::Other),
            (400, "MetadataTooLarge", Kind::Invalid),
            (400, "EntityTooLarge", Kind::Invalid),
            (400, "RequestTimeout", Kind::Other),
            (412, "PreconditionFailed", Kind::Precondition),
            (409, "ConditionalRequestConflict", Kind::Other),
            (409, "BucketNotEmpty", Kind::NotEmpty),
            (409, "BucketAlreadyOwnedByYou", Kind::AlreadyExists),
            (416, "InvalidRange", Kind::InvalidRange),
            (507, "XMinioStorageFull", Kind::NoSpace),
            (301, "PermanentRedirect", Kind::Invalid),
        ] {
            assert_eq!(
                kind_of_answer(status, Some(code).filter(|code| !code.is_empty())),
                kind,
                "{status} {code}"
            );
        }
    }

    /// A message about a missing permission may contain the words of a lock in an object's name.
    #[test]
    fn object_lock_is_recognized() {
        for (code, message) in [
            ("AccessDenied", "Access Denied because object protected by object lock."),
            ("InvalidRequest", "Object is WORM protected and cannot be overwritten"),
            ("AccessDenied", "forbidden by object lock"),
            ("AccessDenied", "The object is under a legal hold"),
        ] {
            assert!(is_object_lock(Some(code), Some(message)), "{message}");
        }
        for (code, message) in [
            (Some("AccessDenied"), Some("Access Denied")),
            (
                Some("AccessDenied"),
                Some(
                    "User: arn:aws:iam::123456789012:user/u is not authorized to perform: \
                     s3:DeleteObject on resource: \"arn:aws:s3:::bucket/retention/x\" because \
                     no identity-based policy allows the s3:DeleteObject action",
                ),
            ),
            (Some("SlowDown"), Some("object lock")),
            (None, Some("object lock")),
            (Some("AccessDenied"), None),
        ] {
            assert!(!is_object_lock(code, message), "{message:?}");
        }
    }
}
