//! Runs the example on a small artificial machine: checks the releases from outside, and that they
//! are restored.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use deltaglider::domain::Sha256Digest;
use deltaglider::service::StoredAs;
use deltaglider::wiring::Connection;

use super::gather::{self, MAX_FILE, Place};
use super::random::Random;
use super::releases::{Changes, Release, Releases};
use super::storing::{self, Archive};
use super::{archives_in, order};

const WANTED: u64 = 2 << 20;

/// Creates texts and binaries in two places, and files that must be excluded.
fn machine(folder: &Path) -> Vec<Place> {
    let mut random = Random::new(1);
    for n in 0..600 {
        let folder = folder.join(["one", "two"][n % 2]).join(format!("part{}", n / 2 % 7));
        fs::create_dir_all(&folder).unwrap();
        let lines = (0..random.between(40, 160))
            .map(|line| format!("fn call_{n}_{line}(x: u32) -> u{} {{}}\n", line % 9));
        fs::write(folder.join(format!("text{n}.rs")), lines.collect::<String>()).unwrap();
        let words = (0..random.between(200, 2000))
            .flat_map(|word| [0x48, word as u8, random.bytes::<1>()[0], 0]);
        fs::write(folder.join(format!("binary{n}.so")), words.collect::<Vec<u8>>()).unwrap();
    }
    let one = folder.join("one");
    fs::create_dir(folder.join("elsewhere")).unwrap();
    fs::write(folder.join("elsewhere").join("file"), "elsewhere").unwrap();
    fs::write(one.join("packed.gz"), "packed").unwrap();
    fs::File::create(one.join("huge")).unwrap().set_len(MAX_FILE + 1).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::os::unix::fs::symlink("../elsewhere/file", one.join("aaa-link")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", one.join("aaa-folder")).unwrap();
        fs::write(one.join("aaa-private"), "private").unwrap();
        fs::set_permissions(one.join("aaa-private"), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let place = |label| Place { label, path: folder.join(label) };
    vec![place("one"), place("two"), place("absent")]
}

fn made(scratch: &Path, count: usize) -> Vec<Release> {
    let found = gather::gather(&machine(&scratch.join("machine")), WANTED);
    let mut releases = Releases::new(scratch, found);
    (0..count).map(|_| releases.make().unwrap()).collect()
}

/// Returns the digest of each file of an archive, by its path below the archive's top folder.
fn files(release: &Release) -> BTreeMap<String, Sha256Digest> {
    let root = release.path.file_stem().unwrap().to_str().unwrap();
    let mut archive = tar::Archive::new(fs::File::open(&release.path).unwrap());
    let mut files = BTreeMap::new();
    let mut last = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert!(last < path, "{last} before {path}");
        last.clone_from(&path);
        files.insert(path, Sha256Digest::of(&content));
    }
    files
}

/// Counts the edited, rebuilt, moved, added and removed files of each release from its content.
#[test]
fn releases_differ_as_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let releases = made(scratch.path(), 5);
    for pair in releases.windows(2) {
        let (before, after) = (files(&pair[0]), files(&pair[1]));
        let changed = |path: &str| {
            before.get(path).is_some_and(|digest| after.get(path).is_some_and(|now| now != digest))
        };
        let (gone, mut new): (Vec<_>, Vec<_>) = (
            before.iter().filter(|(path, _)| !after.contains_key(*path)).collect(),
            after.iter().filter(|(path, _)| !before.contains_key(*path)).collect(),
        );
        let (mut moved, mut removed) = (0, 0);
        for (_, digest) in gone {
            match new.iter().position(|(_, now)| *now == digest) {
                Some(at) => (moved, _) = (moved + 1, new.swap_remove(at)),
                None => removed += 1,
            }
        }
        let of = |extension: &str| {
            before.keys().filter(|path| path.ends_with(extension) && changed(path)).count()
        };
        let (edited, rebuilt) = (of(".rs"), of(".so"));
        let seen =
            Changes { files: after.len(), edited, rebuilt, moved, added: new.len(), removed };
        assert_eq!(seen, pair[1].changes);
        assert!(
            [edited, rebuilt, moved, new.len(), removed].iter().all(|&count| count > 0),
            "{seen:?}"
        );
        assert!(changed("VERSION") && changed("CHANGELOG.md"));
    }
}

