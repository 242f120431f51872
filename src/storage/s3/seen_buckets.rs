//! Buckets that recently existed, so that an absent object costs no request for its bucket.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::BucketName;

/// The time for which a bucket counts as present. If another process deletes the bucket, its
/// objects are absent too.
const FRESH: Duration = Duration::from_secs(60);

/// The last time each bucket was seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct SeenBuckets(Arc<Mutex<BTreeMap<BucketName, Instant>>>);

impl SeenBuckets {
    fn all(&self) -> MutexGuard<'_, BTreeMap<BucketName, Instant>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the bucket exists now.
    pub(super) fn record(&self, bucket: &BucketName) {
        self.all().insert(bucket.clone(), Instant::now());
    }

    /// Forgets a bucket.
    pub(super) fn forget(&self, bucket: &BucketName) {
        self.all().remove(bucket);
    }

    /// Returns whether the bucket was seen less than [`FRESH`] ago.
    pub(super) fn is_fresh(&self, bucket: &BucketName) -> bool {
        self.is_fresh_at(bucket, Instant::now())
    }

    fn is_fresh_at(&self, bucket: &BucketName, now: Instant) -> bool {
        self.all().get(bucket).is_some_and(|shown| now.saturating_duration_since(*shown) < FRESH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_is_fresh_for_a_minute() {
        let (seen, bucket, now) =
            (SeenBuckets::default(), BucketName::new("bucket").unwrap(), Instant::now());
        assert!(!seen.is_fresh_at(&bucket, now));
        seen.all().insert(bucket.clone(), now);
        assert!(seen.is_fresh_at(&bucket, now + FRESH - Duration::from_millis(1)));
        assert!(!seen.is_fresh_at(&bucket, now + FRESH));
        seen.forget(&bucket);
        assert!(!seen.is_fresh_at(&bucket, now));
    }
}
