//! Multipart uploads of large objects: each part is held in memory, so that it can be sent again by
//! itself, and several are sent at once.
//!
//! The object appears when the upload is completed, under the condition of the put. An upload that
//! fails or whose future is dropped is aborted. If the machine crashes, or the future is dropped
//! while the first request is still unanswered, the parts stay in the store, invisible, until a
//! lifecycle rule (`AbortIncompleteMultipartUpload`) deletes them.

use std::ops::Range;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::primitives::ByteStream as SdkStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures::stream::{StreamExt as _, TryStreamExt as _};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

use crate::domain::ObjectName;
use crate::storage::{
    Attributes, ByteStream, CustomerKey, ETag, ObjectHead, PutBody, PutCondition, StorageError,
};

use super::S3Store;
use super::attempts::send;
use super::attributes::{
    etag, quoted, set_expires, with_attributes, with_class, with_key, with_source_key,
};
use super::checksum::Checksum;
use super::conditions::Conditional;
use super::connect::Clients;
use super::copy::{copy_source, is_by_customer};
use super::error::Failed;
use super::put::{matched, with_condition};
use super::put_failed::PutFailed;
use super::retry::Sendings;

/// The maximum number of parts of one upload (S3 User Guide, "Multipart upload limits").
const MAX_PARTS: u64 = 10_000;
/// The maximum size of a part in bytes (S3 User Guide, "Multipart upload limits").
const MAX_PART: u64 = 5 << 30;
/// The maximum size in MiB of the parts held in memory at once, of all uploads of a store, unless a
/// single part is larger.
pub(super) const HELD_MIB: u32 = 96;
/// The maximum number of parts of one upload that are sent at once, while another one is read.
const SENT_AT_ONCE: usize = 4;
/// The maximum number of parts the store copies at once; their bytes do not pass through here.
const COPIES_AT_ONCE: usize = 8;

impl S3Store {
    /// Starts an upload of the object with these attributes.
    pub(super) async fn upload(
        &self,
        object: &ObjectName,
        attributes: &Attributes,
    ) -> Result<Upload, PutFailed> {
        let key = self.customer_key.clone();
        let clients = self.clients.clone();
        let request = clients
            .calls
            .create_multipart_upload()
            .bucket(object.bucket.as_str())
            .key(object.key.as_str());
        let checksum = self.checksum.now();
        let request = request.set_checksum_algorithm(
            (checksum == Checksum::Crc32).then_some(ChecksumAlgorithm::Crc32),
        );
        let request =
            with_class!(with_attributes!(request, attributes, self), attributes, key.as_ref());
        let send = || {
            let request = request.clone().customize().mutate_request(set_expires(attributes));
            async move { request.send().await.map_err(Failed::from) }
        };
        let answer = clients
            .attempts
            .send(Some(object.bucket.as_str()), send)
            .await
            .map_err(PutFailed::Store)?;
        let id = answer
            .upload_id
            .ok_or_else(|| PutFailed::answer("the store sent no id of the upload"))?;
        let target = Target { checksum, clients, object: object.clone(), id, key };
        let (aborts, held) = (self.aborts.clone(), self.held.clone());
        let (target, sending) = (Arc::new(target), JoinSet::new());
        Ok(Upload { target, sending, aborts, held, open: true })
    }
}

/// An upload in progress in the store; aborted when dropped.
pub(super) struct Upload {
    target: Arc<Target>,
    /// The parts being sent.
    sending: JoinSet<Result<CompletedPart, PutFailed>>,
    aborts: Aborts,
    /// One permit for each MiB of parts.
    held: Arc<Semaphore>,
    open: bool,
}

/// What the parts of an upload are sent to, and how.
struct Target {
    /// The checksum sent with each part.
    checksum: Checksum,
    clients: Clients,
    object: ObjectName,
    id: String,
    key: Option<CustomerKey>,
}

impl Upload {
    /// Sends the object in parts of the store's part size, or of the size that [`MAX_PARTS`] parts
    /// need. Counts the attempts of the final request in `sendings`.
    pub(super) async fn put(
        mut self,
        store: &S3Store,
        body: &PutBody,
        condition: &PutCondition,
        sendings: &Sendings,
    ) -> Result<ETag, PutFailed> {
        let part_size = store.part_size.max(body.expected_len().div_ceil(MAX_PARTS)).max(1);
        let sent = match self.send_parts(body, part_size).await {
            Ok(parts) => {
                let send = |with| {
                    let condition = if with { condition } else { &PutCondition::None };
                    self.target.complete(parts.clone(), condition, sendings)
                };
                let matched = matched(&self.target.object, condition);
                store.under_condition(Conditional::complete(condition), matched, send).await
            }
            Err(failed) => Err(failed),
        };
        self.end(sent).await
    }

