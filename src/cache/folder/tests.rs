//! Attacks on a directory of entries: each costs the entry, is never trusted, and fails no
//! operation.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::cache::CorruptChunk;

const LIMITS: Limits = Limits { bytes: 1 << 20, ttl: Duration::from_secs(3600) };
const CONTENT: &[u8] = b"the content of a reference";

struct Stage {
    folder: tempfile::TempDir,
    key: CacheKey,
    cache: FolderCache,
}

impl Stage {
    /// Creates a shared cache with one entry.
    fn new() -> Self {
        let (folder, key) = (tempfile::tempdir().unwrap(), CacheKey::random().unwrap());
        let cache = open(folder.path(), &key).unwrap();
        keep(&cache, CONTENT);
        Self { folder, key, cache }
    }

    /// Returns the directory of the entries.
    fn entries(&self) -> PathBuf {
        self.folder.path().join("shared").join(self.key.derive().folder_name()).join("entries")
    }

    fn entry(&self, content: &[u8]) -> PathBuf {
        self.entries().join(self.key.derive().name(&Sha256Digest::of(content)).to_string())
    }

    fn found(&self) -> Option<CachedReference> {
        self.cache.get(&Sha256Digest::of(CONTENT))
    }

    /// Asserts that the entry is rejected once, counted and deleted, and that a new one is found.
    fn assert_rejected(&self) {
        assert!(self.found().is_none());
        assert_eq!(self.cache.counts().damaged, 1);
        assert!(fs::symlink_metadata(self.entry(CONTENT)).is_err(), "it is deleted");
        keep(&self.cache, CONTENT);
        assert!(self.found().is_some());
    }
}

fn open(folder: &Path, key: &CacheKey) -> Result<FolderCache, CacheError> {
    // A monitor could detect a change before its use does.
    FolderCache::unwatched(&folder.join("shared"), key, LIMITS, folder)
}

fn keep(cache: &FolderCache, content: &[u8]) -> CachedReference {
    let mut writer = cache.begin(&Sha256Digest::of(content), content.len() as u64).unwrap();
    writer.write(content).unwrap();
    writer.publish().unwrap()
}

/// A changed entry is rejected and deleted, and can be cached again.
#[test]
fn changed_entry_is_replaced() {
    let attacks: [fn(&Stage, &Path); 8] = [
        |_, entry| fs::write(entry, b"poison").unwrap(),
        |_, entry| File::options().write(true).open(entry).unwrap().set_len(100).unwrap(),
        |_, entry| {
            let mut bytes = fs::read(entry).unwrap();
            bytes.push(0);
            fs::write(entry, bytes).unwrap();
        },
        |_, entry| {
            let mut bytes = fs::read(entry).unwrap();
            bytes[50] ^= 1;
            fs::write(entry, bytes).unwrap();
        },
        |stage, entry| {
            keep(&stage.cache, b"another content of this length");
            fs::rename(stage.entry(b"another content of this length"), entry).unwrap();
        },
        |stage, entry| {
            fs::rename(entry, stage.folder.path().join("aside")).unwrap();
            symlink(stage.folder.path().join("aside"), entry).unwrap();
        },
        |stage, entry| fs::hard_link(entry, stage.folder.path().join("second name")).unwrap(),
        |_, entry| fs::set_permissions(entry, Permissions::from_mode(0o644)).unwrap(),
    ];
    for attack in attacks {
        let stage = Stage::new();
        attack(&stage, &stage.entry(CONTENT));
        stage.assert_rejected();
    }
}

#[test]
fn directory_is_no_entry() {
    let stage = Stage::new();
    fs::remove_file(stage.entry(CONTENT)).unwrap();
    fs::create_dir_all(stage.entry(CONTENT).join("deep")).unwrap();
    stage.assert_rejected();
}

