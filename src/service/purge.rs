//! Removal of the copies made for URLs that have expired.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::{Duration, Instant};

use futures::StreamExt as _;

use super::DeltaService;
use super::clock::timestamp;
use super::error::ServiceError;
use crate::domain::metadata::TemporaryMetadata;
use crate::domain::{BucketName, ObjectName, Timestamp, Total, deltaspace};
use crate::storage::{ListRequest, ListedObject, StorageErrorKind};

/// The maximum number of HEAD requests in flight.
const HEADS_AT_ONCE: usize = 32;

/// The result of a purge.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Purge {
    /// The number of copies whose URL has expired.
    pub expired: u64,
    /// The copies removed; with `dry_run`, those that would be.
    pub removed: Vec<ObjectName>,
    /// The bytes of the removed copies.
    pub freed: Total,
    /// The number of copies whose URL is still valid.
    pub waiting: u64,
    /// Objects among the copies that state no expiry time; they stay.
    pub unknown: Vec<ObjectName>,
    /// Objects whose lookup or removal failed.
    pub failed: Vec<(ObjectName, ServiceError)>,
    /// The duration of the purge.
    pub took: Duration,
}

impl DeltaService {
    /// Removes the copies that [`presign_get`](Self::presign_get) or the Python tool made for URLs
    /// that have expired. With `dry_run`, only reports them.
    pub async fn purge(&self, bucket: &BucketName, dry_run: bool) -> Result<Purge, ServiceError> {
        self.purge_by(bucket, dry_run, timestamp()).await
    }

    /// Purges by the given time of day.
    pub(super) async fn purge_by(
        &self,
        bucket: &BucketName,
        dry_run: bool,
        now: Timestamp,
    ) -> Result<Purge, ServiceError> {
        let began = Instant::now();
        let mut purge = Purge::default();
        let mut request =
            ListRequest { prefix: deltaspace::TEMPORARIES.to_owned(), ..ListRequest::default() };
        loop {
            let page = self.store().list(bucket, &request).await?;
            let looks =
                page.objects.into_iter().map(|object| self.purge_one(bucket, object, dry_run, now));
            let mut looks =
                futures::stream::iter(looks.collect::<Vec<_>>()).buffered(HEADS_AT_ONCE);
            while let Some((object, size, outcome)) = looks.next().await {
                match outcome {
                    Ok(Age::Expired) => {
                        purge.expired = purge.expired.saturating_add(1);
                        purge.freed.add(size);
                        purge.removed.push(object);
                    }
                    Ok(Age::Waiting) => purge.waiting = purge.waiting.saturating_add(1),
                    Ok(Age::Unknown) => purge.unknown.push(object),
                    Ok(Age::Gone) => {}
                    Err(error) => purge.failed.push((object, error)),
                }
            }
            match page.continuation {
                Some(next) => request.continuation = Some(next),
                None => break,
            }
        }
        purge.took = began.elapsed();
        Ok(purge)
    }

    async fn purge_one(
        &self,
        bucket: &BucketName,
        listed: ListedObject,
        dry_run: bool,
        now: Timestamp,
    ) -> (ObjectName, u64, Result<Age, ServiceError>) {
        let object = ObjectName::new(bucket.clone(), listed.key);
        let outcome = async {
            let head = match self.store().head(&object).await {
                Err(error) if error.is_absent() => return Ok(Age::Gone),
                head => head?,
            };
            let Some(expires) = TemporaryMetadata::expiry(&head.attributes.metadata) else {
                return Ok(Age::Unknown);
            };
            if expires > now {
                return Ok(Age::Waiting);
            }
            if !dry_run {
                // The name is random, so no concurrent writer stores another object under it: a
                // store that ignores the condition removes the same one.
                match self.store().delete(&object, Some(&head.etag)).await {
                    Err(error) if error.kind == StorageErrorKind::Precondition => {
                        return Ok(Age::Gone);
                    }
                    removed => removed?,
                }
            }
            Ok(Age::Expired)
        };
        let outcome = outcome.await;
        (object, listed.size, outcome)
    }
}

enum Age {
    Expired,
    Waiting,
    Unknown,
    Gone,
}
