//! Tests of several processes in one embedded store. Each process is this test program again, with
//! its task in the environment.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, DirStore, ETag, ListRequest, ObjectStore as _, PutBody,
    PutCondition, StorageError, StorageErrorKind,
};
use futures::{StreamExt as _, TryStreamExt as _};

const TASK: &str = "STORE_TASK";
const FOLDER: &str = "STORE_FOLDER";
const NUMBER: &str = "STORE_PROCESS";
/// The number of concurrent processes.
const RACERS: usize = 4;

struct Process(Child);

impl Process {
    fn start(task: &str, folder: &Path, number: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([
            "--ignored",
            "--exact",
            "store::dir_processes::a_process_with_a_task",
            "--nocapture",
        ]);
        command.env(TASK, task).env(FOLDER, folder).env(NUMBER, number.to_string());
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    fn start_all(task: &str, folder: &Path) -> Vec<Self> {
        (0..RACERS).map(|number| Self::start(task, folder, number)).collect()
    }

    /// Waits for a line that contains `printed`.
    fn hear(&mut self, printed: &str) {
        let mut lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap().contains(printed)),
            "the process ended without printing {printed:?}"
        );
    }

    fn finish(mut self) -> String {
        let output = std::io::read_to_string(self.0.stdout.take().unwrap()).unwrap();
        assert!(self.0.wait().unwrap().success(), "{output}");
        output
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

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
    content: String,
    condition: PutCondition,
) -> Result<ETag, StorageError> {
    store
        .put(&object(key), PutBody::from_bytes(content), &Attributes::default(), &condition.into())
        .await
}

async fn read(store: &DirStore, key: &str) -> (ETag, String) {
    let body = store.get(&object(key), None).await.unwrap();
    let content: Vec<u8> = body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    (body.head.etag, String::from_utf8(content).unwrap())
}

async fn keys(store: &DirStore) -> Vec<String> {
    let (mut keys, mut request) = (Vec::new(), ListRequest::default());
    loop {
        let page = store.list(&bucket(), &request).await.unwrap();
        keys.extend(page.objects.into_iter().map(|object| object.key.as_str().to_owned()));
        request.continuation = page.continuation;
        if request.continuation.is_none() {
            return keys;
        }
    }
}

/// Runs the task of a process started by the tests; not a test by itself.
#[tokio::test]
#[ignore = "is started by the other tests, in a process of its own"]
async fn a_process_with_a_task() {
    let folder = std::env::var(FOLDER).expect("started by another test");
    let number: usize = std::env::var(NUMBER).unwrap().parse().unwrap();
    let store = DirStore::open(Path::new(&folder)).unwrap();
    match std::env::var(TASK).unwrap().as_str() {
        "create" => create(&store, number).await,
        "count" => count(&store).await,
        "hang" => hang(&store).await,
        "fill" => fill(&store, number).await,
        "found" => found(&store, number).await,
        task => panic!("unknown task {task:?}"),
    }
}

/// Tries to create each of 40 objects and prints which it created.
async fn create(store: &DirStore, number: usize) {
    for round in 0..40 {
        match put(store, &format!("k{round}"), format!("process {number}"), PutCondition::IfAbsent)
            .await
        {
            Ok(_) => println!("made k{round} as {number}"),
            Err(error) => assert_eq!(error.kind, StorageErrorKind::AlreadyExists),
        }
    }
}

#[tokio::test]
async fn one_creating_process_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    let processes = Process::start_all("create", folder.path());
    let printed: Vec<String> = processes.into_iter().map(Process::finish).collect();
    for round in 0..40 {
        let key = format!("k{round}");
        let winners: Vec<usize> = (0..RACERS)
            .filter(|number| printed[*number].contains(&format!("made {key} as {number}\n")))
            .collect();
        assert_eq!(winners.len(), 1, "{key}");
        assert_eq!(read(&store, &key).await.1, format!("process {}", winners[0]));
    }
}

/// Increments a number in the store 40 times.
async fn count(store: &DirStore) {
    for _ in 0..40 {
        loop {
            let (etag, number) = read(store, "number").await;
            let next = number.parse::<u32>().unwrap() + 1;
            match put(store, "number", next.to_string(), PutCondition::IfMatch(etag)).await {
                Ok(_) => break,
                Err(error) => assert_eq!(error.kind, StorageErrorKind::Precondition),
            }
        }
    }
}

