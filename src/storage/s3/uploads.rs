//! Open multipart uploads: started, and neither completed nor aborted.

use aws_sdk_s3::types::EncodingType;

use crate::domain::{BucketName, Key, ObjectName};
use crate::storage::{OpenUpload, StorageError, StorageErrorKind};

use super::S3Store;
use super::attempts::send;
use super::attributes::time;
use super::error::Cause;
use super::list::decode;
use super::pages::{Next, Pages};

impl S3Store {
    pub(super) async fn open_uploads(
        &self,
        bucket: &BucketName,
    ) -> Result<Vec<OpenUpload>, StorageError> {
        const OPERATION: &str = "ListMultipartUploads";
        let unreadable = |cause: Cause| {
            StorageError::new(StorageErrorKind::Other, OPERATION, bucket).because(cause)
        };
        let mut open = Vec::new();
        let (mut key_marker, mut id_marker) = (None, None);
        let mut pages = Pages::default();
        loop {
            let request = self.clients.lists.list_multipart_uploads().bucket(bucket.as_str());
            let request = request.encoding_type(EncodingType::Url);
            let request = request.set_key_marker(key_marker).set_upload_id_marker(id_marker);
            let answer = match send!(self.clients.attempts, bucket, request) {
                Err(failed) if failed.is_not_implemented() => return Ok(Vec::new()),
                answer => answer.map_err(|failed| failed.at(OPERATION, bucket))?,
            };
            let encoded = answer.encoding_type() == Some(&EncodingType::Url);
            let before = open.len();
            for upload in answer.uploads() {
                let (key, id) =
                    (upload.key().unwrap_or_default(), upload.upload_id().unwrap_or_default());
                let key = if encoded { decode(key).map_err(unreadable)? } else { key.to_owned() };
                let key = Key::new(key).map_err(|error| unreadable(Cause::of(&error)))?;
                let object = ObjectName::new(bucket.clone(), key);
                open.push(OpenUpload {
                    object,
                    id: id.to_owned(),
                    initiated: time(upload.initiated()).ok(),
                });
            }
            let new: Vec<_> = open
                .iter()
                .skip(before)
                .map(|upload| format!("{}\0{}", upload.object.key, upload.id))
                .collect();
            let is_last = answer.is_truncated() != Some(true);
            let token =
                || format!("{:?} {:?}", answer.next_key_marker(), answer.next_upload_id_marker());
            let token = (!is_last).then(token);
            let next = token.map(Next::Token);
            pages.take(new.iter().map(String::as_str), next.as_ref()).map_err(unreadable)?;
            if is_last {
                return Ok(open);
            }
            key_marker = match answer.next_key_marker() {
                Some(marker) if encoded => Some(decode(marker).map_err(unreadable)?),
                marker => marker.map(str::to_owned),
            };
            id_marker = answer.next_upload_id_marker().map(str::to_owned);
            if key_marker.is_none() {
                return Err(unreadable(Cause::new(
                    "a page that is not the last does not say where the next one starts",
                )));
            }
        }
    }

    pub(super) async fn give_up(&self, upload: &OpenUpload) -> Result<(), StorageError> {
        let OpenUpload { object, id, .. } = upload;
        let request = self.clients.calls.abort_multipart_upload().bucket(object.bucket.as_str());
        let request = request.key(object.key.as_str()).upload_id(id);
        match send!(self.clients.attempts, object.bucket, request) {
            Err(failed) if !failed.is_404() => Err(failed.at("AbortMultipartUpload", object)),
            _ => Ok(()),
        }
    }
}
