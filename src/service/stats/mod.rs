//! Statistics of a bucket: files, stored bytes, savings.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod kept;

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};

use super::DeltaService;
use super::error::ServiceError;
use super::list::{Listed, ListedFile, Listing};
use super::objects::StoredObject;
use crate::domain::metadata::Kind;
use crate::domain::{BucketName, ObjectName, Sha256Digest, Total, deltaspace};
use crate::storage::ETag;

/// The maximum number of deltas sampled for an estimate.
const SAMPLE: usize = 1000;

/// The maximum number of concurrent HEAD requests.
const LOOKS_AT_ONCE: usize = 64;

/// The effort spent on statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatsMode {
    /// The listing alone: keys determine deltas and references, and the sizes of originals are
    /// unknown.
    Quick,
    /// As `Quick`, with the size of the originals estimated from a sample of at most 1,000 deltas,
    /// chosen by the SHA-256 of their keys.
    Sampled,
    /// The exact size of every original.
    #[default]
    Detailed,
}

/// The use made of kept statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatsCache {
    /// Returns them if the bucket has not changed since; otherwise counts and keeps new ones.
    #[default]
    Use,
    /// Counts anew and keeps the result.
    Refresh,
    /// Neither reads nor writes them.
    Ignore,
}

/// Statistics of a bucket or of a prefix in it. Indexes of listings and kept statistics are not
/// counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// The name of the bucket.
    pub bucket: String,
    /// The prefix of the counted keys.
    pub prefix: String,
    /// The mode of counting.
    pub mode: StatsMode,
    /// True if these are kept statistics and the bucket has not changed since.
    pub cached: bool,
    /// The number of files: names a user sees.
    pub object_count: u64,
    /// Bytes of the originals of all files, saturating at [`u64::MAX`]; `None` if not determined.
    pub total_size: Option<u64>,
    /// Twice the standard error of `total_size`; 0 if it was counted.
    pub total_size_error: u64,
    /// Bytes of all stored objects, including references, older variants and internal objects.
    pub compressed_size: u64,
    /// `total_size` minus `compressed_size`; negative if the stored objects are larger than the
    /// originals.
    pub space_saved: Option<i64>,
    /// `space_saved` divided by `total_size`; 0 for an empty bucket.
    pub average_compression_ratio: Option<f64>,
    /// The number of files stored as deltas.
    pub delta_objects: u64,
    /// The number of files stored without a delta.
    pub direct_objects: u64,
    /// The number of references.
    pub reference_objects: u64,
    /// Bytes of all references.
    pub reference_size: u64,
    /// The number of deltas whose file cannot be restored because their metadata is damaged.
    pub damaged_objects: u64,
    /// The number of older variants, which are not served.
    pub older_objects: u64,
    /// The number of internal objects other than references.
    pub internal_objects: u64,
}

impl Stats {
    fn add(&mut self, file: &ListedFile) {
        if deltaspace::is_derived(&file.stored.key) {
            return;
        }
        self.compressed_size = self.compressed_size.saturating_add(file.stored.size);
        let count = match file.listed {
            Listed::Plain => &mut self.direct_objects,
            Listed::Delta => &mut self.delta_objects,
            // An unreadable object that may be a delta is listed under both names it may have.
            Listed::Unreadable if file.is_named_as_delta() => return,
            Listed::Damaged(_) | Listed::Unreadable => &mut self.damaged_objects,
            Listed::Reference => {
                self.reference_size = self.reference_size.saturating_add(file.stored.size);
                &mut self.reference_objects
            }
            Listed::Internal => &mut self.internal_objects,
        };
        *count = count.saturating_add(1);
        if matches!(file.listed, Listed::Plain | Listed::Delta) {
            self.object_count = self.object_count.saturating_add(1);
        }
    }

    /// Sets the figures derived from the size of the originals.
    fn conclude(&mut self, total: Total) {
        let (saved, total_size) = (total.less(self.compressed_size), total.bytes());
        self.total_size = Some(total_size);
        self.space_saved = Some(saved);
        self.average_compression_ratio =
            Some(if total_size > 0 { saved as f64 / total_size as f64 } else { 0.0 });
    }
}

/// Sums over a listing, and the deltas sampled for an estimate.
#[derive(Default)]
struct Count {
    /// Bytes of files stored without a delta.
    plain: Total,
    /// Bytes of the originals of deltas, if the listing has them.
    deltas: Total,
    /// The sampled deltas with their ETags: the first ones in the order of the SHA-256 of their
    /// keys.
    sample: BTreeMap<Sha256Digest, (ObjectName, ETag)>,
}

