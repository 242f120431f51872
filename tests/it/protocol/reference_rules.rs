//! The rules for references and for the objects of a name, one test each, with a concurrent writer
//! at a chosen call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::scripted_store::ScriptedStore;
use crate::support::{edited, noise};
use deltaglider::cache::WorkingCopies;
use deltaglider::domain::metadata::ReferenceMetadata;
use deltaglider::domain::policy::Policy;
use deltaglider::domain::{BucketName, Deltaspace, Key, ObjectName, Sha256Digest};
use deltaglider::service::{
    DeltaService, DirectReason, GetOptions, Payload, PutOptions, PutReport, Settings, StoredAs,
};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, CopyOptions, ListRequest, MemoryStore, ObjectStore, PutBody,
    PutCondition, Store,
};

const MINUTE: u64 = 60;

/// A store with a bucket and a clock that the test sets.
#[derive(Clone)]
struct Fixture {
    store: Arc<MemoryStore>,
    seconds: Arc<AtomicU64>,
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap())
}

fn version(n: u64) -> Vec<u8> {
    edited(&noise(1_000, 1), n)
}

fn addressed(content: &[u8]) -> ObjectName {
    Deltaspace::of(&object("a.zip")).addressed(&Sha256Digest::of(content)).unwrap()
}

impl Fixture {
    async fn with(atomic: bool) -> Self {
        let seconds = Arc::new(AtomicU64::new(0));
        let hand = seconds.clone();
        let store = MemoryStore::with_clock(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(hand.load(Ordering::Relaxed))
        });
        let store = Arc::new(if atomic {
            store
        } else {
            store.with_loose_conditions().with_content_tags()
        });
        store.create_bucket(&BucketName::new("bucket").unwrap()).await.unwrap();
        Self { store, seconds }
    }

    async fn new() -> Self {
        Self::with(true).await
    }

    fn wait(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    fn service(&self) -> DeltaService {
        service(self.store.clone(), Policy::default())
    }

    async fn put(&self, key: &str, content: &[u8]) -> PutReport {
        put(&self.service(), key, content, true).await
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        self.service().get(&object(key), Vec::new(), &GetOptions::default()).await.unwrap().0
    }

    /// Stores an object as another tool would.
    async fn foreign(&self, key: &str, content: &[u8]) {
        let body = PutBody::from_bytes(content.to_vec());
        self.store
            .put(&object(key), body, &Attributes::default(), &PutCondition::None.into())
            .await
            .unwrap();
    }

    /// Replaces the reference, as a concurrent writer does on a store that does not honour
    /// conditions.
    async fn replace_reference(&self, content: &[u8]) {
        let metadata = ReferenceMetadata {
            source_name: "other.zip".to_owned(),
            file_sha256: Sha256Digest::of(content),
            created_at: None,
            packing: None,
        };
        let attributes = Attributes { metadata: metadata.write(), ..Attributes::default() };
        let body = PutBody::from_bytes(content.to_vec());
        self.store
            .put(&object("reference.bin"), body, &attributes, &PutCondition::None.into())
            .await
            .unwrap();
    }

    /// Sets the creation time that the writer of a stored object stated.
    async fn date(&self, key: &str, created_at: &str) {
        let (service, name, options) =
            (self.service(), object(key), GetOptions { raw: true, ..GetOptions::default() });
        let bytes = service.get(&name, Vec::new(), &options).await.unwrap().0;
        let mut attributes = self.store.head(&name).await.unwrap().attributes;
        attributes.metadata.insert("dg-created-at".to_owned(), created_at.to_owned());
        self.store
            .put(&name, PutBody::from_bytes(bytes), &attributes, &PutCondition::None.into())
            .await
            .unwrap();
    }

    async fn keys(&self) -> Vec<String> {
        let page = self
            .store
            .list(&BucketName::new("bucket").unwrap(), &ListRequest::default())
            .await
            .unwrap();
        page.objects.into_iter().map(|object| object.key.to_string()).collect()
    }

    async fn metadata(&self, key: &str) -> BTreeMap<String, String> {
        self.store.head(&object(key)).await.unwrap().attributes.metadata
    }

    async fn has(&self, name: &ObjectName) -> bool {
        self.store.head(name).await.is_ok()
    }
}

