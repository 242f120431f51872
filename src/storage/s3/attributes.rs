//! Converts headers and user metadata, in both directions.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::SystemTime;

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ServerSideEncryption;

use crate::storage::{Attributes, ETag, Encryption, KmsKey, ObjectHead, StatedChecksum};

use super::error::Cause;

/// Sets the attributes of a request that creates an object (the SDK's requests have no common
/// trait).
macro_rules! with_attributes {
    ($request:expr, $attributes:expr, $store:expr) => {{
        let attributes: &$crate::storage::Attributes = $attributes;
        let metadata =
            attributes.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        $request
            .set_metadata(Some(metadata))
            .set_content_type(attributes.content_type.clone())
            .set_cache_control(attributes.cache_control.clone())
            .set_content_disposition(attributes.content_disposition.clone())
            .set_content_encoding(attributes.content_encoding.clone())
            .set_content_language(attributes.content_language.clone())
            .set_tagging($crate::storage::s3::attributes::tagging(&attributes.tags))
            .set_acl($store.acl_with(attributes.acl))
    }};
}
pub(super) use with_attributes;

/// Sets storage class and encryption of a request that creates an object. A customer's key excludes
/// other encryption.
macro_rules! with_class {
    ($request:expr, $attributes:expr, $key:expr) => {{
        let attributes: &$crate::storage::Attributes = $attributes;
        let key: Option<&$crate::storage::CustomerKey> = $key;
        let encryption = attributes.encryption.as_ref().filter(|_| key.is_none());
        let kms_key = encryption.and_then($crate::storage::Encryption::kms_key);
        let algorithm = encryption.and_then($crate::storage::Encryption::algorithm);
        let class = attributes.storage_class.as_ref().map($crate::storage::StorageClass::as_str);
        let request = $request
            .set_storage_class(class.map(aws_sdk_s3::types::StorageClass::from))
            .set_server_side_encryption(
                algorithm.map(aws_sdk_s3::types::ServerSideEncryption::from),
            )
            .set_ssekms_key_id(kms_key.and_then(|key| key.id.clone()))
            .set_bucket_key_enabled(kms_key.and_then(|key| key.bucket_key.then_some(true)));
        $crate::storage::s3::attributes::with_key!(request, key)
    }};
}
pub(super) use with_class;

/// Adds the customer's key for the object of a request.
macro_rules! with_key {
    ($request:expr, $key:expr) => {{
        let key: Option<&$crate::storage::CustomerKey> = $key;
        $request
            .set_sse_customer_algorithm(key.map(|_| "AES256".to_owned()))
            .set_sse_customer_key(key.map($crate::storage::CustomerKey::base64))
            .set_sse_customer_key_md5(key.map($crate::storage::CustomerKey::md5))
    }};
}
pub(super) use with_key;

/// Adds the customer's key for the source of a copy.
macro_rules! with_source_key {
    ($request:expr, $key:expr) => {{
        let key: Option<&$crate::storage::CustomerKey> = $key;
        $request
            .set_copy_source_sse_customer_algorithm(key.map(|_| "AES256".to_owned()))
            .set_copy_source_sse_customer_key(key.map($crate::storage::CustomerKey::base64))
            .set_copy_source_sse_customer_key_md5(key.map($crate::storage::CustomerKey::md5))
    }};
}
pub(super) use with_source_key;

