//! One bucket: files of other users in `v/`, objects of an attacker in `a/` and among the shared
//! indexes, and every operation over them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{
    BucketName, Deltaspace, Key, ObjectName, Sha256Digest, Sketch, deltaspace,
};
use deltaglider::service::{
    AllowDelta, Compare, DeltaService, Folder, GetOptions, ListedRemoval, Payload, PutOptions,
    RepairOptions, ServiceError, Settings, StatedChecksums, StatsCache, StatsMode, Step,
    SyncOptions,
};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ListRequest, ListedObject, MemoryStore, ObjectStore as _,
    PutBody, PutCondition,
};
use deltaglider_vcdiff::EncodeOptions;

use super::forgery::{Choices, EVIL, KEYS, Known, leaf, metadata, statistics};

const DAY: u64 = 24 * 60 * 60;

struct Bucket {
    store: Arc<MemoryStore>,
    service: DeltaService,
    seconds: Arc<AtomicU64>,
    known: Known,
    /// Files of other users.
    files: BTreeMap<&'static str, Vec<u8>>,
    folder: tempfile::TempDir,
}

/// Builds a bucket from an input and runs every operation over it.
///
/// # Panics
///
/// If an operation panics, takes longer than a minute, or loses a file of other users.
pub(crate) fn hostile_bucket(input: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut choices = Choices::of(input);
        let bucket = Bucket::new(choices.byte() % 4 != 3).await;
        bucket.attack(&mut choices).await;
        for _ in 0..6 {
            let operation = choices.byte();
            let done =
                tokio::time::timeout(Duration::from_secs(60), bucket.operate(operation)).await;
            assert!(done.is_ok(), "operation {operation} hangs");
            if choices.byte() % 8 == 1 {
                bucket.attack(&mut choices).await;
            }
        }
        // Then each operation once, in order.
        for operation in 0..OPERATIONS {
            let done =
                tokio::time::timeout(Duration::from_secs(60), bucket.operate(operation)).await;
            assert!(done.is_ok(), "operation {operation} hangs");
        }
    });
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap())
}

fn bucket() -> BucketName {
    object("x").bucket
}

/// Returns bytes without a pattern.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x5eed_u64;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// The number of operations.
const OPERATIONS: u8 = 14;

impl Bucket {
    async fn new(atomic: bool) -> Self {
        let seconds = Arc::new(AtomicU64::new(100 * DAY));
        let hand = seconds.clone();
        let clock = move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(hand.fetch_add(1, Ordering::Relaxed))
        };
        let store = MemoryStore::with_clock(clock);
        let store = Arc::new(if atomic { store } else { store.with_loose_conditions() });
        let folder = tempfile::tempdir().unwrap();
        let spool_dir = folder.path().join("spool");
        for name in ["spool", "backup/v"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
        let service = DeltaService::new(
            store.clone(),
            cache,
            Settings { policy: Policy::default(), spool_dir },
        );
        for name in [bucket(), BucketName::new("other").unwrap()] {
            store.create_bucket(&name).await.unwrap();
        }
        let (first, mut second) = (noise(2_000), noise(2_000));
        second.extend_from_slice(b"of the second version");
        let text = b"a text of others".to_vec();
        let files = [
            ("v/app-1.zip", &first),
            ("v/app-2.zip", &second),
            ("v/notes.txt", &text),
            ("v/own.delta", &text),
        ];
        let files = files.map(|(name, content)| (name, content.clone())).into();
        let known = Known { reference: first, file: second };
        let bucket = Self { store, service, seconds, known, files, folder };
        for (name, content) in &bucket.files {
            bucket.put(name, content).await.unwrap();
            std::fs::write(bucket.backup().join(name), content).unwrap();
        }
        bucket
    }

    fn backup(&self) -> std::path::PathBuf {
        self.folder.path().join("backup")
    }

    async fn put(&self, key: &str, content: &[u8]) -> Result<(), ServiceError> {
        let file = Payload::spool(
            std::io::Cursor::new(content.to_vec()),
            key,
            &self.folder.path().join("spool"),
        )
        .await?;
        self.service.put(&file, &object(key), &PutOptions::default()).await.map(drop)
    }

    async fn plant(&self, name: &ObjectName, bytes: Vec<u8>, metadata: BTreeMap<String, String>) {
        let attributes = Attributes { metadata, ..Attributes::default() };
        // An object that the store itself rejects is not stored.
        let _ = self
            .store
            .put(name, PutBody::from_bytes(bytes), &attributes, &PutCondition::None.into())
            .await;
    }

    async fn listed(&self) -> Vec<ListedObject> {
        self.store.list(&bucket(), &ListRequest::default()).await.unwrap().objects
    }