fn service(store: Arc<dyn Store>, policy: Policy) -> DeltaService {
    let spool_dir = std::env::temp_dir();
    let cache = Arc::new(WorkingCopies::new(spool_dir.clone()));
    DeltaService::new(store, cache, Settings { policy, spool_dir })
}

async fn put(service: &DeltaService, key: &str, content: &[u8], delta: bool) -> PutReport {
    let file =
        Payload::spool(std::io::Cursor::new(content.to_vec()), "file", &std::env::temp_dir())
            .await
            .unwrap();
    service.put(&file, &object(key), &PutOptions { delta, ..PutOptions::default() }).await.unwrap()
}

/// Returns a service on a store that another writer changes at a chosen call.
fn during(store: &Arc<ScriptedStore>) -> DeltaService {
    service(store.clone(), Policy::default())
}

/// Returns a condition that holds for the first `call` after `earlier`.
fn call_after(
    earlier: &'static str,
    call: &'static str,
) -> impl Fn(&[String], &str) -> bool + Send + Sync + 'static {
    move |calls, next| next == call && calls.iter().any(|call| call == earlier)
}

/// The first reference has the classic key only where conditions are atomic.
#[tokio::test]
async fn classic_key_needs_atomic_store() {
    for atomic in [true, false] {
        let fixture = Fixture::with(atomic).await;
        assert_eq!(fixture.put("a.zip", &version(1)).await.stored_as, StoredAs::Reference);
        assert_eq!(fixture.has(&object("reference.bin")).await, atomic);
        assert_eq!(fixture.has(&addressed(&version(1))).await, !atomic);
        let named = if atomic { object("reference.bin") } else { addressed(&version(1)) };
        assert_eq!(fixture.metadata("a.zip.delta").await["dg-ref-key"], named.key.as_str());
    }
}

/// The loser of a race for the first reference encodes against the stored one.
#[tokio::test]
async fn loser_encodes_against_winner() {
    let fixture = Fixture::new().await;
    let winner = fixture.clone();
    let first = |_: &[String], call: &str| call == "put reference.bin";
    let store = ScriptedStore::at(&fixture.store, first, async move {
        assert_eq!(winner.put("b.zip", &version(2)).await.stored_as, StoredAs::Reference);
    });
    assert_eq!(put(&during(&store), "a.zip", &version(1), true).await.stored_as, StoredAs::Delta);
    assert!(store.happened());
    assert_eq!(
        fixture.metadata("a.zip.delta").await["dg-ref-sha256"],
        Sha256Digest::of(&version(2)).to_string()
    );
    assert!(fixture.get("a.zip").await == version(1));
    assert!(fixture.get("b.zip").await == version(2));
}

/// A reference that was deleted before the delta was announced is restored.
#[tokio::test]
async fn lost_reference_is_restored() {
    let fixture = Fixture::new().await;
    fixture.put("a.zip", &version(1)).await;
    let other = fixture.clone();
    let store = ScriptedStore::at(
        &fixture.store,
        call_after("put b.zip.delta", "head reference.bin"),
        async move {
            other.store.delete(&object("reference.bin"), None).await.unwrap();
        },
    );
    put(&during(&store), "b.zip", &version(2), true).await;
    assert!(store.happened());
    assert!(fixture.has(&object("reference.bin")).await);
    assert!(fixture.get("a.zip").await == version(1));
    assert!(fixture.get("b.zip").await == version(2));
}

/// A reference that was replaced before the delta was announced is kept at its content-addressed
/// key.
#[tokio::test]
async fn replaced_reference_is_kept() {
    for atomic in [true, false] {
        let fixture = Fixture::with(atomic).await;
        // The Python tool makes this reference on any store.
        fixture.replace_reference(&version(1)).await;
        let other = fixture.clone();
        let store = ScriptedStore::at(
            &fixture.store,
            call_after("put b.zip.delta", "head reference.bin"),
            async move {
                other.replace_reference(&noise(1_000, 9)).await;
            },
        );
        put(&during(&store), "b.zip", &version(2), true).await;
        assert!(store.happened());
        assert!(fixture.has(&addressed(&version(1))).await);
        assert!(fixture.get("b.zip").await == version(2));
    }
}

