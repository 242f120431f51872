//! DELETE, under a condition, tried again where the store asks for it.

use std::time::Duration;

use crate::domain::ObjectName;
use crate::storage::{ETag, StorageError, StorageErrorKind};

use super::S3Store;
use super::attributes::quoted;
use super::error::Failed;
use super::put::ATTEMPTS_IN_CONFLICT;

impl S3Store {
    pub(super) async fn remove(&self, object: &ObjectName, if_match: Option<&ETag>) -> Result<(), StorageError> {
        let mut attempt = 1;
        loop {
            let request = self.clients.calls.delete_object().bucket(object.bucket.as_str()).key(object.key.as_str());
            let failed = match request.set_if_match(if_match.map(quoted)).send().await {
                Ok(_) => return Ok(()),
                Err(error) => Failed::from(error),
            };
            if failed.is_conflict() && attempt < ATTEMPTS_IN_CONFLICT {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                attempt += 1;
                continue;
            }
            let failed = match (if_match, failed.is_no_such_key()) {
                // As S3 answers: what should not be there is not there.
                (None, true) => return Ok(()),
                (Some(_), true) => failed.with_kind(StorageErrorKind::NotFound, StorageErrorKind::Precondition),
                _ => failed,
            };
            return Err(failed.at("DeleteObject", object));
        }
    }
}