    /// Stores the objects of an attacker who may write to `a/` and to the shared indexes,
    /// statistics, sketches and tombstones.
    async fn attack(&self, choices: &mut Choices<'_>) {
        for _ in 0..24 {
            if choices.is_over() {
                break;
            }
            let key = choices.pick(&KEYS);
            let file = choices.pick(&[EVIL, &self.known.file[..]]);
            let source = choices.pick(&[&self.known.reference[..], EVIL]);
            let bytes = match choices.byte() % 4 {
                0 | 1 => deltaglider_vcdiff::encode(Some(source), file, &EncodeOptions::default())
                    .unwrap(),
                2 => EVIL.to_vec(),
                _ => choices.bytes(),
            };
            let metadata = metadata(choices, &self.known, file, bytes.len());
            self.plant(&object(key), bytes, metadata).await;
        }
        // Enough objects for an index to be read.
        for n in 0..20 {
            let delta =
                deltaglider_vcdiff::encode(Some(EVIL), EVIL, &EncodeOptions::default()).unwrap();
            let metadata = metadata(&mut Choices::of(&[]), &self.known, EVIL, delta.len());
            self.plant(&object(&format!("a/many/{n:02}.zip.delta")), delta, metadata).await;
        }
        let listed = self.listed().await;
        for folder in ["", "v/", "a/"] {
            let leaf_name = format!("{}.json", &Sha256Digest::of(b"").to_string()[..16]);
            let leaf = leaf(choices, &self.known, folder, &listed);
            let contents =
                serde_json::json!({ "version": 1, "leaves": [""] }).to_string().into_bytes();
            for (name, bytes) in
                [(deltaspace::INDEX_CONTENTS, contents), (leaf_name.as_str(), leaf)]
            {
                self.plant(
                    &deltaspace::index_object(&bucket(), folder, name).unwrap(),
                    bytes,
                    BTreeMap::new(),
                )
                .await;
            }
        }
        for name in ["detailed.json", "sampled.json"] {
            let name = deltaspace::stats_object(&bucket(), name).unwrap();
            self.plant(&name, statistics(choices), BTreeMap::new()).await;
        }
        for folder in ["v/x", "a/x"] {
            let home = Deltaspace::of(&object(folder));
            for content in [&self.known.reference[..], EVIL] {
                let digest = Sha256Digest::of(content);
                let sketch = match choices.byte() % 4 {
                    0 => Sketch::unusable().to_bytes(),
                    1 => vec![0xff; 10_000],
                    _ => choices.bytes(),
                };
                self.plant(&home.sketch(&digest).unwrap(), sketch, BTreeMap::new()).await;
                if choices.byte() % 4 == 1 {
                    self.plant(&home.tombstone(&digest).unwrap(), Vec::new(), BTreeMap::new())
                        .await;
                }
            }
        }
    }

    /// Checks that every file of other users has its content, and is in their backup.
    async fn loses_nothing(&self, after: &str) {
        for (name, content) in &self.files {
            let read = self.service.get(&object(name), Vec::new(), &GetOptions::default()).await;
            let read = read.unwrap_or_else(|error| panic!("{name} after {after}: {error}")).0;
            assert!(read == *content, "{name} has other content after {after}");
            let backup = std::fs::read(self.backup().join(name));
            assert!(
                backup.is_ok_and(|backup| backup == *content),
                "the backup of {name} after {after}"
            );
        }
    }

    /// Returns names that a file may have, of the attacker and of other users.
    async fn names(&self) -> Vec<ObjectName> {
        let keys = self.listed().await.into_iter().map(|listed| listed.key);
        let names = keys.flat_map(|key| [deltaspace::file_of(&key), Some(key)]);
        names.flatten().map(|key| ObjectName::new(bucket(), key)).collect()
    }

