//! Attacks on the directories of entries.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use deltaglider::cache::{CacheError, CacheKey, FolderCache, InsecureDir};

use crate::stage::{KEY, LIMITS, entries, keep, need_root, shared};
use crate::support::noise;

/// Opens a persistent cache and returns the reason why its directory is not trusted, if any.
fn rejection(folder: &std::path::Path) -> Option<InsecureDir> {
    match FolderCache::persistent(folder, &CacheKey::parse(KEY).unwrap(), LIMITS, folder) {
        Err(CacheError::Io { source, .. }) => {
            source.get_ref().and_then(|error| error.downcast_ref().copied())
        }
        _ => None,
    }
}

/// A parent in which other users can replace the cache directory is rejected.
#[test]
fn replaceable_parent_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    assert_eq!(rejection(folder.path()), Some(InsecureDir::Mode(0o777)));
}

#[test]
fn symlinked_dir_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("theirs")).unwrap();
    symlink("theirs", folder.path().join("cache")).unwrap();
    assert_eq!(rejection(&folder.path().join("cache")), Some(InsecureDir::Type));
    assert_eq!(fs::read_dir(folder.path().join("theirs")).unwrap().count(), 0);
}

#[test]
fn loose_dir_mode_is_restricted() {
    let folder = tempfile::tempdir().unwrap();
    drop(keep(&shared(folder.path(), KEY), &noise(100, 1)));
    let dir = entries(folder.path())[0].parent().unwrap().to_owned();
    for path in [&dir, dir.parent().unwrap()] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    drop(shared(folder.path(), KEY));
    for path in [&dir, dir.parent().unwrap()] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
#[ignore = "needs root: run by scripts/attack-cache"]
fn foreign_owner_is_rejected() {
    need_root();
    let folder = tempfile::tempdir().unwrap();
    drop(keep(&shared(folder.path(), KEY), &noise(100, 1)));
    let dir = entries(folder.path())[0].parent().unwrap().to_owned();
    for path in [dir.as_path(), dir.parent().unwrap(), folder.path()] {
        std::os::unix::fs::chown(path, Some(12_345), None).unwrap();
        assert_eq!(
            rejection(folder.path()),
            Some(InsecureDir::Owner { owner: 12_345, expected: 0 }),
            "{}",
            path.display()
        );
        std::os::unix::fs::chown(path, Some(0), None).unwrap();
    }
    assert_eq!(rejection(folder.path()), None);
}
