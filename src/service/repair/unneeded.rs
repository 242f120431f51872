//! Deletes unneeded references, and objects left behind by deleted ones.

use super::scan::Scan;
use super::{Defect, Outcome, Repair};
use crate::domain::{Deltaspace, Key, ObjectName, Sha256Digest, deltaspace};
use crate::service::error::ServiceError;

impl Repair<'_> {
    /// Deletes references and leftovers that have been unneeded for the grace period.
    pub(super) async fn unneeded(&mut self, scan: &Scan) -> Result<(), ServiceError> {
        for (key, (digest, _)) in &scan.marks {
            let mark = self.object(key);
            let home = Deltaspace::of_reference(&mark);
            let named = |source| ServiceError::Name { object: home.to_string(), source };
            let reference = home.addressed(digest).map_err(named)?;
            let service = self.service;
            if !scan.references.contains_key(&reference.key) {
                let trouble = Defect::LeftBehind { object: mark };
                self.settle(trouble, async {
                    service
                        .references
                        .remove_tombstone(&home, digest)
                        .await
                        .map(|()| Outcome::Fixed)
                })
                .await;
            } else if !scan.is_unneeded(&reference, digest) {
                let trouble = Defect::ReferenceTombstoned { mark };
                self.settle(trouble, async {
                    service
                        .references
                        .remove_tombstone(&home, digest)
                        .await
                        .map(|()| Outcome::Fixed)
                })
                .await;
            }
        }
        // A classic reference is deleted before its copy gets a tombstone: it is kept while the
        // copy has one.
        let (copies, classic): (Vec<_>, Vec<_>) =
            scan.references.iter().partition(|(key, _)| deltaspace::is_internal(key));
        for (key, reference) in classic.into_iter().chain(copies) {
            let (name, Some(digest)) = (self.object(key), reference.digest) else { continue };
            if scan.is_unneeded(&name, &digest) {
                self.remove_unneeded(
                    scan,
                    &name,
                    &digest,
                    (reference.size, reference.last_modified),
                )
                .await?;
            }
        }
        self.sketches(scan).await;
        Ok(())
    }

    /// Handles one unneeded reference: adds a tombstone, waits for the end of the grace period, or
    /// deletes it.
    async fn remove_unneeded(
        &mut self,
        scan: &Scan,
        name: &ObjectName,
        digest: &Sha256Digest,
        (size, last_modified): (u64, std::time::SystemTime),
    ) -> Result<(), ServiceError> {
        let home = Deltaspace::of_reference(name);
        let service = self.service;
        let trouble = Defect::ReferenceUnneeded { reference: name.clone(), size };
        let is_addressed = home.addressed(digest).is_ok_and(|addressed| addressed == *name);
        let mark = home.tombstone(digest).ok().and_then(|mark| scan.marks.get(&mark.key));
        match (is_addressed, mark) {
            (true, Some((_, marked))) if self.options.is_old(*marked) => {
                let fix = async {
                    service
                        .references
                        .remove_tombstoned(&home, digest)
                        .await
                        .map(|()| Outcome::Fixed)
                };
                self.settle(trouble, fix).await;
            }
            (true, Some(_)) => self.report.waiting.push(name.clone()),
            _ if !self.options.is_old(last_modified) => {}
            (true, None) => {
                let fix = async {
                    service.references.add_tombstone(&home, digest).await.map(|()| Outcome::Fixed)
                };
                let outcome = self.outcome(fix).await;
                if matches!(outcome, Outcome::Fixed) {
                    self.report.waiting.push(name.clone());
                }
                self.report.record(trouble, outcome);
            }
            // It is deleted once its tombstoned copy is deleted.
            (false, Some(_)) => self.report.waiting.push(name.clone()),
            (false, None) => {
                let fix = async {
                    Ok(match service.references.remove_if_unreferenced(name).await? {
                        Some(_) => Outcome::Fixed,
                        None => {
                            Outcome::Unfixable("a concurrent writer is using it; run repair again")
                        }
                    })
                };
                self.settle(trouble, fix).await;
            }
        }
        Ok(())
    }

    /// Deletes sketches whose reference no longer exists.
    async fn sketches(&mut self, scan: &Scan) {
        for (key, (digest, made)) in &scan.sketches {
            let sketch = self.object(key);
            let home = Deltaspace::of_reference(&sketch);
            let there = |name: &Key| {
                scan.references.get(name).is_some_and(|there| there.digest == Some(*digest))
            };
            let names = [home.addressed(digest).ok(), home.classic().ok()];
            if names.iter().flatten().any(|name| there(&name.key)) || !self.options.is_old(*made) {
                continue;
            }
            let store = self.service.store();
            let fix = async { Ok(store.delete(&sketch, None).await.map(|()| Outcome::Fixed)?) };
            self.settle(Defect::LeftBehind { object: sketch.clone() }, fix).await;
        }
    }
}
