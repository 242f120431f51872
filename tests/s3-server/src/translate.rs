//! Converts between the types of s3s and those of the storage interface.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, CustomerKey, ETag, Encryption, MAX_USER_METADATA_BYTES, PutCondition, StorageError,
    StorageErrorKind,
};
use s3s::dto::{self, ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};

pub(crate) fn bucket_name(name: &str) -> S3Result<BucketName> {
    BucketName::new(name).map_err(|error| s3_error!(error, InvalidBucketName))
}

pub(crate) fn object_name(bucket: &str, key: &str) -> S3Result<ObjectName> {
    let key = Key::new(key).map_err(|error| s3_error!(error, KeyTooLongError))?;
    Ok(ObjectName::new(bucket_name(bucket)?, key))
}

/// Returns the source of a copy: the newest version of an object, named by its bucket.
pub(crate) fn copy_source(source: &dto::CopySource) -> S3Result<ObjectName> {
    match source {
        dto::CopySource::Bucket { bucket, key, version_id: None } => object_name(bucket, key),
        _ => Err(s3_error!(
            NotImplemented,
            "only a bucket and a key without a version name a source"
        )),
    }
}

/// Converts an error to AWS's answer.
pub(crate) fn s3_error(error: StorageError) -> S3Error {
    match error.kind {
        StorageErrorKind::NoSuchBucket => s3_error!(NoSuchBucket),
        StorageErrorKind::NotFound => s3_error!(NoSuchKey),
        StorageErrorKind::AlreadyExists | StorageErrorKind::Precondition => {
            s3_error!(PreconditionFailed)
        }
        StorageErrorKind::NotEmpty => s3_error!(BucketNotEmpty),
        StorageErrorKind::InvalidRange => s3_error!(InvalidRange),
        StorageErrorKind::Invalid => s3_error!(InvalidArgument, "{error}"),
        _ => S3Error::internal_error(error),
    }
}

pub(crate) fn etag(etag: &ETag) -> dto::ETag {
    dto::ETag::Strong(etag.0.clone())
}

/// Returns the condition of a write: S3 accepts `If-None-Match: *` and `If-Match` with one tag.
pub(crate) fn condition(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<PutCondition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(PutCondition::None),
        (None, Some(ETagCondition::Any)) => Ok(PutCondition::IfAbsent),
        (Some(ETagCondition::ETag(etag)), None) => {
            Ok(PutCondition::IfMatch(ETag(etag.value().to_owned())))
        }
        _ => Err(s3_error!(
            NotImplemented,
            "only If-None-Match: * and If-Match with a tag are implemented"
        )),
    }
}

/// Takes the attributes from a request that creates an object.
macro_rules! attributes {
    ($input:expr) => {
        $crate::translate::checked(Attributes {
            metadata: $input.metadata.take().unwrap_or_default().into_iter().collect(),
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            expires: $input.expires.take().map($crate::translate::http_date).transpose()?,
            tags: $input
                .tagging
                .take()
                .map($crate::translate::from_query)
                .transpose()?
                .unwrap_or_default(),
            ..$crate::translate::class_of!($input)
        })
    };
}
pub(crate) use attributes;

/// Takes storage class and encryption from a request that creates an object.
macro_rules! class_of {
    ($input:expr) => {{
        let algorithm = $input.server_side_encryption.take();
        let key = KmsKey {
            id: $input.ssekms_key_id.take(),
            bucket_key: $input.bucket_key_enabled.unwrap_or_default(),
        };
        let customer = $crate::translate::customer_key(
            &$input.sse_customer_key,
            &$input.sse_customer_key_md5,
        )?;
        let customer = customer.map(|key_md5| Encryption::Customer { key_md5 });
        let class = $input.storage_class.take();
        Attributes {
            storage_class: class
                .map(|class| class.as_str().parse())
                .transpose()
                .map_err(S3Error::internal_error)?,
            encryption: customer
                .or_else(|| algorithm.and_then(|name| Encryption::named(name.as_str(), key))),
            acl: $input
                .acl
                .take()
                .map(|acl| acl.as_str().parse())
                .transpose()
                .map_err(S3Error::internal_error)?,
            ..Attributes::default()
        }
    }};
}
pub(crate) use class_of;

