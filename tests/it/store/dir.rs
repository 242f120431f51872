//! Tests of the embedded store beyond the conformance suite: opening, privacy, damage, temporaries.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::conformance::nasty_keys::NASTY_KEYS;
use deltaglider::storage::{
    Attributes, BucketAdmin as _, DirStore, ListRequest, ObjectStore as _, PutBody, PutCondition,
    PutOptions, StorageError, StorageErrorKind,
};
use futures::{StreamExt as _, TryStreamExt as _};

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(key).unwrap())
}

async fn store_in(folder: &Path) -> DirStore {
    let store = DirStore::open(folder).unwrap();
    store.create_bucket(&bucket()).await.unwrap();
    store
}

async fn put(
    store: &DirStore,
    key: &str,
    content: impl Into<bytes::Bytes>,
) -> Result<(), StorageError> {
    let body = PutBody::from_bytes(content);
    store
        .put(&object(key), body, &Attributes::default(), &PutCondition::None.into())
        .await
        .map(drop)
}

async fn read(store: &DirStore, key: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let body = store.get(&object(key), None).await?;
    Ok(body.stream.map_ok(|piece| piece.to_vec()).try_concat().await?)
}

/// Returns all paths below a directory, including directories.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

fn file_of(store: &Path, name: &str) -> PathBuf {
    walk(store)
        .into_iter()
        .find(|path| path.file_name().is_some_and(|found| found == name))
        .unwrap()
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |cause| format!("{error}: {}", chain(cause)))
}

/// Reading it creates nothing.
#[tokio::test]
async fn absent_directory_is_empty() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("not/yet");
    let store = DirStore::open(&path).unwrap();
    assert!(store.list_buckets().await.unwrap().is_empty());
    let error = store.head(&object("k")).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::NoSuchBucket);
    assert!(chain(&error).contains("there is no store at"), "{}", chain(&error));
    assert_eq!(put(&store, "k", "x").await.unwrap_err().kind, StorageErrorKind::NoSuchBucket);
    assert_eq!(walk(parent.path()), Vec::<PathBuf>::new());

    let other = DirStore::open(&path).unwrap();
    store.create_bucket(&bucket()).await.unwrap();
    put(&other, "k", "x").await.unwrap();
    assert_eq!(read(&store, "k").await.unwrap(), b"x");
}

#[tokio::test]
async fn foreign_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let late = DirStore::open(folder.path()).unwrap();
    fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
    for error in [
        DirStore::open(folder.path()).unwrap_err(),
        late.create_bucket(&bucket()).await.unwrap_err(),
        late.list_buckets().await.unwrap_err(),
        DirStore::open(&folder.path().join("thesis.txt")).unwrap_err(),
    ] {
        assert_eq!(error.kind, StorageErrorKind::Invalid);
        assert!(chain(&error).contains("thesis.txt"), "{}", chain(&error));
    }
    assert_eq!(walk(folder.path()), [folder.path().join("thesis.txt")]);
}

#[tokio::test]
async fn unknown_formats_are_refused() {
    for (text, message) in [
        ("deltaglider embedded store\nformat 2\n", "\"format 2\""),
        ("deltaglider embedded store\n", "\"\""),
        ("something else\nformat 1\n", "not the format file"),
        ("", "not the format file"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        store_in(folder.path()).await;
        fs::write(folder.path().join("deltaglider-store"), text).unwrap();
        let error = DirStore::open(folder.path()).unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Invalid);
        assert!(chain(&error).contains(message), "{text:?}: {}", chain(&error));
    }
}

/// A store whose creator died is created again, also in the root of a fresh file system.
#[tokio::test]
async fn unfinished_store_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("lost+found")).unwrap();
    fs::write(folder.path().join("deltaglider-store.new"), "deltag").unwrap();
    let store = store_in(folder.path()).await;
    put(&store, "k", "x").await.unwrap();
    assert_eq!(read(&DirStore::open(folder.path()).unwrap(), "k").await.unwrap(), b"x");
}

#[tokio::test]
async fn store_is_private_to_its_owner() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("made/by us");
    let store = store_in(&path).await;
    put(&store, &"long".repeat(200), "x").await.unwrap();
    for path in walk(parent.path()) {
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{path:?}");
    }
}

