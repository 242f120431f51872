//! The rules by which references and the objects of a name are kept, one test each, with somebody
//! else doing something in between.

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

/// A store with a bucket and a clock that is set by hand.
#[derive(Clone)]
struct Room {
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

impl Room {
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

    /// As another tool would.
    async fn foreign(&self, key: &str, content: &[u8]) {
        let body = PutBody::from_bytes(content.to_vec());
        self.store
            .put(&object(key), body, &Attributes::default(), &PutCondition::None.into())
            .await
            .unwrap();
    }

    /// As a racer would to whom the store did not keep its word.
    async fn replace_reference(&self, content: &[u8]) {
        let metadata = ReferenceMetadata {
            source_name: "other.zip".to_owned(),
            file_sha256: Sha256Digest::of(content),
            created_at: None,
        };
        let attributes = Attributes { metadata: metadata.write(), ..Attributes::default() };
        let body = PutBody::from_bytes(content.to_vec());
        self.store
            .put(&object("reference.bin"), body, &attributes, &PutCondition::None.into())
            .await
            .unwrap();
    }

    /// What the writer of a stored object says of when it was.
    async fn date(&self, key: &str, told: &str) {
        let (service, name, options) =
            (self.service(), object(key), GetOptions { raw: true, ..GetOptions::default() });
        let bytes = service.get(&name, Vec::new(), &options).await.unwrap().0;
        let mut attributes = self.store.head(&name).await.unwrap().attributes;
        attributes.metadata.insert("dg-created-at".to_owned(), told.to_owned());
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
    let spool_folder = std::env::temp_dir();
    let cache = Arc::new(WorkingCopies::new(spool_folder.clone()));
    DeltaService::new(store, cache, Settings { policy, spool_folder })
}

async fn put(service: &DeltaService, key: &str, content: &[u8], delta: bool) -> PutReport {
    let file =
        Payload::spool(std::io::Cursor::new(content.to_vec()), "file", &std::env::temp_dir())
            .await
            .unwrap();
    service.put(&file, &object(key), &PutOptions { delta, ..PutOptions::default() }).await.unwrap()
}

/// The service to which something happens meanwhile.
fn during(store: &Arc<ScriptedStore>) -> DeltaService {
    service(store.clone(), Policy::default())
}

/// Before the first such call that follows `earlier`.
fn call_after(
    earlier: &'static str,
    call: &'static str,
) -> impl Fn(&[String], &str) -> bool + Send + Sync + 'static {
    move |calls, next| next == call && calls.iter().any(|call| call == earlier)
}

#[tokio::test]
async fn the_first_reference_has_the_classic_key_only_where_conditions_are_atomic() {
    for atomic in [true, false] {
        let room = Room::with(atomic).await;
        assert_eq!(room.put("a.zip", &version(1)).await.stored_as, StoredAs::Reference);
        assert_eq!(room.has(&object("reference.bin")).await, atomic);
        assert_eq!(room.has(&addressed(&version(1))).await, !atomic);
        let named = if atomic { object("reference.bin") } else { addressed(&version(1)) };
        assert_eq!(room.metadata("a.zip.delta").await["dg-ref-key"], named.key.as_str());
    }
}

#[tokio::test]
async fn the_loser_of_a_race_for_the_first_reference_encodes_against_what_is_stored() {
    let room = Room::new().await;
    let winner = room.clone();
    let first = |_: &[String], call: &str| call == "put reference.bin";
    let store = ScriptedStore::at(&room.store, first, async move {
        assert_eq!(winner.put("b.zip", &version(2)).await.stored_as, StoredAs::Reference);
    });
    assert_eq!(put(&during(&store), "a.zip", &version(1), true).await.stored_as, StoredAs::Delta);
    assert!(store.happened());
    assert_eq!(
        room.metadata("a.zip.delta").await["dg-ref-sha256"],
        Sha256Digest::of(&version(2)).to_string()
    );
    assert!(room.get("a.zip").await == version(1));
    assert!(room.get("b.zip").await == version(2));
}

#[tokio::test]
async fn a_reference_that_went_before_the_delta_was_announced_is_put_back() {
    let room = Room::new().await;
    room.put("a.zip", &version(1)).await;
    let other = room.clone();
    let store = ScriptedStore::at(
        &room.store,
        call_after("put b.zip.delta", "head reference.bin"),
        async move {
            other.store.delete(&object("reference.bin"), None).await.unwrap();
        },
    );
    put(&during(&store), "b.zip", &version(2), true).await;
    assert!(store.happened());
    assert!(room.has(&object("reference.bin")).await);
    assert!(room.get("a.zip").await == version(1));
    assert!(room.get("b.zip").await == version(2));
}

#[tokio::test]
async fn a_reference_that_was_replaced_before_the_delta_was_announced_is_kept_at_its_other_key() {
    for atomic in [true, false] {
        let room = Room::with(atomic).await;
        // As the Python tool makes it, whatever the store.
        room.replace_reference(&version(1)).await;
        let other = room.clone();
        let store = ScriptedStore::at(
            &room.store,
            call_after("put b.zip.delta", "head reference.bin"),
            async move {
                other.replace_reference(&noise(1_000, 9)).await;
            },
        );
        put(&during(&store), "b.zip", &version(2), true).await;
        assert!(store.happened());
        assert!(room.has(&addressed(&version(1))).await);
        assert!(room.get("b.zip").await == version(2));
    }
}

#[tokio::test]
async fn the_older_object_of_a_name_goes_after_the_look_at_the_reference() {
    let room = Room::new().await;
    room.put("a.zip", &version(1)).await;
    put(&room.service(), "b.zip", &version(2), false).await;
    let store = ScriptedStore::nothing(&room.store);
    put(&during(&store), "b.zip", &version(3), true).await;
    let calls = store.calls();
    let last = |call: &str| calls.iter().rposition(|made| made == call).unwrap();
    let first_removal = calls.iter().position(|made| made == "delete b.zip").unwrap();
    let order = [last("put b.zip.delta"), last("head reference.bin"), first_removal];
    assert!(order.is_sorted(), "{calls:?}");
    assert!(!room.has(&object("b.zip")).await);
}

#[tokio::test]
async fn a_reader_takes_the_copy_where_the_named_reference_is_absent_or_another() {
    let room = Room::new().await;
    room.put("a.zip", &version(1)).await;
    room.put("b.zip", &version(2)).await;
    room.store
        .copy(&object("reference.bin"), &addressed(&version(1)), &CopyOptions::default())
        .await
        .unwrap();
    room.replace_reference(&noise(1_000, 9)).await;
    assert!(room.get("b.zip").await == version(2));
    room.store.delete(&object("reference.bin"), None).await.unwrap();
    assert!(room.get("b.zip").await == version(2));
}

#[tokio::test]
async fn a_reference_is_copied_and_the_copy_looked_at_before_it_is_removed() {
    let room = Room::new().await;
    room.put("a.zip", &version(1)).await;
    let store = ScriptedStore::nothing(&room.store);
    let deletion = during(&store).delete(&object("a.zip")).await.unwrap();
    assert_eq!(deletion.references, [object("reference.bin")]);
    let calls = store.calls();
    let first = |call: &str| calls.iter().position(|made| made == call).unwrap();
    let look = format!("head {}", addressed(&version(1)).key);
    let order = [first("copy reference.bin"), first(&look), first("delete reference.bin")];
    assert!(order.is_sorted(), "{calls:?}");
    assert_eq!(room.keys().await, [addressed(&version(1)).key.to_string()]);
}

#[tokio::test]
async fn a_reference_whose_copy_is_not_there_stays() {
    let room = Room::new().await;
    room.put("a.zip", &version(1)).await;
    let (other, copy) = (room.clone(), addressed(&version(1)));
    let look = format!("head {}", copy.key);
    let store = ScriptedStore::at(&room.store, move |_, call| call == look, async move {
        other.store.delete(&copy, None).await.unwrap();
    });
    let deletion = during(&store).delete(&object("a.zip")).await.unwrap();
    assert!(store.happened());
    assert!(deletion.references.is_empty());
    assert_eq!(deletion.warnings.len(), 1);
    assert!(room.has(&object("reference.bin")).await);
}

#[tokio::test]
async fn a_reference_is_put_back_when_a_delta_appears_during_its_removal() {
    let room = Room::new().await;
    room.put("a.zip", &version(1)).await;
    let writer = room.clone();
    let removal = |_: &[String], call: &str| call == "delete reference.bin";
    let store = ScriptedStore::at(&room.store, removal, async move {
        assert_eq!(writer.put("b.zip", &version(2)).await.stored_as, StoredAs::Delta);
    });
    let deletion = during(&store).delete(&object("a.zip")).await.unwrap();
    assert!(store.happened());
    assert!(deletion.references.is_empty());
    assert!(room.has(&object("reference.bin")).await);
    assert!(room.get("b.zip").await == version(2));
}

#[tokio::test]
async fn a_reference_is_put_back_though_its_removal_was_sent_twice() {
    let room = Room::new().await;
    room.put("a.zip", &version(1)).await;
    let other = room.clone();
    // The first removal took effect, and its answer was lost.
    let store =
        ScriptedStore::at(&room.store, |_, call| call == "delete reference.bin", async move {
            other.put("b.zip", &version(2)).await;
            other.store.delete(&object("reference.bin"), None).await.unwrap();
        });
    during(&store).delete(&object("a.zip")).await.unwrap();
    assert!(store.happened() && room.has(&object("reference.bin")).await);
    assert_eq!(room.get("b.zip").await, version(2));
}

#[tokio::test]
async fn a_put_removes_no_other_object_of_the_name_than_the_one_it_saw() {
    for (atomic, removal) in [(true, "delete b.zip"), (false, "head b.zip")] {
        let room = Room::with(atomic).await;
        room.put("a.zip", &version(1)).await;
        room.foreign("b.zip", &version(2)).await;
        room.wait(60 * MINUTE);
        let other = room.clone();
        let store =
            ScriptedStore::at(&room.store, call_after("put b.zip.delta", removal), async move {
                other.wait(1);
                other.foreign("b.zip", &version(4)).await;
            });
        put(&during(&store), "b.zip", &version(3), true).await;
        assert!(store.happened());
        assert!(room.get("b.zip").await == version(4), "conditions atomic: {atomic}");
    }
}

#[tokio::test]
async fn where_conditions_are_not_atomic_an_older_object_stays_while_it_is_young() {
    for (age, stays) in [(59 * MINUTE, true), (61 * MINUTE, false)] {
        let room = Room::with(false).await;
        room.put("a.zip", &version(1)).await;
        room.foreign("b.zip", &version(2)).await;
        room.wait(age);
        room.put("b.zip", &version(3)).await;
        assert_eq!(room.has(&object("b.zip")).await, stays, "{age} s");
        assert!(room.get("b.zip").await == version(3));
    }
}

#[tokio::test]
async fn of_the_two_objects_of_a_name_the_later_is_read_and_on_a_tie_that_of_the_later_writer() {
    // Where conditions are not atomic, both stay.
    let room = Room::with(false).await;
    room.put("a.zip", &version(1)).await;
    let (direct, delta) = (object("b.zip"), object("b.zip.delta"));
    room.foreign("b.zip", &version(2)).await;
    for (n, as_delta, later) in
        [(3, true, 0), (4, false, 0), (5, true, 0), (6, false, 1), (7, true, 1)]
    {
        room.wait(later);
        put(&room.service(), "b.zip", &version(n), as_delta).await;
        assert!(room.has(&direct).await && room.has(&delta).await);
        assert!(room.get("b.zip").await == version(n), "{n}");
    }
}

#[tokio::test]
async fn on_a_tie_of_the_stores_time_and_the_writers_the_delta_is_read() {
    let room = Room::with(false).await;
    room.put("a.zip", &version(1)).await;
    room.put("b.zip", &version(2)).await;
    put(&room.service(), "b.zip", &version(3), false).await;
    for stored in ["b.zip.delta", "b.zip"] {
        room.date(stored, "2026-01-01T00:00:00.000000Z").await;
    }
    assert!(room.get("b.zip").await == version(2));
}

#[tokio::test]
async fn on_a_tie_what_has_no_writers_time_gives_way_to_the_delta() {
    let room = Room::with(false).await;
    room.put("a.zip", &version(1)).await;
    room.put("b.zip", &version(2)).await;
    room.foreign("b.zip", &version(3)).await;
    assert!(room.get("b.zip").await == version(2));
}

#[tokio::test]
async fn a_put_is_read_back_though_the_clock_of_the_writer_before_was_ahead() {
    for as_delta in [true, false] {
        let room = Room::with(false).await;
        room.put("a.zip", &version(1)).await;
        put(&room.service(), "b.zip", &version(2), !as_delta).await;
        let stored = if as_delta { "b.zip" } else { "b.zip.delta" };
        room.date(stored, "2999-01-01T00:00:00.000000Z").await;
        put(&room.service(), "b.zip", &version(3), as_delta).await;
        assert!(room.has(&object(stored)).await);
        assert!(room.get("b.zip").await == version(3), "as a delta: {as_delta}");
    }
}

#[tokio::test]
async fn versions_in_folders_of_their_own_share_the_reference_above_them() {
    let room = Room::new().await;
    assert_eq!(room.put("releases/1.0/app.zip", &version(1)).await.stored_as, StoredAs::Reference);
    assert_eq!(room.put("releases/1.1/app.zip", &version(2)).await.stored_as, StoredAs::Delta);
    assert_eq!(
        room.metadata("releases/1.1/app.zip.delta").await["dg-ref-key"],
        "releases/reference.bin"
    );
    // One that has a reference of its own keeps to it.
    room.put("releases/2.0/other.zip", &version(3)).await;
    let own = service(
        room.store.clone(),
        Policy { deltaspace: Some("releases/3.0".to_owned()), ..Policy::default() },
    );
    assert_eq!(
        put(&own, "releases/3.0/app.zip", &version(4), true).await.stored_as,
        StoredAs::Reference
    );
    assert_eq!(room.put("releases/3.0/lib.zip", &version(5)).await.stored_as, StoredAs::Delta);
    assert_eq!(
        room.metadata("releases/3.0/lib.zip.delta").await["dg-ref-key"],
        "releases/3.0/reference.bin"
    );
}

#[tokio::test]
async fn a_chosen_deltaspace_is_where_the_reference_is_looked_for_and_made() {
    let room = Room::new().await;
    let chosen = service(
        room.store.clone(),
        Policy { deltaspace: Some("all".to_owned()), ..Policy::default() },
    );
    assert_eq!(put(&chosen, "all/x/a.zip", &version(1), true).await.stored_as, StoredAs::Reference);
    assert_eq!(put(&chosen, "all/y/b.zip", &version(2), true).await.stored_as, StoredAs::Delta);
    assert_eq!(room.metadata("all/y/b.zip.delta").await["dg-ref-key"], "all/reference.bin");
    assert!(room.get("all/y/b.zip").await == version(2));
}

#[tokio::test]
async fn of_several_references_the_one_most_like_the_file_is_taken_and_old_deltas_keep_theirs() {
    let room = Room::new().await;
    let (old, new) = (noise(20_000, 1), noise(20_000, 2));
    room.put("app-1.zip", &old).await;
    room.put("app-2.zip", &edited(&old, 1)).await;
    assert_eq!(
        room.put("app-3.zip", &new).await.stored_as,
        StoredAs::Reference,
        "nothing in common with what is there"
    );
    let taken =
        async |key: &str| room.metadata(&format!("{key}.delta")).await["dg-ref-sha256"].clone();
    room.put("app-4.zip", &edited(&new, 2)).await;
    room.put("app-5.zip", &edited(&old, 3)).await;
    let (of_old, of_new) = (Sha256Digest::of(&old).to_string(), Sha256Digest::of(&new).to_string());
    assert_eq!(taken("app-4.zip").await, of_new);
    assert_eq!(taken("app-5.zip").await, of_old);
    assert_eq!(taken("app-2.zip").await, of_old);
    assert!(room.get("app-2.zip").await == edited(&old, 1));
}

#[tokio::test]
async fn when_deltas_have_cost_half_a_file_more_than_usual_the_next_file_is_a_reference() {
    let room = Room::new().await;
    // Long enough for the delta of a reference against itself to be a trifle.
    let (first, other) = (noise(200_000, 1), noise(200_000, 2));
    let mut stored_as = Vec::new();
    for n in 0..5 {
        // A tenth more of it is new in each version: too little, ever, for the ratio.
        let new = n * 20_000;
        let content = [&other[..new], &first[new..]].concat();
        stored_as.push(room.put(&format!("app-1.{n}.zip"), &content).await.stored_as);
    }
    use StoredAs::{Delta, Reference};
    assert_eq!(stored_as, [Reference, Delta, Delta, Delta, Reference]);
}

#[tokio::test]
async fn a_name_that_leaves_no_room_for_that_of_a_delta_is_stored_as_it_is() {
    let room = Room::new().await;
    for (len, expected) in
        [(1018, StoredAs::Reference), (1019, StoredAs::Direct(DirectReason::NameTooLong))]
    {
        let key = format!("{}.zip", "k".repeat(len - 4));
        assert_eq!(room.put(&key, &version(len as u64)).await.stored_as, expected, "{len}");
        assert!(room.get(&key).await == version(len as u64), "{len}");
    }
}