impl DeltaService {
    /// Counts everything whose stored key starts with `prefix`. Statistics of whole buckets are
    /// kept.
    ///
    /// # Errors
    ///
    /// Returns an error if a LIST or HEAD request fails.
    pub async fn stats(
        &self,
        bucket: &BucketName,
        prefix: &str,
        mode: StatsMode,
        kept: StatsCache,
    ) -> Result<Stats, ServiceError> {
        let keeps = prefix.is_empty() && kept != StatsCache::Ignore && mode != StatsMode::Quick;
        if keeps
            && kept == StatsCache::Use
            && let Some(earlier) = self.kept_stats(bucket, mode).await
        {
            let mut listing = self.list(bucket, prefix, None).by_key_only().fingerprinted();
            while listing.next().await?.is_some() {}
            if listing.fingerprint() == Some(earlier.fingerprint) {
                return Ok(Stats { cached: true, ..earlier.stats });
            }
        }
        let mut stats = Stats {
            bucket: bucket.to_string(),
            prefix: prefix.to_owned(),
            mode,
            ..Stats::default()
        };
        let listing = self.list(bucket, prefix, None).fingerprinted();
        let mut listing =
            if mode == StatsMode::Detailed { listing.learning() } else { listing.by_key_only() };
        let count = count(bucket, &mut listing, &mut stats).await?;
        match mode {
            StatsMode::Quick => {}
            StatsMode::Detailed => {
                stats.conclude(Total::of([count.plain.bytes(), count.deltas.bytes()]))
            }
            StatsMode::Sampled => self.estimate(count, &mut stats).await?,
        }
        if keeps && let Some(fingerprint) = listing.fingerprint() {
            self.keep_stats(bucket, fingerprint, &stats).await;
        }
        Ok(stats)
    }

    /// Estimates the size of the originals from the sample, which has all deltas if there are few
    /// enough.
    async fn estimate(&self, count: Count, stats: &mut Stats) -> Result<(), ServiceError> {
        let looks = count.sample.into_values().map(|(name, etag)| async move {
            let found = StoredObject::look(self.store(), name).await?;
            // A delta replaced after the listing is as good a sample; an object that is gone, or no
            // delta, is none.
            let size = found.and_then(|found| match &found.kind {
                Kind::Delta(delta) => Some(delta.file_size as f64),
                _ => {
                    let object = &found.name;
                    tracing::debug!(%object, listed = %etag, "sampled object is not a delta");
                    None
                }
            });
            Ok::<_, ServiceError>(size)
        });
        let looks: Vec<_> = looks.collect();
        let sizes: Vec<Option<f64>> =
            futures::stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE).try_collect().await?;
        let sizes: Vec<f64> = sizes.into_iter().flatten().collect();
        let (all, looked_at) = (stats.delta_objects as f64, sizes.len() as f64);
        if sizes.is_empty() {
            stats.conclude(count.plain);
            return Ok(());
        }
        let mean = sizes.iter().fold(0.0, |sum, size| sum + size) / looked_at;
        let squares = sizes.iter().fold(0.0, |sum, size| sum + (size - mean).powi(2));
        let variance = if looked_at > 1.0 { squares / (looked_at - 1.0) } else { 0.0 };
        let unseen = (1.0 - looked_at / all).max(0.0);
        stats.total_size_error =
            (2.0 * all * (variance / looked_at * unseen).sqrt()).round() as u64;
        stats.conclude(Total::of([count.plain.bytes(), (all * mean).round() as u64]));
        Ok(())
    }
}

/// Reads the listing to its end, and adds its objects to `stats`.
async fn count(
    bucket: &BucketName,
    listing: &mut Listing,
    stats: &mut Stats,
) -> Result<Count, ServiceError> {
    let mut count = Count::default();
    while let Some(page) = listing.next().await? {
        for file in &page.files {
            stats.add(file);
            match file.listed {
                Listed::Plain => count.plain.add(file.size),
                Listed::Delta => {
                    count.deltas.add(file.size);
                    if stats.mode == StatsMode::Sampled {
                        let stored = &file.stored;
                        let name = ObjectName::new(bucket.clone(), stored.key.clone());
                        let digest = Sha256Digest::of(stored.key.as_str().as_bytes());
                        count.sample.insert(digest, (name, stored.etag.clone()));
                        if count.sample.len() > SAMPLE {
                            count.sample.pop_last();
                        }
                    }
                }
                _ => {}
            }
        }
        for older in &page.older {
            stats.older_objects = stats.older_objects.saturating_add(1);
            stats.compressed_size = stats.compressed_size.saturating_add(older.stored.size);
        }
    }
    Ok(count)
}
