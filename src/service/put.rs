//! Storing a file: as a delta, as the reference and a delta of itself, or as it is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::DeltaService;
use super::delta::{Encoded, OwnDelta};
use super::error::ServiceError;
use super::input::Input;
use super::locate::{Found, Places, whole};
use super::older::Removal;
use super::plan::{self, DirectReason};
use super::put_report::{PutReport, PutWarning, StoredAs};
use super::reference::{Base, Bases, Usable};
use crate::domain::metadata::{DeltaMetadata, DirectMetadata, SOURCE_ETAG};
use crate::domain::policy::Compression;
use crate::domain::{
    Deltaspace, FileStatus, ObjectName, Sha256Digest, Sketch, Timestamp, deltaspace, escaped, user_metadata,
};
use crate::storage::{Attributes, ETag, Encryption, MAX_USER_METADATA_BYTES, StorageError, StorageErrorKind};

/// How long a put competes with concurrent writers of the same name, or of the references of its folder.
const MAX_CONTENTION: Duration = Duration::from_secs(5 * 60);

/// How one file is to be stored.
#[derive(Debug, Clone)]
pub struct PutOptions {
    /// Whether it may be kept as a delta.
    pub delta: bool,
    /// What is kept beside it, and given back: metadata under the user's own names, headers, class, encryption, tags, ACL. A reference
    /// that is made of the file takes the encryption alone. Without a type it is `application/octet-stream`.
    pub attributes: Attributes,
    /// The tag of the object it is a copy of, if that is all that tells its content.
    pub source: Option<ETag>,
    /// Time and mode of the file, which are kept where there is room for them.
    pub status: FileStatus,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self { delta: true, attributes: Attributes::default(), source: None, status: FileStatus::default() }
    }
}

/// By the clock of this machine.
pub(super) fn now() -> Timestamp {
    std::time::SystemTime::now().into()
}

/// Now, but never before what stands under the name was made by the clock of its writer: where the store dates both the same, the later
/// one is served.
pub(super) fn after(older: Option<&Found>) -> Timestamp {
    let next = older.and_then(Found::created_at).map(|at| at.saturating_add(Duration::from_micros(1)));
    next.map_or_else(now, |next| next.max(now()))
}

/// The type of what nobody gave one, as the Python tool writes every object.
const OCTET_STREAM: &str = "application/octet-stream";

/// Of a reference: of what its first file has it takes the encryption alone. Tags or a time to expire would remove it by a rule, an ACL would
/// publish it, and another class than that of all would freeze or charge what every other version needs.
pub(super) fn reference_attributes(metadata: BTreeMap<String, String>, encryption: Option<&Encryption>) -> Attributes {
    let content_type = Some(OCTET_STREAM.to_owned());
    Attributes { metadata, content_type, encryption: encryption.cloned(), ..Attributes::default() }
}

impl DeltaService {
    /// Stores `file` under the name `object`.
    ///
    /// The put is over when the new content is in the store and an older variant of the name was removed. When it fails, either what
    /// was served under the name before still is, or the new content.
    pub async fn put(
        &self,
        file: &Input,
        object: &ObjectName,
        options: &PutOptions,
    ) -> Result<PutReport, ServiceError> {
        whole(object)?;
        let kept = self.kept(object, options)?;
        tracing::debug!(%object, size = file.len(), "put");
        let places = self.places_to_write(object, options).await?;
        match self.delta_allowed(object, options.delta, &places) {
            Ok(()) => self.put_as_delta(file, object, &places, &kept).await,
            Err(reason) => self.put_direct(file, object, &places, &kept, None, reason).await,
        }
    }

    /// Looks at what is stored under a name that is to be written to.
    pub(super) async fn places_to_write(
        &self,
        object: &ObjectName,
        options: &PutOptions,
    ) -> Result<Places, ServiceError> {
        let places = match Places::look_to_write(self.store(), object).await {
            // A newer object is served whatever else has its name. But a key may be that of the delta of another file.
            Err(ServiceError::Storage(error)) if error.kind == StorageErrorKind::Denied => {
                if options.delta || deltaspace::file_of(&object.key).is_some() {
                    return Err(ServiceError::Unseen(object.clone(), error));
                }
                Places::unseen()
            }
            places => places?,
        };
        self.refuse_occupied(object, &places).await?;
        Ok(places)
    }

