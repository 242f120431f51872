//! The comparison of everything with the model: listings, the content of every name, and the
//! findings of a repair.

use std::collections::BTreeSet;
use std::time::Duration;

use deltaglider::domain::Sha256Digest;
use deltaglider::service::{
    Defect, DeltaService, GetOptions, ListedRemoval, Outcome, RepairReport, StatsCache, StatsMode,
};
use deltaglider::storage::{ListRequest, ObjectStore as _};

use super::op::{NAMES, PREFIXES, RESERVED};
use super::world::{Files, World, bucket, object};

impl World {
    pub(crate) async fn check(&mut self) {
        let mut stored = std::collections::BTreeMap::new();
        for second in [false, true] {
            let files = self.files[usize::from(second)].clone();
            self.check_listing(second, &files).await;
            let service = self.process(second);
            for (key, content) in &files {
                let name = object(second, key);
                let options = GetOptions { from_store: true, ..GetOptions::default() };
                let (got, report) = service.get(&name, Vec::new(), &options).await.unwrap();
                assert!(got == *content, "{name} gives something else, from {}", report.stored);
                assert!(
                    report
                        .compared
                        .sha256()
                        .is_none_or(|digest| digest == Sha256Digest::of(content)),
                    "{name}"
                );
                let head = service.head(&name).await.unwrap();
                assert_eq!(
                    (head.size, &head.stored),
                    (content.len() as u64, &report.stored),
                    "{name}"
                );
                for variant in head.variants {
                    let content = if variant == head.stored {
                        Some(content)
                    } else {
                        self.stored.get(&variant)
                    };
                    if let Some(content) = content {
                        stored.insert(variant, content.clone());
                    }
                }
            }
            for key in NAMES.into_iter().chain(RESERVED).filter(|key| !files.contains_key(*key)) {
                let name = object(second, key);
                assert!(service.head(&name).await.is_err(), "{name} has a head");
                assert!(
                    service.get(&name, Vec::new(), &GetOptions::default()).await.is_err(),
                    "{name} can be read"
                );
            }
            let report =
                service.repair(&bucket(second), &self.repair_options(false)).await.unwrap();
            self.check_findings(&report);
        }
        self.stored = stored;
        let mut local = Files::new();
        for name in crate::support::names_below(self.folder.path()) {
            if self.path(&name).is_file() {
                local.insert(name.clone(), std::fs::read(self.path(&name)).unwrap());
            }
        }
        assert!(
            local == self.local,
            "on the disk: {:?}, not {:?}",
            local.keys(),
            self.local.keys()
        );
    }

    async fn check_listing(&self, second: bool, files: &Files) {
        let service = self.process(!second);
        let mut listing = service.list(&bucket(second), "", None);
        let mut listed = Vec::new();
        while let Some(page) = listing.next().await.unwrap() {
            listed.extend(page.files.into_iter().filter(|file| file.is_shown()));
        }
        let mut listed: Vec<_> = listed.iter().map(|file| (file.key.as_str(), file.size)).collect();
        listed.sort_unstable();
        let expected: Vec<_> =
            files.iter().map(|(key, content)| (key.as_str(), content.len() as u64)).collect();
        assert_eq!(listed, expected, "listed, and not, in {}", bucket(second));

        for prefix in PREFIXES {
            self.check_prefix(&service, second, prefix, files).await;
        }

        let mut listing = service.list(&bucket(second), "", Some("/"));
        let mut names = BTreeSet::new();
        while let Some(page) = listing.next().await.unwrap() {
            names.extend(page.folders);
            names.extend(
                page.files
                    .into_iter()
                    .filter(|file| file.is_shown())
                    .map(|file| file.key.to_string()),
            );
        }
        let first = |key: &str| key.split_inclusive('/').next().unwrap_or_default().to_owned();
        for key in files.keys() {
            assert!(names.contains(&first(key)), "{key} is not among {names:?}");
        }
        assert!(
            names.iter().all(|name| name.ends_with('/') || files.contains_key(name)),
            "{names:?}"
        );

        let stats = service
            .stats(&bucket(second), "", StatsMode::Detailed, StatsCache::Ignore)
            .await
            .unwrap();
        let total: usize = files.values().map(Vec::len).sum();
        assert_eq!(
            (stats.object_count, stats.total_size),
            (files.len() as u64, Some(total as u64))
        );
        assert_eq!(stats.damaged_objects, 0);
    }

