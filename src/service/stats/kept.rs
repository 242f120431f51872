//! Statistics kept in the bucket, with a fingerprint that shows whether the bucket has changed
//! since.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use super::{Stats, StatsMode};
use crate::domain::{BucketName, ObjectName, Sha256Digest, deltaspace};
use crate::service::DeltaService;
use crate::service::error::{ServiceError, chain};
use crate::storage::{Attributes, PutBody, PutCondition};

/// The format version. Statistics of any other version are ignored.
const VERSION: u32 = 1;

/// The maximum size of kept statistics, in bytes.
const MAX_OBJECT: u64 = 64 << 10;

/// Statistics of an earlier run.
pub(super) struct Earlier {
    pub(super) fingerprint: Sha256Digest,
    pub(super) stats: Stats,
}

/// The stored form of kept statistics.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    fingerprint: String,
    stats: Stats,
}

fn object(bucket: &BucketName, mode: StatsMode) -> Option<ObjectName> {
    let name = match mode {
        StatsMode::Quick => "quick.json",
        StatsMode::Sampled => "sampled.json",
        StatsMode::Detailed => "detailed.json",
    };
    deltaspace::stats_object(bucket, name).ok()
}

impl DeltaService {
    /// Returns the kept statistics, if they exist and can be read.
    pub(super) async fn kept_stats(&self, bucket: &BucketName, mode: StatsMode) -> Option<Earlier> {
        let bytes = match self.small_object(&object(bucket, mode)?).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::debug!(error = chain(&error), "no kept statistics");
                return None;
            }
        };
        let written: Written = serde_json::from_slice(&bytes).ok()?;
        let (fingerprint, stats) = (written.fingerprint.parse().ok()?, written.stats);
        let fits =
            written.version == VERSION && stats.mode == mode && stats.bucket == bucket.as_str();
        fits.then_some(Earlier { fingerprint, stats })
    }

    async fn small_object(&self, object: &ObjectName) -> Result<Vec<u8>, ServiceError> {
        let mut stream = self.store().get(object, Some(0..MAX_OBJECT)).await?.stream;
        let mut bytes = Vec::new();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece.map_err(ServiceError::local(object))?);
        }
        Ok(bytes)
    }

    /// Writes statistics to the bucket, if the caller may write.
    pub(super) async fn keep_stats(
        &self,
        bucket: &BucketName,
        fingerprint: Sha256Digest,
        stats: &Stats,
    ) {
        let written = Written {
            version: VERSION,
            fingerprint: fingerprint.to_string(),
            stats: stats.clone(),
        };
        let (Some(object), Ok(bytes)) = (object(bucket, stats.mode), serde_json::to_vec(&written))
        else {
            return;
        };
        let attributes = Attributes {
            content_type: Some("application/json".to_owned()),
            ..Attributes::default()
        };
        let put = self
            .store()
            .put(&object, PutBody::from_bytes(bytes), &attributes, &PutCondition::None.into())
            .await;
        if let Err(error) = put {
            tracing::info!(error = chain(&error), "cannot keep the statistics");
        }
    }
}