    /// What the user wants kept, as it is stored; an error if that is too much or cannot be sent, before anything is.
    pub(super) fn kept(&self, object: &ObjectName, options: &PutOptions) -> Result<Kept, ServiceError> {
        let unkeepable = |source| ServiceError::UserMetadata { object: object.clone(), source };
        let own = user_metadata::escape(&options.attributes.metadata).map_err(unkeepable)?;
        let may_be_delta = self.may_be_delta(object, options);
        let mut kept = Kept(Attributes { metadata: own, ..options.attributes.clone() });
        let (size, mut own) = (kept.0.user_metadata_bytes(), longest_metadata(object, may_be_delta));
        if let Some(tag) = &options.source {
            own += SOURCE_ETAG.len() + tag.0.len();
            kept.0.metadata.insert(SOURCE_ETAG.to_owned(), tag.0.clone());
        }
        if size + own > MAX_USER_METADATA_BYTES && size > 0 {
            return Err(ServiceError::MetadataTooLarge { object: object.clone(), size, own });
        }
        let status = options.status.write();
        let bytes = |metadata| Attributes { metadata, ..Attributes::default() }.user_metadata_bytes();
        if size + own + bytes(status.clone()) <= MAX_USER_METADATA_BYTES {
            kept.0.metadata.extend(status);
        }
        kept.0.check("PutObject", object)?;
        Ok(kept)
    }

    /// Returns whether a file may be kept as a delta, by its name and what the user wants.
    pub(super) fn may_be_delta(&self, object: &ObjectName, options: &PutOptions) -> bool {
        let is_covered = self.settings.policy.extensions.covers(object.key.base_name());
        options.delta && is_covered && !escaped::is_needed(&object.key)
    }

    /// A file must not replace the delta of another one, whose key it may have.
    pub(super) async fn refuse_occupied(&self, object: &ObjectName, places: &Places) -> Result<(), ServiceError> {
        let (Some(found), Some(file)) = (&places.plain, deltaspace::file_of(&object.key)) else { return Ok(()) };
        if found.is_delta() || found.is_delta_without_metadata(self.store()).await? {
            return Err(ServiceError::Occupied { object: object.clone(), file: object.sibling(file) });
        }
        Ok(())
    }

    /// Looks again at what is stored under a name that another writer was faster to write to.
    pub(super) async fn look_again(&self, object: &ObjectName) -> Result<Places, ServiceError> {
        let places = Places::look_to_write(self.store(), object).await?;
        self.refuse_occupied(object, &places).await?;
        Ok(places)
    }