/// The older object of a name is deleted after the last check of the reference.
#[tokio::test]
async fn older_object_is_deleted_last() {
    let fixture = Fixture::new().await;
    fixture.put("a.zip", &version(1)).await;
    put(&fixture.service(), "b.zip", &version(2), false).await;
    let store = ScriptedStore::nothing(&fixture.store);
    put(&during(&store), "b.zip", &version(3), true).await;
    let calls = store.calls();
    let last = |call: &str| calls.iter().rposition(|made| made == call).unwrap();
    let first_removal = calls.iter().position(|made| made == "delete b.zip").unwrap();
    let order = [last("put b.zip.delta"), last("head reference.bin"), first_removal];
    assert!(order.is_sorted(), "{calls:?}");
    assert!(!fixture.has(&object("b.zip")).await);
}

/// A reader uses the copy if the named reference is absent or a different one.
#[tokio::test]
async fn reader_falls_back_to_copy() {
    let fixture = Fixture::new().await;
    fixture.put("a.zip", &version(1)).await;
    fixture.put("b.zip", &version(2)).await;
    fixture
        .store
        .copy(&object("reference.bin"), &addressed(&version(1)), &CopyOptions::default())
        .await
        .unwrap();
    fixture.replace_reference(&noise(1_000, 9)).await;
    assert!(fixture.get("b.zip").await == version(2));
    fixture.store.delete(&object("reference.bin"), None).await.unwrap();
    assert!(fixture.get("b.zip").await == version(2));
}

/// A reference is copied, and the copy checked, before it is deleted.
#[tokio::test]
async fn copy_is_checked_before_delete() {
    let fixture = Fixture::new().await;
    fixture.put("a.zip", &version(1)).await;
    let store = ScriptedStore::nothing(&fixture.store);
    let deletion = during(&store).delete(&object("a.zip")).await.unwrap();
    assert_eq!(deletion.references, [object("reference.bin")]);
    let calls = store.calls();
    let first = |call: &str| calls.iter().position(|made| made == call).unwrap();
    let look = format!("head {}", addressed(&version(1)).key);
    let order = [first("copy reference.bin"), first(&look), first("delete reference.bin")];
    assert!(order.is_sorted(), "{calls:?}");
    assert_eq!(fixture.keys().await, [addressed(&version(1)).key.to_string()]);
}

#[tokio::test]
async fn reference_without_copy_stays() {
    let fixture = Fixture::new().await;
    fixture.put("a.zip", &version(1)).await;
    let (other, copy) = (fixture.clone(), addressed(&version(1)));
    let look = format!("head {}", copy.key);
    let store = ScriptedStore::at(&fixture.store, move |_, call| call == look, async move {
        other.store.delete(&copy, None).await.unwrap();
    });
    let deletion = during(&store).delete(&object("a.zip")).await.unwrap();
    assert!(store.happened());
    assert!(deletion.references.is_empty());
    assert_eq!(deletion.warnings.len(), 1);
    assert!(fixture.has(&object("reference.bin")).await);
}

/// A reference is restored if a delta appears during its deletion.
#[tokio::test]
async fn late_delta_restores_reference() {
    let fixture = Fixture::new().await;
    fixture.put("a.zip", &version(1)).await;
    let writer = fixture.clone();
    let removal = |_: &[String], call: &str| call == "delete reference.bin";
    let store = ScriptedStore::at(&fixture.store, removal, async move {
        assert_eq!(writer.put("b.zip", &version(2)).await.stored_as, StoredAs::Delta);
    });
    let deletion = during(&store).delete(&object("a.zip")).await.unwrap();
    assert!(store.happened());
    assert!(deletion.references.is_empty());
    assert!(fixture.has(&object("reference.bin")).await);
    assert!(fixture.get("b.zip").await == version(2));
}

/// A reference is restored although its DELETE was sent twice.
#[tokio::test]
async fn resent_delete_is_undone() {
    let fixture = Fixture::new().await;
    fixture.put("a.zip", &version(1)).await;
    let other = fixture.clone();
    // The first DELETE took effect, and its answer was lost.
    let store =
        ScriptedStore::at(&fixture.store, |_, call| call == "delete reference.bin", async move {
            other.put("b.zip", &version(2)).await;
            other.store.delete(&object("reference.bin"), None).await.unwrap();
        });
    during(&store).delete(&object("a.zip")).await.unwrap();
    assert!(store.happened() && fixture.has(&object("reference.bin")).await);
    assert_eq!(fixture.get("b.zip").await, version(2));
}

