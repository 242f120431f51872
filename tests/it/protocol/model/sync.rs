//! Syncs that are carried out step by step, and the results they should have.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deltaglider::domain::ObjectName;
use deltaglider::service::{
    AllowDelta, Compare, Folder, GetOptions, Payload, PutOptions, ServiceError, Step, SyncOptions,
};

use super::op::{self, Place};
use super::world::{World, bucket};

/// The files of a folder: content, and time in seconds.
type Dated = BTreeMap<String, (Vec<u8>, u64)>;

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn prefix(folder: &str) -> String {
    if folder.is_empty() { String::new() } else { format!("{folder}/") }
}

impl World {
    pub(crate) fn write_local(&mut self, name: &str, content: Vec<u8>, days_ago: u64) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &content).unwrap();
        let modified = self.now() - Duration::from_secs(days_ago * 24 * 60 * 60);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        self.local.insert(name.to_owned(), content);
    }

    pub(crate) async fn sync_up(&mut self, by: bool, to: Place, compare: Compare, remove: bool) {
        let (source, target) = (self.of_disk(), self.of_bucket(to).await);
        let from = Folder::Local(self.folder.path().to_owned());
        let to = Folder::in_bucket(&bucket(to.0), op::folder(to.1));
        self.sync(by, (from, source), (to, target), compare, remove).await;
    }

    pub(crate) async fn sync_down(
        &mut self,
        by: bool,
        from: Place,
        compare: Compare,
        remove: bool,
    ) {
        let (source, target) = (self.of_bucket(from).await, self.of_disk());
        let from = Folder::in_bucket(&bucket(from.0), op::folder(from.1));
        self.sync(
            by,
            (from, source),
            (Folder::Local(self.folder.path().to_owned()), target),
            compare,
            remove,
        )
        .await;
    }

    pub(crate) async fn sync_across(
        &mut self,
        by: bool,
        from: Place,
        to: Place,
        compare: Compare,
        remove: bool,
    ) {
        let (source, target) = (self.of_bucket(from).await, self.of_bucket(to).await);
        let (from, to) = ((bucket(from.0), op::folder(from.1)), (bucket(to.0), op::folder(to.1)));
        let (a, b) = (prefix(from.1), prefix(to.1));
        let nested = from.0 == to.0 && (b.starts_with(&a) || remove && a.starts_with(&b));
        let (from, to) = (Folder::in_bucket(&from.0, from.1), Folder::in_bucket(&to.0, to.1));
        if nested {
            let options =
                SyncOptions { compare, remove, filter: Arc::new(|_: &str| true), dryrun: false };
            let refused = self.process(by).sync(&from, &to, options).await;
            assert!(matches!(refused, Err(ServiceError::Nested { .. })), "{refused:?}");
            return;
        }
        self.sync(by, (from, source), (to, target), compare, remove).await;
    }

    /// Returns the files on the disk.
    fn of_disk(&self) -> Dated {
        let dated = |(name, content): (&String, &Vec<u8>)| {
            let modified = std::fs::metadata(self.path(name)).unwrap().modified().unwrap();
            (name.clone(), (content.clone(), seconds(modified)))
        };
        self.local.iter().map(dated).collect()
    }

    /// Returns the files in a folder of a bucket.
    async fn of_bucket(&self, (second, folder): Place) -> Dated {
        let (prefix, mut dated) = (prefix(op::folder(folder)), Dated::new());
        let mut listing = self.process(false).list(&bucket(second), &prefix, None);
        while let Some(page) = listing.next().await.unwrap() {
            for file in page.files.into_iter().filter(|file| file.is_shown()) {
                let content = self.files[usize::from(second)][file.key.as_str()].clone();
                let relative = file.key.as_str().strip_prefix(&prefix).unwrap().to_owned();
                dated.insert(relative, (content, seconds(file.stored.last_modified)));
            }
        }
        dated
    }

    async fn sync(
        &mut self,
        by: bool,
        (from, source): (Folder, Dated),
        (to, target): (Folder, Dated),
        compare: Compare,
        remove: bool,
    ) {
        let service = self.process(by);
        let options =
            SyncOptions { compare, remove, filter: Arc::new(|_: &str| true), dryrun: false };
        let mut steps = service.sync(&from, &to, options).await.unwrap();
        let surplus: BTreeSet<&String> =
            target.keys().filter(|name| !source.contains_key(*name)).collect();
        let (mut copied, mut removed) = (BTreeSet::new(), BTreeSet::new());
        loop {
            match steps.next().await {
                Ok(None) => break,
                Ok(Some(Step::Unchanged)) => {}
                Ok(Some(step)) => {
                    let (relative, is_removal) = self.step(by, step, &from, &to, &source).await;
                    if is_removal {
                        removed.insert(relative)
                    } else {
                        copied.insert(relative)
                    };
                }
                Err(error) => {
                    let empty = matches!(error, ServiceError::SourceEmpty { .. });
                    assert!(
                        empty && remove && source.is_empty() && !surplus.is_empty(),
                        "{error:?}"
                    );
                    return;
                }
            }
        }
        let local = matches!(to, Folder::Local(_));
        for (name, (content, time)) in &source {
            let needed = match target.get(name) {
                None => true,
                Some((there, at)) => match compare {
                    Compare::Never => true,
                    Compare::Size => there.len() != content.len(),
                    Compare::SizeAndTime if there.len() != content.len() => true,
                    Compare::SizeAndTime if local => at != time,
                    Compare::SizeAndTime if matches!(from, Folder::Local(_)) => {
                        let changed = std::fs::metadata(self.path(name)).unwrap().ctime();
                        let is_older = time < at && u64::try_from(changed).unwrap() < *at;
                        !is_older && there != content
                    }
                    Compare::SizeAndTime => at < time,
                    // A file whose digest is unknown may be copied again.
                    Compare::Content => there != content || copied.contains(name),
                },
            };
            assert_eq!(copied.contains(name), needed, "{name} by {compare:?}");
        }
        let wanted = if remove { surplus.into_iter().cloned().collect() } else { BTreeSet::new() };
        assert_eq!(removed, wanted);
    }

    /// Carries out a step. Returns the name it concerns, and whether that was removed.
    async fn step(
        &mut self,
        by: bool,
        step: Step,
        from: &Folder,
        to: &Folder,
        source: &Dated,
    ) -> (String, bool) {
        let service = self.process(by);
        let step = match step {
            Step::Either(first, second) => {
                let (Step::Copy(object, ..) | Step::Download(object, _)) = &*first else {
                    panic!("{first:?}")
                };
                if source.contains_key(&relative_key(from, object)) { *first } else { *second }
            }
            step => step,
        };
        match step {
            Step::Upload(path, object, AllowDelta(delta)) => {
                let relative = relative_path(from, &path);
                let put = service
                    .put(
                        &Payload::open(&path).await.unwrap(),
                        &object,
                        &PutOptions { delta, ..PutOptions::default() },
                    )
                    .await;
                self.stored(&object, source[&relative].0.clone(), put).await;
                (relative, false)
            }
            Step::Copy(object, copy, AllowDelta(delta)) => {
                let relative = relative_key(from, &object);
                assert_eq!(relative_key(to, &copy), relative);
                let copied = service.copy(&object, &copy, delta).await;
                self.stored(&copy, source[&relative].0.clone(), copied).await;
                (relative, false)
            }
            Step::Download(object, path) => {
                let relative = relative_key(from, &object);
                service.get_to_file(&object, &path, &GetOptions::default()).await.unwrap();
                self.local.insert(relative_path(to, &path), source[&relative].0.clone());
                (relative, false)
            }
            Step::RemoveObject(object, listed) => {
                service.delete_listed(&object, &listed).await.unwrap().unwrap();
                self.removed(&object);
                (relative_key(to, &object), true)
            }
            Step::RemoveFile(path) => {
                std::fs::remove_file(&path).unwrap();
                let relative = relative_path(to, &path);
                self.local.remove(&relative);
                (relative, true)
            }
            step => panic!("{step:?}"),
        }
    }
}

fn relative_key(folder: &Folder, object: &ObjectName) -> String {
    let Folder::InBucket(bucket, prefix) = folder else { panic!("{folder:?}") };
    assert_eq!(*bucket, object.bucket);
    object.key.as_str().strip_prefix(prefix.as_str()).unwrap().to_owned()
}

fn relative_path(folder: &Folder, path: &Path) -> String {
    let Folder::Local(folder) = folder else { panic!("{folder:?}") };
    path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()
}
