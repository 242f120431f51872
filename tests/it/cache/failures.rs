//! Damage to a cache in use costs an operation time, but never a byte and never its success.

use std::fs;
use std::io::{self, Cursor, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{edited, noise};
use deltaglider::cache::{Counts, FolderCache, Limits, ReferenceCache};
use deltaglider::domain::{BucketName, Deltaspace, Key, ObjectName, Sha256Digest};
use deltaglider::service::{DeltaService, GetOptions, Payload, PutOptions, Settings, StoredAs};
use deltaglider::storage::{BucketAdmin as _, CopyOptions, MemoryStore, ObjectStore as _};

/// The size of a file in bytes: more than one piece of any reader.
const SIZE: usize = 5 << 20;
const LIMITS: Limits = Limits { bytes: 64 << 20, ttl: Duration::from_secs(3600) };

struct Stage {
    folder: tempfile::TempDir,
    store: Arc<MemoryStore>,
    cache: Arc<dyn ReferenceCache>,
    service: DeltaService,
    first: Vec<u8>,
    second: Vec<u8>,
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("buc").unwrap(), Key::new(key).unwrap())
}

/// Creates a cache of one process, without a monitor that would detect damage before use.
fn in_files(folder: &Path) -> Arc<dyn ReferenceCache> {
    let place = folder.join("cache");
    fs::create_dir(&place).unwrap();
    Arc::new(FolderCache::ephemeral(&place, LIMITS).unwrap())
}

impl Stage {
    /// Creates a stage without objects and without entries.
    async fn new(cache: impl FnOnce(&Path) -> Arc<dyn ReferenceCache>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spool_dir = folder.path().join("spill");
        fs::create_dir(&spool_dir).unwrap();
        let store = Arc::new(MemoryStore::new());
        store.create_bucket(&BucketName::new("buc").unwrap()).await.unwrap();
        let cache = cache(folder.path());
        let settings = Settings { policy: Default::default(), spool_dir };
        let service = DeltaService::new(store.clone(), cache.clone(), settings);
        let first = noise(SIZE, 1);
        let second = edited(&first, 2);
        Self { folder, store, cache, service, first, second }
    }

    /// Creates a stage with two versions in `a/`, whose reference is in the cache.
    async fn filled() -> Self {
        let stage = Self::new(in_files).await;
        assert_eq!(stage.put("a/1.zip", &stage.first).await, StoredAs::Reference);
        assert_eq!(stage.put("a/2.zip", &stage.second).await, StoredAs::Delta);
        assert!(stage.entry().is_some());
        stage
    }

    async fn put(&self, key: &str, content: &[u8]) -> StoredAs {
        let file = Payload::spool(Cursor::new(content.to_vec()), "file", self.folder.path())
            .await
            .unwrap();
        let report = self.service.put(&file, &object(key), &PutOptions::default()).await.unwrap();
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        report.stored_as
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        self.service.get(&object(key), Vec::new(), &GetOptions::default()).await.unwrap().0
    }

    fn entry(&self) -> Option<PathBuf> {
        let files =
            walkdir::WalkDir::new(self.folder.path().join("cache")).into_iter().map(Result::unwrap);
        let mut entries =
            files.filter(|file| file.file_type().is_file()).map(|file| file.into_path());
        entries.find(|path| path.parent().is_some_and(|folder| folder.ends_with("entries")))
    }

    fn counts(&self) -> Counts {
        self.cache.counts()
    }

    /// Moves the reference from the key that its deltas name to its content-addressed key.
    async fn move_reference(&self) {
        let (named, digest) = (object("a/reference.bin"), Sha256Digest::of(&self.first));
        let moved = Deltaspace::of_reference(&named).addressed(&digest).unwrap();
        self.store.copy(&named, &moved, &CopyOptions::default()).await.unwrap();
        self.store.delete(&named, None).await.unwrap();
    }
}

/// Flips one bit of the last chunk.
fn damage(entry: &Path) {
    damage_at(entry, fs::metadata(entry).unwrap().len() - 1);
}

fn damage_at(entry: &Path, offset: u64) {
    let file = fs::File::options().read(true).write(true).open(entry).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
}

/// A writer that damages an entry when the first bytes arrive.
#[derive(Clone)]
struct Saboteur {
    entry: Arc<Mutex<Option<PathBuf>>>,
    taken: Vec<u8>,
}

