//! Attacks on the folders that entries are in.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use deltaglider::cache::{CacheError, CacheKey, FolderCache, InsecureDir};

use crate::stage::{KEY, LIMITS, entries, keep, need_root, shared};
use crate::support::noise;

fn refusal(folder: &std::path::Path) -> Option<InsecureDir> {
    match FolderCache::persistent(folder, &CacheKey::parse(KEY).unwrap(), LIMITS, folder) {
        Err(CacheError::Io { source, .. }) => {
            source.get_ref().and_then(|fault| fault.downcast_ref().copied())
        }
        _ => None,
    }
}

#[test]
fn a_folder_in_which_others_can_exchange_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
    assert_eq!(refusal(folder.path()), Some(InsecureDir::Mode(0o777)));
}

#[test]
fn a_link_in_the_place_of_the_folder_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("theirs")).unwrap();
    symlink("theirs", folder.path().join("cache")).unwrap();
    assert_eq!(refusal(&folder.path().join("cache")), Some(InsecureDir::Type));
    assert_eq!(fs::read_dir(folder.path().join("theirs")).unwrap().count(), 0);
}

#[test]
fn folders_that_let_others_in_are_put_right() {
    let folder = tempfile::tempdir().unwrap();
    drop(keep(&shared(folder.path(), KEY), &noise(100, 1)));
    let room = entries(folder.path())[0].parent().unwrap().to_owned();
    for path in [&room, room.parent().unwrap()] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }
    drop(shared(folder.path(), KEY));
    for path in [&room, room.parent().unwrap()] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700);
    }
}

#[test]
#[ignore = "needs root: run by scripts/attack-cache"]
fn a_folder_of_another_user_is_refused() {
    need_root();
    let folder = tempfile::tempdir().unwrap();
    drop(keep(&shared(folder.path(), KEY), &noise(100, 1)));
    let room = entries(folder.path())[0].parent().unwrap().to_owned();
    for path in [room.as_path(), room.parent().unwrap(), folder.path()] {
        std::os::unix::fs::chown(path, Some(12_345), None).unwrap();
        assert_eq!(
            refusal(folder.path()),
            Some(InsecureDir::Owner { owner: 12_345, expected: 0 }),
            "{}",
            path.display()
        );
        std::os::unix::fs::chown(path, Some(0), None).unwrap();
    }
    assert_eq!(refusal(folder.path()), None);
}
