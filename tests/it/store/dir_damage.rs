//! Tests of the embedded store with unreadable objects and foreign files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, CopyOptions, DirStore, ETag, ListPage, ListRequest,
    ObjectStore as _, PutBody, PutCondition, PutOptions, StorageError, StorageErrorKind,
};
use futures::TryStreamExt as _;

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(key).unwrap())
}

struct Stored {
    folder: tempfile::TempDir,
    store: DirStore,
}

impl Stored {
    async fn with(keys: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = DirStore::open(folder.path()).unwrap();
        store.create_bucket(&bucket()).await.unwrap();
        let stored = Self { folder, store };
        for key in keys {
            stored.put(key, key).await.unwrap();
        }
        stored
    }

    fn leaf(&self) -> PathBuf {
        self.folder.path().join("buckets/=bucket/leaves/=")
    }

    async fn put(&self, key: &str, content: &str) -> Result<ETag, StorageError> {
        put(&self.store, key, content, PutOptions::default()).await
    }

    async fn read(&self, key: &str) -> Result<Vec<u8>, StorageError> {
        let body = self.store.get(&object(key), None).await?;
        Ok(body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap())
    }

    async fn list(&self) -> ListPage {
        let (bucket, request) = (bucket(), ListRequest::default());
        let list = self.store.list(&bucket, &request);
        // Opening a FIFO without care blocks forever.
        tokio::time::timeout(Duration::from_secs(60), list).await.expect("a listing hangs").unwrap()
    }

    async fn keys(&self) -> Vec<String> {
        self.list().await.objects.into_iter().map(|object| object.key.as_str().to_owned()).collect()
    }

    /// Flips a bit in the head of an object.
    fn damage(&self, name: &str) {
        let path = self.leaf().join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[100] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
}

async fn put(
    store: &DirStore,
    key: &str,
    content: &str,
    options: PutOptions,
) -> Result<ETag, StorageError> {
    let body = PutBody::from_bytes(content.to_owned());
    store.put(&object(key), body, &Attributes::default(), &options).await
}

fn mkfifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[tokio::test]
async fn damaged_head_is_listed_apart() {
    let stored = Stored::with(&["a", "b", "c"]).await;
    stored.damage("=b");
    let page = stored.list().await;
    assert_eq!(stored.keys().await, ["a", "c"]);
    assert_eq!(page.damaged.iter().map(|damaged| damaged.key.as_str()).collect::<Vec<_>>(), ["b"]);
    assert!(page.damaged[0].why.contains("=b is damaged"), "{}", page.damaged[0].why);
    assert_eq!(stored.read("b").await.unwrap_err().kind, StorageErrorKind::Damaged);
    assert_eq!(stored.store.head(&object("b")).await.unwrap_err().kind, StorageErrorKind::Damaged);
    let absent = put(&stored.store, "b", "new", PutCondition::IfAbsent.into()).await.unwrap_err();
    assert_eq!(absent.kind, StorageErrorKind::AlreadyExists);
    // Pages count it, so that none is cut short by it.
    let request = ListRequest {
        max_keys: Some(1),
        start_after: Some("a".to_owned()),
        ..ListRequest::default()
    };
    let page = stored.store.list(&bucket(), &request).await.unwrap();
    assert_eq!(
        (page.objects.len(), page.damaged.len(), page.continuation.as_deref()),
        (0, 1, Some("b"))
    );
}

#[tokio::test]
async fn damaged_object_has_a_tag() {
    let stored = Stored::with(&["a", "b"]).await;
    stored.damage("=b");
    let damaged = stored.list().await.damaged.remove(0);
    // Another write came first: the object is kept.
    let sound = stored.put("b", "sound").await.unwrap();
    let late = stored.store.delete(&object("b"), Some(&damaged.etag)).await.unwrap_err();
    assert_eq!(late.kind, StorageErrorKind::Precondition);
    assert_eq!(stored.read("b").await.unwrap(), b"sound");
    stored.damage("=b");
    let wrong = stored.store.delete(&object("b"), Some(&sound)).await.unwrap_err();
    assert_eq!(wrong.kind, StorageErrorKind::Precondition);
    let damaged = stored.list().await.damaged.remove(0);
    let held = vec![(Key::new("a").unwrap(), stored.store.head(&object("a")).await.unwrap().etag)];
    let less = stored.store.delete_bucket_holding(&bucket(), &held).await.unwrap_err();
    assert_eq!(less.kind, StorageErrorKind::NotEmpty);
    stored.store.delete(&object("b"), Some(&damaged.etag)).await.unwrap();
    assert_eq!(stored.keys().await, ["a"]);
}

#[tokio::test]
async fn special_files_block_nothing() {
    let stored = Stored::with(&["a", "z"]).await;
    let place = |name: &str| stored.leaf().join(name);
    mkfifo(&place("=fifo"));
    fs::create_dir(place("=folder")).unwrap();
    fs::write(place("=folder").join("mine.txt"), "mine").unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place("=socket")).unwrap();
    std::os::unix::fs::symlink(stored.folder.path(), place("=link")).unwrap();
    let names = ["fifo", "folder", "link", "socket"];
    let page = stored.list().await;
    assert_eq!(stored.keys().await, ["a", "z"]);
    assert_eq!(page.damaged.iter().map(|damaged| damaged.key.as_str()).collect::<Vec<_>>(), names);
    for name in names {
        assert_eq!(stored.read(name).await.unwrap_err().kind, StorageErrorKind::Damaged, "{name}");
        stored.put(name, "over it").await.unwrap();
        assert_eq!(stored.read(name).await.unwrap(), b"over it");
    }
    // The directory held foreign files.
    let aside = stored.folder.path().join("aside");
    let kept =
        fs::read_dir(&aside).unwrap().next().unwrap().unwrap().path().join("=folder/mine.txt");
    assert_eq!(fs::read(kept).unwrap(), b"mine");
    fs::remove_file(place("=fifo")).unwrap();
    mkfifo(&place("=fifo"));
    fs::create_dir(place("=again")).unwrap();
    for name in ["fifo", "again"] {
        stored.store.delete(&object(name), None).await.unwrap();
    }
    assert!(stored.list().await.damaged.is_empty());
}

