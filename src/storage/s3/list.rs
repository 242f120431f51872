//! Lists, with keys encoded on the way: XML has no control characters.

use aws_sdk_s3::types::EncodingType;

use crate::domain::{BucketName, Key};
use crate::storage::{ListPage, ListRequest, ListedBucket, ListedObject, StorageError, StorageErrorKind};

use super::S3Store;
use super::attempts::send;
use super::attributes::{etag, size, time};
use super::error::{Cause, Failed};
use super::pages::Pages;

/// Most entries of a page (S3 API reference, ListObjectsV2, `MaxKeys`).
const MAX_KEYS: u16 = 1000;

impl S3Store {
    pub(super) async fn list_page(&self, bucket: &BucketName, asked: &ListRequest) -> Result<ListPage, StorageError> {
        const OPERATION: &str = "ListObjectsV2";
        let (mut pages, token) = match &asked.continuation {
            Some(continuation) => {
                let (pages, token) = self.listings.resume(continuation);
                (pages, Some(token))
            }
            None => (Pages::default(), None),
        };
        let mut request = self.clients.lists.list_objects_v2().bucket(bucket.as_str()).encoding_type(EncodingType::Url);
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        request = request
            .set_prefix(text(&asked.prefix))
            .set_delimiter(asked.delimiter.as_deref().and_then(text))
            .set_max_keys(asked.max_keys.map(|keys| i32::from(keys.clamp(1, MAX_KEYS))));
        request = match token {
            Some(token) => request.continuation_token(token),
            None => request.set_start_after(asked.start_after.as_deref().and_then(text)),
        };
        let answer = send!(self.clients.attempts, bucket, request).map_err(|failed| failed.at(OPERATION, bucket))?;
        // Stores that do not know the encoding do not say that they used it.
        let encoded = answer.encoding_type() == Some(&EncodingType::Url);
        let key = |text: Option<&str>| match text {
            Some(text) if encoded => decode(text),
            Some(text) => Ok(text.to_owned()),
            None => Err(Cause::new("an entry without a key")),
        };
        let unreadable = |cause: Cause| StorageError::new(StorageErrorKind::Other, OPERATION, bucket).because(cause);
        let object = |object: &aws_sdk_s3::types::Object| {
            Ok(ListedObject {
                key: Key::new(key(object.key())?).map_err(|error| Cause::of(&error))?,
                size: size(object.size())?,
                // Some stores tell no tag in lists. An empty one matches nothing.
                etag: etag(Some(object.e_tag().unwrap_or_default()))?,
                last_modified: time(object.last_modified())?,
            })
        };
        let sent = answer.contents().len() + answer.common_prefixes().len();
        if let Some(count) = answer.key_count().and_then(|count| usize::try_from(count).ok())
            && count > sent
        {
            let cause = format!("the store counts {count} entries in a page and sent {sent}: the page was cut short");
            return Err(unreadable(Cause::new(cause)));
        }
        let next = answer.next_continuation_token().filter(|token| !token.is_empty());
        let next = next.filter(|_| answer.is_truncated() != Some(false));
        if next.is_none() && answer.is_truncated() == Some(true) {
            return Err(unreadable(Cause::new("a page that is not the last does not say where the next one starts")));
        }
        let objects: Vec<_> = answer.contents().iter().map(object).collect::<Result<_, _>>().map_err(unreadable)?;
        let common_prefixes = answer.common_prefixes().iter().map(|common| key(common.prefix()));
        let common_prefixes: Vec<_> = common_prefixes.collect::<Result<_, _>>().map_err(unreadable)?;
        let keys = objects.iter().map(|object| object.key.as_str());
        pages.take(keys.chain(common_prefixes.iter().map(String::as_str)), next).map_err(unreadable)?;
        let continuation = next.map(|token| self.listings.keep(pages, token));
        Ok(ListPage { damaged: Vec::new(), objects, common_prefixes, continuation })
    }

    pub(super) async fn list_all_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        const OPERATION: &str = "ListBuckets";
        let mut listed = Vec::new();
        let mut continuation = None;
        let mut pages = Pages::default();
        loop {
            let request = self.clients.lists.list_buckets().set_continuation_token(continuation.take());
            let send = || {
                let request = request.clone();
                async move { request.send().await.map_err(Failed::from) }
            };
            let answer = self.clients.attempts.send(None, send).await.map_err(|failed| failed.at(OPERATION, self))?;
            for bucket in answer.buckets() {
                match BucketName::new(bucket.name().unwrap_or_default()) {
                    Ok(name) => listed.push(ListedBucket { name, created: time(bucket.creation_date()).ok() }),
                    // No command could be given its name.
                    Err(error) => tracing::warn!(%error, "a bucket is left out of the list"),
                }
            }
            continuation = answer.continuation_token().filter(|token| !token.is_empty()).map(str::to_owned);
            let names = answer.buckets().iter().filter_map(|bucket| bucket.name());
            pages
                .take(names, continuation.as_deref())
                .map_err(|cause| StorageError::new(StorageErrorKind::Other, OPERATION, self).because(cause))?;
            if continuation.is_none() {
                break;
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }
}

/// Undoes `encoding-type=url`, which is that of HTML forms: a space is a plus.
pub(super) fn decode(text: &str) -> Result<String, Cause> {
    let odd = || Cause::new(format!("{text:?} is not URL-encoded UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or_else(odd)?, digit().ok_or_else(odd)?);
                u8::try_from(high * 16 + low).map_err(|_| odd())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| odd())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_keys_are_decoded_and_what_is_not_encoded_is_refused() {
        for (encoded, key) in
            [("a+b", "a b"), ("a%2Bb", "a+b"), ("%e9%ab%98%0A%00", "高\n\0"), ("a%2525/%2F", "a%25//"), ("é", "é")]
        {
            assert_eq!(decode(encoded).unwrap(), key);
        }
        for odd in ["%", "%4", "%zz", "%ff", "a%é"] {
            assert!(decode(odd).is_err(), "{odd}");
        }
    }
}
