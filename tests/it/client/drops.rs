//! Every verb is dropped at every await: each name has its old or its new content, whole, and what
//! is left `repair` names and removes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::{Finding, Outcome};
use deltaglider::storage::{
    ListRequest, MemoryStore, ObjectStore as _, PutBody, PutCondition, StorageErrorKind,
};
use deltaglider::{Body, DeltaGlider, Error, ErrorKind, ListItem};
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};

use super::stage::client_of;
use crate::protocol::faults::Faulty;
use crate::support::polls::Polls;
use crate::support::small_files::content;

/// The contents of names; `None` for no file.
type Contents = BTreeMap<&'static str, Option<Vec<u8>>>;

/// A call that is dropped.
struct Verb {
    name: &'static str,
    call: fn(DeltaGlider, &Path) -> BoxFuture<'static, Result<(), Error>>,
    /// The contents that names have once it is done.
    effects: Contents,
}

fn uri(key: &str) -> String {
    format!("s3://bucket/{key}")
}

const NAMES: [&str; 4] = ["a-1.zip", "a-2.zip", "b.bin", "d/c.zip"];

/// Returns a store with a delta of itself, a delta, a file as it is, a file in a folder, and a copy
/// for a URL that has expired.
async fn stage() -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let client = client_of(store.clone()).await;
    for bucket in ["bucket", "other-bucket"] {
        client.create_bucket(bucket).await.unwrap();
    }
    for (number, name) in (1..).zip(NAMES) {
        client.put(uri(name), content(number)).await.unwrap();
    }
    let copy = object(".deltaglider/tmp/0_a-2.zip");
    let attributes = deltaglider::storage::Attributes {
        metadata: [("dg-expires-at".to_owned(), "2001-01-01T00:00:00".to_owned())].into(),
        ..Default::default()
    };
    let body = PutBody::from_bytes("copy");
    store.put(&copy, body, &attributes, &PutCondition::None.into()).await.unwrap();
    store
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap())
}

fn stream_of(number: u64) -> Body {
    let pieces: Vec<_> = content(number).chunks(100).map(Bytes::copy_from_slice).collect();
    Body::stream(futures::stream::iter(pieces.into_iter().map(Ok)).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    }))
}