/// Files are taken from all places; private, linked, compressed and huge files are excluded.
#[test]
fn gather_takes_public_files_only() {
    let scratch = tempfile::tempdir().unwrap();
    let places = machine(scratch.path());
    let all = gather::gather(&places, MAX_FILE * 8);
    let others =
        all.iter().filter(|file| !file.name.ends_with(".rs") && !file.name.ends_with(".so"));
    assert_eq!(others.map(|file| &file.name).collect::<Vec<_>>(), [""; 0]);
    assert!(
        all.iter()
            .all(|file| file.text == file.name.ends_with(".rs") && !file.name.contains("aaa"))
    );
    assert_eq!(all.len(), 1200);
    let some = gather::gather(&places, WANTED);
    let of = |place: &str, text| {
        let files = some.iter().filter(|file| file.name.starts_with(place) && file.text == text);
        files.map(|file| file.len).sum::<u64>()
    };
    for bytes in [of("one/", true), of("one/", false), of("two/", true), of("two/", false)] {
        assert!((WANTED / 9..=WANTED / 2).contains(&bytes), "{bytes}");
    }
    assert!(some.iter().map(|file| file.len).sum::<u64>() <= WANTED);
}

#[test]
fn releases_are_deterministic() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let digests = |folder: &Path| {
        let releases = made(folder, 3).into_iter();
        releases
            .map(|release| Sha256Digest::of(&fs::read(release.path).unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(digests(one.path()), digests(two.path()));
}

/// The first release becomes the reference, the later ones deltas, and all are restored exactly.
#[tokio::test]
async fn releases_become_deltas() {
    let scratch = tempfile::tempdir().unwrap();
    let archives = made(scratch.path(), 5)
        .iter()
        .map(|release| Archive::read(&release.path).unwrap())
        .collect();
    let endpoint_url = Some(format!("file:{}", scratch.path().join("store").display()));
    let service = Connection { endpoint_url, ..Connection::default() }
        .service(Default::default())
        .await
        .unwrap();
    let restored = scratch.path().join("restored");
    let outcome = storing::store_and_restore(&service, archives, &restored).await.unwrap();
    assert_eq!(fs::read_dir(restored).unwrap().count(), 0);
    let (first, later) = outcome.kept.split_first().unwrap();
    assert_eq!(first.stored_as, StoredAs::Reference);
    // It is packed.
    assert!(outcome.reference > 0 && outcome.reference * 2 < first.archive.size);
    assert_eq!(later.len(), 4);
    for kept in later {
        assert_eq!(kept.stored_as, StoredAs::Delta);
        assert!(
            kept.stored * 100 <= kept.archive.size * 15,
            "{}: {}",
            kept.archive.name,
            kept.stored
        );
    }
    assert_eq!(
        outcome.stored,
        outcome.reference + outcome.kept.iter().map(|kept| kept.stored).sum::<u64>()
    );
}

#[tokio::test]
async fn changed_archive_is_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a-1.tar");
    fs::write(&path, "a".repeat(1000)).unwrap();
    let archive = Archive::read(&path).unwrap();
    fs::write(&path, "b".repeat(1000)).unwrap();
    let endpoint_url = Some(format!("file:{}", scratch.path().join("store").display()));
    let service = Connection { endpoint_url, ..Connection::default() }
        .service(Default::default())
        .await
        .unwrap();
    let failure =
        storing::store_and_restore(&service, vec![archive], scratch.path()).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "s3://releases/archives/a-1.tar was not restored exactly: its size or SHA-256 differs"
    );
}

/// Files that are no archives, and folders, are skipped.
#[test]
fn archives_are_in_version_order() {
    let folder = tempfile::tempdir().unwrap();
    let ordered = [
        "app-1.9.tar",
        "app-1.10-rc1.tar",
        "app-1.10-rc2.tar",
        "app-1.10.tar",
        "app-1.10.1.tar",
        "app-2.tar",
    ];
    for name in ordered.iter().rev().chain(&["notes.txt"]) {
        fs::write(folder.path().join(name), name).unwrap();
    }
    fs::create_dir(folder.path().join("app-0.tar")).unwrap();
    let names = archives_in(folder.path())
        .unwrap()
        .into_iter()
        .map(|archive| archive.name)
        .collect::<Vec<_>>();
    assert_eq!(names, ordered);
    assert!(
        order::by_version("x-09.tar", &[".tar"]).0 == order::by_version("x-9.tar", &[".tar"]).0
    );
    fs::remove_dir(folder.path().join("app-0.tar")).unwrap();
    ordered.iter().for_each(|name| fs::remove_file(folder.path().join(name)).unwrap());
    assert!(
        archives_in(folder.path()).unwrap_err().to_string().starts_with("there is no archive in ")
    );
}
