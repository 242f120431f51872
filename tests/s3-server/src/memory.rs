//! The model store as an S3 service: exact where the client depends on it; rejects what it does not
//! implement.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use bytes::Bytes;
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ByteStream, CopyOptions, ETag, Encryption, KmsKey, ListRequest,
    MemoryStore, ObjectHead, ObjectStore, PutBody, PutCondition, StorageErrorKind,
};
use futures::{StreamExt as _, TryStreamExt as _};
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use crate::multipart::{Uploads, tag_of};
use crate::translate::{
    attributes, bucket_name, check_customer_key, condition, copy_source, customer_key, etag,
    from_http_date, length, object_name, s3_error, url_encode,
};

/// The minimum size in bytes of every part but the last (S3 User Guide, "Multipart upload limits").
pub const MIN_PART_SIZE: u64 = 5 << 20;

#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<State>);

pub(crate) struct State {
    store: RwLock<Arc<MemoryStore>>,
    uploads: Mutex<Uploads>,
    conditions: Conditions,
    lifecycles: Mutex<BTreeMap<String, Vec<LifecycleRule>>>,
    policies: Mutex<BTreeMap<String, AccessControlPolicy>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            // As on S3, a tag identifies a content.
            store: RwLock::new(Arc::new(MemoryStore::new().with_content_tags())),
            uploads: Mutex::default(),
            conditions: Conditions::default(),
            lifecycles: Mutex::default(),
            policies: Mutex::default(),
        }
    }
}

/// The model store's handling of conditions of writes, copies and deletes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Conditions {
    /// They hold, also among concurrent writers, as on AWS.
    #[default]
    Atomic,
    /// They are ignored, as by stores that do not support them: a request that should fail
    /// succeeds.
    Ignored,
    /// A request with a condition is rejected by 501 `NotImplemented`.
    NotImplemented,
    /// A request with a condition is rejected by 400 `InvalidArgument`.
    InvalidArgument,
    /// A write with `If-Match` is rejected by 412, whatever the tag of the object, as by radosgw.
    /// Other conditions hold.
    NeverMatch,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

impl Memory {
    pub(crate) fn with(conditions: Conditions) -> Self {
        Self(Arc::new(State { conditions, ..State::default() }))
    }

    fn ignores_conditions(&self) -> bool {
        self.0.conditions == Conditions::Ignored
    }

    /// Returns the condition of a write, if there is one and it is not ignored.
    fn condition(
        &self,
        if_match: Option<ETagCondition>,
        if_none_match: Option<ETagCondition>,
    ) -> S3Result<PutCondition> {
        match self.0.conditions {
            Conditions::Ignored => Ok(PutCondition::None),
            Conditions::NotImplemented if if_match.is_some() || if_none_match.is_some() => {
                Err(s3_error!(
                    NotImplemented,
                    "A header you provided implies functionality that is not implemented"
                ))
            }
            Conditions::InvalidArgument if if_match.is_some() || if_none_match.is_some() => {
                Err(s3_error!(InvalidArgument, "Conditions are not supported"))
            }
            _ => condition(if_match, if_none_match),
        }
    }

    pub(crate) fn open_uploads(&self) -> usize {
        self.uploads().len()
    }

    fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policies(&self) -> MutexGuard<'_, BTreeMap<String, AccessControlPolicy>> {
        self.0.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lifecycles(&self) -> MutexGuard<'_, BTreeMap<String, Vec<LifecycleRule>>> {
        self.0.lifecycles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn store(&self) -> Arc<MemoryStore> {
        self.0.store.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace(&self, store: Arc<MemoryStore>) {
        *self.0.store.write().unwrap_or_else(PoisonError::into_inner) = store;
        *self.uploads() = Uploads::default();
    }

    async fn bucket_exists(&self, bucket: &str) -> S3Result<()> {
        let request = ListRequest { max_keys: Some(1), ..ListRequest::default() };
        self.store().list(&bucket_name(bucket)?, &request).await.map_err(s3_error)?;
        Ok(())
    }

    async fn put(
        &self,
        (bucket, key): (&str, &str),
        (pieces, tag): (Vec<Bytes>, Option<ETag>),
        attributes: &Attributes,
        condition: &PutCondition,
    ) -> S3Result<ETag> {
        if self.0.conditions == Conditions::NeverMatch
            && matches!(condition, PutCondition::IfMatch(_))
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let (store, object) = (self.store(), object_name(bucket, key)?);
        let (body, options) = (body_of(pieces), condition.clone().into());
        let put = match tag {
            Some(tag) => store.put_tagged(&object, body, attributes, &options, tag).await,
            None => store.put(&object, body, attributes, &options).await,
        };
        match put {
            // AWS does not answer 412 if the object does not exist.
            Err(error) if error.kind == StorageErrorKind::Precondition => {
                self.store().head(&object_name(bucket, key)?).await.map_err(s3_error)?;
                Err(s3_error(error))
            }
            put => put.map_err(s3_error),
        }
    }
}

/// Reads the whole body, which must have the length of the request's header.
async fn collect(body: Option<StreamingBlob>, length: Option<i64>) -> S3Result<Vec<Bytes>> {
    let pieces: Vec<Bytes> = match body {
        Some(body) => body.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?,
        None => Vec::new(),
    };
    let read: usize = pieces.iter().map(Bytes::len).sum();
    match length {
        Some(length) if i64::try_from(read) != Ok(length) => Err(s3_error!(IncompleteBody)),
        _ => Ok(pieces),
    }
}

fn body_of(pieces: Vec<Bytes>) -> PutBody {
    let len = pieces.iter().map(|piece| piece.len() as u64).sum();
    PutBody::new(len, move || futures::stream::iter(pieces.clone()).map(Ok).boxed())
}

/// Returns a range of the bytes of a stream.
async fn slices(mut whole: ByteStream, range: std::ops::Range<u64>) -> S3Result<Vec<Bytes>> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while let Some(piece) = whole.try_next().await.map_err(S3Error::internal_error)? {
        let end = at + piece.len() as u64;
        let (from, to) = (range.start.clamp(at, end), range.end.clamp(at, end));
        pieces.push(piece.slice((from - at) as usize..(to - at) as usize));
        at = end;
    }
    Ok(pieces)
}

/// Fills in the common fields of GetObject and HeadObject.
macro_rules! describe {
    ($output:ty, $head:expr) => {{
        let ObjectHead { etag: tag, last_modified, attributes, .. } = $head;
        let mut output = <$output>::default();
        output.e_tag = Some(etag(&tag));
        output.last_modified = Some(Timestamp::from(last_modified));
        output.metadata = Some(attributes.metadata.into_iter().collect());
        output.content_type = attributes.content_type;
        output.cache_control = attributes.cache_control;
        output.content_disposition = attributes.content_disposition;
        output.content_encoding = attributes.content_encoding;
        output.content_language = attributes.content_language;
        output.expires = attributes.expires.as_deref().map(from_http_date).transpose()?;
        output.storage_class = attributes.storage_class.map(|class| class.to_string().into());
        match attributes.encryption {
            Some(Encryption::Customer { key_md5 }) => {
                output.sse_customer_algorithm = Some("AES256".to_owned());
                output.sse_customer_key_md5 = Some(key_md5);
            }
            Some(encryption) => {
                output.server_side_encryption =
                    encryption.algorithm().map(|name| name.to_owned().into());
                output.ssekms_key_id = encryption.kms_key().and_then(|key| key.id.clone());
                output.bucket_key_enabled =
                    encryption.kms_key().and_then(|key| key.bucket_key.then_some(true));
            }
            None => {}
        }
        output.accept_ranges = Some("bytes".to_owned());
        output
    }};
}

fn check_if_match(if_match: Option<&ETagCondition>, head: &ObjectHead) -> S3Result<()> {
    match if_match {
        Some(ETagCondition::ETag(wanted)) if wanted.as_strong() != Some(&head.etag.0) => {
            Err(s3_error!(PreconditionFailed))
        }
        _ => Ok(()),
    }
}

/// Returns the bytes of a Range header; `None` without the header.
fn ranged(range: Option<&Range>, size: u64) -> S3Result<Option<std::ops::Range<u64>>> {
    range.map(|range| range.check(size).map_err(|_| s3_error!(InvalidRange))).transpose()
}

