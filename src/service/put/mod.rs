//! Stores a file: as a delta, as a reference and a delta of itself, or as it is.

mod destination;
mod kept;
mod replaced;
mod report;
mod stream;

use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::DeltaService;
use super::error::ServiceError;
use super::objects::{Objects, Variants, whole};
use super::payload::Payload;
use super::plan::{DeltaFacts, DirectReason, Facts, NameFacts, ReferenceFacts, Step};
use super::recompress::{Packed, Rule, is_incompressible, worth_packing};
use super::references::{Content, Fetched, Reference, ReferenceSet};
use super::transcode::{Encode, OwnDelta};
use crate::domain::metadata::{DeltaMetadata, DirectMetadata};
use crate::domain::packing::StoredForm;
use crate::domain::policy::Policy;
use crate::domain::{
    Deltaspace, FileStatus, ObjectName, Sha256Digest, Sketch, deltaspace, escaped,
};
use crate::storage::{Attributes, ETag, StorageErrorKind};

pub(crate) use destination::{Destination, MAX_CONTENTION, after, is_lost_race, reject_occupied};
pub(crate) use kept::Kept;
pub(crate) use replaced::{remove_older_delta, remove_older_plain};
pub use report::{PutReport, PutWarning, StoredAs};

/// The options of a put.
#[derive(Debug, Clone)]
pub struct PutOptions {
    /// The file may be stored as a delta.
    pub delta: bool,
    /// The attributes stored with the file and restored with it: metadata under the user's own
    /// names, headers, class, encryption, tags, ACL. A reference made of the file takes the
    /// encryption alone. The content type defaults to `application/octet-stream`.
    pub attributes: Attributes,
    /// The tag of the copied object, if nothing else identifies its content.
    pub source: Option<ETag>,
    /// The modification time and mode of the file, stored if the metadata leaves enough bytes.
    pub status: FileStatus,
    /// Stores the file only if its name has none; otherwise the put fails with
    /// [`StorageErrorKind::AlreadyExists`].
    pub if_absent: bool,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self {
            delta: true,
            attributes: Attributes::default(),
            source: None,
            status: FileStatus::default(),
            if_absent: false,
        }
    }
}

impl DeltaService {
    /// Stores `file` under the name `object`.
    ///
    /// Returns once the new content is stored and an older variant of the name was deleted. After a
    /// failure the name has either its earlier content or the new one.
    pub async fn put(
        &self,
        file: &Payload,
        object: &ObjectName,
        options: &PutOptions,
    ) -> Result<PutReport, ServiceError> {
        whole(object)?;
        let policy = &self.settings.policy;
        let kept = Kept::of(object, options, may_be_delta(policy, object, options))?;
        tracing::debug!(%object, size = file.len(), "put");
        let destination = Destination::look(&self.objects, object, options).await?;
        let name = name_facts(&self.objects, policy, object, options.delta, &destination.places);
        let put = Put {
            service: self.clone(),
            file: file.clone(),
            destination,
            kept,
            facts: Facts::new(name, file.len(), policy.max_ratio),
            begun: self.objects.clock().running(),
            round: None,
            digest: None,
            delta: None,
            warnings: Vec::new(),
        };
        put.run().await
    }
}

/// Returns whether a file may be stored as a delta, by its name and the options.
fn may_be_delta(policy: &Policy, object: &ObjectName, options: &PutOptions) -> bool {
    let is_covered = policy.extensions.covers(object.key.base_name());
    options.delta && is_covered && !escaped::is_needed(&object.key)
}

/// Returns the facts about a name for which `places` was found.
pub(crate) fn name_facts(
    objects: &Objects,
    policy: &Policy,
    object: &ObjectName,
    asked: bool,
    places: &Variants,
) -> NameFacts {
    NameFacts {
        asked,
        is_escaped: escaped::is_needed(&object.key),
        is_covered: policy.extensions.covers(object.key.base_name()),
        has_room: deltaspace::delta_of(object).is_ok(),
        occupied_by: places
            .delta
            .as_ref()
            .filter(|found| !found.is_delta())
            .map(|found| found.name.clone()),
        is_young: objects.is_too_young_to_remove(places),
    }
}

/// A put under way.
struct Put {
    service: DeltaService,
    file: Payload,
    destination: Destination,
    kept: Kept,
    facts: Facts,
    /// The start time, by the monotonic clock.
    begun: Duration,
    /// The references found last.
    round: Option<Round>,
    /// The SHA-256 of the file, once known.
    digest: Option<Sha256Digest>,
    /// The delta to store.
    delta: Option<Made>,
    warnings: Vec<PutWarning>,
}

