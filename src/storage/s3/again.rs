//! Classifies failures as transient, so that the same request may succeed later, or permanent.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};

/// The advice whether to send the same request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    No,
    /// Send it again after a transient failure.
    Failure,
    /// Send it later: the store asks for fewer requests, and for this delay.
    Busy(Option<Duration>),
}

/// Returns whether a failure is transient: those after which the AWS SDKs send a request again (AWS
/// SDKs and Tools Reference Guide, "Retry behavior").
pub(super) fn is_passing(status: Option<u16>, code: Option<&str>) -> bool {
    let codes = [
        "RequestTimeout",
        "RequestTimeoutException",
        "InternalError",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
    ];
    matches!(status, Some(500 | 502 | 504)) || code.is_some_and(|code| codes.contains(&code))
}

pub(super) fn has_no_body(answer: Option<&HttpResponse>) -> bool {
    answer.and_then(|answer| answer.body().bytes()).is_none_or(<[u8]>::is_empty)
}

fn http_date(text: &str) -> Option<SystemTime> {
    DateTime::from_str(text, DateTimeFormat::HttpDate).ok()?.try_into().ok()
}

/// Parses the value of `Retry-After` (RFC 9110, section 10.2.3).
pub(super) fn seconds_or_date(text: &str) -> Option<Duration> {
    match text.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => http_date(text.trim())?.duration_since(SystemTime::now()).ok(),
    }
}
