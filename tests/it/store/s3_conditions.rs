//! Conditions are sent to every store, and omitted only where the store shows that it does not
//! support them on this call.

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::chain;
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ConditionalWrites, CopyOptions, ETag, ObjectStore as _, PutBody,
    PutCondition, S3Config, S3Store, StorageError, StorageErrorKind,
};
use s3_server::{Conditions, Fault, MIN_PART_SIZE, Server};

const ABSENT: PutCondition = PutCondition::IfAbsent;

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap())
}

async fn store(server: &Server, conditional_writes: ConditionalWrites) -> S3Store {
    let config = S3Config {
        conditional_writes,
        multipart_threshold: MIN_PART_SIZE + 1,
        part_size: MIN_PART_SIZE,
        ..server.config()
    };
    let store = S3Store::connect(config).await.unwrap();
    store.create_bucket(&object("k").bucket).await.unwrap();
    store
}

async fn put(
    store: &S3Store,
    key: &str,
    content: &str,
    condition: &PutCondition,
) -> Result<ETag, StorageError> {
    let body = PutBody::from_bytes(content.to_owned());
    store.put(&object(key), body, &Attributes::default(), &condition.clone().into()).await
}

/// Stores an object in parts.
async fn put_large(
    store: &S3Store,
    content: u8,
    condition: &PutCondition,
) -> Result<ETag, StorageError> {
    let body = PutBody::from_bytes(vec![content; MIN_PART_SIZE as usize + 1]);
    store.put(&object("large"), body, &Attributes::default(), &condition.clone().into()).await
}

async fn tag(store: &S3Store, key: &str) -> ETag {
    store.head(&object(key)).await.unwrap().etag
}

fn is_refused<T>(result: Result<T, StorageError>) -> bool {
    result.is_err_and(|error| error.kind == StorageErrorKind::Precondition)
}

#[tokio::test]
async fn refused_conditions_are_omitted() {
    for conditions in [Conditions::NotImplemented, Conditions::InvalidArgument] {
        let server = Server::memory_with(conditions).unwrap();
        let store = store(&server, ConditionalWrites::Auto).await;
        // The first request of each kind is rejected and sent again without its condition; the next
        // one has none.
        for (n, puts) in [(1, 4), (2, 6)] {
            let first = put(&store, &format!("{n}"), "first", &ABSENT).await.unwrap();
            put(&store, &format!("{n}"), "second", &PutCondition::IfMatch(first)).await.unwrap();
            assert_eq!(server.requests_of("PutObject"), puts, "{conditions:?}");
        }
        for (n, deletes) in [("1", 2), ("2", 3)] {
            store
                .copy(&object(n), &object("copy"), &CopyOptions::from(&tag(&store, n).await))
                .await
                .unwrap();
            store.delete(&object(n), Some(&tag(&store, n).await)).await.unwrap();
            assert_eq!(server.requests_of("CopyObject"), deletes, "{conditions:?}");
            assert_eq!(server.requests_of("DeleteObject"), deletes, "{conditions:?}");
        }
        let first = put_large(&store, 1, &ABSENT).await.unwrap();
        put_large(&store, 2, &PutCondition::IfMatch(first)).await.unwrap();
        assert_eq!(server.requests_of("CompleteMultipartUpload"), 4, "{conditions:?}");
        assert_eq!(server.open_uploads(), 0);
    }
}