/// A change during a read is reported as a corrupt chunk, and the entry is deleted.
#[test]
fn change_during_read_is_detected() {
    let stage = Stage::new();
    let held = stage.found().unwrap();
    let mut bytes = fs::read(stage.entry(CONTENT)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(stage.entry(CONTENT), bytes).unwrap();
    let error = held.read_at(0, &mut [0; 10]).unwrap_err();
    assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&CorruptChunk::Chunk(0)));
    assert!(!stage.entry(CONTENT).exists());
    assert_eq!(stage.cache.counts().damaged, 1);
}

/// A reader continues with its descriptor when the entry's file is replaced.
#[test]
fn replaced_entry_stays_readable() {
    let stage = Stage::new();
    let held = stage.found().unwrap();
    fs::write(stage.folder.path().join("poison"), b"poison").unwrap();
    fs::rename(stage.folder.path().join("poison"), stage.entry(CONTENT)).unwrap();
    let mut bytes = [0; CONTENT.len()];
    assert_eq!(held.read_at(0, &mut bytes).unwrap(), CONTENT.len());
    assert_eq!(bytes, CONTENT, "read from the descriptor, not from the path");
}

#[test]
fn keys_do_not_share_entries() {
    let stage = Stage::new();
    let other = open(stage.folder.path(), &CacheKey::random().unwrap()).unwrap();
    assert!(other.get(&Sha256Digest::of(CONTENT)).is_none());
    keep(&other, b"other");
    assert!(stage.found().is_some());
    assert_eq!((stage.cache.counts().damaged, other.counts().damaged), (0, 0));
}

#[test]
fn processes_share_entries_by_key() {
    let stage = Stage::new();
    let again = open(stage.folder.path(), &stage.key).unwrap();
    let found = again.get(&Sha256Digest::of(CONTENT)).unwrap();
    let mut bytes = [0; CONTENT.len()];
    found.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, CONTENT);
}

#[test]
fn only_dead_drafts_are_deleted() {
    let stage = Stage::new();
    let new = stage.entries().with_file_name("new");
    let writer = stage.cache.begin(&Sha256Digest::of(b"x"), 1).unwrap();
    fs::write(new.join("dead"), b"").unwrap();
    fs::set_permissions(new.join("dead"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(fs::read_dir(&new).unwrap().count(), 2);
    open(stage.folder.path(), &stage.key).unwrap();
    assert_eq!(fs::read_dir(&new).unwrap().count(), 1);
    assert!(!new.join("dead").exists());
    drop(writer);
    assert_eq!(fs::read_dir(&new).unwrap().count(), 0);
}

/// A process counts as dead if its directory is not locked.
#[test]
fn unlocked_dir_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let living = FolderCache::ephemeral(folder.path(), LIMITS).unwrap();
    keep(&living, CONTENT);
    let dead = folder.path().join("dg-cache-dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("entry"), b"left").unwrap();
    fs::create_dir(folder.path().join("dg-other")).unwrap();
    FolderCache::ephemeral(folder.path(), LIMITS).unwrap();
    assert!(!dead.exists());
    assert!(folder.path().join("dg-other").exists());
    assert!(living.get(&Sha256Digest::of(CONTENT)).is_some());
}

#[test]
fn only_owner_has_access() {
    let stage = Stage::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&stage.entry(CONTENT)), 0o600);
    for folder in
        [&stage.entries(), stage.entries().parent().unwrap(), &stage.folder.path().join("shared")]
    {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let parent = tempfile::tempdir().unwrap();
    let ephemeral = FolderCache::ephemeral(parent.path(), LIMITS).unwrap();
    let _held = keep(&ephemeral, CONTENT);
    for entry in fs::read_dir(parent.path()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o700);
    }
    // A mode that gives access to other users is restricted.
    fs::set_permissions(stage.entries(), Permissions::from_mode(0o755)).unwrap();
    open(stage.folder.path(), &stage.key).unwrap();
    assert_eq!(mode(&stage.entries()), 0o700);
}

