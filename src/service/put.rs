//! Storing a file: as a delta, as the reference and a delta of itself, or as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use time::OffsetDateTime;

use super::delta::{self, Encoded};
use super::error::ServiceError;
use super::input::Input;
use super::locate::{Found, Places};
use super::plan::{self, DirectReason, File, Plan};
use super::{DeltaService, blocking};
use crate::cache::CachedReference;
use crate::domain::metadata::{DeltaMetadata, DirectMetadata};
use crate::domain::policy::{Compression, MAGIC_BYTES};
use crate::domain::{Deltaspace, ObjectName, Sha256Digest, deltaspace};
use crate::storage::{Attributes, PutCondition, StorageError, StorageErrorKind};

/// A racing writer can make a reference between our look and our put, and a deleter can remove it again: more rounds than
/// this are no race any more.
const ROUNDS: usize = 5;

/// How one file is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct PutOptions {
    /// Whether it may be kept as a delta.
    pub delta: bool,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self { delta: true }
    }
}

/// How a file was stored.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredAs {
    /// As the reference of its deltaspace and a delta of itself.
    Reference,
    /// As a delta.
    Delta,
    /// As it is.
    Direct(DirectReason),
}

/// What does not keep a file from being stored, but should be known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutWarning {
    /// The reference is damaged.
    #[error("no delta could be made; `verify` shows which files need this reference")]
    Reference(#[source] ServiceError),
    /// What stood there before could not be removed; the new content is served, since it is newer.
    #[error("the older {object} could not be removed")]
    OlderLeft {
        /// The older stored object.
        object: ObjectName,
        /// Why.
        source: StorageError,
    },
}

/// What a put did.
#[derive(Debug)]
pub struct PutReport {
    /// How the file was stored.
    pub stored_as: StoredAs,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that were added to the store: the delta, the file, or the file and its delta.
    pub stored: u64,
    /// SHA-256 of the file.
    pub sha256: Sha256Digest,
    /// What should be known.
    pub warnings: Vec<PutWarning>,
}

/// By the clock of this machine.
pub(super) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// As the Python tool writes every object.
pub(super) fn attributes(metadata: BTreeMap<String, String>) -> Attributes {
    Attributes { metadata, content_type: Some("application/octet-stream".to_owned()), ..Attributes::default() }
}

impl DeltaService {
    /// Stores `file` under the name `object`.
    ///
    /// The put is over when the new content is in the store and an older variant of the name was removed. When it fails, what was
    /// served under the name before still is.
    pub async fn put(
        &self,
        file: &Input,
        object: &ObjectName,
        options: &PutOptions,
    ) -> Result<PutReport, ServiceError> {
        if deltaspace::is_reserved(&object.key) {
            return Err(ServiceError::Reserved(object.clone()));
        }
        tracing::debug!(%object, size = file.len(), "put");
        let places = Places::look(self.store(), object).await?;
        self.refuse_occupied(object, &places).await?;
        match plan::delta_allowed(object, options.delta, &self.settings.policy.extensions, &places) {
            Ok(()) => self.put_as_delta(file, object, &places).await,
            Err(reason) => self.put_direct(file, object, &places, None, reason, Vec::new()).await,
        }
    }

    /// A file must not replace the delta of another one, whose key it may have.
    async fn refuse_occupied(&self, object: &ObjectName, places: &Places) -> Result<(), ServiceError> {
        let (Some(found), Some(file)) = (&places.plain, deltaspace::file_of(&object.key)) else { return Ok(()) };
        if found.is_delta() || found.is_delta_without_metadata(self.store()).await? {
            return Err(ServiceError::Occupied { object: object.clone(), file: object.sibling(file) });
        }
        Ok(())
    }

    async fn put_as_delta(
        &self,
        file: &Input,
        object: &ObjectName,
        places: &Places,
    ) -> Result<PutReport, ServiceError> {
        let known = File { len: file.len(), compression: file.compression().await? };
        let deltaspace = Deltaspace::of(object);
        let max_ratio = self.settings.policy.max_ratio;
        for _ in 0..ROUNDS {
            let reference = self.find_reference(&deltaspace).await?;
            match plan::against(object, known, reference.as_ref()) {
                Plan::Direct(reason) => return self.put_direct(file, object, places, None, reason, Vec::new()).await,
                Plan::NewReference => {
                    let digest = file.digest().await?;
                    tracing::debug!(reference = %deltaspace.reference(), %digest, "the file becomes the reference");
                    if !self.create_reference(&deltaspace, file, digest, object.key.base_name()).await? {
                        continue;
                    }
                    let itself: CachedReference = Arc::new(file.clone());
                    let encoded = delta::encode(file, &itself, u64::MAX, &self.settings.spool_folder).await?;
                    let (digest, Some(delta)) = unchanged(file, encoded, digest)? else {
                        return Err(ServiceError::RoundTrip(file.name().to_owned()));
                    };
                    let report = self.put_delta(file, object, places, (digest, delta), digest).await?;
                    let stored = report.stored + file.len();
                    return Ok(PutReport { stored_as: StoredAs::Reference, stored, ..report });
                }
                Plan::Delta(ref_sha256) => {
                    let reference = match self.usable_reference(&deltaspace.reference(), ref_sha256).await? {
                        Usable::Yes(reference) => reference,
                        Usable::Gone => continue,
                        Usable::No(reason, warnings) => {
                            return self.put_direct(file, object, places, None, reason, warnings).await;
                        }
                    };
                    let limit = max_ratio.limit(file.len());
                    let encoded = delta::encode(file, &reference, limit, &self.settings.spool_folder).await?;
                    return match encoded {
                        Encoded { digest, delta: Some(delta) } => {
                            self.put_delta(file, object, places, (digest, delta), ref_sha256).await
                        }
                        Encoded { digest, delta: None } => {
                            let reason = DirectReason::Ratio(max_ratio);
                            self.put_direct(file, object, places, Some(digest), reason, Vec::new()).await
                        }
                    };
                }
            }
        }
        Err(ServiceError::Contended(deltaspace.reference()))
    }