    async fn put_as_delta(
        &self,
        file: &Input,
        object: &ObjectName,
        places: &Places,
        kept: &Kept,
    ) -> Result<PutReport, ServiceError> {
        let compression = file.compression().await?;
        let mut warnings = Vec::new();
        let (begun, mut first_round) = (self.clock.running(), true);
        while first_round || self.clock.running() < begun + MAX_CONTENTION {
            let references_made = self.turns.references_made();
            let bases = self.bases_for(object, self.settings.policy.deltaspace.as_deref()).await;
            let bases = bases.map_err(|error| match error {
                ServiceError::Storage(error) if error.kind == StorageErrorKind::Denied => {
                    ServiceError::Unseen(object.clone(), error)
                }
                error => error,
            })?;
            let put = Put { file, object, places, kept, bases: &bases, references_made, compression, first_round };
            if let Some(report) = self.put_against(&put, &mut warnings).await? {
                return Ok(PutReport { warnings: warnings.into_iter().chain(report.warnings).collect(), ..report });
            }
            first_round = false;
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
        let (mut usable, mut other_key) = (None, bases.other_key);
        for base in &choice.bases {
            match self.usable(base).await? {
                Usable::Yes(reference) => {
                    usable = Some((base, reference));
                    break;
                }
                Usable::Gone => return Ok(None),
                Usable::Packed => {}
                Usable::OtherKey => other_key = true,
                Usable::Damaged(error) => warnings.push(PutWarning::Reference(error)),
            }
        }
        let reference_allowed = plan::reference_allowed(file.len(), put.compression);
        let Some((base, reference)) = usable else {
            return match reference_allowed.and(if other_key { Err(DirectReason::OtherKey) } else { Ok(()) }) {
                Ok(()) => self.put_as_reference(put).await,
                Err(reason) => self.put_direct(file, object, put.places, put.kept, None, reason).await.map(Some),
            };
        };
        let reference_allowed = reference_allowed.is_ok() && bases.bases.len() < plan::MAX_REFERENCES;
        let max_ratio = self.settings.policy.max_ratio;
        let limit = max_ratio.limit(file.len());
        let Encoded { digest, delta } = self.encode(file, &reference, limit).await?;
        let Some(delta) = delta else {
            if reference_allowed && self.starts_over(put, base, choice.sketch).await? {
                return self.put_as_reference(put).await;
            }
            let reason = DirectReason::Ratio(max_ratio);
            return self.put_direct(file, object, put.places, put.kept, Some(digest), reason).await.map(Some);
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
        let turn = self.turns.reference(&bases.deltaspace).await;
        let others = self.turns.references_made() != put.references_made;
        if put.first_round && (others || !bases.bases.is_empty()) {
            let now = self.bases_of(bases.deltaspace.clone()).await?;
            if now.bases.iter().any(|base| bases.bases.iter().all(|known| known.digest != base.digest)) {
                return Ok(None);
            }
        }
        let OwnDelta { digest, sketch, delta } = self.encode_itself(file).await?;
        if bases.is_condemned(&digest) {
            let reason = DirectReason::Condemned;
            return self.put_direct(file, object, put.places, put.kept, Some(digest), reason).await.map(Some);
        }
        let created = self
            .create_reference(bases, file, (digest, &sketch), object.key.base_name(), put.kept.0.encryption.as_ref())
            .await?;
        let Some(base) = created else { return Ok(None) };
        self.turns.reference_made();
        drop(turn);
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
        let Put { file, object, .. } = *put;
        let name = |source| ServiceError::Name { object: object.to_string(), source };
        let stored = deltaspace::delta_of(object).map_err(name)?;
        let mut metadata = DeltaMetadata {
            original_name: object.key.base_name().to_owned(),
            file_sha256: digest,
            file_size: file.len(),
            created_at: None,
            ref_key: base.name.key.clone(),
            ref_sha256: base.digest,
            delta_size: delta.len(),
        };
        tracing::debug!(%stored, size = delta.len(), "put the delta, which gave the file back");
        let body = delta.body(delta.digest().await?);
        let (mut places, mut race) = (put.places.clone(), Race::new(self, object));
        let begun = loop {
            metadata.created_at = Some(after(places.plain.as_ref()));
            let options = places.put_options(places.delta.as_ref());
            let begun = self.clock.running();
            let attributes = put.kept.with(metadata.write());
            if race.won(self.store.put(&stored, body.clone(), &attributes, &options).await)? {
                break begun;
            }
            places = self.look_again(object).await?;
            if let Err(reason) = self.delta_allowed(object, true, &places) {
                return self.put_direct(file, object, &places, put.kept, Some(digest), reason).await;
            }
        };
        self.announce(base, copy, put.kept.0.encryption.as_ref()).await?;
        let warnings = self.remove_older_plain(&places, &stored, begun).await.into_iter().collect();
        Ok(PutReport {
            stored_as: StoredAs::Delta,
            size: file.len(),
            stored: delta.len(),
            sha256: Some(digest),
            warnings,
        })
    }

    async fn put_direct(
        &self,
        file: &Input,
        object: &ObjectName,
        places: &Places,
        kept: &Kept,
        digest: Option<Sha256Digest>,
        reason: DirectReason,
    ) -> Result<PutReport, ServiceError> {
        let digest = match digest {
            Some(digest) => digest,
            None => file.digest().await?,
        };
        tracing::debug!(%object, %reason, "put the file as it is");
        let mut metadata = DirectMetadata {
            original_name: object.key.base_name().to_owned(),
            file_sha256: digest,
            file_size: file.len(),
            created_at: None,
        };
        let (mut places, mut race, stored) = (places.clone(), Race::new(self, object), whole(object)?);
        let warning = loop {
            metadata.created_at = Some(after(places.delta.as_ref()));
            let options = places.put_options(places.plain.as_ref());
            let begun = self.clock.running();
            let attributes = kept.with(metadata.write());
            if race.won(self.store.put(&stored, file.body(digest), &attributes, &options).await)?
                && let Removal::Over(warning) = self.remove_older_delta(&places, &stored, begun).await
            {
                break warning;
            }
            places = self.look_again(object).await?;
        };
        let warnings = warning.into_iter().collect();
        let (size, stored_as) = (file.len(), StoredAs::Direct(reason));
        Ok(PutReport { stored_as, size, stored: size, sha256: Some(digest), warnings })
    }
}

/// A competition with concurrent writers of one name.
pub(super) struct Race<'a> {
    service: &'a DeltaService,
    object: &'a ObjectName,
    /// When it was first lost.
    since: Option<Duration>,
}

impl<'a> Race<'a> {
    pub(super) fn new(service: &'a DeltaService, object: &'a ObjectName) -> Self {
        Self { service, object, since: None }
    }

