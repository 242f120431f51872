//! Large objects, sent in parts: each part is held in memory and can be sent again by itself, and some are on their way at once.
//!
//! The object appears when the upload is completed, under the condition of the put. An upload that fails or is given up is
//! aborted, also when its future is dropped. If the machine dies, or the future is dropped while the store is still answering
//! the first request, the parts stay in the store, invisible, until a rule of the bucket (`AbortIncompleteMultipartUpload`)
//! removes them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream as SdkStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use futures::stream::{FuturesUnordered, StreamExt as _, TryStreamExt as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::domain::ObjectName;
use crate::storage::{Attributes, ByteStream, ETag, PutBody, PutCondition, StorageError};

use super::attributes::{etag, set_expires, with_attributes};
use super::put::{PutFailed, with_condition};

/// Most parts of one upload (S3 User Guide, "Multipart upload limits").
const MAX_PARTS: u64 = 10_000;
/// Bytes of parts on their way at once, unless a single part has more.
const IN_FLIGHT: u64 = 64 << 20;

/// Sends the object in parts of `part_size` bytes, or of as many as it takes to do with [`MAX_PARTS`].
pub(super) async fn put(
    client: &Client,
    object: &ObjectName,
    body: &PutBody,
    attributes: &Attributes,
    condition: &PutCondition,
    part_size: u64,
    aborts: &Aborts,
) -> Result<ETag, PutFailed> {
    let upload = Upload::create(client, object, attributes, aborts).await?;
    let part_size = part_size.max(body.len().div_ceil(MAX_PARTS)).max(1);
    let sent = match upload.send_parts(body, part_size).await {
        Ok(parts) => upload.complete(parts, condition).await,
        Err(failed) => Err(failed),
    };
    match sent {
        Ok(etag) => {
            upload.leave();
            Ok(etag)
        }
        Err(failed) => {
            upload.abort().await;
            Err(failed)
        }
    }
}

/// An upload under way in the store; dropped, it is aborted.
struct Upload {
    client: Client,
    object: ObjectName,
    id: String,
    aborts: Aborts,
    open: bool,
}

impl Upload {
    async fn create(
        client: &Client,
        object: &ObjectName,
        attributes: &Attributes,
        aborts: &Aborts,
    ) -> Result<Self, PutFailed> {
        let request = client.create_multipart_upload().bucket(object.bucket.as_str()).key(object.key.as_str());
        let answer = with_attributes!(request, attributes).customize().mutate_request(set_expires(attributes)).send();
        let id = answer.await?.upload_id.ok_or_else(|| PutFailed::answer("the store sent no id of the upload"))?;
        Ok(Self { client: client.clone(), object: object.clone(), id, aborts: aborts.clone(), open: true })
    }

    async fn send_parts(&self, body: &PutBody, part_size: u64) -> Result<Vec<CompletedPart>, PutFailed> {
        let at_once = (IN_FLIGHT / part_size).clamp(1, 8) as usize;
        let mut stream = body.open();
        let mut rest = BytesMut::new();
        let mut read = 0;
        let mut sending = FuturesUnordered::new();
        let mut parts = Vec::new();
        for number in 1.. {
            let part = loop {
                // What is being sent is only moved on while somebody asks for it. Reading can be left and taken up again.
                tokio::select! {
                    part = next_part(&mut stream, &mut rest, part_size) => break part.map_err(PutFailed::Body)?,
                    Some(sent) = sending.next() => parts.push(sent?),
                }
            };
            read += part.len() as u64;
            let last = (part.len() as u64) < part_size;
            if last || read > body.len() {
                // Nothing has been completed, so this is in time for too many as for too few.
                body.check_len(read).map_err(PutFailed::Body)?;
            }
            if !part.is_empty() {
                sending.push(self.send_part(number, part));
            }
            if last {
                break;
            }
            // One place stays free for the part that is read meanwhile.
            while sending.len() >= at_once {
                parts.extend(sending.next().await.transpose()?);
            }
        }
        while let Some(sent) = sending.next().await {
            parts.push(sent?);
        }
        parts.sort_by_key(|part: &CompletedPart| part.part_number);
        Ok(parts)
    }

    async fn send_part(&self, number: i32, part: Bytes) -> Result<CompletedPart, PutFailed> {
        let request = self.client.upload_part().bucket(self.object.bucket.as_str()).key(self.object.key.as_str());
        let answer = request.upload_id(&self.id).part_number(number).body(SdkStream::from(part)).send().await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .set_checksum_crc32(answer.checksum_crc32)
            .set_checksum_crc32_c(answer.checksum_crc32_c)
            .set_checksum_crc64_nvme(answer.checksum_crc64_nvme)
            .set_checksum_sha1(answer.checksum_sha1)
            .set_checksum_sha256(answer.checksum_sha256)
            .build())
    }

    async fn complete(&self, parts: Vec<CompletedPart>, condition: &PutCondition) -> Result<ETag, PutFailed> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request =
            self.client.complete_multipart_upload().bucket(self.object.bucket.as_str()).key(self.object.key.as_str());
        let answer = with_condition!(request, condition).upload_id(&self.id).multipart_upload(parts).send().await?;
        etag(answer.e_tag()).map_err(PutFailed::from)
    }

    /// There is nothing left to abort.
    fn leave(mut self) {
        self.open = false;
    }

    async fn abort(mut self) {
        self.open = false;
        abort(&self.client, &self.object, &self.id).await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.open
            && let Ok(runtime) = Handle::try_current()
        {
            let (client, object, id) = (self.client.clone(), self.object.clone(), self.id.clone());
            self.aborts.running().spawn_on(async move { abort(&client, &object, &id).await }, &runtime);
        }
    }
}

/// Uploads that were dropped and are being aborted.
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

async fn abort(client: &Client, object: &ObjectName, id: &str) {
    let request = client.abort_multipart_upload().bucket(object.bucket.as_str()).key(object.key.as_str());
    if let Err(error) = request.upload_id(id).send().await {
        let failed = super::error::Failed::from(error);
        // After an answer that was lost the upload may have been completed, or aborted by an earlier attempt.
        if !failed.is_404() {
            let error: StorageError = failed.at("AbortMultipartUpload", object);
            tracing::warn!(%error, "parts of a failed upload are left in the store");
        }
    }
}

/// The next `size` bytes; fewer only at the end of the stream. When its future is dropped, `rest` keeps what was read.
async fn next_part(stream: &mut ByteStream, rest: &mut BytesMut, size: u64) -> std::io::Result<Bytes> {
    while (rest.len() as u64) < size {
        match stream.try_next().await? {
            Some(piece) => rest.extend_from_slice(&piece),
            None => break,
        }
    }
    let end = rest.len().min(usize::try_from(size).unwrap_or(usize::MAX));
    Ok(rest.split_to(end).freeze())
}
