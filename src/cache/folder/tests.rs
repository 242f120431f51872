//! Attacks on a folder of entries: every one costs the entry, none is believed, and none takes the operation along.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::cache::Damage;

const LIMITS: Limits = Limits { bytes: 1 << 20, ttl: Duration::from_secs(3600) };
const CONTENT: &[u8] = b"the content of a reference";

struct Stage {
    folder: tempfile::TempDir,
    key: CacheKey,
    cache: FolderCache,
}

impl Stage {
    /// A shared cache with one entry.
    fn new() -> Self {
        let (folder, key) = (tempfile::tempdir().unwrap(), CacheKey::random().unwrap());
        let cache = open(folder.path(), &key).unwrap();
        keep(&cache, CONTENT);
        Self { folder, key, cache }
    }

    /// Of the one key's cache.
    fn entries(&self) -> PathBuf {
        self.folder.path().join("shared").join(self.key.derive().folder_name()).join("entries")
    }

    fn entry(&self, content: &[u8]) -> PathBuf {
        self.entries().join(self.key.derive().name(&Sha256Digest::of(content)).to_string())
    }

    fn found(&self) -> Option<CachedReference> {
        self.cache.get(&Sha256Digest::of(CONTENT))
    }

    /// The entry is refused once and removed, counted, and one made anew is found.
    fn refused(&self) {
        assert!(self.found().is_none());
        assert_eq!(self.cache.counts().damaged, 1);
        assert!(fs::symlink_metadata(self.entry(CONTENT)).is_err(), "it is removed");
        keep(&self.cache, CONTENT);
        assert!(self.found().is_some());
    }
}

fn open(folder: &Path, key: &CacheKey) -> Result<FolderCache, CacheError> {
    // What is seen at use is seen without a monitor, which could be faster.
    FolderCache::unwatched(&folder.join("shared"), key, LIMITS, folder)
}

fn keep(cache: &FolderCache, content: &[u8]) -> CachedReference {
    let mut writer = cache.begin(&Sha256Digest::of(content), content.len() as u64).unwrap();
    writer.write(content).unwrap();
    writer.publish().unwrap()
}

#[test]
fn a_changed_entry_is_refused_removed_and_made_anew() {
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
        stage.refused();
    }
}

#[test]
fn a_folder_in_the_place_of_an_entry_is_no_entry() {
    let stage = Stage::new();
    fs::remove_file(stage.entry(CONTENT)).unwrap();
    fs::create_dir_all(stage.entry(CONTENT).join("deep")).unwrap();
    stage.refused();
}

#[test]
fn what_is_changed_while_it_is_read_is_told_as_damage_and_removed() {
    let stage = Stage::new();
    let held = stage.found().unwrap();
    let mut bytes = fs::read(stage.entry(CONTENT)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(stage.entry(CONTENT), bytes).unwrap();
    let error = held.read_at(0, &mut [0; 10]).unwrap_err();
    assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&Damage::Chunk(0)));
    assert!(!stage.entry(CONTENT).exists());
    assert_eq!(stage.cache.counts().damaged, 1);
}

#[test]
fn what_is_removed_or_replaced_while_it_is_read_is_read_on() {
    let stage = Stage::new();
    let held = stage.found().unwrap();
    fs::write(stage.folder.path().join("poison"), b"poison").unwrap();
    fs::rename(stage.folder.path().join("poison"), stage.entry(CONTENT)).unwrap();
    let mut bytes = [0; CONTENT.len()];
    assert_eq!(held.read_at(0, &mut bytes).unwrap(), CONTENT.len());
    assert_eq!(bytes, CONTENT, "of the descriptor, not of the path");
}

#[test]
fn two_keys_in_one_folder_do_not_see_each_other() {
    let stage = Stage::new();
    let other = open(stage.folder.path(), &CacheKey::random().unwrap()).unwrap();
    assert!(other.get(&Sha256Digest::of(CONTENT)).is_none());
    keep(&other, b"other");
    assert!(stage.found().is_some());
    assert_eq!((stage.cache.counts().damaged, other.counts().damaged), (0, 0));
}

#[test]
fn another_process_with_the_key_finds_the_entry() {
    let stage = Stage::new();
    let again = open(stage.folder.path(), &stage.key).unwrap();
    let found = again.get(&Sha256Digest::of(CONTENT)).unwrap();
    let mut bytes = [0; CONTENT.len()];
    found.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, CONTENT);
}

#[test]
fn drafts_of_dead_writers_are_swept_and_those_of_the_living_stay() {
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

#[test]
fn a_dead_process_is_told_by_its_lock() {
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
fn folders_and_files_are_for_their_owner_alone() {
    let stage = Stage::new();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&stage.entry(CONTENT)), 0o600);
    for folder in [&stage.entries(), stage.entries().parent().unwrap(), &stage.folder.path().join("shared")] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let parent = tempfile::tempdir().unwrap();
    let ephemeral = FolderCache::ephemeral(parent.path(), LIMITS).unwrap();
    let _held = keep(&ephemeral, CONTENT);
    for entry in fs::read_dir(parent.path()).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o700);
    }
    // A mode that lets others in is put right.
    fs::set_permissions(stage.entries(), Permissions::from_mode(0o755)).unwrap();
    open(stage.folder.path(), &stage.key).unwrap();
    assert_eq!(mode(&stage.entries()), 0o700);
}

#[test]
fn a_folder_that_others_can_exchange_is_refused() {
    let refused = |stage: &Stage| open(stage.folder.path(), &stage.key).map(|_| ()).map_err(fault);
    let stage = Stage::new();
    let shared = stage.folder.path().join("shared");
    fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();
    assert_eq!(refused(&stage).unwrap_err(), Unsafe::Mode(0o777));
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    refused(&stage).unwrap();
    fs::rename(&shared, stage.folder.path().join("aside")).unwrap();
    symlink(stage.folder.path().join("aside"), &shared).unwrap();
    assert_eq!(refused(&stage).unwrap_err(), Unsafe::Type);
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

fn fault(error: CacheError) -> Unsafe {
    match error {
        CacheError::Io { source, .. } => *source.get_ref().unwrap().downcast_ref().unwrap(),
        error => panic!("{error}"),
    }
}