impl Write for Saboteur {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(entry) = self.entry.lock().unwrap().take() {
            damage(&entry);
        }
        self.taken.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Damage to an entry in the middle of a get costs the entry, but not a byte.
#[tokio::test]
async fn damage_during_get_is_harmless() {
    let stage = Stage::filled().await;
    let entry = stage.entry().unwrap();
    let saboteur = Saboteur { entry: Arc::new(Mutex::new(Some(entry.clone()))), taken: Vec::new() };
    let got =
        stage.service.get(&object("a/1.zip"), saboteur, &GetOptions::default()).await.unwrap();
    assert!(got.0.entry.lock().unwrap().is_none(), "the entry was damaged during the get");
    assert!(got.0.taken == stage.first);
    assert_eq!(stage.counts().damaged, 1);
    assert!(!entry.exists());
    assert!(stage.get("a/2.zip").await == stage.second);
    assert!(entry.exists(), "cached again");
    assert_eq!(stage.counts().damaged, 1);
}

/// Gets and puts of deltas replace a damaged entry.
#[tokio::test]
async fn damaged_entry_is_replaced() {
    let stage = Stage::filled().await;
    damage(&stage.entry().unwrap());
    assert!(stage.get("a/2.zip").await == stage.second);
    assert_eq!(stage.counts().damaged, 1);
    assert!(stage.entry().is_none());

    assert!(stage.get("a/2.zip").await == stage.second);
    damage(&stage.entry().unwrap());
    let third = edited(&stage.second, 3);
    assert_eq!(stage.put("a/3.zip", &third).await, StoredAs::Delta);
    assert_eq!(stage.counts().damaged, 2);
    assert!(stage.get("a/3.zip").await == third);
}

/// Damage to the first chunk, which is read before a delta is decoded or encoded, costs the entry
/// alone.
#[tokio::test]
async fn damaged_beginning_is_replaced() {
    const FIRST_CHUNK: u64 = 135;
    let stage = Stage::filled().await;
    damage_at(&stage.entry().unwrap(), FIRST_CHUNK);
    assert!(stage.get("a/2.zip").await == stage.second);
    assert_eq!(stage.counts().damaged, 1);
    assert!(stage.get("a/2.zip").await == stage.second);
    damage_at(&stage.entry().unwrap(), FIRST_CHUNK);
    let third = edited(&stage.second, 3);
    assert_eq!(stage.put("a/3.zip", &third).await, StoredAs::Delta);
    assert_eq!(stage.counts().damaged, 2);
}

#[tokio::test]
async fn refetch_uses_other_key() {
    let stage = Stage::filled().await;
    stage.move_reference().await;
    damage(&stage.entry().unwrap());
    assert!(stage.get("a/2.zip").await == stage.second);
    assert_eq!(stage.counts().damaged, 1);
}

/// If the entry is damaged and the reference is lost, the error names the reference.
#[tokio::test]
async fn lost_reference_is_named() {
    let stage = Stage::filled().await;
    stage.store.delete(&object("a/reference.bin"), None).await.unwrap();
    damage(&stage.entry().unwrap());
    let error = stage
        .service
        .get(&object("a/2.zip"), Vec::new(), &GetOptions::default())
        .await
        .unwrap_err();
    assert!(format!("{error:?}").contains("a/reference.bin"), "{error:?}");
    assert_eq!(stage.counts().damaged, 1);
}

#[tokio::test]
async fn lost_cache_dir_is_tolerated() {
    let stage = Stage::filled().await;
    // The draft can be written, but not renamed into place.
    fs::remove_dir_all(stage.entry().unwrap().parent().unwrap()).unwrap();
    assert!(stage.get("a/2.zip").await == stage.second);
    let third = edited(&stage.second, 3);
    assert_eq!(stage.put("a/3.zip", &third).await, StoredAs::Delta);
    fs::remove_dir_all(stage.folder.path().join("cache")).unwrap();
    assert!(stage.get("a/3.zip").await == third);
    assert_eq!((stage.counts().hits, stage.counts().misses), (0, 4));
}

#[tokio::test]
async fn file_as_cache_dir_is_tolerated() {
    let nowhere = |folder: &Path| -> Arc<dyn ReferenceCache> {
        let place = folder.join("file");
        fs::write(&place, b"").unwrap();
        Arc::new(FolderCache::ephemeral(&place, LIMITS).unwrap())
    };
    let stage = Stage::new(nowhere).await;
    assert_eq!(stage.put("a/1.zip", &stage.first).await, StoredAs::Reference);
    assert_eq!(stage.put("a/2.zip", &stage.second).await, StoredAs::Delta);
    assert!(stage.get("a/2.zip").await == stage.second);
    assert_eq!(fs::read_dir(stage.folder.path().join("spill")).unwrap().count(), 0);
}
