//! Storing a file: as a delta, as the reference and a delta of itself, or as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use super::DeltaService;
use super::delta::{self, Encoded};
use super::error::ServiceError;
use super::input::Input;
use super::locate::{Found, Places};
use super::plan::{self, DirectReason};
use super::reference::{Base, Bases, ReferenceWarning, Usable};
use super::weakened::leaves_out;
use crate::cache::CachedReference;
use crate::domain::metadata::{DeltaMetadata, DirectMetadata, Kind};
use crate::domain::policy::Compression;
use crate::domain::{Deltaspace, ObjectName, Sha256Digest, Sketch, deltaspace};
use crate::storage::{Attributes, PutCondition, StorageError, StorageErrorKind};

/// A racing writer can make a reference between our look and our put, and a deleter can remove it again: more rounds than
/// this are no race any more.
const ROUNDS: usize = 5;

/// A put takes less than this from storing its object to removing the one before.
const YOUNG: Duration = Duration::from_secs(15 * 60);

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
    /// A reference is damaged, and no delta was made against it.
    #[error("no delta was made against it; `verify` shows which files need this reference")]
    Reference(#[source] ServiceError),
    /// The reference of what stood there before could not be removed.
    #[error(transparent)]
    ReferenceLeft(#[from] ReferenceWarning),
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
            Err(reason) => self.put_direct(file, object, &places, None, reason).await,
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
        let compression = file.compression().await?;
        let mut warnings = Vec::new();
        for _ in 0..ROUNDS {
            let bases = self.bases_for(object, self.settings.policy.deltaspace.as_deref()).await?;
            let put = Put { file, object, places, bases: &bases, compression };
            if let Some(report) = self.put_against(&put, &mut warnings).await? {
                return Ok(PutReport { warnings: warnings.into_iter().chain(report.warnings).collect(), ..report });
            }
        }
        Err(ServiceError::Contended(Deltaspace::of(object)))
    }

    /// Stores the file as a delta against one of the references there are, or as a further reference; `None` when others
    /// changed them meanwhile.
    async fn put_against(
        &self,
        put: &Put<'_>,
        warnings: &mut Vec<PutWarning>,
    ) -> Result<Option<PutReport>, ServiceError> {
        let Put { file, object, bases, .. } = *put;
        let choice = self.rank(bases, file).await?;
        let mut usable = None;
        for base in &choice.bases {
            match self.usable(base).await? {
                Usable::Yes(reference) => {
                    usable = Some((base, reference));
                    break;
                }
                Usable::Gone => return Ok(None),
                Usable::Packed => {}
                Usable::Damaged(error) => warnings.push(PutWarning::Reference(error)),
            }
        }
        let reference_allowed = plan::reference_allowed(file.len(), put.compression);
        let Some((base, reference)) = usable else {
            return match reference_allowed {
                Ok(()) => self.put_as_reference(put).await,
                Err(reason) => self.put_direct(file, object, put.places, None, reason).await.map(Some),
            };
        };
        let reference_allowed = reference_allowed.is_ok() && bases.bases.len() < plan::MAX_REFERENCES;
        let max_ratio = self.settings.policy.max_ratio;
        let limit = max_ratio.limit(file.len());
        let Encoded { digest, delta } = delta::encode(file, &reference, limit, &self.settings.spool_folder).await?;
        let Some(delta) = delta else {
            if reference_allowed && self.starts_over(put, base, choice.sketch).await? {
                return self.put_as_reference(put).await;
            }
            let reason = DirectReason::Ratio(max_ratio);
            return self.put_direct(file, object, put.places, Some(digest), reason).await.map(Some);
        };
        if reference_allowed
            && plan::may_be_outgrown(file.len(), delta.len())
            && plan::outgrown(file.len(), delta.len(), &self.relatives(bases, base, object).await?)
        {
            return self.put_as_reference(put).await;
        }
        let copy = Input::of(&base.name.to_string(), base.size, reference);
        self.put_delta(put, (digest, delta), base, &copy).await.map(Some)
    }

    async fn starts_over(&self, put: &Put<'_>, base: &Base, known: Option<Sketch>) -> Result<bool, ServiceError> {
        let relatives = self.relatives(put.bases, base, put.object).await?;
        if plan::starts_over(0.0, &relatives) {
            return Ok(true);
        }
        let sketch = match known {
            Some(sketch) => sketch,
            None => put.file.sketch().await?.1,
        };
        let of_base = self.sketch_of(put.bases, base).await?;
        Ok(plan::starts_over(of_base.map_or(0.0, |of_base| sketch.share_in(&of_base)), &relatives))
    }

    /// Makes the file a reference, and stores it as a delta of itself; `None` when another file became the first one.
    async fn put_as_reference(&self, put: &Put<'_>) -> Result<Option<PutReport>, ServiceError> {
        let Put { file, object, bases, .. } = *put;
        let (digest, sketch) = file.sketch().await?;
        let created = self.create_reference(bases, file, (digest, &sketch), object.key.base_name()).await?;
        let Some(base) = created else { return Ok(None) };
        let itself: CachedReference = Arc::new(file.clone());
        let encoded = delta::encode(file, &itself, u64::MAX, &self.settings.spool_folder).await?;
        let (digest, Some(delta)) = unchanged(file, encoded, digest)? else {
            return Err(ServiceError::RoundTrip(file.name().to_owned()));
        };
        let report = self.put_delta(put, (digest, delta), &base, file).await?;
        let stored = report.stored + file.len();
        Ok(Some(PutReport { stored_as: StoredAs::Reference, stored, ..report }))
    }

    /// Stores the delta, sees to it that the reference it names is there, and only then removes what stood under the name.
    async fn put_delta(
        &self,
        put: &Put<'_>,
        (digest, delta): (Sha256Digest, Input),
        base: &Base,
        copy: &Input,
    ) -> Result<PutReport, ServiceError> {
        let Put { file, object, places, .. } = *put;
        let name = |source| ServiceError::Name { object: object.to_string(), source };
        let stored = deltaspace::delta_of(object).map_err(name)?;
        let metadata = DeltaMetadata {
            original_name: object.key.base_name().to_owned(),
            file_sha256: digest,
            file_size: file.len(),
            created_at: Some(now()),
            ref_key: base.name.key.clone(),
            ref_sha256: base.digest,
            delta_size: delta.len(),
        };
        tracing::debug!(%stored, size = delta.len(), "put the delta, which gave the file back");
        let body = delta.body(delta.digest().await?);
        self.store.put(&stored, body, &attributes(metadata.write()), &PutCondition::None).await?;
        if leaves_out("order") {
            self.remove_older(places.plain.as_ref(), &stored).await;
        }
        if !leaves_out("announcing") {
            self.announce(base, copy).await?;
        }
        let warnings = self.remove_older(places.plain.as_ref(), &stored).await.into_iter().collect();
        Ok(PutReport { stored_as: StoredAs::Delta, size: file.len(), stored: delta.len(), sha256: digest, warnings })
    }

    async fn put_direct(
        &self,
        file: &Input,
        object: &ObjectName,
        places: &Places,
        digest: Option<Sha256Digest>,
        reason: DirectReason,
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
        let older = places.delta.as_ref().filter(|found| found.is_delta());
        let mut warnings: Vec<PutWarning> = self.remove_older(older, object).await.into_iter().collect();
        if let Some(Found { kind: Kind::Delta(older), .. }) = older
            && warnings.is_empty()
        {
            let reference = object.sibling(older.ref_key.clone());
            if let Err(error) = self.release(&reference).await {
                warnings.push(PutWarning::ReferenceLeft(ReferenceWarning { reference, source: Box::new(error) }));
            }
        }
        let (size, stored_as) = (file.len(), StoredAs::Direct(reason));
        Ok(PutReport { stored_as, size, stored: size, sha256: digest, warnings })
    }

    /// Removes what stood under the name before, unless somebody replaced it meanwhile.
    async fn remove_older(&self, older: Option<&Found>, stored: &ObjectName) -> Option<PutWarning> {
        let older = older?;
        match self.remove_if_still(older, stored).await {
            Err(error) if !error.is_absent() && error.kind != StorageErrorKind::Precondition => {
                Some(PutWarning::OlderLeft { object: older.name.clone(), source: error })
            }
            _ => None,
        }
    }

    async fn remove_if_still(&self, older: &Found, stored: &ObjectName) -> Result<(), StorageError> {
        tracing::debug!(object = %older.name, "remove the older object of the name");
        let etag = &older.head.etag;
        if self.store.conditions_are_atomic() {
            return self.store.delete(&older.name, Some(etag)).await;
        }
        // A store that ignores the condition would remove whatever stands there. If this put comes between the look and the
        // removal of another, and that between those of this one, both would be gone. So what is young stays: it may be of a put
        // that is under way. Readers take the newer of the two, and `repair` removes the older.
        let (old, new) = futures::try_join!(self.store.head(&older.name), self.store.head(stored))?;
        let age = new.last_modified.duration_since(old.last_modified).unwrap_or_default();
        if old.etag == *etag && age >= YOUNG {
            self.store.delete(&older.name, None).await?;
        }
        Ok(())
    }
}

/// What is known of a file that is to be kept as a delta.
#[derive(Clone, Copy)]
struct Put<'a> {
    file: &'a Input,
    object: &'a ObjectName,
    places: &'a Places,
    bases: &'a Bases,
    compression: Option<Compression>,
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