#[tokio::test]
async fn no_replacement_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    put(&store, "number", "0".to_owned(), PutCondition::None).await.unwrap();
    Process::start_all("count", folder.path())
        .into_iter()
        .for_each(|process| drop(process.finish()));
    assert_eq!(read(&store, "number").await.1, (40 * RACERS).to_string());
}

/// Starts a put that never ends.
async fn hang(store: &DirStore) {
    let body = PutBody::new(9 << 20, || {
        let begun = futures::stream::iter((0..3).map(|_| Ok(vec![1; 1 << 20].into())));
        let says = futures::stream::once(async {
            println!("hanging");
            futures::future::pending().await
        });
        begun.chain(says).boxed()
    });
    store
        .put(&object("never"), body, &Attributes::default(), &PutCondition::None.into())
        .await
        .unwrap();
}

/// Those of living processes are kept.
#[tokio::test]
async fn dead_temporaries_are_swept() {
    let folder = tempfile::tempdir().unwrap();
    drop(store_in(folder.path()).await);
    let tmp = folder.path().join("tmp");
    let temporaries = || -> BTreeSet<_> {
        fs::read_dir(&tmp).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    let mut living = Process::start("hang", folder.path(), 0);
    living.hear("hanging");
    let of_living = temporaries();
    assert_eq!(of_living.len(), 1);
    let mut dying = Process::start("hang", folder.path(), 1);
    dying.hear("hanging");
    let of_both = temporaries();
    assert_eq!(of_both.len(), 2, "a process swept the temporaries of another");
    drop(dying);
    assert_eq!(temporaries(), of_both, "a killed process leaves its temporaries");
    let store = DirStore::open(folder.path()).unwrap();
    put(&store, "k", "x".to_owned(), PutCondition::None).await.unwrap();
    let left = temporaries();
    assert!(left.is_superset(&of_living), "the temporaries of a living process were swept");
    assert_eq!(
        left.intersection(&of_both).count(),
        1,
        "the temporaries of a dead process were not swept"
    );
    assert_eq!(keys(&store).await, ["k"]);
    drop(store);
    drop(living);
    put(&DirStore::open(folder.path()).unwrap(), "k", "y".to_owned(), PutCondition::None)
        .await
        .unwrap();
    assert!(temporaries().is_empty());
}

/// Puts many objects so that leaves are split, and deletes every second one so that leaves become
/// empty.
async fn fill(store: &DirStore, number: usize) {
    for round in 0..2 {
        for n in 0..400 {
            put(store, &format!("moving {n:03} of {number}"), "x".to_owned(), PutCondition::None)
                .await
                .unwrap();
        }
        for n in (round..400).step_by(2) {
            store.delete(&object(&format!("moving {n:03} of {number}")), None).await.unwrap();
        }
    }
}

/// Other processes split leaves and delete empty ones during the reads.
#[tokio::test(flavor = "multi_thread")]
async fn readers_miss_no_moved_object() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_in(folder.path()).await;
    let fixed: Vec<String> = (0..100).map(|n| format!("moving {:03} stays", n * 4)).collect();
    for key in &fixed {
        put(&store, key, key.clone(), PutCondition::None).await.unwrap();
    }
    let mut processes = Process::start_all("fill", folder.path());
    let leaves = || fs::read_dir(folder.path().join("buckets/=bucket/leaves")).unwrap().count();
    let (mut rounds, mut most_leaves) = (0, 0);
    while processes.iter_mut().any(|process| process.0.try_wait().unwrap().is_none()) {
        let listed = keys(&store).await;
        assert!(listed.is_sorted(), "not in order");
        let listed: BTreeSet<&String> = listed.iter().collect();
        for key in &fixed {
            assert!(listed.contains(key), "{key} is missing in round {rounds}");
            assert_eq!(read(&store, key).await.1, *key);
        }
        most_leaves = most_leaves.max(leaves());
        rounds += 1;
    }
    processes.into_iter().for_each(|process| drop(process.finish()));
    assert!(rounds > 3 && most_leaves > 1, "{rounds} rounds, {most_leaves} leaves: nothing moved");
    let mut expected = fixed;
    expected.extend(
        (0..RACERS).flat_map(|number| {
            (0..400).step_by(2).map(move |n| format!("moving {n:03} of {number}"))
        }),
    );
    expected.sort();
    assert_eq!(keys(&store).await, expected);
}