#[tokio::test]
async fn foreign_names_cut_no_listing() {
    let stored = Stored::with(&["a", "z"]).await;
    let long = format!("={}", "k".repeat(241));
    let strays = ["notes.txt", "=%61", "=UPPER", "~short", &long];
    for name in strays {
        fs::write(stored.leaf().join(name), "x").unwrap();
    }
    mkfifo(&stored.leaf().join("pipe"));
    fs::write(stored.leaf().with_file_name("=stray"), "x").unwrap();
    for max_keys in [1, 2, 1000] {
        let (mut keys, mut request) =
            (Vec::new(), ListRequest { max_keys: Some(max_keys), ..Default::default() });
        loop {
            let page = stored.store.list(&bucket(), &request).await.unwrap();
            keys.extend(page.objects.into_iter().map(|object| object.key.to_string()));
            request.continuation = page.continuation;
            if request.continuation.is_none() {
                break;
            }
        }
        assert_eq!(keys, ["a", "z"], "{max_keys} a page");
    }
    let debris = stored.store.debris(&bucket()).await.unwrap();
    assert_eq!(debris.len(), strays.len() + 2, "{debris:#?}");
    for piece in &debris {
        let now = stored.store.set_aside(&bucket(), piece).await.unwrap();
        assert!(fs::symlink_metadata(&now).is_ok() && fs::symlink_metadata(&piece.path).is_err());
        let again = stored.store.set_aside(&bucket(), piece).await.unwrap_err();
        assert_eq!(again.kind, StorageErrorKind::NotFound);
    }
    assert!(stored.store.debris(&bucket()).await.unwrap().is_empty());
    assert_eq!(stored.keys().await, ["a", "z"]);
    for key in ["a", "z"] {
        stored.store.delete(&object(key), None).await.unwrap();
    }
    stored.store.delete_bucket(&bucket()).await.unwrap();
}

#[tokio::test]
async fn foreign_files_hint_at_repair() {
    let stored = Stored::with(&[]).await;
    fs::write(stored.leaf().join("notes.txt"), "x").unwrap();
    let refused = [
        stored.store.delete_bucket(&bucket()).await.unwrap_err(),
        stored.store.delete_bucket_holding(&bucket(), &[]).await.unwrap_err(),
    ];
    for error in refused {
        assert_eq!(error.kind, StorageErrorKind::NotEmpty);
        let why = error.source.unwrap().to_string();
        assert!(why.contains("`repair` lists them"), "{why}");
    }
}

/// Puts enough objects that one write purges the leaf: one in 16 checks whether its leaf has grown.
async fn many_writes(stored: &Stored, prefix: &str) {
    for n in 0..200 {
        stored.put(&format!("{prefix}{n}"), "x").await.unwrap();
    }
}

#[tokio::test]
async fn empty_directory_hides_nothing() {
    let keys = ["a", "b", "c", "m", "z"];
    let stored = Stored::with(&keys).await;
    fs::create_dir(stored.leaf().with_file_name("=b")).unwrap();
    assert_eq!(stored.keys().await, keys);
    many_writes(&stored, "a").await;
    stored.put("bb", "later").await.unwrap();
    many_writes(&stored, "c").await;
    for key in keys {
        assert_eq!(stored.read(key).await.unwrap(), key.as_bytes());
    }
    assert_eq!(stored.read("bb").await.unwrap(), b"later");
    assert_eq!(stored.keys().await.len(), keys.len() + 401);
}