    /// The reference, unless no delta should be made against it.
    async fn usable_reference(&self, name: &ObjectName, digest: Sha256Digest) -> Result<Usable, ServiceError> {
        match self.fetch_reference(name, digest).await {
            Ok(reference) => Ok(match packed(reference.clone()).await.map_err(ServiceError::local(name))? {
                Some(compression) => Usable::No(DirectReason::ReferencePacked(name.clone(), compression), Vec::new()),
                None => Usable::Yes(reference),
            }),
            Err(error) if error.is_absent() => Ok(Usable::Gone),
            Err(error @ ServiceError::ReferenceDamaged { .. }) => {
                let reason = DirectReason::ReferenceDamaged(name.clone());
                Ok(Usable::No(reason, vec![PutWarning::Reference(error)]))
            }
            Err(error) => Err(error),
        }
    }

    async fn put_delta(
        &self,
        file: &Input,
        object: &ObjectName,
        places: &Places,
        (digest, delta): (Sha256Digest, Input),
        ref_sha256: Sha256Digest,
    ) -> Result<PutReport, ServiceError> {
        let name = |source| ServiceError::Name { object: object.to_string(), source };
        let stored = deltaspace::delta_of(object).map_err(name)?;
        let metadata = DeltaMetadata {
            original_name: object.key.base_name().to_owned(),
            file_sha256: digest,
            file_size: file.len(),
            created_at: Some(now()),
            ref_key: Deltaspace::of(object).reference().key,
            ref_sha256,
            delta_size: delta.len(),
        };
        tracing::debug!(%stored, size = delta.len(), "put the delta, which gave the file back");
        let body = delta.body(delta.digest().await?);
        self.store.put(&stored, body, &attributes(metadata.write()), &PutCondition::None).await?;
        let warnings = self.remove_older(places.plain.as_ref()).await.into_iter().collect();
        Ok(PutReport { stored_as: StoredAs::Delta, size: file.len(), stored: delta.len(), sha256: digest, warnings })
    }

    async fn put_direct(
        &self,
        file: &Input,
        object: &ObjectName,
        places: &Places,
        digest: Option<Sha256Digest>,
        reason: DirectReason,
        mut warnings: Vec<PutWarning>,
    ) -> Result<PutReport, ServiceError> {
        let digest = match digest {
            Some(digest) => digest,
            None => file.digest().await?,
        };
        tracing::debug!(%object, %reason, "put the file as it is");
        let metadata = DirectMetadata {
            original_name: object.key.base_name().to_owned(),
            file_sha256: digest,
            file_size: file.len(),
            created_at: Some(now()),
        };
        self.store.put(object, file.body(digest), &attributes(metadata.write()), &PutCondition::None).await?;
        warnings.extend(self.remove_older(places.delta.as_ref().filter(|found| found.is_delta())).await);
        let (size, stored_as) = (file.len(), StoredAs::Direct(reason));
        Ok(PutReport { stored_as, size, stored: size, sha256: digest, warnings })
    }

    /// Removes what stood under the name before, unless somebody replaced it meanwhile.
    async fn remove_older(&self, older: Option<&Found>) -> Option<PutWarning> {
        let older = older?;
        tracing::debug!(object = %older.name, "remove the older object of the name");
        match self.store.delete(&older.name, Some(&older.head.etag)).await {
            Err(error) if !error.is_absent() && error.kind != StorageErrorKind::Precondition => {
                Some(PutWarning::OlderLeft { object: older.name.clone(), source: error })
            }
            _ => None,
        }
    }
}

enum Usable {
    Yes(CachedReference),
    /// It was removed since it was found.
    Gone,
    No(DirectReason, Vec<PutWarning>),
}

/// A file that became the reference must be the one that is encoded.
fn unchanged(
    file: &Input,
    encoded: Encoded,
    digest: Sha256Digest,
) -> Result<(Sha256Digest, Option<Input>), ServiceError> {
    if encoded.digest != digest {
        return Err(ServiceError::Changed(file.name().to_owned()));
    }
    Ok((digest, encoded.delta))
}

async fn packed(reference: CachedReference) -> std::io::Result<Option<Compression>> {
    blocking::run(move |_| {
        let mut beginning = [0; MAGIC_BYTES];
        let n = reference.read_at(0, &mut beginning)?;
        Ok(Compression::of(beginning.get(..n).unwrap_or_default()))
    })
    .await
}