fn verb(
    name: &'static str,
    call: fn(DeltaGlider, &Path) -> BoxFuture<'static, Result<(), Error>>,
    effects: impl IntoIterator<Item = (&'static str, Option<u64>)>,
) -> Verb {
    let effects = effects.into_iter().map(|(name, number)| (name, number.map(content))).collect();
    Verb { name, call, effects }
}

/// Makes a call whose result does not matter.
macro_rules! call {
    (|$client:ident, $folder:ident| $call:expr) => {
        |$client, $folder| {
            let $folder = $folder.to_owned();
            let _ = &$folder;
            async move { $call.await.map(drop) }.boxed()
        }
    };
}

fn writing_verbs() -> Vec<Verb> {
    vec![
        verb("put", call!(|dg, _f| dg.put(uri("e.zip"), content(7))), [("e.zip", Some(7))]),
        verb(
            "put again",
            call!(|dg, _f| dg.put(uri("a-2.zip"), content(7))),
            [("a-2.zip", Some(7))],
        ),
        verb(
            "put as it is",
            call!(|dg, _f| dg.put(uri("a-2.zip"), content(7)).without_delta()),
            [("a-2.zip", Some(7))],
        ),
        verb(
            "put of a first file",
            call!(|dg, _f| dg.put(uri("n/e.zip"), content(7)).if_absent()),
            [("n/e.zip", Some(7))],
        ),
        verb(
            "put of a stream",
            call!(|dg, _f| dg.put(uri("e.zip"), stream_of(7))),
            [("e.zip", Some(7))],
        ),
        verb(
            "stream as it is",
            call!(|dg, _f| dg.put(uri("b.bin"), stream_of(7))),
            [("b.bin", Some(7))],
        ),
        verb(
            "upload",
            call!(|dg, f| dg.upload(f.join("up/7.zip"), "s3://bucket")),
            [("7.zip", Some(7))],
        ),
        verb("delete", call!(|dg, _f| dg.delete(uri("a-2.zip"))), [("a-2.zip", None)]),
        verb(
            "delete_many",
            call!(|dg, _f| dg.delete_many([uri("a-1.zip"), uri("b.bin")])),
            [("a-1.zip", None), ("b.bin", None)],
        ),
        verb(
            "delete_prefix",
            call!(|dg, _f| dg.delete_prefix(uri("a-"))),
            [("a-1.zip", None), ("a-2.zip", None)],
        ),
        verb("copy", call!(|dg, _f| dg.copy(uri("a-2.zip"), uri("e.zip"))), [("e.zip", Some(2))]),
        verb(
            "copy elsewhere",
            call!(|dg, _f| dg.copy(uri("a-2.zip"), uri("n/e.zip"))),
            [("n/e.zip", Some(2))],
        ),
        verb(
            "rename",
            call!(|dg, _f| dg.rename(uri("a-2.zip"), uri("e.zip"))),
            [("a-2.zip", None), ("e.zip", Some(2))],
        ),
        verb(
            "sync up",
            call!(|dg, f| dg.sync(f.join("up"), "s3://bucket/d").delete().concurrency(1)),
            [("d/7.zip", Some(7)), ("d/8.bin", Some(8)), ("d/c.zip", None)],
        ),
        verb("migrate out", call!(|dg, _f| dg.migrate("s3://bucket", "s3://other-bucket")), []),
        verb("remove_bucket", call!(|dg, _f| dg.remove_bucket("other-bucket")), []),
        verb("create_bucket", call!(|dg, _f| dg.create_bucket("third-bucket")), []),
        verb("rehydrate", call!(|dg, _f| dg.rehydrate(uri("a-2.zip"))), []),
        verb("purge", call!(|dg, _f| dg.purge("bucket")), []),
        verb("repair", call!(|dg, _f| dg.repair("bucket").fix().grace(Duration::ZERO)), []),
    ]
}

fn reading_verbs() -> Vec<Verb> {
    vec![
        verb("get", call!(|dg, _f| async { dg.get(uri("a-2.zip")).await?.bytes().await }), []),
        verb("download", call!(|dg, f| dg.download(uri("a-2.zip"), f.join("down/a.zip"))), []),
        verb("head", call!(|dg, _f| dg.head(uri("a-2.zip")).with_tags()), []),
        verb("list", call!(|dg, _f| dg.list("s3://bucket").try_collect::<Vec<_>>()), []),
        verb("sync down", call!(|dg, f| dg.sync("s3://bucket", f.join("down")).delete()), []),
        verb("verify", call!(|dg, _f| dg.verify(uri("a-2.zip"))), []),
        verb("stats", call!(|dg, _f| dg.stats("s3://bucket")), []),
        verb("analyze", call!(|dg, _f| dg.analyze(content(7), uri("e.zip"))), []),
        verb("similar", call!(|dg, _f| dg.similar(content(7), uri("e.zip"))), []),
        verb("list_buckets", call!(|dg, _f| async { dg.list_buckets().await }), []),
        verb("clear_cache", call!(|dg, _f| async { dg.clear_cache().await }), []),
    ]
}

/// Returns the content of every name of interest.
async fn contents(client: &DeltaGlider, verb: &Verb) -> Contents {
    let mut contents = Contents::new();
    let names: BTreeSet<_> = NAMES.into_iter().chain(verb.effects.keys().copied()).collect();
    for name in names {
        let read = async { client.get(uri(name)).await?.bytes().await }.await;
        let content = match read {
            Ok(bytes) => Some(bytes.to_vec()),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("{}: {name}: {}", verb.name, deltaglider::service::chain(&error)),
        };
        contents.insert(name, content);
    }
    contents
}

async fn keys(store: &MemoryStore, bucket: &str) -> Vec<String> {
    let bucket = BucketName::new(bucket).unwrap();
    let page = match store.list(&bucket, &ListRequest::default()).await {
        Err(error) if error.kind == StorageErrorKind::NoSuchBucket => return Vec::new(),
        page => page.unwrap(),
    };
    page.objects.into_iter().map(|listed| format!("{} {}", listed.key, listed.etag)).collect()
}

/// Repairs a bucket until nothing is found: a reference is deleted in steps of a grace period each.
async fn repaired(client: &DeltaGlider, bucket: &str, verb: &Verb) {
    for _ in 0..5 {
        let report = client.repair(bucket).fix().grace(Duration::ZERO).await.unwrap();
        if report.findings.is_empty() && report.waiting.is_empty() {
            return;
        }
        let is_fixed = |finding: &Finding| matches!(finding.outcome, Outcome::Fixed);
        assert!(report.findings.iter().all(is_fixed), "{}: {:?}", verb.name, report.findings);
    }
    panic!("{}: the repairs do not end", verb.name);
}

/// Checks the state that a dropped call has left.
async fn check(verb: &Verb, store: &Arc<MemoryStore>, before: &Contents) {
    let client = client_of(store.clone()).await;
    let after = contents(&client, verb).await;
    for (name, content) in &after {
        let is_new = verb.effects.get(name) == Some(content);
        assert!(before[name] == *content || is_new, "{}: {name}", verb.name);
    }
    // A name is deleted last: what is moved or copied is there before.
    let is_done = |(name, effect): (&&str, &Option<Vec<u8>>)| after[name] == *effect;
    if verb.effects.iter().any(|(name, effect)| effect.is_none() && after[name].is_none()) {
        let mut stored = verb.effects.iter().filter(|(_, effect)| effect.is_some());
        assert!(stored.all(is_done), "{}: a content is lost", verb.name);
    }
    for bucket in ["bucket", "other-bucket"] {
        if keys(store, bucket).await.is_empty() {
            continue;
        }
        for file in client.list(format!("s3://{bucket}")).try_collect::<Vec<_>>().await.unwrap() {
            let ListItem::File(file) = file else { continue };
            client.verify(&file.object).await.unwrap();
        }
        repaired(&client, bucket, verb).await;
        if bucket == "bucket" {
            assert!(contents(&client, verb).await == after, "{}", verb.name);
        }
        // Without files, nothing is left that `repair` does not name.
        client.delete_prefix(format!("s3://{bucket}")).await.unwrap();
        repaired(&client, bucket, verb).await;
        let keys = keys(store, bucket).await;
        let is_derived = |key: &&String| key.starts_with(".deltaglider/");
        let left: Vec<_> = keys.iter().filter(|key| !is_derived(key)).collect();
        assert!(left.is_empty(), "{}: {left:?}", verb.name);
    }
}

/// Returns a directory with files to upload and one with a file that a download replaces.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, number) in [("up/7.zip", 7), ("up/8.bin", 8), ("down/a.zip", 9)] {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content(number)).unwrap();
    }
    folder
}

