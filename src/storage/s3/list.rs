//! Listings, with URL-encoded keys, since XML cannot represent control characters.

use aws_sdk_s3::operation::list_objects::ListObjectsOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{CommonPrefix, EncodingType, Object};

use crate::domain::{BucketName, Key};
use crate::storage::{
    ListPage, ListRequest, ListedBucket, ListedObject, StorageError, StorageErrorKind,
};

use super::S3Store;
use super::attempts::send;
use super::attributes::{etag, size, time};
use super::error::{Cause, Failed};
use super::pages::{Next, Pages};

const OPERATION: &str = "ListObjectsV2";
/// The maximum number of entries in a page (S3 API reference, ListObjectsV2, `MaxKeys`).
const MAX_KEYS: u16 = 1000;

impl S3Store {
    pub(super) async fn list_page(
        &self,
        bucket: &BucketName,
        asked: &ListRequest,
    ) -> Result<ListPage, StorageError> {
        let (mut pages, next) = match &asked.continuation {
            Some(continuation) => {
                let (pages, next) = self.listings.resume(continuation);
                (pages, Some(next))
            }
            None => (Pages::default(), None),
        };
        // A store that only supports ListObjects V1 starts with the first key.
        let start = asked.start_after.as_deref().filter(|_| !matches!(next, Some(Next::Token(_))));
        let page = match next {
            Some(Next::Marker(marker)) => self.page_after(bucket, asked, marker).await,
            Some(Next::Token(token)) => self.page(bucket, asked, Some(token)).await,
            None => self.page(bucket, asked, None).await,
        };
        let page = page.map_err(|failed| failed.at(OPERATION, bucket))?;
        self.seen_buckets.record(bucket);
        let unreadable = |cause: Cause| {
            StorageError::new(StorageErrorKind::Other, OPERATION, bucket).because(cause)
        };
        let (mut page, next) = page.read().map_err(unreadable)?;
        let keys = page.objects.iter().map(|object| object.key.as_str());
        pages
            .take(keys.chain(page.common_prefixes.iter().map(String::as_str)), next.as_ref())
            .map_err(unreadable)?;
        if let Some(start) = start {
            page.objects.retain(|object| object.key.as_str() > start);
            page.common_prefixes
                .retain(|prefix| prefix.as_str() > start && !start.starts_with(prefix.as_str()));
        }
        page.continuation = next.map(|next| self.listings.keep(pages, &next));
        Ok(page)
    }

    /// Requests a page by ListObjectsV2.
    async fn page(
        &self,
        bucket: &BucketName,
        asked: &ListRequest,
        token: Option<String>,
    ) -> Result<Page, Failed> {
        let request = self
            .clients
            .lists
            .list_objects_v2()
            .bucket(bucket.as_str())
            .encoding_type(EncodingType::Url);
        let request = request
            .set_prefix(text(&asked.prefix))
            .set_delimiter(asked.delimiter.as_deref().and_then(text))
            .set_max_keys(max_keys(asked));
        let request = match token {
            Some(token) => request.continuation_token(token),
            None => request.set_start_after(asked.start_after.as_deref().and_then(text)),
        };
        send!(self.clients.attempts, bucket, request).map(Page::from)
    }

    /// Requests a page by ListObjects V1, for a store that returned no token for the next page.
    async fn page_after(
        &self,
        bucket: &BucketName,
        asked: &ListRequest,
        marker: String,
    ) -> Result<Page, Failed> {
        let request = self
            .clients
            .lists
            .list_objects()
            .bucket(bucket.as_str())
            .encoding_type(EncodingType::Url);
        let request = request
            .set_prefix(text(&asked.prefix))
            .set_delimiter(asked.delimiter.as_deref().and_then(text))
            .set_max_keys(max_keys(asked))
            .marker(marker);
        send!(self.clients.attempts, bucket, request).map(Page::from)
    }

