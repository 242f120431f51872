//! What a bucket saves.

use serde::Serialize;

use super::DeltaService;
use super::error::ServiceError;
use super::list::{Listed, ListedFile};
use crate::domain::BucketName;

/// Figures of a bucket or of a part of it, all of them counted: nothing is sampled or guessed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// The bucket.
    pub bucket: String,
    /// Only keys that start with this text were counted.
    pub prefix: String,
    /// Files: names a user sees.
    pub object_count: u64,
    /// Bytes of the originals of all files.
    pub total_size: u64,
    /// Bytes of all stored objects, references, older variants and what DeltaGlider keeps for itself included.
    pub compressed_size: u64,
    /// `total_size` less `compressed_size`; negative when storing costs more than the originals.
    pub space_saved: i64,
    /// `space_saved` as a share of `total_size`, 0 for an empty bucket.
    pub average_compression_ratio: f64,
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
        self.compressed_size += file.stored.size;
        let count = match file.listed {
            Listed::Plain => &mut self.direct_objects,
            Listed::Delta => &mut self.delta_objects,
            Listed::Damaged(_) => &mut self.damaged_objects,
            Listed::Reference => {
                self.reference_size += file.stored.size;
                &mut self.reference_objects
            }
            Listed::Internal => &mut self.internal_objects,
        };
        *count += 1;
        if matches!(file.listed, Listed::Plain | Listed::Delta) {
            self.object_count += 1;
            self.total_size += file.size;
        }
    }
}

impl DeltaService {
    /// Counts everything whose stored key starts with `prefix`.
    pub async fn stats(&self, bucket: &BucketName, prefix: &str) -> Result<Stats, ServiceError> {
        let mut stats = Stats { bucket: bucket.to_string(), prefix: prefix.to_owned(), ..Stats::default() };
        let mut listing = self.list(bucket, prefix, None);
        while let Some(page) = listing.next().await? {
            page.files.iter().for_each(|file| stats.add(file));
            for older in &page.older {
                stats.older_objects += 1;
                stats.compressed_size += older.stored.size;
            }
        }
        stats.space_saved = stats.total_size as i64 - stats.compressed_size as i64;
        if stats.total_size > 0 {
            stats.average_compression_ratio = stats.space_saved as f64 / stats.total_size as f64;
        }
        Ok(stats)
    }
}