fn content_range(range: &std::ops::Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

#[async_trait::async_trait]
impl S3 for Memory {
    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        match self.store().create_bucket(&bucket_name(&req.input.bucket)?).await {
            Err(error) if error.kind == StorageErrorKind::AlreadyExists => {
                Err(s3_error!(BucketAlreadyOwnedByYou))
            }
            made => made.map(|()| S3Response::new(CreateBucketOutput::default())).map_err(s3_error),
        }
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.store().delete_bucket(&bucket_name(&req.input.bucket)?).await.map_err(s3_error)?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket_exists(&req.input.bucket).await?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.store().list_buckets().await.map_err(s3_error)?;
        let bucket = |bucket: deltaglider::storage::ListedBucket| Bucket {
            name: Some(bucket.name.as_str().to_owned()),
            creation_date: bucket.created.map(Timestamp::from),
            ..Bucket::default()
        };
        let buckets = Some(buckets.into_iter().map(bucket).collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, ..ListBucketsOutput::default() }))
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let marker = req.input.marker.clone();
        let has_delimiter = req.input.delimiter.is_some();
        let v2 = req.map_input(|input| ListObjectsV2Input {
            bucket: input.bucket,
            delimiter: input.delimiter,
            encoding_type: input.encoding_type,
            max_keys: input.max_keys,
            prefix: input.prefix,
            start_after: input.marker,
            ..ListObjectsV2Input::default()
        });
        let page = self.list_objects_v2(v2).await?.output;
        let contents = page.contents.unwrap_or_default();
        let prefixes = page.common_prefixes.unwrap_or_default();
        let is_truncated = page.is_truncated == Some(true);
        // Only with a delimiter (S3 API reference, ListObjects, `NextMarker`).
        let keys = contents.iter().map(|object| object.key.clone());
        let last = keys.chain(prefixes.iter().map(|prefix| prefix.prefix.clone())).flatten().max();
        let output = ListObjectsOutput {
            name: page.name,
            prefix: page.prefix,
            delimiter: page.delimiter,
            marker,
            encoding_type: page.encoding_type,
            max_keys: page.max_keys,
            is_truncated: page.is_truncated,
            next_marker: last.filter(|_| is_truncated && has_delimiter),
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            ..ListObjectsOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let encoded = input
            .encoding_type
            .as_ref()
            .is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
        let text = |text: String| if encoded { url_encode(&text) } else { text };
        // As on S3, a token is opaque to the client and fit for XML.
        let continuation = input.continuation_token.as_deref().map(from_token).transpose()?;
        let request = ListRequest {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            start_after: input.start_after.clone(),
            continuation,
            max_keys: input.max_keys.map(|keys| u16::try_from(keys).unwrap_or(u16::MAX)),
        };
        let page =
            self.store().list(&bucket_name(&input.bucket)?, &request).await.map_err(s3_error)?;
        let object = |object: deltaglider::storage::ListedObject| {
            Ok(Object {
                key: Some(text(object.key.as_str().to_owned())),
                size: Some(length(object.size)?),
                e_tag: Some(etag(&object.etag)),
                last_modified: Some(Timestamp::from(object.last_modified)),
                ..Object::default()
            })
        };
        let entries = page.objects.len() + page.common_prefixes.len();
        let common = |prefix| CommonPrefix { prefix: Some(text(prefix)) };
        let output = ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix.map(text),
            delimiter: input.delimiter.map(text),
            start_after: input.start_after.map(text),
            encoding_type: input.encoding_type,
            max_keys: input.max_keys,
            key_count: i32::try_from(entries).ok(),
            is_truncated: Some(page.continuation.is_some()),
            next_continuation_token: page.continuation.as_deref().map(to_token),
            contents: Some(page.objects.into_iter().map(object).collect::<S3Result<_>>()?),
            common_prefixes: Some(page.common_prefixes.into_iter().map(common).collect()),
            ..ListObjectsV2Output::default()
        };
        Ok(S3Response::new(output))
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        let head =
            self.store().head(&object_name(&input.bucket, &input.key)?).await.map_err(s3_error)?;
        let key = customer_key(&input.sse_customer_key, &input.sse_customer_key_md5)?;
        check_customer_key(key.as_deref(), &head.attributes)?;
        check_if_match(input.if_match.as_ref(), &head)?;
        let size = head.size;
        let range = ranged(input.range.as_ref(), size)?;
        let mut output = describe!(HeadObjectOutput, head);
        output.content_length =
            Some(length(range.as_ref().map_or(size, |range| range.end - range.start))?);
        output.content_range = range.map(|range| content_range(&range, size));
        Ok(S3Response::new(output))
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        if input.if_none_match.is_some()
            || input.if_modified_since.is_some()
            || input.if_unmodified_since.is_some()
        {
            return Err(s3_error!(
                NotImplemented,
                "of the conditions of GET only If-Match is implemented"
            ));
        }
        let object = object_name(&input.bucket, &input.key)?;
        let body = self.store().get(&object, None).await.map_err(s3_error)?;
        let key = customer_key(&input.sse_customer_key, &input.sse_customer_key_md5)?;
        check_customer_key(key.as_deref(), &body.head.attributes)?;
        check_if_match(input.if_match.as_ref(), &body.head)?;
        let size = body.head.size;
        let range = ranged(input.range.as_ref(), size)?;
        let given = range.clone().unwrap_or(0..size);
        let pieces = slices(body.stream, given.clone()).await?;
        let mut output = describe!(GetObjectOutput, body.head);
        output.content_length = Some(length(given.end - given.start)?);
        output.content_range = range.map(|range| content_range(&range, size));
        output.body =
            Some(StreamingBlob::wrap(futures::stream::iter(pieces).map(std::io::Result::Ok)));
        Ok(S3Response::new(output))
    }

    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = req.input;
        self.bucket_exists(&input.bucket).await?;
        let attributes = attributes!(input)?;
        let condition = self.condition(input.if_match, input.if_none_match)?;
        let pieces = collect(input.body, input.content_length).await?;
        let (key, content) = ((&*input.bucket, &*input.key), (pieces, None));
        let tag = self.put(key, content, &attributes, &condition).await?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(etag(&tag)),
            ..PutObjectOutput::default()
        }))
    }

    async fn copy_object(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let mut input = req.input;
        if input.copy_source_if_none_match.is_some()
            || input.copy_source_if_modified_since.is_some()
            || input.copy_source_if_unmodified_since.is_some()
        {
            return Err(s3_error!(
                NotImplemented,
                "of the conditions of a copy only If-Match is implemented"
            ));
        }
        let (from, to) =
            (copy_source(&input.copy_source)?, object_name(&input.bucket, &input.key)?);
        let replaces = input.metadata_directive.as_ref().map(|directive| directive.as_str())
            == Some(MetadataDirective::REPLACE);
        if from == to && !replaces {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it changes nothing"
            ));
        }
        let if_match = match self.condition(input.copy_source_if_match, None)? {
            PutCondition::IfMatch(etag) => Some(etag),
            _ => None,
        };
        let source = self.store().head(&from).await.map_err(s3_error)?;
        let key = customer_key(
            &input.copy_source_sse_customer_key,
            &input.copy_source_sse_customer_key_md5,
        )?;
        check_customer_key(key.as_deref(), &source.attributes)?;
        let replaced = |directive: Option<&str>| directive == Some(MetadataDirective::REPLACE);
        let replaces_metadata =
            replaced(input.metadata_directive.as_ref().map(|directive| directive.as_str()));
        let replaces_tags =
            replaced(input.tagging_directive.as_ref().map(|directive| directive.as_str()));
        let asked = attributes!(input)?;
        // Class and encryption are those of the request, whatever the directives.
        let Attributes { storage_class, encryption, acl, .. } = asked.clone();
        let kept = if replaces_metadata { asked.clone() } else { source.attributes };
        let tags = if replaces_tags {
            asked.tags
        } else {
            self.store().tags(&from).await.map_err(s3_error)?
        };
        let attributes = Attributes { storage_class, encryption, acl, tags, ..kept };
        let options = CopyOptions { if_match, attributes: Some(attributes), newer_than: None };
        let tag = self.store().copy(&from, &to, &options).await.map_err(s3_error)?;
        let head = self.store().head(&to).await.map_err(s3_error)?;
        let result = CopyObjectResult {
            e_tag: Some(etag(&tag)),
            last_modified: Some(Timestamp::from(head.last_modified)),
            ..CopyObjectResult::default()
        };
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            ..CopyObjectOutput::default()
        }))
    }

    async fn get_object_tagging(
        &self,
        req: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let object = object_name(&req.input.bucket, &req.input.key)?;
        let tags = self.store().tags(&object).await.map_err(s3_error)?;
        let tag = |(key, value)| Tag { key: Some(key), value: Some(value) };
        let tag_set = tags.into_iter().map(tag).collect();
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, ..GetObjectTaggingOutput::default() }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let input = req.input;
        let if_match = match self.condition(input.if_match, None)? {
            PutCondition::IfMatch(etag) => Some(etag),
            _ => None,
        };
        self.store()
            .delete(&object_name(&input.bucket, &input.key)?, if_match.as_ref())
            .await
            .map_err(s3_error)?;
        Ok(S3Response::with_status(DeleteObjectOutput::default(), http::StatusCode::NO_CONTENT))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let mut input = req.input;
        self.bucket_exists(&input.bucket).await?;
        let object = object_name(&input.bucket, &input.key)?;
        let attributes = attributes!(input)?;
        let output = CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(self.uploads().create(object, attributes)),
            ..CreateMultipartUploadOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let part = collect(input.body, input.content_length).await?;
        let part = (tag_of(&part), part);
        let object = object_name(&input.bucket, &input.key)?;
        let key = customer_key(&input.sse_customer_key, &input.sse_customer_key_md5)?;
        let tag = self.uploads().put_part(
            &object,
            &input.upload_id,
            input.part_number,
            part,
            key.as_deref(),
        )?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(etag(&tag)),
            ..UploadPartOutput::default()
        }))
    }

    async fn upload_part_copy(
        &self,
        req: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = req.input;
        let (from, to) =
            (copy_source(&input.copy_source)?, object_name(&input.bucket, &input.key)?);
        let body = self.store().get(&from, None).await.map_err(s3_error)?;
        let key = customer_key(
            &input.copy_source_sse_customer_key,
            &input.copy_source_sse_customer_key_md5,
        )?;
        check_customer_key(key.as_deref(), &body.head.attributes)?;
        if !self.ignores_conditions() {
            check_if_match(input.copy_source_if_match.as_ref(), &body.head)?;
        }
        let size = body.head.size;
        let range = match &input.copy_source_range {
            Some(range) => {
                let odd = || {
                    s3_error!(
                        InvalidArgument,
                        "The x-amz-copy-source-range value must be of the form bytes=first-last"
                    )
                };
                let (first, last) = range
                    .strip_prefix("bytes=")
                    .and_then(|range| range.split_once('-'))
                    .ok_or_else(odd)?;
                let (first, last): (u64, u64) =
                    (first.parse().map_err(|_| odd())?, last.parse().map_err(|_| odd())?);
                if first > last || last >= size {
                    return Err(s3_error!(
                        InvalidArgument,
                        "Range specified is not valid for source object of size: {size}"
                    ));
                }
                first..last + 1
            }
            None => 0..size,
        };
        let part = slices(body.stream, range).await?;
        let part = (tag_of(&part), part);
        let key = customer_key(&input.sse_customer_key, &input.sse_customer_key_md5)?;
        let tag = self.uploads().put_part(
            &to,
            &input.upload_id,
            input.part_number,
            part,
            key.as_deref(),
        )?;
        let result = CopyPartResult { e_tag: Some(etag(&tag)), ..CopyPartResult::default() };
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..UploadPartCopyOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = req.input;
        let object = object_name(&input.bucket, &input.key)?;
        let named = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let condition = self.condition(input.if_match, input.if_none_match)?;
        let (pieces, tag, attributes) =
            self.uploads().assemble(&object, &input.upload_id, &named)?;
        let (key, content) = ((&*input.bucket, &*input.key), (pieces, Some(tag)));
        let tag = self.put(key, content, &attributes, &condition).await?;
        self.uploads().remove(&object, &input.upload_id)?;
        let output = CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(etag(&tag)),
            ..CompleteMultipartUploadOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = req.input;
        self.uploads().remove(&object_name(&input.bucket, &input.key)?, &input.upload_id)?;
        Ok(S3Response::with_status(
            AbortMultipartUploadOutput::default(),
            http::StatusCode::NO_CONTENT,
        ))
    }

    async fn put_bucket_acl(
        &self,
        req: S3Request<PutBucketAclInput>,
    ) -> S3Result<S3Response<PutBucketAclOutput>> {
        let input = req.input;
        self.bucket_exists(&input.bucket).await?;
        let policy = match (input.acl, input.access_control_policy) {
            (_, Some(policy)) => policy,
            (Some(canned), None) => canned_policy(canned.as_str()),
            (None, None) => return Err(s3_error!(NotImplemented, "grants in headers")),
        };
        self.policies().insert(input.bucket, policy);
        Ok(S3Response::new(PutBucketAclOutput::default()))
    }

    async fn get_bucket_acl(
        &self,
        req: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        self.bucket_exists(&req.input.bucket).await?;
        let policy = self
            .policies()
            .get(&req.input.bucket)
            .cloned()
            .unwrap_or_else(|| canned_policy("private"));
        Ok(S3Response::new(GetBucketAclOutput { grants: policy.grants, owner: policy.owner }))
    }

    async fn put_bucket_lifecycle_configuration(
        &self,
        req: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let input = req.input;
        self.bucket_exists(&input.bucket).await?;
        let rules = input
            .lifecycle_configuration
            .map(|configuration| configuration.rules)
            .unwrap_or_default();
        self.lifecycles().insert(input.bucket, rules);
        Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
    }

    async fn get_bucket_lifecycle_configuration(
        &self,
        req: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        self.bucket_exists(&req.input.bucket).await?;
        let rules = self.lifecycles().get(&req.input.bucket).cloned();
        let rules = Some(rules.ok_or_else(|| s3_error!(NoSuchLifecycleConfiguration))?);
        let output = GetBucketLifecycleConfigurationOutput { rules, ..Default::default() };
        Ok(S3Response::new(output))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = req.input;
        self.bucket_exists(&input.bucket).await?;
        let encoded = input
            .encoding_type
            .as_ref()
            .is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
        let upload = |(key, id, initiated): (String, String, SystemTime)| MultipartUpload {
            key: Some(if encoded { url_encode(&key) } else { key }),
            upload_id: Some(id),
            initiated: Some(initiated.into()),
            ..MultipartUpload::default()
        };
        let output = ListMultipartUploadsOutput {
            uploads: Some(self.uploads().of_bucket(&input.bucket).map(upload).collect()),
            bucket: Some(input.bucket),
            is_truncated: Some(false),
            encoding_type: input.encoding_type,
            ..ListMultipartUploadsOutput::default()
        };
        Ok(S3Response::new(output))
    }
}

