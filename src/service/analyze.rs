//! Computes, without storing anything, how a file would be stored and what that would take.

use super::DeltaService;
use super::error::ServiceError;
use super::payload::Payload;
use super::references::{Content, Fetched, Reference, ReferenceSet};
use super::transcode::Encode;
use crate::domain::{ObjectName, Sha256Digest};

/// A reference that a file could become a delta against.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Candidate {
    /// The reference.
    pub reference: ObjectName,
    /// Its size in bytes.
    pub size: u64,
    /// The share of the file's content that the reference has too, 0 to 1, as sketches estimate it;
    /// `None` if the reference cannot be read.
    pub share: Option<f64>,
}

/// The outcome that a put of a file would have.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Analysis {
    /// The size of the file in bytes.
    pub size: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256Digest,
    /// The references, the most similar one first.
    pub candidates: Vec<Candidate>,
    /// The reference that the delta was made against; `None` if there is no usable one.
    pub reference: Option<ObjectName>,
    /// The size in bytes of the delta against that reference; `None` if it exceeds `limit`, or if
    /// there is no reference.
    pub delta: Option<u64>,
    /// The maximum size in bytes of a delta of this file.
    pub limit: u64,
    /// True if files of this name are stored as deltas.
    pub is_covered: bool,
}

impl DeltaService {
    /// Returns the references that a file of the name `object` could become a delta against, the
    /// most similar one first. Reads the file, and references without a stored sketch.
    pub async fn similar(
        &self,
        file: &Payload,
        object: &ObjectName,
    ) -> Result<Vec<Candidate>, ServiceError> {
        let set = self.references_of_put(object).await?;
        Ok(self.candidates(file, &set).await?.into_iter().map(|(_, candidate)| candidate).collect())
    }

    /// Encodes the file against the most similar reference, as a put would, and stores nothing but
    /// the sketches of references that have none.
    pub async fn analyze(
        &self,
        file: &Payload,
        object: &ObjectName,
    ) -> Result<Analysis, ServiceError> {
        let policy = &self.settings.policy;
        let set = self.references_of_put(object).await?;
        let ranked = self.candidates(file, &set).await?;
        let limit = policy.max_ratio.limit(file.len());
        let mut analysis = Analysis {
            size: file.len(),
            sha256: file.digest().await?,
            candidates: ranked.iter().map(|(_, candidate)| candidate.clone()).collect(),
            reference: None,
            delta: None,
            limit,
            is_covered: policy.extensions.covers(object.key.base_name()),
        };
        for (base, _) in ranked {
            if let Fetched::Ready(content) = self.references.usable(&base).await? {
                analysis.delta = self.delta_len(file, content, limit).await?;
                analysis.reference = Some(base.name);
                break;
            }
        }
        Ok(analysis)
    }

    async fn references_of_put(&self, object: &ObjectName) -> Result<ReferenceSet, ServiceError> {
        self.references.references_for(object, self.settings.policy.deltaspace.as_deref()).await
    }

    /// Returns the references and their shares, the greatest one first.
    async fn candidates(
        &self,
        file: &Payload,
        set: &ReferenceSet,
    ) -> Result<Vec<(Reference, Candidate)>, ServiceError> {
        let ranked = self.references.rank(set, file).await?.ranked;
        let sketch = file.sketch().await?.1;
        let mut candidates = Vec::new();
        for base in ranked {
            let of_base = self.references.sketch_of(set, &base).await?;
            let share = of_base.map(|of_base| sketch.share_in(&of_base));
            let (reference, size) = (base.name.clone(), base.size);
            candidates.push((base, Candidate { reference, size, share }));
        }
        Ok(candidates)
    }

    /// Returns the size of the delta; `None` if it exceeds `limit`.
    async fn delta_len(
        &self,
        file: &Payload,
        mut content: Content,
        limit: u64,
    ) -> Result<Option<u64>, ServiceError> {
        let encoded = loop {
            let encode = Encode {
                file: file.clone(),
                reference: content.source(),
                packing: content.form().packing,
                limit,
            };
            match self.transcoder.encode(encode).await {
                Ok(encoded) => break encoded,
                Err(error) => content = self.references.refetch(&content, error).await?,
            }
        };
        Ok(encoded.delta.map(|delta| delta.len()))
    }
}