/// Returns the MD5 of a request's customer's key, after a comparison with the one sent.
pub(crate) fn customer_key(key: &Option<String>, md5: &Option<String>) -> S3Result<Option<String>> {
    let Some(key) = key else { return Ok(None) };
    let key = BASE64.decode(key).map_err(|error| s3_error!(error, InvalidArgument))?;
    let known = CustomerKey::new(&key).map_err(|error| s3_error!(error, InvalidArgument))?.md5();
    if md5.as_deref() != Some(known.as_str()) {
        return Err(s3_error!(
            InvalidArgument,
            "The calculated MD5 hash of the key did not match the hash that was provided."
        ));
    }
    Ok(Some(known))
}

/// Rejects a request without the customer's key of an object, with AWS's messages.
pub(crate) fn check_customer_key(sent: Option<&str>, attributes: &Attributes) -> S3Result<()> {
    match (sent, attributes.encryption.as_ref().and_then(Encryption::customer_key_md5)) {
        (None, Some(_)) => Err(s3_error!(
            InvalidRequest,
            "The object was stored using a form of Server Side Encryption. \
             The correct parameters must be provided to retrieve the object."
        )),
        (Some(_), None) => Err(s3_error!(
            InvalidRequest,
            "The encryption parameters are not applicable to this object."
        )),
        (Some(sent), Some(key)) if sent != key => Err(s3_error!(AccessDenied, "Access Denied")),
        _ => Ok(()),
    }
}

/// Parses the tags in a header, which are like the query of a URL.
pub(crate) fn from_query(text: String) -> S3Result<BTreeMap<String, String>> {
    let odd = || {
        s3_error!(
            InvalidArgument,
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded \
             URL query parameters"
        )
    };
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, behind)) = rest.split_first() {
            rest = match (first, behind) {
                (b'%', [high, low, behind @ ..]) => {
                    let digits = [*high, *low];
                    let digits = std::str::from_utf8(&digits).map_err(|_| odd())?;
                    bytes.push(u8::from_str_radix(digits, 16).map_err(|_| odd())?);
                    behind
                }
                (byte, behind) => {
                    bytes.push(byte);
                    behind
                }
            };
        }
        String::from_utf8(bytes).map_err(|_| odd())
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(name)?, decode(value)?))
    };
    text.split('&').map(pair).collect()
}

/// Rejects more user metadata than S3 accepts.
pub(crate) fn checked(attributes: Attributes) -> S3Result<Attributes> {
    let size = attributes.user_metadata_bytes();
    if size > MAX_USER_METADATA_BYTES {
        return Err(s3_error!(
            MetadataTooLarge,
            "{size} bytes; the limit is {MAX_USER_METADATA_BYTES}"
        ));
    }
    Ok(attributes)
}

pub(crate) fn http_date(time: Timestamp) -> S3Result<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).map_err(S3Error::internal_error)?;
    String::from_utf8(text).map_err(S3Error::internal_error)
}

pub(crate) fn from_http_date(text: &str) -> S3Result<Timestamp> {
    Timestamp::parse(TimestampFormat::HttpDate, text).map_err(S3Error::internal_error)
}

/// Converts a length or size, which is signed in S3's types.
pub(crate) fn length(len: u64) -> S3Result<i64> {
    i64::try_from(len).map_err(S3Error::internal_error)
}

/// Encodes a key in a listing as AWS does: like an HTML form, except for the slash.
pub(crate) fn url_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'*' => {
            char::from(byte).to_string()
        }
        b' ' => "+".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}