    /// Returns whether the put took effect; false if another writer was faster and there is time to try again.
    pub(super) fn won(&mut self, put: Result<ETag, StorageError>) -> Result<bool, ServiceError> {
        match put {
            Err(error) if is_lost_race(error.kind) => {
                let now = self.service.clock.running();
                if now >= *self.since.get_or_insert(now) + MAX_CONTENTION {
                    return Err(ServiceError::NameContended(self.object.clone()));
                }
                tracing::debug!(object = %self.object, "another writer was faster");
                Ok(false)
            }
            put => Ok(put.map(|_| true)?),
        }
    }
}

/// What a user wants kept beside a file, with the metadata as it is stored.
pub(super) struct Kept(Attributes);

impl Kept {
    /// With metadata of ours, whose names no escaped one has.
    pub(super) fn with(&self, ours: BTreeMap<String, String>) -> Attributes {
        let mut kept = self.0.clone();
        kept.metadata.extend(ours);
        kept.content_type.get_or_insert_with(|| OCTET_STREAM.to_owned());
        kept
    }
}

/// Bytes of our own metadata at their most, with a file of this name.
fn longest_metadata(object: &ObjectName, may_be_delta: bool) -> usize {
    let (file_sha256, created_at) = (Sha256Digest::of(b""), Some(now()));
    let (original_name, size) = (object.key.base_name().to_owned(), u64::MAX);
    let reference = Deltaspace::of(object).addressed(&file_sha256);
    let metadata = match reference {
        Ok(reference) if may_be_delta => {
            let (ref_key, ref_sha256) = (reference.key, file_sha256);
            DeltaMetadata {
                original_name,
                file_sha256,
                file_size: size,
                created_at,
                ref_key,
                ref_sha256,
                delta_size: size,
            }
            .write()
        }
        _ => DirectMetadata { original_name, file_sha256, file_size: size, created_at }.write(),
    };
    Attributes { metadata, ..Attributes::default() }.user_metadata_bytes()
}

/// Returns whether a put failed since another writer was faster.
pub(super) fn is_lost_race(kind: StorageErrorKind) -> bool {
    matches!(kind, StorageErrorKind::AlreadyExists | StorageErrorKind::NotFound | StorageErrorKind::Precondition)
}

/// What is known of a file that is to be kept as a delta.
#[derive(Clone, Copy)]
struct Put<'a> {
    file: &'a Input,
    object: &'a ObjectName,
    places: &'a Places,
    kept: &'a Kept,
    bases: &'a Bases,
    /// How many this process had made before it looked for them.
    references_made: u64,
    compression: Option<Compression>,
    /// Whether there is time to look once more whether somebody else has just made the reference that is missing.
    first_round: bool,
}