#[tokio::test]
async fn put_deletes_only_what_it_saw() {
    for (atomic, removal) in [(true, "delete b.zip"), (false, "head b.zip")] {
        let fixture = Fixture::with(atomic).await;
        fixture.put("a.zip", &version(1)).await;
        fixture.foreign("b.zip", &version(2)).await;
        fixture.wait(60 * MINUTE);
        let other = fixture.clone();
        let store =
            ScriptedStore::at(&fixture.store, call_after("put b.zip.delta", removal), async move {
                other.wait(1);
                other.foreign("b.zip", &version(4)).await;
            });
        put(&during(&store), "b.zip", &version(3), true).await;
        assert!(store.happened());
        assert!(fixture.get("b.zip").await == version(4), "conditions atomic: {atomic}");
    }
}

/// An older object stays until it is one hour old, where conditions are not atomic.
#[tokio::test]
async fn young_older_object_stays() {
    for (age, stays) in [(59 * MINUTE, true), (61 * MINUTE, false)] {
        let fixture = Fixture::with(false).await;
        fixture.put("a.zip", &version(1)).await;
        fixture.foreign("b.zip", &version(2)).await;
        fixture.wait(age);
        fixture.put("b.zip", &version(3)).await;
        assert_eq!(fixture.has(&object("b.zip")).await, stays, "{age} s");
        assert!(fixture.get("b.zip").await == version(3));
    }
}

/// The newer of the two objects of a name is read; on a tie, the one whose writer's time is later.
#[tokio::test]
async fn newest_variant_wins() {
    // Where conditions are not atomic, both objects stay.
    let fixture = Fixture::with(false).await;
    fixture.put("a.zip", &version(1)).await;
    let (direct, delta) = (object("b.zip"), object("b.zip.delta"));
    fixture.foreign("b.zip", &version(2)).await;
    for (n, as_delta, later) in
        [(3, true, 0), (4, false, 0), (5, true, 0), (6, false, 1), (7, true, 1)]
    {
        fixture.wait(later);
        put(&fixture.service(), "b.zip", &version(n), as_delta).await;
        assert!(fixture.has(&direct).await && fixture.has(&delta).await);
        assert!(fixture.get("b.zip").await == version(n), "{n}");
    }
}

/// The delta is read on a tie of both the store's and the writers' times.
#[tokio::test]
async fn delta_wins_full_tie() {
    let fixture = Fixture::with(false).await;
    fixture.put("a.zip", &version(1)).await;
    fixture.put("b.zip", &version(2)).await;
    put(&fixture.service(), "b.zip", &version(3), false).await;
    for stored in ["b.zip.delta", "b.zip"] {
        fixture.date(stored, "2026-01-01T00:00:00.000000Z").await;
    }
    assert!(fixture.get("b.zip").await == version(2));
}

/// On a tie of the store's times, an object without its writer's time loses to the delta.
#[tokio::test]
async fn undated_object_loses_tie() {
    let fixture = Fixture::with(false).await;
    fixture.put("a.zip", &version(1)).await;
    fixture.put("b.zip", &version(2)).await;
    fixture.foreign("b.zip", &version(3)).await;
    assert!(fixture.get("b.zip").await == version(2));
}

/// A put is read back although the clock of the previous writer was ahead.
#[tokio::test]
async fn put_beats_clock_ahead() {
    for as_delta in [true, false] {
        let fixture = Fixture::with(false).await;
        fixture.put("a.zip", &version(1)).await;
        put(&fixture.service(), "b.zip", &version(2), !as_delta).await;
        let stored = if as_delta { "b.zip" } else { "b.zip.delta" };
        fixture.date(stored, "2999-01-01T00:00:00.000000Z").await;
        put(&fixture.service(), "b.zip", &version(3), as_delta).await;
        assert!(fixture.has(&object(stored)).await);
        assert!(fixture.get("b.zip").await == version(3), "as a delta: {as_delta}");
    }
}