#[tokio::test]
async fn foreign_leaf_removes_nothing() {
    let keys = ["a", "b", "c", "m", "z"];
    let stored = Stored::with(&keys).await;
    // The state after an older backup is restored over the store.
    let foreign = stored.leaf().with_file_name("=b");
    fs::create_dir(&foreign).unwrap();
    fs::copy(stored.leaf().join("=b"), foreign.join("=b")).unwrap();
    many_writes(&stored, "a").await;
    for name in ["=b", "=c", "=m", "=z"] {
        assert!(stored.leaf().join(name).exists(), "{name} was removed");
    }
    let debris = stored.store.debris(&bucket()).await.unwrap();
    let hidden: Vec<_> =
        debris.iter().filter_map(|piece| piece.key.as_ref()).map(|key| key.as_str()).collect();
    assert_eq!(hidden, ["b", "c", "m", "z"], "{debris:#?}");
}

#[tokio::test]
async fn clock_going_back_keeps_order() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = Arc::new(AtomicU64::new(2_000_000_000));
    let hand = seconds.clone();
    let clock = move || SystemTime::UNIX_EPOCH + Duration::from_secs(hand.load(Ordering::Relaxed));
    let store = DirStore::open_with_clock(folder.path(), clock).unwrap();
    store.create_bucket(&bucket()).await.unwrap();
    let dated = async |key: &str| store.head(&object(key)).await.unwrap().last_modified;
    put(&store, "k", "old", PutOptions::default()).await.unwrap();
    let old = dated("k").await;
    seconds.fetch_sub(3600, Ordering::Relaxed);
    // In place, and at the other key of the name.
    let tag = put(&store, "k", "new", PutOptions::default()).await.unwrap();
    assert!(dated("k").await >= old);
    assert_eq!(store.head(&object("k")).await.unwrap().etag, tag);
    put(&store, "k.delta", "new", PutOptions { newer_than: Some(old), ..PutOptions::default() })
        .await
        .unwrap();
    assert_eq!(dated("k.delta").await, old + Duration::from_nanos(1));
    store.copy(&object("k.delta"), &object("k"), &CopyOptions::default()).await.unwrap();
    assert!(dated("k").await >= old);
    let page = store.list(&bucket(), &ListRequest::default()).await.unwrap();
    assert!(
        page.damaged.is_empty() && page.objects.iter().all(|object| object.last_modified >= old)
    );
}

/// Follows `docs/embedded-store.md`: links are created under the bucket's lock and copied later.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn store_in_use_is_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = DirStore::open(&path).unwrap();
    store.create_bucket(&bucket()).await.unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let counted = acknowledged.clone();
    let writer = store.clone();
    // More objects than a leaf holds, so that leaves are split during the copy.
    let writing = tokio::spawn(async move {
        for n in 0..2600 {
            put(
                &writer,
                &format!("key {:04}", n * 7 % 2600),
                &n.to_string(),
                PutOptions::default(),
            )
            .await
            .unwrap();
            counted.store(n + 1, Ordering::SeqCst);
        }
    });
    let mut backups = 0;
    while !writing.is_finished() {
        let backup = folder.path().join(format!("backup {backups}"));
        let script = r#"mkdir -p "$2/buckets" && cp "$1/deltaglider-store" "$2/" &&
            flock --shared "$1/buckets/=bucket/lock" cp -al "$1/buckets/=bucket" "$2/buckets/""#;
        let before = acknowledged.load(Ordering::SeqCst);
        let (path, to) = (path.clone(), backup.clone());
        let copied = tokio::task::spawn_blocking(move || {
            std::process::Command::new("sh")
                .args(["-c", script, "sh"])
                .arg(path)
                .arg(to)
                .status()
                .unwrap()
        });
        assert!(copied.await.unwrap().success());
        let restored = DirStore::open(&backup).unwrap();
        for n in 0..before {
            let name = object(&format!("key {:04}", n * 7 % 2600));
            restored
                .head(&name)
                .await
                .unwrap_or_else(|error| panic!("write {n} of {before}: {error}"));
        }
        let (mut listed, mut request) = (0, ListRequest::default());
        loop {
            let page = restored.list(&bucket(), &request).await.unwrap();
            assert!(page.damaged.is_empty());
            listed += page.objects.len() as u64;
            request.continuation = page.continuation;
            if request.continuation.is_none() {
                break;
            }
        }
        assert!(listed >= before, "{listed} of {before}");
        backups += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    writing.await.unwrap();
    assert!(backups > 1);
}