/// The references of a deltaspace, as found in one attempt.
struct Round {
    set: ReferenceSet,
    /// The number of references this process had made before it looked for them.
    made: u64,
    /// The best usable reference, and its bytes.
    best: Option<(Reference, Content)>,
    /// The sketch of the file, if there was a choice.
    sketch: Option<Sketch>,
    /// The file as a reference.
    own: Option<OwnReference>,
    /// Held while this put makes a reference.
    lock: Option<OwnedMutexGuard<()>>,
}

/// A file that becomes a reference.
struct OwnReference {
    /// The delta of the file against itself.
    delta: OwnDelta,
    /// The bytes to store, and their form.
    stored: (Payload, StoredForm),
}

/// A delta that was decoded to the file.
struct Made {
    delta: Payload,
    base: Reference,
    bytes: ReferenceBytes,
}

/// The bytes of a reference that may have to be restored.
enum ReferenceBytes {
    Content(Content),
    Stored(Payload),
}

impl Put {
    async fn run(mut self) -> Result<PutReport, ServiceError> {
        let mut is_first_round = true;
        loop {
            match self.facts.next() {
                Step::FindCompression => {
                    self.facts.compression = Some(self.file.compression().await?)
                }
                Step::FindReferences => {
                    if !is_first_round
                        && self.service.objects.clock().running() >= self.begun + MAX_CONTENTION
                    {
                        return Err(ServiceError::Contended(Deltaspace::of(
                            &self.destination.object,
                        )));
                    }
                    if !self.find_references().await? {
                        is_first_round = false;
                    }
                }
                Step::Encode => self.encode().await?,
                Step::FindRelatives => self.find_relatives().await?,
                Step::CompareSketches => self.compare_sketches().await?,
                Step::EncodeItself => {
                    if !self.encode_itself(is_first_round).await? {
                        is_first_round = false;
                        self.facts = self.facts.without_references();
                    }
                }
                Step::StoreReference => {
                    if !self.store_reference().await? {
                        is_first_round = false;
                        self.facts = self.facts.without_references();
                    }
                }
                Step::StoreDelta => {
                    if let Some(report) = self.store_delta().await? {
                        return Ok(self.reported(report));
                    }
                }
                Step::StoreDirect(reason) => {
                    let report = self.store_direct(reason).await?;
                    return Ok(self.reported(report));
                }
            }
        }
    }

    fn reported(self, report: PutReport) -> PutReport {
        PutReport { warnings: self.warnings.into_iter().chain(report.warnings).collect(), ..report }
    }

    /// Finds the references and the best usable one; returns false if one was removed during this.
    async fn find_references(&mut self) -> Result<bool, ServiceError> {
        let references = &self.service.references;
        let object = &self.destination.object;
        let made = references.creation().made();
        let set = references
            .references_for(object, self.service.settings.policy.deltaspace.as_deref())
            .await;
        let set = set.map_err(|error| match error {
            ServiceError::Storage(error) if error.kind == StorageErrorKind::Denied => {
                ServiceError::DestinationDenied(object.clone(), error)
            }
            error => error,
        })?;
        let choice = references.rank(&set, &self.file).await?;
        let (mut best, mut needs_other_key) = (None, set.other_key);
        for base in choice.ranked {
            match references.usable(&base).await? {
                Fetched::Ready(content) => {
                    let packing = content.form().packing;
                    best = Some((Reference { packing, ..base }, content));
                    break;
                }
                Fetched::Gone => return Ok(false),
                Fetched::Packed => {}
                Fetched::OtherKey => needs_other_key = true,
                Fetched::Damaged(error) => self.warnings.push(PutWarning::Reference(error)),
            }
        }
        let (is_usable, count) = (best.is_some(), set.members.len());
        let packed = best.as_ref().and_then(|(base, _)| Some((base.size, base.packing?)));
        let stored_share = packed.map_or(1.0, |(size, packing)| packing.stored_share(size));
        let facts = ReferenceFacts { is_usable, needs_other_key, count, stored_share };
        self.facts.references = Some(facts);
        self.round = Some(Round { set, made, best, sketch: choice.sketch, own: None, lock: None });
        Ok(true)
    }