fn to_token(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn from_token(token: &str) -> S3Result<String> {
    let odd = || s3_error!(InvalidArgument, "The continuation token provided is incorrect");
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = token.as_bytes().chunks(2).map(byte).collect();
    String::from_utf8(bytes.ok_or_else(odd)?).map_err(|_| odd())
}

/// Expands a canned list as S3 does: full control for the owner, and the named access for everyone.
fn canned_policy(name: &str) -> AccessControlPolicy {
    let grant = |grantee: Grantee, permission: &'static str| Grant {
        grantee: Some(grantee),
        permission: Some(Permission::from_static(permission)),
    };
    let someone = |kind: &'static str| Grantee {
        type_: Type::from_static(kind),
        display_name: None,
        email_address: None,
        id: None,
        uri: None,
    };
    let owner = Grantee { id: Some("owner".to_owned()), ..someone(Type::CANONICAL_USER) };
    let all = Grantee {
        uri: Some("http://acs.amazonaws.com/groups/global/AllUsers".to_owned()),
        ..someone(Type::GROUP)
    };
    let mut grants = vec![grant(owner, Permission::FULL_CONTROL)];
    if name.starts_with("public-read") {
        grants.push(grant(all, Permission::READ));
    }
    let owner = Some(Owner { id: Some("owner".to_owned()), display_name: None });
    AccessControlPolicy { grants: Some(grants), owner }
}
