//! Finding what is wrong in a bucket, and mending what can be mended without losing anything.
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

/// How a bucket is to be repaired.
#[derive(Debug, Clone, Copy)]
pub struct RepairOptions {
    /// Whether what can be mended is.
    pub mend: bool,
    /// How long something that nobody needs must have been there before it goes. Longer than any
    /// put takes: what is younger may belong to one that is under way.
    pub grace: Duration,
    /// The time now, by the clock of the store as far as is known.
    pub now: SystemTime,
}

impl RepairOptions {
    /// As [`RepairOptions::grace`] is when nobody says otherwise.
    pub const GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    fn is_old(&self, since: SystemTime) -> bool {
        // What the store dates after now is young.
        self.now.duration_since(since).is_ok_and(|age| age >= self.grace)
    }
}

/// Something wrong in a bucket.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Trouble {
    /// Deltas name a reference that does not exist.
    ReferenceMissing {
        /// The reference they name.
        reference: ObjectName,
        /// The content it must have.
        digest: Sha256Digest,
        /// The files.
        files: Vec<ObjectName>,
    },
    /// Deltas name a reference whose content is not what they were made against.
    ReferenceDiffers {
        /// The reference they name.
        reference: ObjectName,
        /// The content it must have.
        digest: Sha256Digest,
        /// The content it has.
        actual: Sha256Digest,
        /// The files.
        files: Vec<ObjectName>,
    },
    /// No delta needs this reference.
    ReferenceUnneeded {
        /// The reference.
        reference: ObjectName,
        /// Bytes stored.
        size: u64,
    },
    /// A reference is marked as one to be removed, and a delta needs it.
    ReferenceTombstoned {
        /// The mark.
        mark: ObjectName,
    },
    /// What belongs to a reference is there, and the reference is not.
    LeftBehind {
        /// The object.
        object: ObjectName,
    },
    /// A name has two objects; the older is not served.
    TwoVariants {
        /// What is served.
        served: ObjectName,
        /// The other.
        older: ObjectName,
    },
    /// A delta whose metadata lacks this field: no file can be had from it.
    DeltaDamaged {
        /// The delta.
        delta: ObjectName,
        /// The field, or `None` when all of them are gone.
        field: Option<Field>,
    },
    /// Something in the store's own directories that is no object the store can read.
    Debris(Debris),
    /// An upload in parts that was begun and never ended, and is paid for.
    UploadOpen(OpenUpload),
    /// A rule of the bucket's lifecycle will remove or archive a reference, and with it every delta
    /// that needs it.
    LifecycleRule {
        /// The rule.
        rule: LifecycleRule,
        /// A reference it concerns.
        reference: ObjectName,
    },
}

/// What became of a [`Trouble`].
#[derive(Debug)]
pub enum Outcome {
    /// It can be mended, and was not, since nobody asked for it.
    Found,
    /// It was mended.
    Mended,
    /// It could not be mended.
    Left(ServiceError),
    /// It cannot be mended here.
    Beyond(&'static str),
}

/// A trouble, and what became of it.
#[derive(Debug)]
pub struct Finding {
    /// What is wrong.
    pub trouble: Trouble,
    /// What became of it.
    pub outcome: Outcome,
}

/// What a repair found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RepairReport {
    /// What is wrong, or was.
    pub findings: Vec<Finding>,
    /// References that are marked as ones to be removed and wait for the end of their grace period.
    pub waiting: Vec<ObjectName>,
    /// What could not be looked at.
    pub unseen: Vec<ServiceError>,
    /// Deltas that were looked at.
    pub deltas: u64,
    /// References that were looked at; those that a delta needs were read whole.
    pub references: u64,
}

impl RepairReport {
    fn tell(&mut self, trouble: Trouble, outcome: Outcome) {
        tracing::debug!(?trouble, ?outcome, "found");
        self.findings.push(Finding { trouble, outcome });
    }
}

/// A repair under way.
struct Repair<'a> {
    service: &'a DeltaService,
    bucket: &'a BucketName,
    options: &'a RepairOptions,
    report: RepairReport,
}

