//! DELETE, under a condition, retried where the store asks for it.

use std::time::Duration;

use crate::domain::ObjectName;
use crate::storage::{ETag, ObjectStore as _, StorageError, StorageErrorKind};

use super::S3Store;
use super::attributes::quoted;
use super::conditions::Conditional;
use super::error::Failed;
use super::put::ATTEMPTS_IN_CONFLICT;
use super::put_failed::PutFailed;
use super::retry::Sendings;

impl S3Store {
    pub(super) async fn remove(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), StorageError> {
        const OPERATION: &str = "DeleteObject";
        let conditional = if_match.map(|_| Conditional::DeleteIfMatch);
        let matched = if_match.map(|tag| (object, tag));
        let mut attempt = 1;
        loop {
            let send = |with: bool| self.delete_once(object, if_match.filter(|_| with));
            let failed = match self.under_condition(conditional, matched, send).await {
                Ok(()) => return Ok(()),
                Err(PutFailed::Store(failed)) => failed,
                Err(failed) => return Err(failed.at(OPERATION, object)),
            };
            if failed.is_conflict() && attempt < ATTEMPTS_IN_CONFLICT {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
                attempt += 1;
                continue;
            }
            let failed = match if_match {
                Some(_) => {
                    failed.with_kind(StorageErrorKind::NotFound, StorageErrorKind::Precondition)
                }
                None => failed,
            };
            return Err(failed.at(OPERATION, object));
        }
    }

    /// Deletes an object. If an answer was lost and the request sent again, the object is already
    /// absent, which counts as success.
    async fn delete_once(
        &self,
        object: &ObjectName,
        if_match: Option<&ETag>,
    ) -> Result<(), PutFailed> {
        let sendings = Sendings::default();
        let request = self
            .clients
            .calls
            .delete_object()
            .bucket(object.bucket.as_str())
            .key(object.key.as_str());
        let request = request.set_if_match(if_match.map(quoted));
        let send = || {
            let request = request.clone().customize().interceptor(sendings.clone());
            async move { request.send().await.map_err(Failed::from) }
        };
        let Err(failed) = self.clients.attempts.send(Some(object.bucket.as_str()), send).await
        else {
            return Ok(());
        };
        // As on S3, deleting an absent object succeeds.
        let may_be_gone = if_match.is_none() || sendings.count() > 1;
        let is_gone = match failed.kind() {
            StorageErrorKind::NotFound => may_be_gone,
            StorageErrorKind::Precondition if may_be_gone => {
                self.head(object).await.is_err_and(|error| error.kind == StorageErrorKind::NotFound)
            }
            _ => false,
        };
        if is_gone { Ok(()) } else { Err(PutFailed::Store(failed)) }
    }
}
