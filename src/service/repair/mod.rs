//! Finds defects of a bucket, and repairs those that can be repaired without loss.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod placement;
mod references;
mod scan;
mod source;
mod unneeded;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::DeltaService;
use super::error::ServiceError;
use super::get::StatedChecksums;
use super::objects::{StoredObject, Variants};
use crate::domain::metadata::Field;
use crate::domain::{BucketName, ObjectName, Sha256Digest};
use crate::storage::{Debris, LifecycleAction, LifecycleRule, OpenUpload, StorageErrorKind};
use scan::Scan;

/// Options of a repair.
#[derive(Debug, Clone, Copy)]
pub struct RepairOptions {
    /// True if defects are repaired; otherwise they are only reported.
    pub fix: bool,
    /// The minimum age at which an unneeded object is deleted. Must exceed the duration of any put:
    /// a younger object may belong to one in progress.
    pub grace: Duration,
    /// The current time, by the clock of the store as far as it is known.
    pub now: SystemTime,
}

impl RepairOptions {
    /// The default of [`RepairOptions::grace`]: 7 days.
    pub const GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    fn is_old(&self, since: SystemTime) -> bool {
        // An object dated in the future counts as young.
        self.now.duration_since(since).is_ok_and(|age| age >= self.grace)
    }
}

/// A defect of a bucket.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Defect {
    /// Deltas name a reference that does not exist.
    ReferenceMissing {
        /// The reference named by the deltas.
        reference: ObjectName,
        /// The SHA-256 it must have.
        digest: Sha256Digest,
        /// The files stored as these deltas.
        files: Vec<ObjectName>,
    },
    /// Deltas name a reference whose content is not the one they were made against.
    ReferenceDiffers {
        /// The reference named by the deltas.
        reference: ObjectName,
        /// The SHA-256 it must have.
        digest: Sha256Digest,
        /// The SHA-256 it has.
        actual: Sha256Digest,
        /// The files stored as these deltas.
        files: Vec<ObjectName>,
    },
    /// No delta needs this reference.
    ReferenceUnneeded {
        /// The unneeded reference.
        reference: ObjectName,
        /// Its stored size in bytes.
        size: u64,
    },
    /// A reference has a tombstone although a delta needs it.
    ReferenceTombstoned {
        /// The tombstone.
        mark: ObjectName,
    },
    /// An object that belongs to a reference exists, and the reference does not.
    LeftBehind {
        /// The object left behind.
        object: ObjectName,
    },
    /// A name has two variants; the older one is not served.
    TwoVariants {
        /// The variant that is served.
        served: ObjectName,
        /// The older variant.
        older: ObjectName,
    },
    /// The metadata of a delta lacks this field, so its file cannot be restored.
    DeltaDamaged {
        /// The delta.
        delta: ObjectName,
        /// The missing field; `None` if all of them are missing.
        field: Option<Field>,
    },
    /// A file in the store's own directories that the store cannot read as an object.
    Debris(Debris),
    /// A multipart upload that was never completed, and whose parts are billed.
    UploadOpen(OpenUpload),
    /// A lifecycle rule of the bucket will expire or archive a reference, and so break every delta
    /// that needs it.
    LifecycleRule {
        /// The rule.
        rule: LifecycleRule,
        /// A reference it applies to.
        reference: ObjectName,
    },
}

/// The result of handling a [`Defect`].
#[derive(Debug)]
pub enum Outcome {
    /// Repairable, and left as it is because no repair was requested.
    Found,
    /// Repaired.
    Fixed,
    /// The repair failed.
    Left(ServiceError),
    /// Not repairable by this program; the text names the remedy.
    Unfixable(&'static str),
}

/// A defect and the result of handling it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The defect.
    pub trouble: Defect,
    /// The result of handling it.
    pub outcome: Outcome,
}

/// The result of a repair.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RepairReport {
    /// The defects found, repaired ones included.
    pub findings: Vec<Finding>,
    /// References with a tombstone whose grace period has not ended.
    pub waiting: Vec<ObjectName>,
    /// Errors of objects and settings that could not be examined.
    pub unseen: Vec<ServiceError>,
    /// The number of deltas examined.
    pub deltas: u64,
    /// The number of references examined; those that a delta needs were read completely.
    pub references: u64,
}

impl RepairReport {
    fn record(&mut self, trouble: Defect, outcome: Outcome) {
        tracing::debug!(?trouble, ?outcome, "found");
        self.findings.push(Finding { trouble, outcome });
    }
}

/// A repair in progress.
struct Repair<'a> {
    service: &'a DeltaService,
    bucket: &'a BucketName,
    options: &'a RepairOptions,
    report: RepairReport,
}

impl DeltaService {
    /// Examines every object of a bucket, reads every reference that a delta needs, and reports
    /// defects; with [`RepairOptions::fix`], repairs those that can be repaired.
    ///
    /// Never deletes an object that a delta needs or may need, nor the last copy of a file. A
    /// second repair finds only defects that cannot be repaired.
    ///
    /// # Errors
    ///
    /// Returns an error if the bucket cannot be listed, or if a reference to be repaired cannot be
    /// examined.
    pub async fn repair(
        &self,
        bucket: &BucketName,
        options: &RepairOptions,
    ) -> Result<RepairReport, ServiceError> {
        let mut repair = Repair { service: self, bucket, options, report: RepairReport::default() };
        let mut scan = Scan::of(self, bucket).await?;
        repair.report.deltas = scan.deltas;
        repair.report.references = scan.references.len() as u64;
        repair.damaged_deltas(&scan);
        repair.variants(&scan).await;
        repair.needed_references(&scan).await?;
        if options.fix && (scan.has_unneeded() || !repair.report.findings.is_empty()) {
            // Objects to be deleted must be unneeded by a listing made after the repairs above.
            scan = Scan::of(self, bucket).await?;
        }
        repair.unneeded(&scan).await?;
        repair.debris().await;
        repair.uploads().await;
        repair.lifecycle(&scan).await;
        Ok(repair.report)
    }
}