/// A parent in which other users can replace the directory is rejected, and so is a link.
#[test]
fn replaceable_parent_is_rejected() {
    let opened =
        |stage: &Stage| open(stage.folder.path(), &stage.key).map(|_| ()).map_err(insecure_dir);
    let stage = Stage::new();
    let shared = stage.folder.path().join("shared");
    fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();
    assert_eq!(opened(&stage).unwrap_err(), InsecureDir::Mode(0o777));
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    opened(&stage).unwrap();
    fs::rename(&shared, stage.folder.path().join("aside")).unwrap();
    symlink(stage.folder.path().join("aside"), &shared).unwrap();
    assert_eq!(opened(&stage).unwrap_err(), InsecureDir::Type);
}

#[cfg(target_os = "linux")]
mod late_events {
    use super::super::monitor::Watch;
    use super::*;

    /// Queues the events of a cache; they are handled when the test asks for it.
    fn watch(cache: &FolderCache) -> Watch {
        let Place::Persistent(dirs) = &cache.0.place else { unreachable!() };
        Watch::new(dirs.clone(), Arc::downgrade(&cache.0)).unwrap()
    }

    /// Opens the cache of the stage as another process would.
    fn another(stage: &Stage) -> FolderCache {
        open(stage.folder.path(), &stage.key).unwrap()
    }

    /// An eviction event that is handled late does not delete a new entry of the name.
    #[test]
    fn eviction_event_keeps_new_entry() {
        for is_own in [true, false] {
            let stage = Stage::new();
            let mut watch = watch(&stage.cache);
            let evicting = if is_own { stage.cache.clone() } else { another(&stage) };
            assert_eq!(evicting.clear().unwrap().removed, 1);
            let _reader = keep(&stage.cache, CONTENT);
            watch.catch_up();
            assert_eq!(stage.cache.counts().events, 0);
            assert!(stage.found().is_some());
        }
    }

    /// A change event that is handled late does not delete a new entry of the name.
    #[test]
    fn change_event_keeps_new_entry() {
        let stage = Stage::new();
        let mut watch = watch(&stage.cache);
        fs::write(stage.entry(CONTENT), b"poison").unwrap();
        assert!(stage.found().is_none());
        let _reader = keep(&stage.cache, CONTENT);
        watch.catch_up();
        assert_eq!(stage.cache.counts().events, 1, "the attack");
        assert!(stage.found().is_some());
    }

    #[test]
    fn second_writer_keeps_entry() {
        let stage = Stage::new();
        let reader = stage.found().unwrap();
        let mut watch = watch(&stage.cache);
        drop(keep(&another(&stage), CONTENT));
        assert_eq!(stage.cache.clear().unwrap().in_use, 1);
        drop(reader);
        assert_eq!(stage.cache.clear().unwrap().removed, 1);
        watch.catch_up();
        assert_eq!(stage.cache.counts().events, 0);
    }

    #[test]
    fn uncached_content_is_unwatched() {
        let stage = Stage::new();
        let small = Limits { bytes: 500, ..LIMITS };
        let cache = FolderCache::unwatched(
            &stage.folder.path().join("shared"),
            &stage.key,
            small,
            stage.folder.path(),
        );
        let cache = cache.unwrap();
        let mut watch = watch(&cache);
        let (large, in_use) = ([7; 300], stage.found());
        let unkept = keep(&cache, &large);
        assert!(cache.get(&Sha256Digest::of(&large)).is_none());
        drop(in_use);
        drop(keep(&stage.cache, &large));
        assert_eq!(stage.cache.clear().unwrap().removed, 2);
        watch.catch_up();
        assert_eq!(cache.counts().events, 0);
        assert_eq!(unkept.read_at(0, &mut [0; 300]).unwrap(), 300);
    }

    #[test]
    fn one_attack_is_one_event() {
        let stage = Stage::new();
        let other = another(&stage);
        let (mut first, mut second) = (watch(&stage.cache), watch(&other));
        let _readers = [stage.found().unwrap(), other.get(&Sha256Digest::of(CONTENT)).unwrap()];
        fs::write(stage.entry(CONTENT), b"poison").unwrap();
        first.catch_up();
        second.catch_up();
        first.catch_up();
        assert_eq!((stage.cache.counts().events, other.counts().events), (1, 1));
        assert!(!stage.entry(CONTENT).exists());
    }

