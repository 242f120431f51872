//! Listings that do not depend on the pages of the store: over the model store, whose pages have
//! 1,000 keys.
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use deltaglider::cache::WorkingCopies;
use deltaglider::domain::metadata::DeltaMetadata;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::service::{
    AllowDelta, Compare, DeltaService, Folder, Listed, Listing, Payload, PutOptions, Settings,
    Step, SyncOptions,
};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, MemoryStore, ObjectStore as _, PutBody, PutCondition,
};

struct Fixture {
    store: Arc<MemoryStore>,
    service: DeltaService,
}

impl Fixture {
    async fn new(store: MemoryStore) -> Self {
        let (store, spool_dir) = (Arc::new(store), std::env::temp_dir());
        let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
        let service = DeltaService::new(
            store.clone(),
            cache,
            Settings { policy: Policy::default(), spool_dir },
        );
        let fixture = Self { store, service };
        fixture.store.create_bucket(&bucket()).await.unwrap();
        fixture
    }

    async fn put(&self, key: &str, attributes: &Attributes) {
        let object = ObjectName::new(bucket(), Key::new(key).unwrap());
        let body = PutBody::from_bytes(key.to_owned());
        self.store.put(&object, body, attributes, &PutCondition::None.into()).await.unwrap();
    }

    /// Stores an object with the metadata of a delta, whose file has 7 bytes.
    async fn put_delta(&self, key: &str) {
        let digest = Sha256Digest::of(b"");
        let metadata = DeltaMetadata {
            original_name: "n".to_owned(),
            file_sha256: digest,
            file_size: 7,
            created_at: Some(SystemTime::UNIX_EPOCH.into()),
            ref_key: Key::new("reference.bin").unwrap(),
            ref_sha256: digest,
            delta_size: 1,
            ref_packing: None,
        };
        let attributes = Attributes { metadata: metadata.write(), ..Attributes::default() };
        self.put(&format!("{key}.delta"), &attributes).await;
    }

    /// Returns names, sizes and kinds of the files of all pages, and the older objects.
    async fn listed(&self, prefix: &str) -> (Vec<(String, u64, Listed)>, Vec<String>) {
        let mut listing = self.service.list(&bucket(), prefix, None);
        let (mut files, mut older) = (Vec::new(), Vec::new());
        while let Some(page) = listing.next().await.unwrap() {
            files.extend(
                page.files.into_iter().map(|file| (file.key.to_string(), file.size, file.listed)),
            );
            older.extend(page.older.into_iter().map(|file| file.stored.key.to_string()));
        }
        (files, older)
    }
}

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

/// Returns a store whose clock advances at every reading.
fn ticking() -> MemoryStore {
    let ticks = std::sync::atomic::AtomicU64::new(1);
    MemoryStore::with_clock(move || {
        let tick = ticks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        SystemTime::UNIX_EPOCH + Duration::from_secs(tick)
    })
}

/// A name is listed once, however many keys lie between its two objects.
#[tokio::test]
async fn distant_variants_list_once() {
    for delta_is_newer in [true, false] {
        let fixture = Fixture::new(ticking()).await;
        let between: Vec<String> = (0..2_500).map(|number| format!("n-{number:04}")).collect();
        if !delta_is_newer {
            fixture.put_delta("n").await;
        }
        fixture.put("n", &Attributes::default()).await;
        for key in &between {
            fixture.put(key, &Attributes::default()).await;
        }
        if delta_is_newer {
            fixture.put_delta("n").await;
        }
        let (mut files, older) = fixture.listed("").await;
        let served = files.iter().position(|(key, ..)| key == "n").unwrap();
        let (size, kind, loser) =
            if delta_is_newer { (7, Listed::Delta, "n") } else { (1, Listed::Plain, "n.delta") };
        assert_eq!(files.remove(served), ("n".to_owned(), size, kind));
        assert_eq!(older, [loser]);
        assert_eq!(files.into_iter().map(|(key, ..)| key).collect::<Vec<_>>(), between);
    }
}

#[tokio::test]
async fn delta_wins_tie_in_listing() {
    let fixture = Fixture::new(MemoryStore::with_clock(|| SystemTime::UNIX_EPOCH)).await;
    fixture.put("n", &Attributes::default()).await;
    fixture.put_delta("n").await;
    let (files, older) = fixture.listed("n").await;
    assert_eq!((files, older), (vec![("n".to_owned(), 7, Listed::Delta)], vec!["n".to_owned()]));
}