impl Repair<'_> {
    fn object(&self, key: &crate::domain::Key) -> ObjectName {
        ObjectName::new(self.bucket.clone(), key.clone())
    }

    /// Records a defect, after repairing it if that is requested.
    async fn settle(
        &mut self,
        trouble: Defect,
        fix: impl Future<Output = Result<Outcome, ServiceError>>,
    ) {
        let outcome = self.outcome(fix).await;
        self.report.record(trouble, outcome);
    }

    /// Runs `fix` if a repair is requested.
    async fn outcome(&self, fix: impl Future<Output = Result<Outcome, ServiceError>>) -> Outcome {
        match self.options.fix {
            false => Outcome::Found,
            true => fix.await.unwrap_or_else(Outcome::Left),
        }
    }

    fn damaged_deltas(&mut self, scan: &Scan) {
        for (key, field) in &scan.damaged {
            let trouble = Defect::DeltaDamaged { delta: self.object(key), field: *field };
            let way = "upload the file again, or restore the metadata from a backup; `cp --raw` \
                       gives the stored bytes";
            self.report.record(trouble, Outcome::Unfixable(way));
        }
    }

    async fn variants(&mut self, scan: &Scan) {
        for (file, older) in &scan.older {
            let (object, older) = (self.object(file), self.object(older));
            let served = if older == object {
                crate::domain::deltaspace::delta_of(&object)
            } else {
                Ok(object.clone())
            };
            let Ok(served) = served else { continue };
            let outcome = self.outcome(self.remove_older_variant(&object, &older)).await;
            self.report.record(Defect::TwoVariants { served, older }, outcome);
        }
    }

    /// Moves files that are no objects aside. Runs after the deletions: such a file may be a delta
    /// that needs any reference.
    async fn debris(&mut self) {
        let found = match self.service.store().debris(self.bucket).await {
            Ok(found) => found,
            Err(error) => return self.report.unseen.push(error.into()),
        };
        for debris in found {
            let (store, bucket) = (self.service.store(), self.bucket);
            let moving = async {
                let now = store.set_aside(bucket, &debris).await?;
                tracing::warn!(from = %debris.path.display(), to = %now.display(), "moved aside");
                Ok(Outcome::Fixed)
            };
            self.settle(Defect::Debris(debris.clone()), moving).await;
        }
    }

    async fn uploads(&mut self) {
        let open = match self.service.store().list_uploads(self.bucket).await {
            Ok(open) => open,
            Err(error) => return self.report.unseen.push(error.into()),
        };
        for upload in open {
            // Without a start time, the upload may have just begun.
            if !upload.initiated.is_some_and(|begun| self.options.is_old(begun)) {
                continue;
            }
            let store = self.service.store();
            let fix = async { Ok(store.abort_upload(&upload).await.map(|()| Outcome::Fixed)?) };
            self.settle(Defect::UploadOpen(upload.clone()), fix).await;
        }
    }

    async fn lifecycle(&mut self, scan: &Scan) {
        let rules = match self.service.store().lifecycle(self.bucket).await {
            Ok(rules) => rules,
            Err(error) => return self.report.unseen.push(error.into()),
        };
        for rule in rules.into_iter().filter(|rule| endangers(&rule.action)) {
            let concerned =
                scan.references.iter().find(|(key, reference)| rule.concerns(key, reference.size));
            if let Some((key, _)) = concerned {
                let trouble = Defect::LifecycleRule { rule, reference: self.object(key) };
                let way = "narrow the rule to a prefix without references, or to objects with a \
                           tag: references have none";
                self.report.record(trouble, Outcome::Unfixable(way));
            }
        }
    }
}

/// Returns whether the action makes a reference unavailable for immediate reads. The storage
/// classes with immediate retrieval are those of the S3 User Guide, "Understanding and managing
/// Amazon S3 storage classes".
fn endangers(action: &LifecycleAction) -> bool {
    match action {
        LifecycleAction::Expire => true,
        LifecycleAction::Transition(class) => {
            !["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"]
                .contains(&class.as_str())
        }
    }
}

impl Repair<'_> {
    /// Deletes the older variant of a name, if the file can be restored from the one that is
    /// served.
    async fn remove_older_variant(
        &self,
        object: &ObjectName,
        older: &ObjectName,
    ) -> Result<Outcome, ServiceError> {
        self.service.verify(object, StatedChecksums::Require).await?;
        let places = Variants::look_for_file(self.service.store(), object).await?;
        let variants = places.newest_first(self.service.store(), object).await?;
        let [_, found] = variants.as_slice() else { return Ok(Outcome::Fixed) };
        if found.name != *older {
            // It became the newer one in the meantime.
            return Ok(Outcome::Fixed);
        }
        if !self.service.objects.removal_is_exact() {
            // The same content may be stored again at any time, under the same ETag.
            let way = "the next file stored under the name replaces it, or removes it once it is \
                       an hour old; `rm` removes both";
            return Ok(Outcome::Unfixable(way));
        }
        match self.service.objects.remove_version(found).await {
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::Precondition => {}
            removed => removed?,
        }
        Ok(match StoredObject::look(self.service.store(), older.clone()).await? {
            None => Outcome::Fixed,
            Some(_) => Outcome::Unfixable("a concurrent writer stored it again; run repair again"),
        })
    }
}

/// Files, by the reference they name and the content it must have.
type Files = BTreeMap<scan::Need, Vec<ObjectName>>;