/// Creates and deletes a bucket of its own in a directory that may not be a store yet.
async fn found(store: &DirStore, number: usize) {
    match store.create_bucket(&bucket()).await {
        Ok(()) => println!("founded"),
        Err(error) => assert_eq!(error.kind, StorageErrorKind::AlreadyExists),
    }
    let own = BucketName::new(format!("own-{number}")).unwrap();
    for _ in 0..10 {
        store.create_bucket(&own).await.unwrap();
        store.delete_bucket(&own).await.unwrap();
    }
    // One bucket for all processes, created, used and deleted by whichever comes first.
    let shared = BucketName::new("shared").unwrap();
    for round in 0..30 {
        store.create_bucket(&shared).await.ok();
        let name = ObjectName::new(shared.clone(), Key::new(format!("{number}")).unwrap());
        let body = PutBody::from_bytes(format!("{round}"));
        match store.put(&name, body, &Attributes::default(), &PutCondition::None.into()).await {
            // A bucket with an object cannot be deleted, so it must exist.
            Ok(_) => {
                store.head(&name).await.unwrap();
                store.delete(&name, None).await.unwrap();
            }
            Err(error) => assert_eq!(error.kind, StorageErrorKind::NoSuchBucket, "{error:?}"),
        }
        store.delete_bucket(&shared).await.ok();
    }
}

#[tokio::test]
async fn processes_create_one_store() {
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/store");
        let printed: Vec<String> =
            Process::start_all("found", &path).into_iter().map(Process::finish).collect();
        assert_eq!(printed.iter().filter(|printed| printed.contains("founded")).count(), 1);
        let store = DirStore::open(&path).unwrap();
        let names: Vec<String> = store
            .list_buckets()
            .await
            .unwrap()
            .iter()
            .map(|bucket| bucket.name.to_string())
            .collect();
        assert_eq!(names, ["bucket"]);
    }
}

/// Run by name: `cargo test --release --test it -- --ignored --exact
/// store::dir_processes::times_of_pages --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and prints times"]
async fn times_of_pages() {
    const COUNT: usize = 100_000;
    let folder = tempfile::tempdir().unwrap();
    let store = DirStore::open(folder.path()).unwrap();
    type Layout = (&'static str, fn(usize) -> String);
    let layouts: [Layout; 3] = [
        ("flat", |n| format!("file-{:06}.bin", n * 7919 % COUNT)),
        ("spread", |n| {
            format!("releases/v{:03}/part{:02}/file-{:06}.zip", n % 100, n / 100 % 10, n)
        }),
        ("one-big-folder", |n| if n < 10 { format!("z{n}") } else { format!("big/{n:06}") }),
    ];
    for (name, key) in layouts {
        let bucket = BucketName::new(name).unwrap();
        store.create_bucket(&bucket).await.unwrap();
        let start = Instant::now();
        let puts = (0..COUNT).map(|n| {
            let (store, object) =
                (store.clone(), ObjectName::new(bucket.clone(), Key::new(key(n)).unwrap()));
            async move {
                let body = PutBody::from_bytes(format!("{n}"));
                store
                    .put(&object, body, &Attributes::default(), &PutCondition::None.into())
                    .await
                    .unwrap();
            }
        });
        futures::stream::iter(puts).buffer_unordered(8).collect::<()>().await;
        println!("{name}: {COUNT} puts in {:.1?}", start.elapsed());
        for delimiter in [None, Some("/")] {
            let mut times = Vec::new();
            let mut seen = 0;
            let mut request =
                ListRequest { delimiter: delimiter.map(str::to_owned), ..ListRequest::default() };
            loop {
                let start = Instant::now();
                let page = store.list(&bucket, &request).await.unwrap();
                times.push(start.elapsed());
                seen += page.objects.len() + page.common_prefixes.len();
                request.continuation = page.continuation;
                if request.continuation.is_none() {
                    break;
                }
            }
            let most = times.iter().max().copied().unwrap_or(Duration::ZERO);
            let (first, middle, last) = (times[0], times[times.len() / 2], times[times.len() - 1]);
            println!(
                "{name}, delimiter {delimiter:?}: {seen} entries, {} pages; first {first:.1?}, \
                 middle {middle:.1?}, last {last:.1?}, slowest {most:.1?}",
                times.len()
            );
        }
    }
}