/// No key leads out of the store, and no two file names differ only in case.
#[tokio::test]
async fn keys_stay_in_the_alphabet() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("store");
    let store = store_in(&path).await;
    let keys: Vec<String> = NASTY_KEYS.iter().flat_map(|kind| kind.keys()).collect();
    for key in &keys {
        put(&store, key, key.clone()).await.unwrap();
    }
    let beside: Vec<_> =
        fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["store"]);
    let leaf = path.join("buckets/=bucket/leaves/=");
    let files: Vec<PathBuf> = walk(&path).into_iter().filter(|path| path.is_file()).collect();
    assert_eq!(files.iter().filter(|file| file.starts_with(&leaf)).count(), keys.len());
    assert_eq!(files.len(), keys.len() + 3, "the format file, the bucket's marker and its lock");
    let mut folded = BTreeSet::new();
    for file in walk(&leaf) {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(
            name.len() <= 241 && name.is_ascii() && !name.contains(char::is_uppercase),
            "{name}"
        );
        assert!(folded.insert(file.to_str().unwrap().to_lowercase()), "{name}");
    }
}

/// So is every missing byte.
#[tokio::test]
async fn every_damaged_byte_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    let metadata = [("name".to_owned(), "value".to_owned())].into();
    let attributes = Attributes {
        metadata,
        content_type: Some("text/plain".to_owned()),
        ..Attributes::default()
    };
    let body = PutBody::from_bytes("what was stored");
    store.put(&object("k"), body, &attributes, &PutCondition::None.into()).await.unwrap();
    let path = file_of(folder.path(), "=k");
    let intact = fs::read(&path).unwrap();
    for (at, byte) in intact.iter().enumerate() {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[byte ^ 0x10], at as u64).unwrap();
        assert!(read(&store, "k").await.is_err(), "byte {at} flipped");
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    assert_eq!(read(&store, "k").await.unwrap(), b"what was stored");
    for len in 0..intact.len() {
        fs::write(&path, &intact[..len]).unwrap();
        assert!(store.head(&object("k")).await.is_err(), "head, cut to {len} bytes");
        let error = read(&store, "k").await.unwrap_err();
        assert!(chain(&*error).contains("damaged"), "cut to {len} bytes: {}", chain(&*error));
    }
    fs::write(&path, [&*intact, b"!"].concat()).unwrap();
    assert!(read(&store, "k").await.is_err(), "one byte more");
    // A damaged object can be replaced.
    put(&store, "k", "new").await.unwrap();
    assert_eq!(read(&store, "k").await.unwrap(), b"new");
}

#[tokio::test]
async fn damaged_large_body_fails() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    put(&store, "k", vec![7; (3 << 20) + 5]).await.unwrap();
    let file = fs::OpenOptions::new().write(true).open(file_of(folder.path(), "=k")).unwrap();
    file.write_all_at(&[8], 1 << 20).unwrap();
    let pieces: Vec<_> = store.get(&object("k"), None).await.unwrap().stream.collect().await;
    let read: usize =
        pieces.iter().filter_map(|piece| piece.as_ref().ok()).map(|piece| piece.len()).sum();
    assert!(pieces.last().unwrap().is_err() && read < (3 << 20) + 5);
    // The file is truncated while it is read.
    put(&store, "k", vec![7; 3 << 20]).await.unwrap();
    let mut stream = store.get(&object("k"), None).await.unwrap().stream;
    stream.next().await.unwrap().unwrap();
    let file = fs::OpenOptions::new().write(true).open(file_of(folder.path(), "=k")).unwrap();
    file.set_len(1 << 20).unwrap();
    assert!(stream.try_for_each(|_| async { Ok(()) }).await.is_err());
}

#[tokio::test]
async fn misplaced_object_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    put(&store, "a", "content of a").await.unwrap();
    put(&store, "b", "content of b").await.unwrap();
    fs::copy(file_of(folder.path(), "=a"), file_of(folder.path(), "=b")).unwrap();
    let error = read(&store, "b").await.unwrap_err();
    assert!(chain(&*error).contains("it holds the object \"a\""), "{}", chain(&*error));
}

#[tokio::test]
async fn damage_does_not_end_a_listing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    put(&store, "a", "x").await.unwrap();
    put(&store, "b", "x").await.unwrap();
    fs::write(file_of(folder.path(), "=b"), "").unwrap();
    let page = store.list(&bucket(), &ListRequest::default()).await.unwrap();
    assert_eq!((page.objects.len(), page.damaged.len()), (1, 1));
    assert!(page.damaged[0].why.contains("=b is damaged"), "{}", page.damaged[0].why);
    store.delete(&object("b"), None).await.unwrap();
    assert_eq!(store.list(&bucket(), &ListRequest::default()).await.unwrap().objects.len(), 1);
}