/// Builds the head from an answer to HeadObject or GetObject; `$size` is that of the whole object,
/// `$stated` decides which checksums are trusted.
macro_rules! head_of {
    ($answer:expr, $size:expr, $stated:expr) => {{
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
            storage_class: answer.storage_class().and_then(|class| class.as_str().parse().ok()),
            encryption: $crate::storage::s3::attributes::encryption(
                answer.server_side_encryption(),
                answer.ssekms_key_id(),
                answer.bucket_key_enabled(),
                answer.sse_customer_key_md5(),
            ),
            ..$crate::storage::Attributes::default()
        };
        let stated = $stated.of_answer(
            answer.e_tag(),
            attributes.encryption.as_ref(),
            answer.checksum_type(),
            [
                ($crate::storage::ChecksumKind::Sha256, answer.checksum_sha256()),
                ($crate::storage::ChecksumKind::Sha1, answer.checksum_sha1()),
                ($crate::storage::ChecksumKind::Crc64Nvme, answer.checksum_crc64_nvme()),
                ($crate::storage::ChecksumKind::Crc32c, answer.checksum_crc32_c()),
                ($crate::storage::ChecksumKind::Crc32, answer.checksum_crc32()),
            ],
        );
        $crate::storage::s3::attributes::head(
            $size,
            answer.e_tag(),
            answer.last_modified(),
            attributes,
            stated,
        )
    }};
}
pub(super) use head_of;

/// Sets `Expires` as it was given: the SDK's own setter accepts only dates, S3 accepts any text.
pub(super) fn set_expires(
    attributes: &Attributes,
) -> impl Fn(&mut HttpRequest) + Send + Sync + 'static {
    let expires = attributes.expires.clone();
    move |request| {
        if let Some(expires) = &expires {
            // Invalid header values were rejected before.
            let _ = request.headers_mut().try_insert("expires", expires.clone());
        }
    }
}

pub(super) fn head(
    size: u64,
    etag: Option<&str>,
    last_modified: Option<&DateTime>,
    attributes: Attributes,
    stated: Vec<StatedChecksum>,
) -> Result<ObjectHead, Cause> {
    Ok(ObjectHead {
        size,
        etag: self::etag(etag)?,
        sha256: None,
        stated,
        last_modified: time(last_modified)?,
        attributes: attributes.told(),
    })
}

/// Reads the encryption from the headers of an answer.
pub(super) fn encryption(
    algorithm: Option<&ServerSideEncryption>,
    kms_key_id: Option<&str>,
    bucket_key: Option<bool>,
    customer_key_md5: Option<&str>,
) -> Option<Encryption> {
    if let Some(key_md5) = customer_key_md5 {
        return Some(Encryption::Customer { key_md5: key_md5.to_owned() });
    }
    let key =
        KmsKey { id: kms_key_id.map(str::to_owned), bucket_key: bucket_key.unwrap_or_default() };
    Encryption::named(algorithm?.as_str(), key)
}

/// Formats tags for `x-amz-tagging`: like the query of a URL.
pub(super) fn tagging(tags: &BTreeMap<String, String>) -> Option<String> {
    let pairs = tags
        .iter()
        .map(|(name, value)| format!("{}={}", url_encoded(name, ""), url_encoded(value, "")));
    Some(pairs.collect::<Vec<_>>().join("&")).filter(|text| !text.is_empty())
}

/// URL-encodes all but the unreserved characters of RFC 3986 and those in `kept`.
pub(super) fn url_encoded(text: &str, kept: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric()
            || b"-._~".contains(&byte)
            || kept.as_bytes().contains(&byte)
        {
            out.push(byte.into());
        } else {
            // Writing to a String does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

pub(super) fn metadata(metadata: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    let lower = |(name, value): (&String, &String)| (name.to_ascii_lowercase(), value.clone());
    metadata.into_iter().flatten().map(lower).collect()
}

/// Parses the tag, without its quotes.
pub(super) fn etag(etag: Option<&str>) -> Result<ETag, Cause> {
    let etag = etag.ok_or_else(|| Cause::new("the store sent no ETag"))?;
    // A weak tag also identifies a version; conditions use it without its mark.
    let etag = etag.strip_prefix("W/").unwrap_or(etag);
    let bare = etag.strip_prefix('"').and_then(|etag| etag.strip_suffix('"')).unwrap_or(etag);
    Ok(ETag(bare.to_owned()))
}

/// Formats the tag for a condition.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_sent_like_a_query() {
        let tags =
            [("a b", "1&2"), ("é", "=")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(tagging(&tags.into()).as_deref(), Some("a%20b=1%262&%C3%A9=%3D"));
        assert_eq!(tagging(&BTreeMap::new()), None);
    }
}