#[tokio::test]
async fn escaped_names_list_in_order() {
    let fixture = Fixture::new(ticking()).await;
    let service = &fixture.service;
    let mut expected: Vec<String> = (0..2_500).map(|number| format!("a/n-{number:04}")).collect();
    for key in &expected {
        fixture.put(key, &Attributes::default()).await;
    }
    let own = [
        "a/reference.bin",
        "a/.deltaglider/x",
        "a/.deltaglider/z/x",
        "a/n-1/reference.bin",
        "a/z/reference.bin",
        "reference.bin",
    ];
    for name in own {
        let object = ObjectName::new(bucket(), Key::new(name).unwrap());
        let file = Payload::spool(name.as_bytes(), name, &std::env::temp_dir()).await.unwrap();
        service.put(&file, &object, &PutOptions::default()).await.unwrap();
        expected.push(name.to_owned());
    }
    // Files of their own, named like deltas of these.
    for key in ["a/reference.bin.delta", "reference.bin.delta"] {
        fixture.put(key, &Attributes::default()).await;
        expected.push(key.to_owned());
    }
    // No name is stored at these keys, or another tool wrote to the name itself: they are no
    // further files.
    for key in [
        "a/.deltaglider/files/n",
        "a/.deltaglider/files/reference.bin",
        "a/reference.bin",
        "a/.deltaglider/x",
    ] {
        fixture.put(key, &Attributes::default()).await;
    }
    expected.sort();
    for prefix in [
        "",
        "a/",
        "a/r",
        "a/.",
        "a/.deltaglider/",
        "a/.deltaglider/z",
        "a/n-1",
        "r",
        "a/z/reference.bin",
    ] {
        let listings: [fn(Listing) -> Listing; 4] =
            [|it| it, Listing::without_index, Listing::unresolved, Listing::learning];
        for (n, looks) in listings.into_iter().enumerate() {
            let mut listing = looks(service.list(&bucket(), prefix, None));
            let mut names = Vec::new();
            while let Some(page) = listing.next().await.unwrap() {
                names.extend(
                    page.files
                        .into_iter()
                        .filter(|file| file.is_shown())
                        .map(|file| file.key.to_string()),
                );
            }
            // An unresolved listing may report a key that ends like a delta's as a delta.
            if n == 2 {
                let unresolved = |name: &String| prefix == "r" || !name.ends_with(".delta");
                names.retain(unresolved);
            }
            let begins = |name: &&String| {
                name.starts_with(prefix) && (n != 2 || prefix == "r" || !name.ends_with(".delta"))
            };
            assert_eq!(
                names,
                expected.iter().filter(begins).cloned().collect::<Vec<_>>(),
                "{prefix:?}, {n}"
            );
        }
    }
}

#[tokio::test]
async fn prefix_selects_names_not_keys() {
    let fixture = Fixture::new(ticking()).await;
    fixture.put_delta("a.zip").await;
    fixture.put_delta("a.zip.delta").await;
    let names = |files: Vec<(String, u64, Listed)>| {
        files.into_iter().map(|(key, ..)| key).collect::<Vec<_>>()
    };
    assert_eq!(names(fixture.listed("a.zip").await.0), ["a.zip", "a.zip.delta"]);
    assert_eq!(names(fixture.listed("a.zip.d").await.0), ["a.zip.delta"]);
    assert_eq!(names(fixture.listed("a.zip.delta.").await.0), [""; 0]);
}

/// A plain file is recognized beside a file with its delta's name, however many keys lie between.
#[tokio::test]
async fn plain_file_beside_delta_name() {
    let fixture = Fixture::new(ticking()).await;
    for number in 0..2_500 {
        fixture.put(&format!("n.zip-{number:04}"), &Attributes::default()).await;
    }
    for key in ["n.zip", "n.zip.delta"] {
        fixture.put(key, &Attributes::default()).await;
    }
    let to = Folder::in_bucket(&BucketName::new("other").unwrap(), "");
    let options = SyncOptions {
        compare: Compare::Never,
        remove: false,
        filter: Arc::new(|_: &str| true),
        dryrun: false,
    };
    let mut steps =
        fixture.service.sync(&Folder::in_bucket(&bucket(), ""), &to, options).await.unwrap();
    let mut as_it_is = Vec::new();
    while let Some(step) = steps.next().await.unwrap() {
        let Step::Copy(from, _, AllowDelta(may_be_delta)) = step else { panic!("{step:?}") };
        as_it_is.extend((!may_be_delta).then(|| from.key.to_string()));
    }
    assert_eq!(as_it_is, ["n.zip"]);
}
