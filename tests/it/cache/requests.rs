//! Requests of operations, counted at a server: a reference is fetched once per process or, with a
//! shared key, once for all processes.

use std::io::Cursor;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{Run, Sandbox, edited, noise};
use deltaglider::cache::{FolderCache, Limits, MemoryCache, ReferenceCache, WorkingCopies};
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::{DeltaService, GetOptions, Payload, PutOptions, Settings, StoredAs};
use deltaglider::storage::S3Store;
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

const LIMITS: Limits = Limits { bytes: 64 << 20, ttl: Duration::from_secs(3600) };

/// A log of the requests to a server: operation and key.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<(String, String)>>>);

impl Asked {
    fn of(server: &Server) -> Self {
        let asked = Self::default();
        let log = asked.clone();
        server.script(move |call| {
            let key = call.key.unwrap_or_default().to_owned();
            log.0.lock().unwrap().push((call.operation.to_owned(), key));
            None
        });
        asked
    }

    /// Returns the number of HEADs and of GETs of a reference since the last call.
    fn counts(&self) -> (usize, usize) {
        let calls = std::mem::take(&mut *self.0.lock().unwrap());
        let heads = calls.iter().filter(|(operation, _)| operation == "HeadObject").count();
        let bodies = calls
            .iter()
            .filter(|(operation, key)| operation == "GetObject" && key.ends_with("reference.bin"));
        (heads, bodies.count())
    }
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("buc").unwrap(), Key::new(key).unwrap())
}

#[tokio::test]
async fn process_fetches_reference_once() {
    let folder = tempfile::tempdir().unwrap();
    let caches: [Arc<dyn ReferenceCache>; 2] = [
        Arc::new(FolderCache::ephemeral(folder.path(), LIMITS).unwrap()),
        Arc::new(MemoryCache::new(LIMITS, folder.path()).unwrap()),
    ];
    for cache in caches {
        let server = Server::memory().unwrap();
        let store = Arc::new(S3Store::connect(server.config()).await.unwrap());
        deltaglider::storage::BucketAdmin::create_bucket(&*store, &BucketName::new("buc").unwrap())
            .await
            .unwrap();
        let settings = Settings { policy: Default::default(), spool_dir: folder.path().to_owned() };
        let service = DeltaService::new(store, cache, settings);
        let asked = Asked::of(&server);
        let first = noise(300_000, 1);
        let version = |n: u64| if n == 1 { first.clone() } else { edited(&first, n) };
        let put = async |n: u64, as_what: StoredAs| {
            let file =
                Payload::spool(Cursor::new(version(n)), "file", folder.path()).await.unwrap();
            let report = service
                .put(&file, &object(&format!("a/{n}.zip")), &PutOptions::default())
                .await
                .unwrap();
            assert_eq!(report.stored_as, as_what);
        };
        let get = async |n: u64| {
            let name = object(&format!("a/{n}.zip"));
            assert!(
                service.get(&name, Vec::new(), &GetOptions::default()).await.unwrap().0
                    == version(n)
            );
        };
        put(1, StoredAs::Reference).await;
        asked.counts();
        put(2, StoredAs::Delta).await;
        assert_eq!(asked.counts().1, 1, "the first put that needs it");
        for n in 3..6 {
            put(n, StoredAs::Delta).await;
            let (heads, bodies) = asked.counts();
            // One of them is for the packing of the content-addressed reference.
            assert!(heads <= 3 && bodies == 0, "put {n}: {heads} HEADs, {bodies} bodies");
        }
        for n in 1..6 {
            get(n).await;
            assert_eq!(asked.counts(), (1, 0), "get {n}");
        }
    }
}

#[tokio::test]
async fn concurrent_operations_fetch_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::memory().unwrap();
    let store = Arc::new(S3Store::connect(server.config()).await.unwrap());
    deltaglider::storage::BucketAdmin::create_bucket(&*store, &BucketName::new("buc").unwrap())
        .await
        .unwrap();
    let service = |cache: Arc<dyn ReferenceCache>| {
        let settings = Settings { policy: Default::default(), spool_dir: folder.path().to_owned() };
        DeltaService::new(store.clone(), cache, settings)
    };
    let first = noise(300_000, 1);
    let version = |n: u64| if n == 1 { first.clone() } else { edited(&first, n) };
    let put = async |service: &DeltaService, n: u64| {
        let file = Payload::spool(Cursor::new(version(n)), "file", folder.path()).await.unwrap();
        let name = object(&format!("a/{n}.zip"));
        service.put(&file, &name, &PutOptions::default()).await.unwrap();
    };
    let get = async |service: &DeltaService, n: u64| {
        let name = object(&format!("a/{n}.zip"));
        let got = service.get(&name, Vec::new(), &GetOptions::default()).await.unwrap();
        assert!(got.0 == version(n));
    };
    let before = service(Arc::new(MemoryCache::new(LIMITS, folder.path()).unwrap()));
    for n in 1..6 {
        put(&before, n).await;
    }
    let asked = Asked::of(&server);
    let cached = service(Arc::new(FolderCache::ephemeral(folder.path(), LIMITS).unwrap()));
    let gets = futures::future::join_all((2..6).map(|n| get(&cached, n)));
    futures::join!(gets, put(&cached, 6), put(&cached, 7));
    assert_eq!(asked.counts().1, 1, "four gets and two puts");
    // Without a cache each operation has its own copy, and none waits for more than the first.
    let uncached = service(Arc::new(WorkingCopies::new(folder.path().to_owned())));
    futures::future::join_all((2..6).map(|n| get(&uncached, n))).await;
    assert_eq!(asked.counts().1, 4);
}

#[test]
fn shared_key_avoids_refetch() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let run = |arguments: &[&str]| {
        let mut command: Command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).args(arguments);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.env("DG_CACHE_DIR", sandbox.path("cache"));
        command.env("DG_CACHE_ENCRYPTION_KEY", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=");
        Run::of(&mut command).succeeds();
    };
    run(&["mb", "s3://buc"]);
    let first = noise(300_000, 1);
    sandbox.write("in/1.zip", &first);
    (2..5).for_each(|n| drop(sandbox.write(&format!("in/{n}.zip"), edited(&first, n))));
    run(&["cp", "in/1.zip", "s3://buc/a/"]);
    let asked = Asked::of(&server);
    run(&["cp", "in/2.zip", "s3://buc/a/"]);
    assert_eq!(asked.counts().1, 1, "the first put that needs it");
    for n in 3..5 {
        run(&["cp", &format!("in/{n}.zip"), "s3://buc/a/"]);
        let (heads, bodies) = asked.counts();
        // One of them is for the packing of the content-addressed reference.
        assert!(heads <= 3 && bodies == 0, "put {n}: {heads} HEADs, {bodies} bodies");
    }
    for n in 1..5 {
        run(&["cp", &format!("s3://buc/a/{n}.zip"), "out/"]);
        assert_eq!(asked.counts(), (1, 0), "get {n}");
        assert!(sandbox.read(&format!("out/{n}.zip")) == sandbox.read(&format!("in/{n}.zip")));
    }
}
