//! What a bucket holds and saves.
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

/// Deltas that are looked at for an estimate.
const SAMPLE: usize = 1000;

/// Looks at once.
const LOOKS_AT_ONCE: usize = 64;

/// How much is looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StatsMode {
    /// The listing alone: what is a delta or a reference is told by its key, and sizes of originals
    /// are unknown.
    Quick,
    /// As quick, and a sample of at most 1,000 deltas, chosen by the SHA-256 of their keys, from
    /// which the size of the originals is estimated.
    Sampled,
    /// Everything is counted.
    #[default]
    Detailed,
}

/// What is done with an earlier result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeptStats {
    /// It is told if the bucket has not changed since; else a new one is kept.
    #[default]
    Use,
    /// It is counted anew, and the result kept.
    Refresh,
    /// It is neither read nor written.
    Ignore,
}

/// Figures of a bucket or of a part of it. What is there only to be faster, indexes of listings and
/// kept results, is not counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// The bucket.
    pub bucket: String,
    /// Only keys that start with this text were counted.
    pub prefix: String,
    /// How it was counted.
    pub mode: StatsMode,
    /// Whether this was counted before, and the bucket has not changed since.
    pub cached: bool,
    /// Files: names a user sees.
    pub object_count: u64,
    /// Bytes of the originals of all files, [`u64::MAX`] for that many or more; `None` where nobody
    /// looked.
    pub total_size: Option<u64>,
    /// Twice the standard error of `total_size`, 0 where it was counted.
    pub total_size_error: u64,
    /// Bytes of all stored objects, references, older variants and what DeltaGlider keeps for
    /// itself included.
    pub compressed_size: u64,
    /// `total_size` less `compressed_size`; negative when storing costs more than the originals.
    pub space_saved: Option<i64>,
    /// `space_saved` as a share of `total_size`, 0 for an empty bucket.
    pub average_compression_ratio: Option<f64>,
    /// Files stored as deltas.
    pub delta_objects: u64,
    /// Files stored as they are.
    pub direct_objects: u64,
    /// References.
    pub reference_objects: u64,
    /// Bytes of the references.
    pub reference_size: u64,
    /// Deltas that no file can be had from, since their metadata is damaged.
    pub damaged_objects: u64,
    /// Older objects of names that another object is served for.
    pub older_objects: u64,
    /// Objects DeltaGlider keeps for itself besides references.
    pub internal_objects: u64,
}

impl Stats {
    fn add(&mut self, file: &ListedFile) {
        if deltaspace::is_memory(&file.stored.key) {
            return;
        }
        self.compressed_size = self.compressed_size.saturating_add(file.stored.size);
        let count = match file.listed {
            Listed::Plain => &mut self.direct_objects,
            Listed::Delta => &mut self.delta_objects,
            // A delta of which nothing is known is listed by both names it may have.
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

    /// What follows from the size of the originals.
    fn conclude(&mut self, total: Total) {
        let (saved, total_size) = (total.less(self.compressed_size), total.bytes());
        self.total_size = Some(total_size);
        self.space_saved = Some(saved);
        self.average_compression_ratio =
            Some(if total_size > 0 { saved as f64 / total_size as f64 } else { 0.0 });
    }
}

/// The files of a listing that were counted, and the deltas that an estimate is made from.
#[derive(Default)]
struct Count {
    /// Bytes of files that are stored as they are.
    plain: Total,
    /// Bytes of the originals of deltas, where the listing tells.
    deltas: Total,
    /// By the SHA-256 of their keys, the deltas that come first, with their tags.
    sample: BTreeMap<Sha256Digest, (ObjectName, ETag)>,
}

impl DeltaService {
    /// Counts everything whose stored key starts with `prefix`. Results for whole buckets are kept.
    pub async fn stats(
        &self,
        bucket: &BucketName,
        prefix: &str,
        mode: StatsMode,
        kept: KeptStats,
    ) -> Result<Stats, ServiceError> {
        let keeps = prefix.is_empty() && kept != KeptStats::Ignore && mode != StatsMode::Quick;
        if keeps
            && kept == KeptStats::Use
            && let Some(earlier) = self.kept_stats(bucket, mode).await
        {
            let mut listing = self.list(bucket, prefix, None).by_stored_sizes().fingerprinted();
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
        let mut listing = if mode == StatsMode::Detailed {
            listing.learning()
        } else {
            listing.by_stored_sizes()
        };
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

    /// Looks at the sample. All deltas are in it if there are no more than it has room for.
    async fn estimate(&self, count: Count, stats: &mut Stats) -> Result<(), ServiceError> {
        let looks = count.sample.into_values().map(|(name, etag)| async move {
            let found = StoredObject::look(self.store(), name).await?;
            // One that was replaced since the listing is as good a sample; one that is gone, or no
            // delta of ours, is none.
            let size = found.and_then(|found| match &found.kind {
                Kind::Delta(delta) => Some(delta.file_size as f64),
                _ => {
                    tracing::debug!(object = %found.name, listed = %etag, "no delta after all");
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
