//! What is done to a shared cache is seen when it is done, not when somebody reads.
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

    /// An event is told, and what stands there is gone.
    #[track_caller]
    fn notices(&self, gone: &Path) {
        let begun = Instant::now();
        while self.cache.counts().events == 0 || fs::symlink_metadata(gone).is_ok() {
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "nobody noticed: {:?}",
                self.cache.counts()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(self.cache.counts().damaged, 0, "seen before it was used");
    }
}

#[test]
fn a_written_entry_is_dropped_at_once() {
    let stage = Watched::new();
    let entry = stage.entry();
    File::options().write(true).open(&entry).unwrap().write_all(b"x").unwrap();
    stage.notices(&entry);
}

#[test]
fn an_entry_whose_mode_or_time_is_changed_is_dropped_at_once() {
    let stage = Watched::new();
    let entry = stage.entry();
    fs::set_permissions(&entry, Permissions::from_mode(0o666)).unwrap();
    stage.notices(&entry);
}

#[test]
fn a_planted_file_is_dropped_at_once() {
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
fn an_entry_that_is_taken_from_its_reader_is_told() {
    let stage = Watched::new();
    let (held, entry) = (keep(&stage.cache, &stage.content), stage.entry());
    fs::remove_file(&entry).unwrap();
    stage.notices(&entry);
    let mut bytes = vec![0; 1000];
    assert_eq!(held.read_at(0, &mut bytes).unwrap(), 1000);
    assert!(bytes == stage.content);
}

#[test]
fn a_folder_that_is_opened_to_others_is_told_and_put_right() {
    let stage = Watched::new();
    let room = stage.entry().parent().unwrap().to_owned();
    fs::set_permissions(&room, Permissions::from_mode(0o777)).unwrap();
    stage.notices(&stage.folder.path().join("nothing"));
    assert_eq!(fs::metadata(room).unwrap().mode() & 0o777, 0o700);
}

/// No attack: the alarm would be worth nothing if it rang for everything.
#[test]
fn ordinary_use_by_several_processes_rings_no_alarm() {
    let stage = Watched::new();
    let other = shared(stage.folder.path(), KEY);
    for seed in 0..20 {
        let content = noise(2000, seed);
        drop(keep(if seed % 2 == 0 { &other } else { &stage.cache }, &content));
        assert!(read(&stage.cache, &content).unwrap() == content);
        assert!(read(&other, &content).unwrap() == content);
        // The same once more, in the place of the first.
        drop(keep(&other, &content));
    }
    assert_eq!(other.clear().unwrap().in_use, 0);
    std::thread::sleep(Duration::from_millis(100));
    for cache in [&stage.cache, &other] {
        assert_eq!((cache.counts().events, cache.counts().damaged), (0, 0));
    }
}