    /// Encodes the file against the best reference.
    async fn encode(&mut self) -> Result<(), ServiceError> {
        let Some((base, mut content)) = self.round.as_ref().and_then(|round| round.best.clone())
        else {
            return Ok(());
        };
        let limit = self.facts.max_ratio.limit(self.file.len());
        let encoded = loop {
            let encode = Encode {
                file: self.file.clone(),
                reference: content.source(),
                packing: base.packing,
                limit,
            };
            match self.service.transcoder.encode(encode).await {
                Ok(encoded) => break encoded,
                Err(error) => content = self.service.references.refetch(&content, error).await?,
            }
        };
        self.digest = Some(encoded.digest);
        self.facts.delta = Some(match &encoded.delta {
            Some(delta) => DeltaFacts::Len(delta.len()),
            None => DeltaFacts::TooLong,
        });
        let bytes = ReferenceBytes::Content(content);
        self.delta = encoded.delta.map(|delta| Made { delta, base, bytes });
        Ok(())
    }

    /// Finds the earlier versions of the file.
    async fn find_relatives(&mut self) -> Result<(), ServiceError> {
        self.facts.relatives = Some(match self.best() {
            Some((round, base)) => {
                self.service
                    .references
                    .relatives(&round.set, base, &self.destination.object)
                    .await?
            }
            None => Vec::new(),
        });
        Ok(())
    }

    /// Computes the share of the file's content that the best reference contains.
    async fn compare_sketches(&mut self) -> Result<(), ServiceError> {
        self.facts.share = Some(match self.best() {
            Some((round, base)) => {
                let sketch = match &round.sketch {
                    Some(sketch) => sketch.clone(),
                    None => self.file.sketch().await?.1,
                };
                let of_base = self.service.references.sketch_of(&round.set, base).await?;
                of_base.map_or(0.0, |of_base| sketch.share_in(&of_base))
            }
            None => 0.0,
        });
        Ok(())
    }

    fn best(&self) -> Option<(&Round, &Reference)> {
        let round = self.round.as_ref()?;
        round.best.as_ref().map(|(base, _)| (round, base))
    }

    /// Encodes the file against itself, once no other operation of this process makes a reference;
    /// returns false if one was made since the references were listed.
    async fn encode_itself(&mut self, may_look_again: bool) -> Result<bool, ServiceError> {
        let references = &self.service.references;
        let Some(round) = &mut self.round else { return Ok(false) };
        round.lock = references.creation().lock(&round.set.deltaspace).await;
        let made_since = references.creation().made() != round.made;
        if may_look_again && (made_since || !round.set.members.is_empty()) {
            let now = references.references_of(round.set.deltaspace.clone()).await?;
            if now
                .members
                .iter()
                .any(|base| round.set.members.iter().all(|known| known.digest != base.digest))
            {
                self.round = None;
                return Ok(false);
            }
        }
        let packed = self.pack().await?;
        let packing = packed.as_ref().map(|packed| packed.packing);
        let delta = self.service.transcoder.encode_itself(&self.file, packing).await?;
        if packing.is_some_and(|packing| packing.content_sha256 != delta.digest) {
            return Err(ServiceError::Changed(self.file.name().to_owned()));
        }
        let stored = match packed {
            Some(packed) => (packed.bytes.clone(), packed.form()),
            None => (self.file.clone(), StoredForm::plain(delta.digest)),
        };
        let Some(round) = &mut self.round else { return Ok(false) };
        self.digest = Some(delta.digest);
        self.facts.is_tombstoned = Some(round.set.is_tombstoned(&stored.1.digest));
        round.own = Some(OwnReference { delta, stored });
        Ok(true)
    }

    /// Packs the file as the policy says; returns `None` if it is stored as it is.
    async fn pack(&self) -> Result<Option<Packed>, ServiceError> {
        let choice = self.service.settings.policy.packing.of(&self.destination.object);
        let Some(form) = choice.form() else { return Ok(None) };
        let rule = Rule::of(form).ok_or(ServiceError::CannotPack(form))?;
        // A packed file is never a reference; its plain form would be taken for a packed one.
        if is_incompressible(&self.file).await? {
            return Ok(None);
        }
        self.service.transcoder.pack(&self.file, rule, worth_packing(self.file.len())).await
    }

