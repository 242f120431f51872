//! The conformance suite on the model store, one test per check, and tests with threads.

use std::sync::Arc;

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::conformance::{Capabilities, run, run_one};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, MemoryStore, ObjectStore as _, PutBody, PutCondition,
};

macro_rules! tests {
    ($($check:ident,)*) => {$(
        #[tokio::test]
        async fn $check() {
            let name = stringify!($check);
            if let Err(failure) = run_one(name, &MemoryStore::new(), &Capabilities::full()).await {
                panic!("{name}: {failure}");
            }
        }
    )*};
}
deltaglider::for_each_storage_check!(tests);

#[tokio::test]
async fn unknown_exemption_is_a_failure() {
    let capabilities = Capabilities::full().without("no such check", "a slip of the pen");
    let report = run(&MemoryStore::new(), &capabilities).await;
    let failed: Vec<_> = report.failures.iter().map(|(name, _)| *name).collect();
    assert_eq!(failed, ["no such check"], "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_threads_creates() {
    let store = Arc::new(MemoryStore::new());
    let bucket = BucketName::new("bucket").unwrap();
    store.create_bucket(&bucket).await.unwrap();
    for round in 0..50 {
        let object = ObjectName::new(bucket.clone(), Key::new(format!("k{round}")).unwrap());
        let racers = (0..8).map(|racer| {
            let (store, object) = (store.clone(), object.clone());
            tokio::spawn(async move {
                let body = PutBody::from_bytes(format!("racer {racer}"));
                store
                    .put(&object, body, &Attributes::default(), &PutCondition::IfAbsent.into())
                    .await
                    .is_ok()
            })
        });
        let outcomes = futures::future::join_all(racers).await;
        assert_eq!(outcomes.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
    }
}

/// Returns how many of eight concurrent writers succeed; each puts a content of its own.
async fn race(store: &MemoryStore, object: &ObjectName, condition: &PutCondition) -> usize {
    let racers = (0..8).map(|racer| async move {
        let body = PutBody::from_bytes(format!("racer {racer} under {condition:?}"));
        store.put(object, body, &Attributes::default(), &condition.clone().into()).await.is_ok()
    });
    futures::future::join_all(racers).await.into_iter().filter(|won| *won).count()
}

#[tokio::test]
async fn loose_racers_may_all_win() {
    for (store, atomic) in
        [(MemoryStore::new(), true), (MemoryStore::new().with_loose_conditions(), false)]
    {
        assert_eq!(store.conditions_are_atomic(), atomic);
        let bucket = BucketName::new("bucket").unwrap();
        store.create_bucket(&bucket).await.unwrap();
        let object = ObjectName::new(bucket, Key::new("k").unwrap());
        let winners = if atomic { 1 } else { 8 };
        assert_eq!(race(&store, &object, &PutCondition::IfAbsent).await, winners);
        let etag = store.head(&object).await.unwrap().etag;
        assert_eq!(race(&store, &object, &PutCondition::IfMatch(etag)).await, winners);

        let etag = store.head(&object).await.unwrap().etag;
        let (put, delete) = futures::future::join(
            store.put(
                &object,
                PutBody::from_bytes("new"),
                &Attributes::default(),
                &PutCondition::IfMatch(etag.clone()).into(),
            ),
            store.delete(&object, Some(&etag)),
        )
        .await;
        assert_eq!((put.is_ok(), delete.is_ok()), (true, !atomic));
    }
}

/// Sequential conditions behave as on S3.
#[tokio::test]
async fn loose_store_fails_only_races() {
    let capabilities = Capabilities::full()
        .without("racing_creates_have_one_winner", "loose")
        .without("racing_updates_have_one_winner", "loose")
        .without("racing_put_and_delete_one_wins", "loose");
    let report = run(&MemoryStore::new().with_loose_conditions(), &capabilities).await;
    assert!(report.failures.is_empty(), "{report}");
    let report = run(&MemoryStore::new().with_loose_conditions(), &Capabilities::full()).await;
    let failed: Vec<_> = report.failures.iter().map(|(name, _)| *name).collect();
    let races = [
        "racing_creates_have_one_winner",
        "racing_updates_have_one_winner",
        "racing_put_and_delete_one_wins",
    ];
    assert_eq!(failed, races, "{report}");
}
