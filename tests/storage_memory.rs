//! The conformance suite on the model store, one test per check, and what only threads show.

use std::sync::Arc;

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::conformance::{Capabilities, run, run_one};
use deltaglider::storage::{Attributes, MemoryStore, ObjectStore as _, PutBody, PutCondition};

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
async fn an_exemption_that_names_nothing_is_a_failure() {
    let capabilities = Capabilities::full().without("no such check", "a slip of the pen");
    let report = run(&MemoryStore::new(), &capabilities).await;
    let failed: Vec<_> = report.failures.iter().map(|(name, _)| *name).collect();
    assert_eq!(failed, ["no such check"], "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creators_on_many_threads_have_one_winner() {
    let store = Arc::new(MemoryStore::new());
    let bucket = BucketName::new("bucket").unwrap();
    store.create_bucket(&bucket).await.unwrap();
    for round in 0..50 {
        let object = ObjectName::new(bucket.clone(), Key::new(format!("k{round}")).unwrap());
        let racers = (0..8).map(|racer| {
            let (store, object) = (store.clone(), object.clone());
            tokio::spawn(async move {
                let body = PutBody::from_bytes(format!("racer {racer}"));
                store.put(&object, body, &Attributes::default(), &PutCondition::IfAbsent).await.is_ok()
            })
        });
        let outcomes = futures::future::join_all(racers).await;
        assert_eq!(outcomes.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
    }
}