impl DeltaService {
    /// Looks at everything in a bucket, reads every reference that a delta needs, and says what is
    /// wrong; with [`RepairOptions::mend`], mends what can be.
    ///
    /// Nothing is removed that a delta needs, or may need, or that is the last copy of a file. A
    /// second repair finds nothing but what cannot be mended.
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
        if options.mend && (scan.has_unneeded() || !repair.report.findings.is_empty()) {
            // What goes must be unneeded by a listing that is younger than everything mended above.
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

    /// Tells of a trouble, and mends it first if that is wanted.
    async fn settle(
        &mut self,
        trouble: Trouble,
        mending: impl Future<Output = Result<Outcome, ServiceError>>,
    ) {
        let outcome = self.outcome(mending).await;
        self.report.tell(trouble, outcome);
    }

    /// Mends what is to be mended.
    async fn outcome(
        &self,
        mending: impl Future<Output = Result<Outcome, ServiceError>>,
    ) -> Outcome {
        match self.options.mend {
            false => Outcome::Found,
            true => mending.await.unwrap_or_else(Outcome::Left),
        }
    }

    fn damaged_deltas(&mut self, scan: &Scan) {
        for (key, field) in &scan.damaged {
            let trouble = Trouble::DeltaDamaged { delta: self.object(key), field: *field };
            let way = "upload the file again, or restore the metadata from a backup; `cp --raw` gives the stored bytes";
            self.report.tell(trouble, Outcome::Beyond(way));
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
            self.report.tell(Trouble::TwoVariants { served, older }, outcome);
        }
    }

    /// Moves what is no object aside: last, since until then it may need any reference.
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
                Ok(Outcome::Mended)
            };
            self.settle(Trouble::Debris(debris.clone()), moving).await;
        }
    }

    async fn uploads(&mut self) {
        let open = match self.service.store().list_uploads(self.bucket).await {
            Ok(open) => open,
            Err(error) => return self.report.unseen.push(error.into()),
        };
        for upload in open {
            // Where the store does not tell when it was begun, it may just have been.
            if !upload.initiated.is_some_and(|begun| self.options.is_old(begun)) {
                continue;
            }
            let store = self.service.store();
            let mending =
                async { Ok(store.abort_upload(&upload).await.map(|()| Outcome::Mended)?) };
            self.settle(Trouble::UploadOpen(upload.clone()), mending).await;
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
                let trouble = Trouble::LifecycleRule { rule, reference: self.object(key) };
                let way = "narrow the rule to a prefix without references, or to objects with a tag: references have none";
                self.report.tell(trouble, Outcome::Beyond(way));
            }
        }
    }
}

/// Whether a reference is not at hand any more after this. The storage classes with retrieval at
/// once are those of the S3 User Guide, "Understanding and managing Amazon S3 storage classes".
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
    /// Removes the older object of a name, if the one that is served gives the file.
    async fn remove_older_variant(
        &self,
        object: &ObjectName,
        older: &ObjectName,
    ) -> Result<Outcome, ServiceError> {
        self.service.verify(object, StatedChecksums::Require).await?;
        let places = Variants::look_for_file(self.service.store(), object).await?;
        let variants = places.newest_first(self.service.store(), object).await?;
        let [_, found] = variants.as_slice() else { return Ok(Outcome::Mended) };
        if found.name != *older {
            // It became the newer one meanwhile.
            return Ok(Outcome::Mended);
        }
        if !self.service.objects.removal_is_exact() {
            // Its content may be stored again at any time, under the same tag.
            let way = "the next file stored under the name replaces it, or removes it once it is an hour old; `rm` removes both";
            return Ok(Outcome::Beyond(way));
        }
        match self.service.objects.remove_version(found).await {
            Err(error) if error.is_absent() || error.kind == StorageErrorKind::Precondition => {}
            removed => removed?,
        }
        Ok(match StoredObject::look(self.service.store(), older.clone()).await? {
            None => Outcome::Mended,
            Some(_) => Outcome::Beyond("it was stored again at the same time: repair again"),
        })
    }
}

/// Files by the reference they name and the content it must have.
type Files = BTreeMap<scan::Need, Vec<ObjectName>>;
