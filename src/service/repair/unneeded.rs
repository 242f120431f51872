//! References that nobody needs, and what is left behind of others.

use super::scan::Scan;
use super::{Outcome, Repair, Trouble};
use crate::domain::{Deltaspace, Key, ObjectName, Sha256Digest, deltaspace};
use crate::service::error::ServiceError;

impl Repair<'_> {
    /// Lets go what nobody needs and has not needed for the grace period.
    pub(super) async fn unneeded(&mut self, scan: &Scan) -> Result<(), ServiceError> {
        for (key, (digest, _)) in &scan.marks {
            let mark = self.object(key);
            let home = Deltaspace::home_of(&mark);
            let named = |source| ServiceError::Name { object: home.to_string(), source };
            let reference = home.addressed(digest).map_err(named)?;
            let service = self.service;
            if !scan.references.contains_key(&reference.key) {
                let trouble = Trouble::LeftBehind { object: mark };
                self.settle(trouble, async {
                    service
                        .references
                        .remove_tombstone(&home, digest)
                        .await
                        .map(|()| Outcome::Mended)
                })
                .await;
            } else if !scan.is_unneeded(&reference, digest) {
                let trouble = Trouble::ReferenceTombstoned { mark };
                self.settle(trouble, async {
                    service
                        .references
                        .remove_tombstone(&home, digest)
                        .await
                        .map(|()| Outcome::Mended)
                })
                .await;
            }
        }
        // A classic reference goes before its copy is marked: it is not removed beside a marked
        // one.
        let (copies, classic): (Vec<_>, Vec<_>) =
            scan.references.iter().partition(|(key, _)| deltaspace::is_internal(key));
        for (key, reference) in classic.into_iter().chain(copies) {
            let (name, Some(digest)) = (self.object(key), reference.digest) else { continue };
            if scan.is_unneeded(&name, &digest) {
                self.let_go(scan, &name, &digest, (reference.size, reference.last_modified))
                    .await?;
            }
        }
        self.sketches(scan).await;
        Ok(())
    }

    async fn let_go(
        &mut self,
        scan: &Scan,
        name: &ObjectName,
        digest: &Sha256Digest,
        (size, last_modified): (u64, std::time::SystemTime),
    ) -> Result<(), ServiceError> {
        let home = Deltaspace::home_of(name);
        let service = self.service;
        let trouble = Trouble::ReferenceUnneeded { reference: name.clone(), size };
        let is_addressed = home.addressed(digest).is_ok_and(|addressed| addressed == *name);
        let mark = home.tombstone(digest).ok().and_then(|mark| scan.marks.get(&mark.key));
        match (is_addressed, mark) {
            (true, Some((_, marked))) if self.options.is_old(*marked) => {
                let mending = async {
                    service
                        .references
                        .remove_tombstoned(&home, digest)
                        .await
                        .map(|()| Outcome::Mended)
                };
                self.settle(trouble, mending).await;
            }
            (true, Some(_)) => self.report.waiting.push(name.clone()),
            _ if !self.options.is_old(last_modified) => {}
            (true, None) => {
                let mending = async {
                    service.references.add_tombstone(&home, digest).await.map(|()| Outcome::Mended)
                };
                self.settle(trouble, mending).await;
                if self.options.mend {
                    self.report.waiting.push(name.clone());
                }
            }
            // It goes once its condemned copy is gone.
            (false, Some(_)) => self.report.waiting.push(name.clone()),
            (false, None) => {
                let mending = async {
                    Ok(match service.references.remove_if_unreferenced(name).await? {
                        Some(_) => Outcome::Mended,
                        None => Outcome::Beyond("somebody else is at work on it"),
                    })
                };
                self.settle(trouble, mending).await;
            }
        }
        Ok(())
    }

    /// Sketches of references that are gone.
    async fn sketches(&mut self, scan: &Scan) {
        for (key, (digest, made)) in &scan.sketches {
            let sketch = self.object(key);
            let home = Deltaspace::home_of(&sketch);
            let there = |name: &Key| {
                scan.references.get(name).is_some_and(|there| there.digest == Some(*digest))
            };
            let names = [home.addressed(digest).ok(), home.classic().ok()];
            if names.iter().flatten().any(|name| there(&name.key)) || !self.options.is_old(*made) {
                continue;
            }
            let store = self.service.store();
            let mending =
                async { Ok(store.delete(&sketch, None).await.map(|()| Outcome::Mended)?) };
            self.settle(Trouble::LeftBehind { object: sketch.clone() }, mending).await;
        }
    }
}