    async fn operate(&self, operation: u8) {
        let service = &self.service;
        match operation % OPERATIONS {
            0 => {
                for prefix in ["", "a/", "v/"] {
                    let list = || service.list(&bucket(), prefix, None);
                    for mut listing in
                        [list().learning(), list(), list().without_index(), list().unresolved()]
                    {
                        while listing.next().await.unwrap().is_some() {}
                    }
                }
            }
            1 => {
                for mode in [StatsMode::Quick, StatsMode::Sampled, StatsMode::Detailed] {
                    for kept in [StatsCache::Use, StatsCache::Refresh, StatsCache::Ignore] {
                        let _ = service.stats(&bucket(), "", mode, kept).await;
                    }
                }
            }
            2 => {
                for name in self.names().await {
                    let _ = service.head(&name).await;
                    let _ = service.verify(&name, StatedChecksums::default()).await;
                }
            }
            3 => {
                for (n, name) in self
                    .names()
                    .await
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| !self.is_of_other_users(name))
                {
                    let _ = service.copy(name, &object(&format!("c/{n}.zip")), true).await;
                }
            }
            4 => {
                for key in ["a/f.zip", "a/g.zip", "a/own.delta", "a/sub/f.zip", "a/new.zip"] {
                    let _ = self.put(key, &self.known.file).await;
                }
            }
            5 => {
                for name in self.names().await {
                    let _ = service.rebase(&name, false).await;
                }
            }
            6 => {
                for days in [0, 30, 30] {
                    self.seconds.fetch_add(days * DAY, Ordering::Relaxed);
                    let now = SystemTime::UNIX_EPOCH
                        + Duration::from_secs(self.seconds.load(Ordering::Relaxed));
                    let options = RepairOptions { fix: true, grace: RepairOptions::GRACE, now };
                    let _ = service.repair(&bucket(), &options).await;
                    self.loses_nothing("repair").await;
                }
            }
            7 => {
                for compare in
                    [Compare::SizeAndTime, Compare::Content, Compare::Size, Compare::Never]
                {
                    let from = Folder::in_bucket(&bucket(), "");
                    self.sync(&from, &Folder::Local(self.backup()), compare, true).await;
                }
            }
            8 => {
                for compare in [Compare::Content, Compare::Never] {
                    let to = Folder::in_bucket(&BucketName::new("other").unwrap(), "");
                    self.sync(&Folder::in_bucket(&bucket(), ""), &to, compare, true).await;
                }
            }
            9 => {
                let to = Folder::in_bucket(&bucket(), "v/");
                for compare in [Compare::SizeAndTime, Compare::Content] {
                    self.sync(&Folder::Local(self.backup().join("v")), &to, compare, true).await;
                }
            }
            10 => drop(service.purge(&bucket(), false).await),
            11 => {
                for name in self
                    .names()
                    .await
                    .into_iter()
                    .filter(|name| name.key.as_str().starts_with("a/g"))
                {
                    let _ = service.delete(&name).await;
                }
            }
            12 => {
                // The bucket holds files of other users.
                assert!(service.remove_bucket(&bucket(), false).await.is_err());
            }
            _ => {
                let report = |_: &ObjectName, _: Result<ListedRemoval, ServiceError>| {
                    Ok::<_, ServiceError>(())
                };
                let _ = service.delete_all(&bucket(), "a/", report).await;
            }
        }
        self.loses_nothing(&format!("operation {}", operation % OPERATIONS)).await;
    }

    fn is_of_other_users(&self, name: &ObjectName) -> bool {
        self.files.contains_key(name.key.as_str())
    }

    /// Syncs as the command line does: deletions come last, if nothing has failed.
    async fn sync(&self, from: &Folder, to: &Folder, compare: Compare, remove: bool) {
        let options =
            SyncOptions { compare, remove, filter: Arc::new(|_: &str| true), dryrun: false };
        let Ok(mut steps) = self.service.sync(from, to, options).await else { return };
        let mut failed = false;
        while let Ok(Some(step)) = steps.next().await {
            if step.removes() && failed {
                break;
            }
            failed |= match step {
                Step::Either(first, second) => match self.step(*first).await {
                    Err(error) if error.is_no_file() => self.step(*second).await.is_err(),
                    done => done.is_err(),
                },
                step => self.step(step).await.is_err(),
            };
        }
    }

    async fn step(&self, step: Step) -> Result<(), ServiceError> {
        match step {
            Step::Upload(path, object, AllowDelta(delta)) => {
                let file = Payload::open(&path).await?;
                self.service
                    .put(&file, &object, &PutOptions { delta, ..PutOptions::default() })
                    .await
                    .map(drop)
            }
            Step::Copy(from, to, AllowDelta(delta)) => {
                self.service.copy(&from, &to, delta).await.map(drop)
            }
            Step::Download(object, path) => {
                assert!(
                    path.starts_with(self.backup()) && !has_parent(&path),
                    "{}",
                    path.display()
                );
                self.service.get_to_file(&object, &path, &GetOptions::default()).await.map(drop)
            }
            Step::RemoveObject(object, listed) => {
                self.service.delete_listed(&object, &listed).await.map(drop)
            }
            Step::RemoveFile(path) => {
                let _ = std::fs::remove_file(path);
                Ok(())
            }
            Step::Failed(_, error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn has_parent(path: &Path) -> bool {
    path.components().any(|part| part == std::path::Component::ParentDir)
}