#[tokio::test]
async fn failing_condition_is_omitted() {
    let server = Server::memory_with(Conditions::NeverMatch).unwrap();
    let store = store(&server, ConditionalWrites::Auto).await;
    let first = put(&store, "k", "first", &ABSENT).await.unwrap();
    let second = put(&store, "k", "second", &PutCondition::IfMatch(first)).await.unwrap();
    assert_eq!(server.requests_of("PutObject"), 4, "two refusals, and one without the condition");
    put(&store, "k", "third", &PutCondition::IfMatch(second.clone())).await.unwrap();
    assert_eq!(server.requests_of("PutObject"), 5);
    // The conditions of the other calls hold.
    assert_eq!(
        put(&store, "k", "x", &ABSENT).await.unwrap_err().kind,
        StorageErrorKind::AlreadyExists
    );
    assert!(is_refused(store.delete(&object("k"), Some(&second)).await));
    store.delete(&object("k"), Some(&tag(&store, "k").await)).await.unwrap();
    let first = put_large(&store, 1, &PutCondition::None).await.unwrap();
    put_large(&store, 2, &PutCondition::IfMatch(first)).await.unwrap();
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn mismatch_is_a_refusal() {
    for conditions in [Conditions::Atomic, Conditions::NeverMatch] {
        let server = Server::memory_with(conditions).unwrap();
        let store = store(&server, ConditionalWrites::Auto).await;
        let old = put(&store, "k", "old", &ABSENT).await.unwrap();
        let new = put(&store, "k", "new", &PutCondition::None).await.unwrap();
        assert!(
            is_refused(put(&store, "k", "late", &PutCondition::IfMatch(old.clone())).await),
            "{conditions:?}"
        );
        assert!(
            is_refused(put(&store, "gone", "late", &PutCondition::IfMatch(old.clone())).await),
            "{conditions:?}"
        );
        assert!(is_refused(store.delete(&object("k"), Some(&old)).await), "{conditions:?}");
        assert!(is_refused(store.delete(&object("gone"), Some(&old)).await), "{conditions:?}");
        assert!(
            is_refused(store.copy(&object("k"), &object("copy"), &CopyOptions::from(&old)).await),
            "{conditions:?}"
        );
        assert_eq!(tag(&store, "k").await, new, "{conditions:?}");
    }
}

#[tokio::test]
async fn accepted_condition_is_kept() {
    let server = Server::memory().unwrap();
    let store = store(&server, ConditionalWrites::Auto).await;
    let first = put(&store, "k", "first", &ABSENT).await.unwrap();
    let second = put(&store, "k", "second", &PutCondition::IfMatch(first)).await.unwrap();
    for (status, code) in
        [(501, "NotImplemented"), (400, "InvalidArgument"), (412, "PreconditionFailed")]
    {
        server.script(move |call| {
            (call.operation == "PutObject").then_some(Fault::Refuse { status, code })
        });
        let before = server.requests_of("PutObject");
        put(&store, "k", "late", &PutCondition::IfMatch(second.clone())).await.unwrap_err();
        assert_eq!(server.requests_of("PutObject") - before, 1, "{status}");
    }
    assert_eq!(tag(&store, "k").await, second);
}

/// A concurrent write of the same content looks once like a store without the condition.
#[tokio::test]
async fn same_content_keeps_condition() {
    let server = Server::memory().unwrap();
    let store = store(&server, ConditionalWrites::Auto).await;
    let first = put(&store, "k", "first", &ABSENT).await.unwrap();
    server.script(|call| {
        let refused = call.operation == "PutObject" && call.nth == 2;
        refused.then_some(Fault::Refuse { status: 412, code: "PreconditionFailed" })
    });
    let second = put(&store, "k", "second", &PutCondition::IfMatch(first.clone())).await.unwrap();
    assert_eq!(server.requests_of("PutObject"), 3);
    assert!(is_refused(put(&store, "k", "late", &PutCondition::IfMatch(first)).await));
    assert_eq!(tag(&store, "k").await, second);
}

#[tokio::test]
async fn trusted_conditions_are_kept() {
    for conditions in
        [Conditions::NotImplemented, Conditions::InvalidArgument, Conditions::NeverMatch]
    {
        let server = Server::memory_with(conditions).unwrap();
        let store = store(&server, ConditionalWrites::Yes).await;
        let first = put(&store, "k", "first", &PutCondition::None).await.unwrap();
        for _ in 0..2 {
            let error =
                put(&store, "k", "late", &PutCondition::IfMatch(first.clone())).await.unwrap_err();
            assert_eq!(error.kind, StorageErrorKind::ConditionUnsupported, "{}", chain(&error));
            assert!(chain(&error).contains("DG_CONDITIONAL_WRITES=no"), "{}", chain(&error));
        }
        assert_eq!(tag(&store, "k").await, first, "{conditions:?}");
    }
}

#[tokio::test]
async fn support_is_known_per_call() {
    let server = Server::memory().unwrap();
    let store = store(&server, ConditionalWrites::Auto).await;
    server.script(|call| {
        let refused = call.operation == "DeleteObject" && call.headers.contains_key("if-match");
        refused.then_some(Fault::Refuse { status: 501, code: "NotImplemented" })
    });
    let first = put(&store, "k", "first", &ABSENT).await.unwrap();
    store.delete(&object("k"), Some(&first)).await.unwrap();
    let first = put(&store, "k", "first", &ABSENT).await.unwrap();
    put(&store, "k", "second", &PutCondition::IfMatch(first.clone())).await.unwrap();
    assert!(is_refused(put(&store, "k", "late", &PutCondition::IfMatch(first)).await));
}

#[tokio::test]
async fn lost_delete_answer_succeeds() {
    let server = Server::memory().unwrap();
    let store = store(&server, ConditionalWrites::Auto).await;
    let first = put(&store, "k", "first", &ABSENT).await.unwrap();
    server
        .script(|call| (call.operation == "DeleteObject" && call.nth == 1).then_some(Fault::Lost));
    store.delete(&object("k"), Some(&first)).await.unwrap();
    assert_eq!(server.requests_of("DeleteObject"), 2);
    assert!(
        is_refused(store.delete(&object("k"), Some(&first)).await),
        "there was nothing before it was sent"
    );
}

#[tokio::test]
async fn ignored_conditions_succeed() {
    let server = Server::memory_with(Conditions::Ignored).unwrap();
    let store = store(&server, ConditionalWrites::Auto).await;
    put(&store, "k", "first", &ABSENT).await.unwrap();
    put(&store, "k", "second", &ABSENT).await.unwrap();
    assert!(!store.conditions_are_atomic());
    assert_eq!(server.requests_of("PutObject"), 2);
}