    /// Copies the version of `from` with this head in parts of `part_size` bytes, or of the size
    /// that [`MAX_PARTS`] parts need.
    pub(super) async fn copy(
        self,
        from: &ObjectName,
        head: &ObjectHead,
        part_size: u64,
    ) -> Result<ETag, PutFailed> {
        let part_size = part_size.max(head.size.div_ceil(MAX_PARTS)).max(1);
        let copied = match self.target.copy_parts(from, head, part_size).await {
            Ok(parts) => {
                self.target.complete(parts, &PutCondition::None, &Sendings::default()).await
            }
            Err(failed) => Err(failed),
        };
        self.end(copied).await
    }

    async fn send_parts(
        &mut self,
        body: &PutBody,
        part_size: u64,
    ) -> Result<Vec<CompletedPart>, PutFailed> {
        let sending = &mut self.sending;
        let first_size = part_size;
        let mut stream = body.open();
        let mut rest = BytesMut::new();
        let mut read = 0;
        let mut parts = Vec::new();
        for number in 1.. {
            let part_size =
                if body.known_len().is_some() { first_size } else { grown(first_size, number) };
            let mib = u32::try_from(part_size >> 20).unwrap_or(HELD_MIB).clamp(1, HELD_MIB);
            // Other uploads wait for the memory that the parts hold.
            let mut permit = pin!(self.held.clone().acquire_many_owned(mib));
            let permit = loop {
                tokio::select! {
                    permit = &mut permit => {
                        break permit.map_err(std::io::Error::other).map_err(PutFailed::Body)?;
                    }
                    Some(sent) = sending.join_next() => parts.push(finished(sent)?),
                }
            };
            let part = loop {
                // Reading can be interrupted and continued.
                tokio::select! {
                    part = next_part(&mut stream, &mut rest, part_size) => {
                        break part.map_err(PutFailed::Body)?;
                    }
                    Some(sent) = sending.join_next() => parts.push(finished(sent)?),
                }
            };
            read += part.len() as u64;
            let last = (part.len() as u64) < part_size;
            if last || read > body.len() {
                // Nothing has been completed, so this check is early enough for an excess as well.
                body.check_len(read).map_err(PutFailed::Body)?;
            }
            if !part.is_empty() {
                let target = self.target.clone();
                sending.spawn(async move { target.send_part(number, part, permit).await });
            }
            if last {
                break;
            }
            while sending.len() >= SENT_AT_ONCE {
                parts.extend(sending.join_next().await.map(finished).transpose()?);
            }
        }
        while let Some(sent) = sending.join_next().await {
            parts.push(finished(sent)?);
        }
        parts.sort_by_key(|part: &CompletedPart| part.part_number);
        Ok(parts)
    }

    /// Aborts an upload that was not completed.
    async fn end(mut self, completed: Result<ETag, PutFailed>) -> Result<ETag, PutFailed> {
        if completed.is_err() {
            self.target.abort_after(&mut self.sending).await;
        }
        self.open = false;
        completed
    }
}

