//! Listings with an index: whatever happened to the bucket or to the index, they return the same as
//! a listing without one.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::metadata::DeltaMetadata;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::service::{DeltaService, Listing, Settings};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ListRequest, MemoryStore, ObjectStore as _, PutBody, PutCondition,
};

struct Fixture {
    store: Arc<MemoryStore>,
    service: DeltaService,
}

type Files = Vec<(String, u64, Option<Sha256Digest>)>;

impl Fixture {
    async fn new() -> Self {
        let ticks = AtomicU64::new(1);
        let clock = move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(ticks.fetch_add(1, Ordering::Relaxed))
        };
        let (store, spool_dir) = (Arc::new(MemoryStore::with_clock(clock)), std::env::temp_dir());
        let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
        let service = DeltaService::new(
            store.clone(),
            cache,
            Settings { policy: Policy::default(), spool_dir },
        );
        store.create_bucket(&bucket()).await.unwrap();
        Self { store, service }
    }

    async fn put_delta(&self, key: &str, file_size: u64) {
        let digest = Sha256Digest::of(&file_size.to_le_bytes());
        let metadata = DeltaMetadata {
            original_name: "n".to_owned(),
            file_sha256: digest,
            file_size,
            created_at: Some(SystemTime::UNIX_EPOCH.into()),
            ref_key: Key::new("reference.bin").unwrap(),
            ref_sha256: digest,
            delta_size: 1,
            ref_packing: None,
        };
        let attributes = Attributes { metadata: metadata.write(), ..Attributes::default() };
        // All bodies are equal, so that only the time distinguishes two versions.
        let (object, body) = (object(&format!("{key}.delta")), PutBody::from_bytes("x"));
        self.store.put(&object, body, &attributes, &PutCondition::None.into()).await.unwrap();
    }

    async fn index(&self) -> Vec<Key> {
        let (mut keys, mut request) = (Vec::new(), ListRequest::default());
        loop {
            let page = self.store.list(&bucket(), &request).await.unwrap();
            keys.extend(
                page.objects
                    .into_iter()
                    .map(|object| object.key)
                    .filter(|key| key.as_str().contains("/index/")),
            );
            request.continuation = page.continuation;
            if request.continuation.is_none() {
                return keys;
            }
        }
    }

    fn list(&self, prefix: &str, delimiter: Option<&str>) -> Listing {
        self.service.list(&bucket(), prefix, delimiter)
    }
}

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(key).unwrap())
}

async fn listed(mut listing: Listing) -> Files {
    let mut files = Vec::new();
    while let Some(page) = listing.next().await.unwrap() {
        let shown = page.files.into_iter().filter(|file| file.is_shown());
        files.extend(shown.map(|file| (file.key.to_string(), file.size, file.sha256)));
    }
    files
}

#[tokio::test]
async fn index_changes_no_listing() {
    let fixture = Fixture::new().await;
    let mut state = 0x5eed_u64;
    let mut next = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let name = |n: u64| format!("{}/v{:04}.zip", ["a", "a/b", "c"][n as usize % 3], n);
    for n in 0..4_000 {
        fixture.put_delta(&name(n), n).await;
    }
    for round in 0..12 {
        for _ in 0..next(60) {
            fixture.put_delta(&name(next(6_000)), 10_000 + next(1_000)).await;
        }
        for _ in 0..next(60) {
            fixture
                .store
                .delete(&object(&format!("{}.delta", name(next(6_000)))), None)
                .await
                .unwrap();
        }
        // Damage one object of the index, in one of two ways or not at all.
        let index = fixture.index().await;
        if round > 1 {
            let spoilt =
                ObjectName::new(bucket(), index[next(index.len() as u64) as usize].clone());
            match next(3) {
                0 => fixture.store.delete(&spoilt, None).await.unwrap(),
                1 => {
                    let body = PutBody::from_bytes("{\"version\":1,\"entries\":[{}]}");
                    fixture
                        .store
                        .put(&spoilt, body, &Attributes::default(), &PutCondition::None.into())
                        .await
                        .unwrap();
                }
                _ => {}
            }
        }
        for (prefix, delimiter) in
            [("", None), ("a/", Some("/")), ("a/", None), ("a/v1", Some("/")), ("", Some("/"))]
        {
            let expected = listed(fixture.list(prefix, delimiter).without_index()).await;
            assert!(
                listed(fixture.list(prefix, delimiter).learning()).await == expected,
                "round {round}, {prefix:?}"
            );
            assert!(
                listed(fixture.list(prefix, delimiter)).await == expected,
                "round {round}, {prefix:?}, again"
            );
        }
    }
    let index = fixture.index().await;
    // Leaves of at most 2,048 entries for the three listed folders, and the objects that state
    // where each leaf begins.
    assert!((5..20).contains(&index.len()), "{index:?}");
}

#[tokio::test]
async fn short_listing_writes_no_index() {
    let fixture = Fixture::new().await;
    for n in 0..15 {
        fixture.put_delta(&format!("a/{n}"), n).await;
    }
    listed(fixture.list("a/", Some("/")).learning()).await;
    assert_eq!(fixture.index().await, []);
    fixture.put_delta("a/15", 15).await;
    listed(fixture.list("a/", Some("/"))).await;
    assert_eq!(fixture.index().await, [], "a listing that was not asked to learn");
    listed(fixture.list("a/", Some("/")).learning()).await;
    assert_eq!(fixture.index().await.len(), 2);
}

#[tokio::test]
async fn partial_listing_keeps_the_rest() {
    let fixture = Fixture::new().await;
    for n in 0..100 {
        fixture.put_delta(&format!("a/x{n:02}"), n).await;
        fixture.put_delta(&format!("a/y{n:02}"), n).await;
    }
    listed(fixture.list("a/", None).learning()).await;
    let leaf = fixture
        .index()
        .await
        .into_iter()
        .find(|key| !key.as_str().ends_with("contents.json"))
        .unwrap();
    let size = || async {
        fixture.store.head(&ObjectName::new(bucket(), leaf.clone())).await.unwrap().size
    };
    let before = size().await;
    for n in 0..20 {
        fixture.put_delta(&format!("a/x{n:02}"), n).await;
    }
    listed(fixture.list("a/x", None).learning()).await;
    let after = size().await;
    assert!(after.abs_diff(before) < 100, "{before} bytes became {after}");
}