    /// Checks the listing of the names that begin with a prefix, with and without folders.
    async fn check_prefix(
        &self,
        service: &DeltaService,
        second: bool,
        prefix: &str,
        files: &Files,
    ) {
        let all: Vec<&String> = files.keys().filter(|key| key.starts_with(prefix)).collect();
        for delimiter in [None, Some("/")] {
            let mut listing = service.list(&bucket(second), prefix, delimiter);
            let (mut listed, mut folders) = (Vec::new(), Vec::new());
            while let Some(page) = listing.next().await.unwrap() {
                folders.extend(page.folders);
                listed.extend(
                    page.files
                        .into_iter()
                        .filter(|file| file.is_shown())
                        .map(|file| file.key.to_string()),
                );
            }
            listed.sort_unstable();
            let in_folder = |key: &str| delimiter.is_some() && key[prefix.len()..].contains('/');
            let expected: Vec<_> = all.iter().copied().filter(|key| !in_folder(key)).collect();
            assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{prefix:?}, {delimiter:?}");
            // A folder that holds only our own objects may be listed, but not our own folder.
            for key in all.iter().filter(|key| in_folder(key)) {
                assert!(
                    folders.iter().any(|folder| key.starts_with(folder.as_str())),
                    "{key}: {folders:?}"
                );
            }
            let own =
                folders.iter().filter(|folder| format!("/{folder}").contains("/.deltaglider/"));
            for folder in own {
                assert!(
                    all.iter().any(|key| key.starts_with(folder.as_str())),
                    "{folder} has no files"
                );
            }
        }
    }

    /// Checks that a repair can look at everything, and finds nothing that loses a file.
    fn check_findings(&self, report: &RepairReport) {
        assert!(report.unseen.is_empty(), "{:?}", report.unseen);
        for finding in &report.findings {
            let permitted = match finding.trouble {
                Defect::ReferenceMissing { .. } | Defect::ReferenceDiffers { .. } => {
                    self.copied_blindly
                }
                Defect::ReferenceUnneeded { .. } | Defect::ReferenceTombstoned { .. } => true,
                Defect::LeftBehind { .. } | Defect::TwoVariants { .. } => true,
                _ => false,
            };
            assert!(permitted && matches!(finding.outcome, Outcome::Found), "{finding:?}");
        }
    }

    /// Repairs a bucket and looks again: only objects that may still be written to are left.
    pub(crate) async fn mend(&self, by: bool, second: bool) {
        let (service, bucket) = (self.process(by), bucket(second));
        let report = service.repair(&bucket, &self.repair_options(true)).await.unwrap();
        assert!(report.unseen.is_empty(), "{:?}", report.unseen);
        let is_young = |trouble: &Defect| {
            !self.store.conditions_are_atomic() && matches!(trouble, Defect::TwoVariants { .. })
        };
        for finding in &report.findings {
            let repaired = matches!(finding.outcome, Outcome::Fixed);
            let young =
                matches!(finding.outcome, Outcome::Unfixable(_)) && is_young(&finding.trouble);
            assert!(repaired || young, "{finding:?}");
        }
        let again = service.repair(&bucket, &self.repair_options(false)).await.unwrap();
        for finding in &again.findings {
            assert!(is_young(&finding.trouble), "found again: {finding:?}");
        }
    }

    /// Deletes all files, and checks that repairs delete everything else in time.
    pub(crate) async fn check_nothing_stays(&mut self) {
        for second in [false, true] {
            let report = |name: &_, outcome| {
                assert!(matches!(outcome, Ok(ListedRemoval::Removed)), "{name}: {outcome:?}");
                Ok(())
            };
            let service = self.process(second);
            let deleted: Result<_, deltaglider::service::ServiceError> =
                service.delete_all(&bucket(second), "", report).await;
            assert!(deleted.unwrap().warnings.is_empty());
            self.files(second).clear();
        }
        self.escaped.clear();
        self.check().await;
        for _ in 0..3 {
            self.pass(Duration::from_secs(8 * 24 * 60 * 60));
            for second in [false, true] {
                self.mend(second, second).await;
            }
        }
        for second in [false, true] {
            let page = self.store.list(&bucket(second), &ListRequest::default()).await.unwrap();
            let left: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
            assert!(left.is_empty(), "left in {}: {left:?}", bucket(second));
        }
    }
}