/// Drops the call at each of its awaits. Returns the number of awaits.
async fn sweep(verb: Verb) -> u32 {
    let mut sound = BTreeSet::new();
    let staged = stage().await;
    let before = contents(&client_of(staged.clone()).await, &verb).await;
    for left in 0.. {
        let (store, folder) = (Arc::new((*staged).clone()), folder());
        let dropping = client_of(Arc::new(Faulty::new(store.clone(), None))).await;
        let ended = Polls::of((verb.call)(dropping, folder.path()), left).await;
        let download = std::fs::read(folder.path().join("down/a.zip"));
        assert!(
            download.is_err() && verb.name == "sync down"
                || [9, 2].map(content).contains(download.as_ref().unwrap()),
            "{}",
            verb.name
        );
        let state = [keys(&store, "bucket").await, keys(&store, "other-bucket").await];
        if sound.insert(state) {
            check(&verb, &store, &before).await;
        }
        match ended {
            None => {}
            Some(Err(error)) => panic!("{}: {}", verb.name, deltaglider::service::chain(&error)),
            Some(Ok(())) => return left,
        }
    }
    unreachable!()
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_writes_lose_nothing() {
    for verb in writing_verbs() {
        let name = verb.name;
        let awaits = sweep(verb).await;
        assert!(awaits > 1, "{name}: {awaits}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_reads_change_nothing() {
    for verb in reading_verbs() {
        sweep(verb).await;
    }
}