/// Files that the store did not create are neither listed nor deleted.
#[tokio::test]
async fn foreign_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    let leaf = folder.path().join("buckets/=bucket/leaves/=");
    for name in ["notes.txt", "=%61", "=UPPER", "~short"] {
        fs::write(leaf.join(name), "x").unwrap();
    }
    assert!(store.list(&bucket(), &ListRequest::default()).await.unwrap().objects.is_empty());
    assert_eq!(store.delete_bucket(&bucket()).await.unwrap_err().kind, StorageErrorKind::NotEmpty);
    assert!(leaf.join("notes.txt").exists());
}

#[tokio::test]
async fn failed_puts_leave_no_temporary() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    let temporaries =
        || walk(&folder.path().join("tmp")).into_iter().filter(|path| path.is_file()).count();
    let begun = || futures::stream::iter((0..3).map(|_| Ok(vec![1; 1 << 20].into())));
    let failing = PutBody::new(9 << 20, move || {
        begun().chain(futures::stream::iter([Err(std::io::Error::other("x"))])).boxed()
    });
    assert!(
        store
            .put(&object("k"), failing, &Attributes::default(), &PutCondition::None.into())
            .await
            .is_err()
    );
    assert_eq!(temporaries(), 0, "after a failed put");
    let endless = PutBody::new(9 << 20, move || begun().chain(futures::stream::pending()).boxed());
    let (attributes, name) = (Attributes::default(), object("k"));
    let options = PutOptions::default();
    let put = store.put(&name, endless, &attributes, &options);
    let mut put = Box::pin(put);
    while temporaries() == 0 {
        tokio::select! {
            _ = &mut put => unreachable!(),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    drop(put);
    let deadline = Instant::now() + Duration::from_secs(20);
    while temporaries() > 0 {
        assert!(Instant::now() < deadline, "a dropped put left its temporary");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(store);
    assert_eq!(
        walk(&folder.path().join("tmp")),
        Vec::<PathBuf>::new(),
        "the folder of a store that was dropped"
    );
}

/// Run by name, as root: `cargo test --test it -- --ignored --exact
/// store::dir::full_disk_is_no_space_error`.
#[tokio::test]
#[ignore = "mounts a file system, which needs root"]
async fn full_disk_is_no_space_error() {
    struct Mounted(tempfile::TempDir);
    impl Drop for Mounted {
        fn drop(&mut self) {
            std::process::Command::new("umount").arg(self.0.path()).status().unwrap();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"])
        .arg(folder.path())
        .status();
    assert!(mount.unwrap().success(), "mounting needs root");
    let mounted = Mounted(folder);
    let path = mounted.0.path().join("store");
    let store = store_in(&path).await;
    put(&store, "k", vec![1; 1 << 20]).await.unwrap();
    for key in ["k", "new"] {
        assert_eq!(
            put(&store, key, vec![2; 8 << 20]).await.unwrap_err().kind,
            StorageErrorKind::NoSpace
        );
    }
    let mut filled = 0;
    let error = loop {
        match put(&store, &format!("filler{filled}"), vec![3; 50_000]).await {
            Ok(()) => filled += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, StorageErrorKind::NoSpace);
    assert!(filled > 10, "{filled}");
    assert_eq!(read(&store, "k").await.unwrap(), vec![1; 1 << 20]);
    let listed = store.list(&bucket(), &ListRequest::default()).await.unwrap().objects.len();
    assert_eq!(listed, filled + 1);
    assert!(walk(&path.join("tmp")).iter().all(|path| path.is_dir()), "a temporary was left");
    // A full store can be emptied and used again.
    store.delete(&object("k"), None).await.unwrap();
    put(&store, "k", vec![4; 900_000]).await.unwrap();
}

#[tokio::test]
async fn customer_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = DirStore::open(&folder.path().join("store")).unwrap();
    let bucket = BucketName::new("bucket").unwrap();
    store.create_bucket(&bucket).await.unwrap();
    let object = ObjectName::new(bucket, Key::new("k").unwrap());
    let encryption = Some(deltaglider::storage::Encryption::Customer { key_md5: "md5".to_owned() });
    let attributes = Attributes { encryption, ..Attributes::default() };
    let put =
        store.put(&object, PutBody::from_bytes("x"), &attributes, &PutCondition::None.into()).await;
    assert_eq!(put.unwrap_err().kind, StorageErrorKind::Invalid);
    assert_eq!(store.head(&object).await.unwrap_err().kind, StorageErrorKind::NotFound);
}
