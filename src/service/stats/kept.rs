//! Results of counting, kept in the bucket they are of, with what tells whether that is as it was.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use super::{Stats, StatsMode};
use crate::domain::{BucketName, ObjectName, Sha256Digest, deltaspace};
use crate::service::DeltaService;
use crate::service::error::{ServiceError, chain};
use crate::storage::{Attributes, PutBody, PutCondition};

/// What another number says is of no use to this version.
const VERSION: u32 = 1;

/// More bytes than this are no result.
const MAX_OBJECT: u64 = 64 << 10;

/// An earlier result.
pub(super) struct Earlier {
    pub(super) fingerprint: Sha256Digest,
    pub(super) stats: Stats,
}

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
    /// The result that was kept, if there is one and it can be read.
    pub(super) async fn kept_stats(&self, bucket: &BucketName, mode: StatsMode) -> Option<Earlier> {
        let bytes = match self.small_object(&object(bucket, mode)?).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::debug!(error = chain(&error), "no earlier result");
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

    /// Keeps a result, if the caller may write.
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
            tracing::info!(error = chain(&error), "the result is not kept");
        }
    }
}