/// Versions in folders of their own share the reference of the folder above.
#[tokio::test]
async fn version_folders_share_parent() {
    let fixture = Fixture::new().await;
    assert_eq!(
        fixture.put("releases/1.0/app.zip", &version(1)).await.stored_as,
        StoredAs::Reference
    );
    assert_eq!(fixture.put("releases/1.1/app.zip", &version(2)).await.stored_as, StoredAs::Delta);
    assert_eq!(
        fixture.metadata("releases/1.1/app.zip.delta").await["dg-ref-key"],
        "releases/reference.bin"
    );
    // A folder with a reference of its own keeps using it.
    fixture.put("releases/2.0/other.zip", &version(3)).await;
    let own = service(
        fixture.store.clone(),
        Policy { deltaspace: Some("releases/3.0".to_owned()), ..Policy::default() },
    );
    assert_eq!(
        put(&own, "releases/3.0/app.zip", &version(4), true).await.stored_as,
        StoredAs::Reference
    );
    assert_eq!(fixture.put("releases/3.0/lib.zip", &version(5)).await.stored_as, StoredAs::Delta);
    assert_eq!(
        fixture.metadata("releases/3.0/lib.zip.delta").await["dg-ref-key"],
        "releases/3.0/reference.bin"
    );
}

#[tokio::test]
async fn chosen_deltaspace_is_used() {
    let fixture = Fixture::new().await;
    let chosen = service(
        fixture.store.clone(),
        Policy { deltaspace: Some("all".to_owned()), ..Policy::default() },
    );
    assert_eq!(put(&chosen, "all/x/a.zip", &version(1), true).await.stored_as, StoredAs::Reference);
    assert_eq!(put(&chosen, "all/y/b.zip", &version(2), true).await.stored_as, StoredAs::Delta);
    assert_eq!(fixture.metadata("all/y/b.zip.delta").await["dg-ref-key"], "all/reference.bin");
    assert!(fixture.get("all/y/b.zip").await == version(2));
}

/// The most similar of several references is used, and old deltas keep theirs.
#[tokio::test]
async fn most_similar_reference_wins() {
    let fixture = Fixture::new().await;
    let (old, new) = (noise(20_000, 1), noise(20_000, 2));
    fixture.put("app-1.zip", &old).await;
    fixture.put("app-2.zip", &edited(&old, 1)).await;
    assert_eq!(
        fixture.put("app-3.zip", &new).await.stored_as,
        StoredAs::Reference,
        "nothing in common with the stored files"
    );
    let taken =
        async |key: &str| fixture.metadata(&format!("{key}.delta")).await["dg-ref-sha256"].clone();
    fixture.put("app-4.zip", &edited(&new, 2)).await;
    fixture.put("app-5.zip", &edited(&old, 3)).await;
    let (of_old, of_new) = (Sha256Digest::of(&old).to_string(), Sha256Digest::of(&new).to_string());
    assert_eq!(taken("app-4.zip").await, of_new);
    assert_eq!(taken("app-5.zip").await, of_old);
    assert_eq!(taken("app-2.zip").await, of_old);
    assert!(fixture.get("app-2.zip").await == edited(&old, 1));
}

/// Once deltas have cost half a file more than usual, the next file becomes a reference.
#[tokio::test]
async fn costly_deltas_start_reference() {
    let fixture = Fixture::new().await;
    // Long enough to make the delta of a reference against itself negligible.
    let (first, other) = (noise(200_000, 1), noise(200_000, 2));
    let mut stored_as = Vec::new();
    for n in 0..5 {
        // A tenth more of it is new in each version: always too little for the ratio.
        let new = n * 20_000;
        let content = [&other[..new], &first[new..]].concat();
        stored_as.push(fixture.put(&format!("app-1.{n}.zip"), &content).await.stored_as);
    }
    use StoredAs::{Delta, Reference};
    assert_eq!(stored_as, [Reference, Delta, Delta, Delta, Reference]);
}

/// A name too long for the suffix of a delta is stored directly.
#[tokio::test]
async fn long_name_is_stored_directly() {
    let fixture = Fixture::new().await;
    for (len, expected) in
        [(1018, StoredAs::Reference), (1019, StoredAs::Direct(DirectReason::NameTooLong))]
    {
        let key = format!("{}.zip", "k".repeat(len - 4));
        assert_eq!(fixture.put(&key, &version(len as u64)).await.stored_as, expected, "{len}");
        assert!(fixture.get(&key).await == version(len as u64), "{len}");
    }
}