    /// Stores the file as a reference; returns false if another file became the first one.
    async fn store_reference(&mut self) -> Result<bool, ServiceError> {
        let references = &self.service.references;
        let Some(Round { set, own: Some(own), lock, .. }) = self.round.take() else {
            return Ok(false);
        };
        let OwnReference { delta: OwnDelta { sketch, delta, .. }, stored: (bytes, form) } = own;
        let source_name = self.destination.object.key.base_name();
        let encryption = self.kept.attributes().encryption.as_ref();
        let created = references
            .create_reference(&set, (&bytes, &form), Some(&sketch), source_name, encryption)
            .await?;
        let Some(base) = created else { return Ok(false) };
        references.creation().count();
        drop(lock);
        self.facts.is_reference = true;
        self.delta = Some(Made { delta, base, bytes: ReferenceBytes::Stored(bytes) });
        Ok(true)
    }

    /// Stores the delta, ensures that its reference exists, and only then deletes the older object
    /// of the name. Returns `None` if a concurrent writer of the name was faster.
    async fn store_delta(&mut self) -> Result<Option<PutReport>, ServiceError> {
        let (Some(Made { delta, base, bytes }), Some(digest)) = (&self.delta, self.digest) else {
            return Err(ServiceError::RoundTrip(self.file.name().to_owned()));
        };
        let service = self.service.clone();
        let object = self.destination.object.clone();
        let name = |source| ServiceError::Name { object: object.to_string(), source };
        let stored = deltaspace::delta_of(&object).map_err(name)?;
        let places = self.destination.places.clone();
        let metadata = DeltaMetadata {
            original_name: object.key.base_name().to_owned(),
            file_sha256: digest,
            file_size: self.file.len(),
            created_at: Some(after(places.plain.as_ref())),
            ref_key: base.name.key.clone(),
            ref_sha256: base.digest,
            delta_size: delta.len(),
            ref_packing: base.packing,
        };
        tracing::debug!(%stored, size = delta.len(), "put the verified delta");
        let body = delta.body(delta.digest().await?);
        let options = places.put_options(places.delta.as_ref());
        let begun = service.objects.clock().running();
        let put =
            service.store().put(&stored, body, &self.kept.with(metadata.write()), &options).await;
        if !self.destination.took_effect(put)? {
            self.destination.look_again().await?;
            let (places, policy) = (&self.destination.places, &service.settings.policy);
            self.facts.name =
                name_facts(&service.objects, policy, &object, self.facts.name.asked, places);
            return Ok(None);
        }
        let encryption = self.kept.attributes().encryption.as_ref();
        let references = &service.references;
        match bytes {
            ReferenceBytes::Content(content) => {
                references.ensure_exists_for_delta(base, content.clone(), encryption).await?
            }
            ReferenceBytes::Stored(bytes) => {
                references.ensure_exists(base, bytes, encryption).await?
            }
        }
        let warnings = remove_older_plain(&service.objects, &places, &stored, begun)
            .await
            .into_iter()
            .collect();
        let (stored_as, stored) = match self.facts.is_reference {
            true => (StoredAs::Reference, delta.len() + base.size),
            false => (StoredAs::Delta, delta.len()),
        };
        Ok(Some(PutReport {
            stored_as,
            size: self.file.len(),
            stored,
            sha256: Some(digest),
            warnings,
        }))
    }

    async fn store_direct(&mut self, reason: DirectReason) -> Result<PutReport, ServiceError> {
        let digest = match self.digest {
            Some(digest) => digest,
            None => self.file.digest().await?,
        };
        let service = &self.service;
        let object = self.destination.object.clone();
        tracing::debug!(%object, %reason, "put the file as it is");
        let mut metadata = DirectMetadata {
            original_name: object.key.base_name().to_owned(),
            file_sha256: digest,
            file_size: self.file.len(),
            created_at: None,
        };
        let stored = whole(&object)?;
        let warning = loop {
            let places = self.destination.places.clone();
            metadata.created_at = Some(after(places.delta.as_ref()));
            let options = places.put_options(places.plain.as_ref());
            let begun = service.objects.clock().running();
            let attributes = self.kept.with(metadata.write());
            let put =
                service.store().put(&stored, self.file.body(digest), &attributes, &options).await;
            if self.destination.took_effect(put)?
                && let Ok(warning) =
                    remove_older_delta(&service.references, &places, &stored, begun).await
            {
                break warning;
            }
            self.destination.look_again().await?;
        };
        let warnings = warning.into_iter().collect();
        let (size, stored_as) = (self.file.len(), StoredAs::Direct(reason));
        Ok(PutReport { stored_as, size, stored: size, sha256: Some(digest), warnings })
    }
}
