//! Headers and user metadata, both ways.

use std::collections::HashMap;
use std::time::SystemTime;

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::primitives::DateTime;

use crate::storage::{Attributes, ETag, ObjectHead};

use super::error::Cause;

/// Sets the attributes of a request that creates an object (they have no common trait in the SDK).
macro_rules! with_attributes {
    ($request:expr, $attributes:expr) => {{
        let attributes: &$crate::storage::Attributes = $attributes;
        let metadata = attributes.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        $request
            .set_metadata(Some(metadata))
            .set_content_type(attributes.content_type.clone())
            .set_cache_control(attributes.cache_control.clone())
            .set_content_disposition(attributes.content_disposition.clone())
            .set_content_encoding(attributes.content_encoding.clone())
            .set_content_language(attributes.content_language.clone())
    }};
}
pub(super) use with_attributes;

/// The head in an answer to HeadObject or GetObject; `$size` is that of the whole object.
macro_rules! head_of {
    ($answer:expr, $size:expr) => {{
        let answer = &$answer;
        let own = |text: Option<&str>| text.map(str::to_owned);
        let attributes = $crate::storage::Attributes {
            metadata: $crate::storage::s3::attributes::metadata(answer.metadata()),
            content_type: own(answer.content_type()),
            cache_control: own(answer.cache_control()),
            content_disposition: own(answer.content_disposition()),
            content_encoding: own(answer.content_encoding()),
            content_language: own(answer.content_language()),
            expires: own(answer.expires_string()),
        };
        $crate::storage::s3::attributes::head($size, answer.e_tag(), answer.last_modified(), attributes)
    }};
}
pub(super) use head_of;

/// `Expires` as it was given: the SDK's own setter takes only dates, S3 takes any text.
pub(super) fn set_expires(attributes: &Attributes) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static {
    let expires = attributes.expires.clone();
    move |request| {
        if let Some(expires) = &expires {
            // A value no header can have was refused before.
            let _ = request.headers_mut().try_insert("expires", expires.clone());
        }
    }
}

pub(super) fn head(
    size: u64,
    etag: Option<&str>,
    last_modified: Option<&DateTime>,
    attributes: Attributes,
) -> Result<ObjectHead, Cause> {
    Ok(ObjectHead { size, etag: self::etag(etag)?, last_modified: time(last_modified)?, attributes })
}

pub(super) fn metadata(metadata: Option<&HashMap<String, String>>) -> std::collections::BTreeMap<String, String> {
    let lower = |(name, value): (&String, &String)| (name.to_ascii_lowercase(), value.clone());
    metadata.into_iter().flatten().map(lower).collect()
}

/// The tag without its quotes.
pub(super) fn etag(etag: Option<&str>) -> Result<ETag, Cause> {
    let etag = etag.ok_or_else(|| Cause::new("the store sent no ETag"))?;
    let bare = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag);
    Ok(ETag(bare.to_owned()))
}

/// The tag as the value of a condition.
pub(super) fn quoted(etag: &ETag) -> String {
    format!("\"{etag}\"")
}

pub(super) fn time(time: Option<&DateTime>) -> Result<SystemTime, Cause> {
    let time = time.ok_or_else(|| Cause::new("the store sent no time of the last change"))?;
    SystemTime::try_from(*time).map_err(|error| Cause::new(error.to_string()))
}

pub(super) fn size(size: Option<i64>) -> Result<u64, Cause> {
    size.and_then(|size| size.try_into().ok()).ok_or_else(|| Cause::new("the store sent no size"))
}