    pub(super) async fn list_all_buckets(&self) -> Result<Vec<ListedBucket>, StorageError> {
        const OPERATION: &str = "ListBuckets";
        let mut listed = Vec::new();
        let mut continuation = None;
        let mut pages = Pages::default();
        loop {
            let request =
                self.clients.lists.list_buckets().set_continuation_token(continuation.take());
            let send = || {
                let request = request.clone();
                async move { request.send().await.map_err(Failed::from) }
            };
            let answer = self
                .clients
                .attempts
                .send(None, send)
                .await
                .map_err(|failed| failed.at(OPERATION, self))?;
            for bucket in answer.buckets() {
                match BucketName::new(bucket.name().unwrap_or_default()) {
                    Ok(name) => listed
                        .push(ListedBucket { name, created: time(bucket.creation_date()).ok() }),
                    // No command accepts its name.
                    Err(error) => tracing::warn!(%error, "a bucket is left out of the list"),
                }
            }
            continuation =
                answer.continuation_token().filter(|token| !token.is_empty()).map(str::to_owned);
            let names = answer.buckets().iter().filter_map(|bucket| bucket.name());
            pages.take(names, continuation.clone().map(Next::Token).as_ref()).map_err(|cause| {
                StorageError::new(StorageErrorKind::Other, OPERATION, self).because(cause)
            })?;
            if continuation.is_none() {
                break;
            }
        }
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(listed)
    }
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn max_keys(asked: &ListRequest) -> Option<i32> {
    asked.max_keys.map(|keys| i32::from(keys.clamp(1, MAX_KEYS)))
}

/// A page as the store sent it.
struct Page {
    objects: Vec<Object>,
    common_prefixes: Vec<CommonPrefix>,
    /// Set if keys are URL-encoded. Stores that do not support the encoding do not report it.
    encoded: bool,
    truncated: Option<bool>,
    /// The number of entries as reported by the store.
    count: Option<usize>,
    token: Option<String>,
    marker: Option<String>,
}

impl From<ListObjectsV2Output> for Page {
    fn from(page: ListObjectsV2Output) -> Self {
        Self {
            encoded: page.encoding_type() == Some(&EncodingType::Url),
            truncated: page.is_truncated,
            count: page.key_count.and_then(|count| count.try_into().ok()),
            token: page.next_continuation_token.filter(|token| !token.is_empty()),
            marker: None,
            objects: page.contents.unwrap_or_default(),
            common_prefixes: page.common_prefixes.unwrap_or_default(),
        }
    }
}

impl From<ListObjectsOutput> for Page {
    fn from(page: ListObjectsOutput) -> Self {
        Self {
            encoded: page.encoding_type() == Some(&EncodingType::Url),
            truncated: page.is_truncated,
            count: None,
            token: None,
            marker: page.next_marker.filter(|marker| !marker.is_empty()),
            objects: page.contents.unwrap_or_default(),
            common_prefixes: page.common_prefixes.unwrap_or_default(),
        }
    }
}

impl Page {
    /// Returns the page without its continuation, and the start of the next one.
    fn read(self) -> Result<(ListPage, Option<Next>), Cause> {
        let sent = self.objects.len() + self.common_prefixes.len();
        if let Some(count) = self.count.filter(|count| *count > sent) {
            return Err(Cause::new(format!(
                "the store counts {count} entries in a page and sent {sent}: the page was cut short"
            )));
        }
        let decoded = |text: &str| if self.encoded { decode(text) } else { Ok(text.to_owned()) };
        let key =
            |text: Option<&str>| decoded(text.ok_or_else(|| Cause::new("an entry without a key"))?);
        let object = |object: &Object| {
            Ok(ListedObject {
                key: Key::new(key(object.key())?).map_err(|error| Cause::of(&error))?,
                size: size(object.size())?,
                // Some stores report no tag in listings. An empty one matches nothing.
                etag: etag(Some(object.e_tag().unwrap_or_default()))?,
                last_modified: time(object.last_modified())?,
            })
        };
        let objects: Vec<_> = self.objects.iter().map(object).collect::<Result<_, _>>()?;
        let common_prefixes = self.common_prefixes.iter().map(|common| key(common.prefix()));
        let common_prefixes: Vec<_> = common_prefixes.collect::<Result<_, _>>()?;
        let next = match (self.token, self.marker) {
            _ if self.truncated == Some(false) => None,
            (Some(token), _) => Some(Next::Token(token)),
            (None, Some(marker)) => Some(Next::Marker(decoded(&marker)?)),
            (None, None) if self.truncated != Some(true) => None,
            // ListObjects V1: the last key is the marker of the next page, if the store lists in
            // order.
            (None, None) => {
                let is_ordered =
                    objects.is_sorted_by(|a, b| a.key < b.key) && common_prefixes.is_sorted();
                let keys = objects.iter().map(|object| object.key.as_str());
                let last = keys.chain(common_prefixes.iter().map(String::as_str)).max();
                let last = last.filter(|_| is_ordered).ok_or_else(|| {
                    Cause::new("a page that is not the last does not say where the next one starts")
                })?;
                Some(Next::Marker(last.to_owned()))
            }
        };
        Ok((ListPage { objects, common_prefixes, ..ListPage::default() }, next))
    }
}

/// Decodes `encoding-type=url`, which is that of HTML forms: a space is a plus.
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
    fn only_valid_encoding_is_decoded() {
        for (encoded, key) in [
            ("a+b", "a b"),
            ("a%2Bb", "a+b"),
            ("%e9%ab%98%0A%00", "高\n\0"),
            ("a%2525/%2F", "a%25//"),
            ("é", "é"),
        ] {
            assert_eq!(decode(encoded).unwrap(), key);
        }
        for odd in ["%", "%4", "%zz", "%ff", "a%é"] {
            assert!(decode(odd).is_err(), "{odd}");
        }
    }
}
