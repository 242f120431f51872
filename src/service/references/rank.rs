//! Ranks references by their similarity to a file, using sketches of their content instead of
//! reading them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures::StreamExt as _;

use super::{Fetched, Reference, ReferenceSet, References};
use crate::domain::{MAX_SKETCH_BYTES, ObjectName, Sha256Digest, Sketch};
use crate::service::blocking;
use crate::service::error::ServiceError;
use crate::service::payload::Payload;
use crate::storage::{Attributes, PutBody, PutCondition, StorageErrorKind};

/// The maximum number of sketches fetched at once.
const SKETCHES_AT_ONCE: usize = 16;

/// The sketches this process has seen, by the SHA-256 of their reference; a sketch never changes.
#[derive(Debug, Default)]
pub(crate) struct Sketches(Mutex<BTreeMap<Sha256Digest, Sketch>>);

impl Sketches {
    fn get(&self, digest: &Sha256Digest) -> Option<Sketch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn insert(&self, digest: Sha256Digest, sketch: &Sketch) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, sketch.clone());
    }
}

/// The references of a deltaspace, the one most similar to the file first.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) ranked: Vec<Reference>,
    /// The sketch of the file, if there were several references to compare.
    pub(crate) sketch: Option<Sketch>,
}

impl References {
    /// Sorts references by the share of a file's content that they have. A single one needs no
    /// comparison.
    pub(crate) async fn rank(
        &self,
        set: &ReferenceSet,
        file: &Payload,
    ) -> Result<Choice, ServiceError> {
        if set.members.len() < 2 {
            return Ok(Choice { ranked: set.members.clone(), sketch: None });
        }
        let (_, sketch) = file.sketch().await?;
        let mut ranked = Vec::new();
        let sketches = set
            .members
            .iter()
            .map(|base| async { (base.clone(), self.sketch_of(set, base).await) });
        let mut sketches =
            futures::stream::iter(sketches.collect::<Vec<_>>()).buffered(SKETCHES_AT_ONCE);
        while let Some((base, known)) = sketches.next().await {
            match known? {
                Some(known) if known.is_usable() => ranked.push((sketch.share_in(&known), base)),
                Some(_) => {}
                // A reference without a sketch ranks as if it shared nothing with the file.
                None => ranked.push((0.0, base)),
            }
        }
        // On a tie the newest is first, since versions drift.
        ranked.sort_by(|(a, one), (b, other)| {
            b.total_cmp(a).then(other.last_modified.cmp(&one.last_modified))
        });
        for (share, base) in &ranked {
            tracing::debug!(
                reference = %base.name, share,
                "share of the file's content in the reference"
            );
        }
        Ok(Choice {
            ranked: ranked.into_iter().map(|(_, base)| base).collect(),
            sketch: Some(sketch),
        })
    }

    /// Returns the sketch of a reference: the stored one, else one made by reading the reference
    /// once. Returns `None` if the reference cannot be read.
    pub(crate) async fn sketch_of(
        &self,
        set: &ReferenceSet,
        base: &Reference,
    ) -> Result<Option<Sketch>, ServiceError> {
        if let Some(sketch) = self.sketches.get(&base.digest) {
            return Ok(Some(sketch));
        }
        let name = base.deltaspace().sketch(&base.digest).ok();
        if let Some(name) = name.filter(|_| set.sketched.contains(&base.digest))
            && let Some(sketch) = self.kept_sketch(&name).await?
        {
            self.sketches.insert(base.digest, &sketch);
            return Ok(Some(sketch));
        }
        let sketch = match self.usable(base).await? {
            Fetched::Ready(mut content) => loop {
                match content.to_payload().sketch().await {
                    Ok((_, sketch)) => break sketch,
                    Err(error) => content = self.refetch(&content, error).await?,
                }
            },
            Fetched::Packed => Sketch::unusable(),
            Fetched::Gone | Fetched::OtherKey | Fetched::Damaged(_) => return Ok(None),
        };
        self.store_sketch(base, &sketch).await;
        Ok(Some(sketch))
    }

    async fn kept_sketch(&self, name: &ObjectName) -> Result<Option<Sketch>, ServiceError> {
        let body = match self.store().get(name, None).await {
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::KeyNeeded => {
                return Ok(None);
            }
            body => body?,
        };
        if body.head.size > MAX_SKETCH_BYTES {
            return Ok(None);
        }
        let what = name.to_string();
        let bytes = blocking::feed(body.stream, move |incoming| {
            let mut bytes = Vec::new();
            while let Some(piece) = incoming.next().map_err(ServiceError::local(&what))? {
                bytes.extend_from_slice(&piece);
            }
            Ok::<_, ServiceError>(bytes)
        });
        Ok(Sketch::from_bytes(&bytes.await?))
    }

    /// Stores the sketch of a reference beside it. A failure costs later writers the time to make
    /// it again.
    pub(crate) async fn store_sketch(&self, base: &Reference, sketch: &Sketch) {
        self.sketches.insert(base.digest, sketch);
        let Ok(name) = base.deltaspace().sketch(&base.digest) else { return };
        let body = PutBody::from_bytes(sketch.to_bytes());
        let attributes =
            Attributes { encryption: base.encryption.clone(), ..Attributes::default() };
        if let Err(error) =
            self.store().put(&name, body, &attributes, &PutCondition::None.into()).await
        {
            tracing::debug!(sketch = %name, %error, "cannot store the sketch");
        }
    }
}