    /// The removal of an entry is reported even if a new entry has its name by then.
    #[test]
    fn replaced_removal_is_reported() {
        let stage = Stage::new();
        let mut watch = watch(&stage.cache);
        let _reader = stage.found().unwrap();
        fs::remove_file(stage.entry(CONTENT)).unwrap();
        keep(&stage.cache, CONTENT);
        watch.catch_up();
        assert_eq!(stage.cache.counts().events, 1);
        assert!(stage.found().is_some());
    }

    /// Fills the queue, so that every later event is lost.
    fn overflow(stage: &Stage) {
        for number in 0..10_000 {
            let stray = stage.entries().join(format!("stray {number}"));
            File::create(&stray).unwrap();
            fs::remove_file(&stray).unwrap();
        }
    }

    #[test]
    fn overflow_hides_no_removal() {
        let stage = Stage::new();
        let mut watch = watch(&stage.cache);
        let _reader = stage.found().unwrap();
        overflow(&stage);
        fs::remove_file(stage.entry(CONTENT)).unwrap();
        let planted = stage.entries().join("planted");
        fs::write(&planted, b"poison").unwrap();
        watch.catch_up();
        assert_eq!(stage.cache.counts().events, 2);
        assert!(!planted.exists());
    }

    #[test]
    fn overflow_is_no_attack() {
        let stage = Stage::new();
        let mut watch = watch(&stage.cache);
        overflow(&stage);
        assert_eq!(stage.cache.clear().unwrap().removed, 1);
        let _reader = keep(&stage.cache, CONTENT);
        watch.catch_up();
        assert_eq!(stage.cache.counts().events, 0);
        assert!(stage.found().is_some());
    }
}

#[test]
fn examined_entry_can_be_evicted() {
    let stage = Stage::new();
    let other = open(stage.folder.path(), &stage.key).unwrap();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                other.verify().unwrap();
            }
        });
        let in_use = (0..20).map(|_| {
            drop(keep(&stage.cache, &[0; 200_000]));
            stage.cache.clear().unwrap().in_use
        });
        let in_use = in_use.max();
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(in_use, Some(0));
    });
}

#[test]
fn late_discard_keeps_new_entry() {
    let stage = Stage::new();
    let reader = stage.found().unwrap();
    let mut bytes = fs::read(stage.entry(CONTENT)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(stage.entry(CONTENT), bytes).unwrap();
    fs::remove_file(stage.entry(CONTENT)).unwrap();
    keep(&stage.cache, CONTENT);
    assert!(reader.read_at(0, &mut [0; 10]).is_err());
    assert!(stage.found().is_some());
}

/// Only an unexpired entry that loses its name is reported, and only once.
#[test]
fn expired_entry_may_lose_name() {
    let (uses, name) =
        (InUse::default(), CacheKey::random().unwrap().derive().name(&Sha256Digest::of(CONTENT)));
    let folder = tempfile::tempdir().unwrap();
    let file = FileId::of(&File::create(folder.path().join("file")).unwrap()).unwrap();
    assert_eq!(uses.begin(&name, file, 1000, || Ok::<_, io::Error>(true)).ok(), Some(true));
    #[cfg(target_os = "linux")]
    {
        assert!(!uses.has_lost(&name.to_string(), || Some(file), 999));
        assert!(!uses.has_lost(&name.to_string(), || None, 1000));
        assert!(uses.has_lost(&name.to_string(), || None, 999));
        assert!(!uses.has_lost(&name.to_string(), || None, 999), "it was reported");
    }
    uses.end(&name, file);
}

fn insecure_dir(error: CacheError) -> InsecureDir {
    match error {
        CacheError::Io { source, .. } => *source.get_ref().unwrap().downcast_ref().unwrap(),
        error => panic!("{error}"),
    }
}