impl Target {
    async fn send_part(
        &self,
        number: i32,
        part: Bytes,
        _permit: OwnedSemaphorePermit,
    ) -> Result<CompletedPart, PutFailed> {
        let time = self.clients.time_to_send(part.len() as u64);
        let (bucket, key) = (self.object.bucket.as_str(), self.object.key.as_str());
        let (md5, crc32) = self.checksum.headers(&part);
        let send = || {
            let request =
                self.clients.transfers.upload_part().bucket(bucket).key(key).upload_id(&self.id);
            let request = with_key!(request.part_number(number), self.key.as_ref());
            let request = request.set_content_md5(md5.clone()).set_checksum_crc32(crc32.clone());
            let request = request
                .body(SdkStream::from(part.clone()))
                .customize()
                .config_override(time.clone());
            async move { request.send().await.map_err(Failed::from) }
        };
        let answer = self.send(send).await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .set_checksum_crc32(crc32.or(answer.checksum_crc32))
            .set_checksum_crc32_c(answer.checksum_crc32_c)
            .set_checksum_crc64_nvme(answer.checksum_crc64_nvme)
            .set_checksum_sha1(answer.checksum_sha1)
            .set_checksum_sha256(answer.checksum_sha256)
            .build())
    }

    async fn send<T, F: Future<Output = Result<T, Failed>>>(
        &self,
        send: impl Fn() -> F,
    ) -> Result<T, PutFailed> {
        self.clients
            .attempts
            .send(Some(self.object.bucket.as_str()), send)
            .await
            .map_err(PutFailed::Store)
    }

    async fn complete(
        &self,
        parts: Vec<CompletedPart>,
        condition: &PutCondition,
        sendings: &Sendings,
    ) -> Result<ETag, PutFailed> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let client = &self.clients.copies;
        let request = client
            .complete_multipart_upload()
            .bucket(self.object.bucket.as_str())
            .key(self.object.key.as_str());
        let request = with_key!(with_condition!(request, condition), self.key.as_ref());
        let request = request.upload_id(&self.id).multipart_upload(parts);
        let send = || {
            let request = request.clone().customize().interceptor(sendings.clone());
            async move { request.send().await.map_err(Failed::from) }
        };
        let answer = self.send(send).await?;
        etag(answer.e_tag()).map_err(PutFailed::from)
    }

    async fn copy_parts(
        &self,
        from: &ObjectName,
        head: &ObjectHead,
        part_size: u64,
    ) -> Result<Vec<CompletedPart>, PutFailed> {
        let starts = (0..head.size).step_by(usize::try_from(part_size).unwrap_or(usize::MAX));
        let copies = starts.zip(1..).map(|(start, number)| {
            let range = start..start.saturating_add(part_size).min(head.size);
            self.copy_part(number, from, head, range)
        });
        let mut parts: Vec<_> =
            futures::stream::iter(copies).buffer_unordered(COPIES_AT_ONCE).try_collect().await?;
        parts.sort_by_key(|part: &CompletedPart| part.part_number);
        Ok(parts)
    }

    async fn copy_part(
        &self,
        number: i32,
        from: &ObjectName,
        head: &ObjectHead,
        range: Range<u64>,
    ) -> Result<CompletedPart, PutFailed> {
        let request = self
            .clients
            .copies
            .upload_part_copy()
            .bucket(self.object.bucket.as_str())
            .key(self.object.key.as_str());
        let request =
            request.upload_id(&self.id).part_number(number).copy_source(copy_source(from));
        let source_key = self.key.as_ref().filter(|_| is_by_customer(head));
        let request = with_source_key!(with_key!(request, self.key.as_ref()), source_key);
        let range = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let request = request.copy_source_range(range).copy_source_if_match(quoted(&head.etag));
        let send = || {
            let request = request.clone();
            async move { request.send().await.map_err(Failed::from) }
        };
        let answer = self.send(send).await?;
        let part = answer
            .copy_part_result
            .ok_or_else(|| PutFailed::answer("the store sent no result of the copy"))?;
        if part.e_tag.is_none() {
            return Err(PutFailed::answer("the store sent no ETag of the part"));
        }
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag)
            .set_checksum_crc32(part.checksum_crc32)
            .set_checksum_crc32_c(part.checksum_crc32_c)
            .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
            .set_checksum_sha1(part.checksum_sha1)
            .set_checksum_sha256(part.checksum_sha256)
            .build())
    }

    /// Aborts the upload once no part is being sent: one that reached the store later would be left
    /// there.
    async fn abort_after(&self, sending: &mut JoinSet<Result<CompletedPart, PutFailed>>) {
        sending.shutdown().await;
        let request = self
            .clients
            .calls
            .abort_multipart_upload()
            .bucket(self.object.bucket.as_str())
            .key(self.object.key.as_str());
        let request = request.upload_id(&self.id);
        if let Err(failed) = send!(self.clients.attempts, self.object.bucket, request) {
            // If an answer was lost, the upload may have been completed, or aborted by an earlier
            // attempt.
            if !failed.is_404() {
                let error: StorageError = failed.at("AbortMultipartUpload", &self.object);
                tracing::warn!(%error, "parts of a failed upload are left in the store");
            }
        }
    }
}

/// Returns the result of a task that was not aborted.
fn finished<T>(task: Result<T, JoinError>) -> T {
    match task {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.open
            && let Ok(runtime) = Handle::try_current()
        {
            let (target, mut sending) = (self.target.clone(), std::mem::take(&mut self.sending));
            let abort = async move { target.abort_after(&mut sending).await };
            self.aborts.running().spawn_on(abort, &runtime);
        }
    }
}

/// Dropped uploads that are being aborted.
#[derive(Clone, Default)]
pub(super) struct Aborts(Arc<Mutex<JoinSet<()>>>);

impl Aborts {
    fn running(&self) -> MutexGuard<'_, JoinSet<()>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all are aborted.
    pub(super) async fn settle(&self) {
        let running = std::mem::take(&mut *self.running());
        running.join_all().await;
    }
}

/// Returns the size of a part of a stream of unknown length: doubled after each thousand parts, so
/// that they suffice for the largest object. Objects below a thousand parts have equal parts, which
/// some stores require.
fn grown(first: u64, number: i32) -> u64 {
    let doublings = u32::try_from(number.saturating_sub(1) / 1_000).unwrap_or_default();
    first.saturating_mul(2_u64.saturating_pow(doublings)).min(MAX_PART.max(first))
}

/// Returns the next `size` bytes; fewer only at the end of the stream. If the future is dropped,
/// `rest` keeps the bytes that were read.
async fn next_part(
    stream: &mut ByteStream,
    rest: &mut BytesMut,
    size: u64,
) -> std::io::Result<Bytes> {
    while (rest.len() as u64) < size {
        match stream.try_next().await? {
            Some(piece) => rest.extend_from_slice(&piece),
            None => break,
        }
    }
    let end = rest.len().min(usize::try_from(size).unwrap_or(usize::MAX));
    Ok(rest.split_to(end).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_the_largest_object() {
        let sizes = (1..=10_000).map(|number| grown(8 << 20, number));
        assert!(sizes.clone().all(|size| size <= MAX_PART));
        assert!(sizes.sum::<u64>() >= 5 << 40);
        assert_eq!((grown(5 << 20, 1_000), grown(5 << 20, 1_001)), (5 << 20, 10 << 20));
    }
}
