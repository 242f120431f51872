//! The monitor detects changes to a shared cache when they happen, not only on the next read.
#![cfg(target_os = "linux")]

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deltaglider::cache::{FolderCache, ReferenceCache as _};

use crate::stage::{KEY, entries, keep, read, shared};
use crate::support::noise;

struct Watched {
    folder: tempfile::TempDir,
    cache: FolderCache,
    content: Vec<u8>,
}

impl Watched {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = shared(folder.path(), KEY);
        let content = noise(1000, 1);
        drop(keep(&cache, &content));
        Self { folder, cache, content }
    }

    fn entry(&self) -> PathBuf {
        entries(self.folder.path()).remove(0)
    }

    /// Asserts that an event is counted and that the file at `gone` is deleted.
    #[track_caller]
    fn notices(&self, gone: &Path) {
        let begun = Instant::now();
        while self.cache.counts().events == 0 || fs::symlink_metadata(gone).is_ok() {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "not detected: {:?}",
                self.cache.counts()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(self.cache.counts().damaged, 0, "detected before use");
    }
}

#[test]
fn written_entry_is_deleted() {
    let stage = Watched::new();
    let entry = stage.entry();
    File::options().write(true).open(&entry).unwrap().write_all(b"x").unwrap();
    stage.notices(&entry);
}

#[test]
fn mode_change_deletes_entry() {
    let stage = Watched::new();
    let entry = stage.entry();
    fs::set_permissions(&entry, Permissions::from_mode(0o666)).unwrap();
    stage.notices(&entry);
}

#[test]
fn planted_file_is_deleted() {
    for plant in [
        |path: &Path, _: &Path| fs::write(path, b"poison").unwrap(),
        |path: &Path, _: &Path| symlink("/etc/passwd", path).unwrap(),
        |path: &Path, _: &Path| fs::create_dir(path).unwrap(),
        |path: &Path, entry: &Path| fs::hard_link(entry, path).unwrap(),
        // A valid entry under another name.
        |path: &Path, entry: &Path| {
            let aside = entry.parent().unwrap().with_file_name("aside");
            fs::copy(entry, &aside).unwrap();
            fs::rename(aside, path).unwrap();
        },
    ] {
        let stage = Watched::new();
        let planted = stage.entry().with_file_name("f".repeat(64));
        plant(&planted, &stage.entry());
        stage.notices(&planted);
    }
}

#[test]
fn removal_during_read_is_counted() {
    let stage = Watched::new();
    let (held, entry) = (keep(&stage.cache, &stage.content), stage.entry());
    fs::remove_file(&entry).unwrap();
    stage.notices(&entry);
    let mut bytes = vec![0; 1000];
    assert_eq!(held.read_at(0, &mut bytes).unwrap(), 1000);
    assert!(bytes == stage.content);
}

/// A directory that is opened to other users is counted as an event and restricted again.
#[test]
fn opened_dir_is_restricted() {
    let stage = Watched::new();
    let dir = stage.entry().parent().unwrap().to_owned();
    fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    stage.notices(&stage.folder.path().join("nothing"));
    assert_eq!(fs::metadata(dir).unwrap().mode() & 0o777, 0o700);
}

/// Not an attack: ordinary use by several processes must not count as an event.
#[test]
fn ordinary_use_is_no_event() {
    let stage = Watched::new();
    let other = shared(stage.folder.path(), KEY);
    for seed in 0..20 {
        let content = noise(2000, seed);
        drop(keep(if seed % 2 == 0 { &other } else { &stage.cache }, &content));
        assert!(read(&stage.cache, &content).unwrap() == content);
        assert!(read(&other, &content).unwrap() == content);
        // The same content once more.
        drop(keep(&other, &content));
    }
    assert_eq!(other.clear().unwrap().in_use, 0);
    std::thread::sleep(Duration::from_millis(100));
    for cache in [&stage.cache, &other] {
        assert_eq!((cache.counts().events, cache.counts().damaged), (0, 0));
    }
}
