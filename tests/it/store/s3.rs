//! Tests of the S3 client beyond the conformance suite: parts, broken connections, rejections and
//! their messages.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::chain;
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ConditionalWrites, CopyOptions, ETag, ListRequest,
    ObjectStore as _, PutBody, PutCondition, PutOptions, S3Config, S3Store, StorageError,
    StorageErrorKind,
};
use futures::{StreamExt as _, TryStreamExt as _};
use s3_server::{Conditions, Fault, MIN_PART_SIZE, SECRET_KEY, Server};

/// Returns a configuration that sends objects larger than one part in parts.
fn in_parts(server: &Server) -> S3Config {
    S3Config {
        multipart_threshold: MIN_PART_SIZE + 1,
        part_size: MIN_PART_SIZE,
        copy_part_size: MIN_PART_SIZE,
        ..server.config()
    }
}

async fn store_with_bucket(config: S3Config) -> S3Store {
    let store = S3Store::connect(config).await.unwrap();
    store.create_bucket(&bucket()).await.unwrap();
    store
}

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(key).unwrap())
}

fn content(len: u64) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

async fn put(
    store: &S3Store,
    key: &str,
    bytes: Vec<u8>,
    condition: &PutCondition,
) -> Result<ETag, StorageError> {
    store
        .put(
            &object(key),
            PutBody::from_bytes(bytes),
            &Attributes::default(),
            &condition.clone().into(),
        )
        .await
}

async fn read(store: &S3Store, key: &str) -> io::Result<Vec<u8>> {
    let body = store.get(&object(key), None).await.map_err(io::Error::other)?;
    body.stream.map_ok(|piece| piece.to_vec()).try_concat().await
}

async fn is_absent(store: &S3Store, key: &str) -> bool {
    store.head(&object(key)).await.unwrap_err().kind == StorageErrorKind::NotFound
}

/// Returns a body in pieces of 100 kB, of which `given` bytes come before the end.
fn pieces(
    len: u64,
    given: u64,
    end: fn() -> futures::stream::BoxStream<'static, io::Result<Bytes>>,
) -> PutBody {
    let bytes = Bytes::from(content(given));
    PutBody::new(len, move || {
        let pieces: Vec<_> = bytes.chunks(100_000).map(Bytes::copy_from_slice).map(Ok).collect();
        futures::stream::iter(pieces).chain(end()).boxed()
    })
}

fn ends() -> futures::stream::BoxStream<'static, io::Result<Bytes>> {
    futures::stream::empty().boxed()
}

fn breaks() -> futures::stream::BoxStream<'static, io::Result<Bytes>> {
    futures::stream::once(async { Err(io::Error::other("the source broke")) }).boxed()
}

fn hangs() -> futures::stream::BoxStream<'static, io::Result<Bytes>> {
    futures::stream::pending().boxed()
}

/// Returns the same body and a counter of how often it is opened.
fn counted(body: PutBody) -> (PutBody, Arc<AtomicU64>) {
    let opened = Arc::new(AtomicU64::new(0));
    let count = opened.clone();
    let counted = PutBody::new(body.len(), move || {
        count.fetch_add(1, Ordering::Relaxed);
        body.open()
    });
    (counted, opened)
}

#[tokio::test]
async fn multipart_object_round_trips() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    for (len, parts) in
        [(MIN_PART_SIZE, 0), (MIN_PART_SIZE + 1, 2), (2 * MIN_PART_SIZE, 2), (12_345_678, 3)]
    {
        let before = server.requests_of("UploadPart");
        let attributes = Attributes {
            metadata: [("dg-tool".to_owned(), "deltaglider".to_owned())].into(),
            content_type: Some("application/zip".to_owned()),
            expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
            ..Attributes::default()
        };
        let body = pieces(len, len, ends);
        let etag = store
            .put(&object("large"), body, &attributes, &PutCondition::None.into())
            .await
            .unwrap();
        assert_eq!(server.requests_of("UploadPart") - before, parts, "{len} bytes");
        let head = store.head(&object("large")).await.unwrap();
        assert_eq!((head.size, head.etag, head.attributes), (len, etag, attributes));
        assert!(read(&store, "large").await.unwrap() == content(len), "{len} bytes");
    }
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test]
async fn conditions_hold_for_multipart() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    let large = content(MIN_PART_SIZE + 1);
    let first = put(&store, "k", large.clone(), &PutCondition::IfAbsent).await.unwrap();
    let again = put(&store, "k", large.clone(), &PutCondition::IfAbsent).await.unwrap_err();
    assert_eq!(again.kind, StorageErrorKind::AlreadyExists, "{}", chain(&again));
    let second =
        put(&store, "k", content(MIN_PART_SIZE + 2), &PutCondition::IfMatch(first.clone()))
            .await
            .unwrap();
    for (key, tag) in [("k", first), ("nothing", second)] {
        let late = put(&store, key, large.clone(), &PutCondition::IfMatch(tag)).await.unwrap_err();
        assert_eq!(late.kind, StorageErrorKind::Precondition, "{}", chain(&late));
    }
    assert_eq!(read(&store, "k").await.unwrap().len() as u64, MIN_PART_SIZE + 2);
    assert!(is_absent(&store, "nothing").await);
    assert_eq!(server.open_uploads(), 0);
}

/// Neither an object nor an open upload is left.
#[tokio::test]
async fn failed_upload_leaves_nothing() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    let len = 2 * MIN_PART_SIZE + 5;
    for (what, given, end, cause) in [
        ("breaks", len - 5, breaks as fn() -> _, "the source broke"),
        ("is short", len - 1, ends, "ended after"),
        ("is short by whole parts", MIN_PART_SIZE, ends, "ended after"),
        ("is long", len + 1, ends, "more than its"),
        ("is long by a part", len + MIN_PART_SIZE, ends, "more than its"),
    ] {
        let error = store
            .put(
                &object("k"),
                pieces(len, given, end),
                &Attributes::default(),
                &PutCondition::None.into(),
            )
            .await;
        let error = error.unwrap_err();
        assert!(chain(&error).contains(cause), "a body that {what}: {}", chain(&error));
        assert!(is_absent(&store, "k").await, "a body that {what}");
        assert_eq!(server.open_uploads(), 0, "a body that {what}");
    }
    assert_eq!(server.requests_of("AbortMultipartUpload"), 5);
}

/// Neither an object nor an open upload is left.
#[tokio::test]
async fn dropped_upload_leaves_nothing() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    let body = pieces(3 * MIN_PART_SIZE, 2 * MIN_PART_SIZE, hangs);
    let object = object("k");
    let attributes = Attributes::default();
    let options = PutOptions::default();
    let put = store.put(&object, body, &attributes, &options);
    let two_parts = async {
        while server.requests_of("UploadPart") < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        put = put => panic!("{put:?}"),
        () = two_parts => {}
    }
    let started = Instant::now();
    while server.open_uploads() > 0 {
        assert!(started.elapsed() < Duration::from_secs(10), "the upload is still open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(is_absent(&store, "k").await);
}

#[tokio::test]
async fn failed_part_is_sent_again() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    server.script(|call| {
        let fails = call.operation == "UploadPart" && call.nth == 2;
        fails.then_some(Fault::Refuse { status: 500, code: "InternalError" })
    });
    let len = 3 * MIN_PART_SIZE;
    put(&store, "k", content(len), &PutCondition::None).await.unwrap();
    assert_eq!(
        (server.requests_of("UploadPart"), server.requests_of("CreateMultipartUpload")),
        (4, 1)
    );
    assert!(read(&store, "k").await.unwrap() == content(len));
}

#[tokio::test]
async fn bad_signatures_are_denied() {
    let server = Server::memory().unwrap();
    store_with_bucket(server.config()).await;
    let mut wrong_secret = server.config();
    wrong_secret.credentials.as_mut().unwrap().secret_access_key = "wrong-secret-key".to_owned();
    let mut unknown_key = server.config();
    unknown_key.credentials.as_mut().unwrap().access_key_id = "unknown-key".to_owned();
    let anonymous = S3Config { no_sign_request: true, ..server.config() };
    let (credentials, denied) = (StorageErrorKind::Credentials, StorageErrorKind::Denied);
    for (config, says, kind) in [
        (wrong_secret, "SignatureDoesNotMatch", credentials),
        (unknown_key, "NotSignedUp", credentials),
        (anonymous, "AccessDenied", denied),
    ] {
        let store = S3Store::connect(config).await.unwrap();
        let listed = store.list(&bucket(), &ListRequest::default()).await.unwrap_err();
        assert_eq!(listed.kind, kind, "{}", chain(&listed));
        assert!(chain(&listed).contains(says), "{}", chain(&listed));
        let head = store.head(&object("k")).await.unwrap_err();
        assert_eq!(head.kind, kind, "{}", chain(&head));
        // Large enough that the answer comes during the transfer.
        let put = put(&store, "k", content(3_000_000), &PutCondition::None).await.unwrap_err();
        assert_eq!(put.kind, kind, "{}", chain(&put));
        for text in [chain(&listed), format!("{put:?}"), format!("{store:?}")] {
            for secret in [SECRET_KEY, "wrong-secret-key", "Signature=", "Credential=", "x-amz-"] {
                assert!(
                    !text.to_lowercase().contains(&secret.to_lowercase()),
                    "{secret} in {text}"
                );
            }
        }
    }
}

#[tokio::test]
async fn absent_server_fails_quickly() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = Server::memory().unwrap();
    let store =
        S3Store::connect(S3Config { endpoint: Some(endpoint), ..server.config() }).await.unwrap();
    let started = Instant::now();
    let error = store.list_buckets().await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(error.kind, StorageErrorKind::Other);
    let message = chain(&error);
    assert!(
        message.contains("could not be reached")
            && message.contains("refused")
            && message.contains("127.0.0.1"),
        "{message}"
    );
    let error = store.head(&object("k")).await.unwrap_err();
    assert!(!error.is_absent(), "{error}");
}

#[tokio::test]
async fn broken_download_is_resumed() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    let bytes = content(3_000_000);
    put(&store, "k", bytes.clone(), &PutCondition::None).await.unwrap();
    server.script(|call| {
        (call.operation == "GetObject" && call.nth <= 2).then_some(Fault::Cut(1_000_000))
    });
    assert!(read(&store, "k").await.unwrap() == bytes);
    assert_eq!(server.requests_of("GetObject"), 3);

    server.script(|call| (call.operation == "GetObject" && call.nth == 4).then_some(Fault::Cut(0)));
    let body = store.get(&object("k"), Some(10..2_000_000)).await.unwrap();
    let part: Vec<u8> = body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    assert!(Some(part.as_slice()) == bytes.get(10..2_000_000));
    assert_eq!(server.requests_of("GetObject"), 5);
}

#[tokio::test]
async fn broken_downloads_end_in_error() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    put(&store, "k", content(1_000_000), &PutCondition::None).await.unwrap();
    server.script(|call| (call.operation == "GetObject").then_some(Fault::Cut(1000)));
    let error = read(&store, "k").await.unwrap_err();
    assert!(error.to_string().contains("s3://bucket/k"), "{error}");
}

#[tokio::test]
async fn resume_rejects_another_version() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    let bytes = content(3_000_000);
    put(&store, "k", bytes.clone(), &PutCondition::None).await.unwrap();
    server.script(|call| {
        (call.operation == "GetObject" && call.nth == 1).then_some(Fault::Cut(1_000_000))
    });
    let mut stream = store.get(&object("k"), None).await.unwrap().stream;
    let first = stream.try_next().await.unwrap().unwrap();
    assert!(bytes.starts_with(&first));
    put(&store, "k", content(4_000_000), &PutCondition::None).await.unwrap();
    let rest: io::Result<Vec<Bytes>> = stream.try_collect().await;
    let error = rest.unwrap_err().to_string();
    assert!(error.contains("412"), "{error}");
}

#[tokio::test]
async fn retried_put_restarts_its_body() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    server.script(|call| {
        let fails = call.operation == "PutObject" && call.nth == 1;
        fails.then_some(Fault::Refuse { status: 503, code: "SlowDown" })
    });
    let (body, opened) = counted(pieces(1_000_000, 1_000_000, ends));
    store
        .put(&object("k"), body, &Attributes::default(), &PutCondition::None.into())
        .await
        .unwrap();
    assert!(read(&store, "k").await.unwrap() == content(1_000_000));
    // The body was read before for its checksum.
    assert_eq!((server.requests_of("PutObject"), opened.load(Ordering::Relaxed)), (2, 3));
}

/// The reported cause is the body's own error.
#[tokio::test]
async fn failed_body_is_not_sent_again() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    let (body, opened) = counted(pieces(1_000_000, 500_000, breaks));
    let error = store
        .put(&object("k"), body, &Attributes::default(), &PutCondition::None.into())
        .await
        .unwrap_err();
    assert!(chain(&error).ends_with("the source broke"), "{}", chain(&error));
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn overload_is_throttled() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    for (status, code) in [(503, "SlowDown"), (429, "TooManyRequests")] {
        server.script(move |call| {
            (call.operation == "ListObjectsV2").then_some(Fault::Refuse { status, code })
        });
        let before = server.requests_of("ListObjectsV2");
        let error = store.list(&bucket(), &ListRequest::default()).await.unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Throttled, "{}", chain(&error));
        assert!(chain(&error).contains(code), "{}", chain(&error));
        assert_eq!(server.requests_of("ListObjectsV2") - before, 3, "{status}");
    }
}

#[tokio::test]
async fn write_conflict_is_tried_again() {
    for config in [|server: &Server| server.config(), in_parts] {
        let server = Server::memory().unwrap();
        let store = store_with_bucket(config(&server)).await;
        let conflict = |operation: &'static str, times: u64| {
            move |call: &s3_server::Call<'_>| {
                let meant = call.operation == operation && call.nth <= times;
                meant.then_some(Fault::Refuse { status: 409, code: "ConditionalRequestConflict" })
            }
        };
        let bytes = content(MIN_PART_SIZE + 1);
        let is_whole = store_takes_whole(&store, &server).await;
        let operation = if is_whole { "PutObject" } else { "CompleteMultipartUpload" };
        let before = server.requests_of(operation);
        server.script(conflict(operation, before + 2));
        put(&store, "k", bytes.clone(), &PutCondition::IfAbsent).await.unwrap();
        assert_eq!(server.requests_of(operation) - before, 3);
        server.script(conflict(operation, u64::MAX));
        let error = put(&store, "other", bytes, &PutCondition::IfAbsent).await.unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Other);
        assert!(
            chain(&error).contains("another write was under way: try again"),
            "{}",
            chain(&error)
        );
        assert!(is_absent(&store, "other").await);
        assert_eq!(server.open_uploads(), 0);
    }
}

/// Returns whether this store sends an object of one part and a byte as a whole.
async fn store_takes_whole(store: &S3Store, server: &Server) -> bool {
    let before = server.requests_of("CreateMultipartUpload");
    put(store, "probe", content(MIN_PART_SIZE + 1), &PutCondition::None).await.unwrap();
    server.requests_of("CreateMultipartUpload") == before
}

#[tokio::test]
async fn absence_needs_an_answer() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    // HEAD has no body, so the bucket is queried; an unknown answer is not guessed.
    for (status, code, kind) in [
        (500, "InternalError", StorageErrorKind::Other),
        (503, "SlowDown", StorageErrorKind::Throttled),
        (403, "AccessDenied", StorageErrorKind::NotFound),
        (404, "NoSuchBucket", StorageErrorKind::NoSuchBucket),
    ] {
        server.script(move |call| {
            (call.operation == "HeadBucket").then_some(Fault::Refuse { status, code })
        });
        let error = store.head(&object("k")).await.unwrap_err();
        assert_eq!(error.kind, kind, "{status}: {}", chain(&error));
    }
}

#[tokio::test]
async fn absent_keys_check_bucket_once() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    let before = server.requests_of("HeadBucket");
    for _ in 0..5 {
        assert_eq!(store.head(&object("k")).await.unwrap_err().kind, StorageErrorKind::NotFound);
    }
    assert_eq!(server.requests_of("HeadBucket") - before, 1);
    store.delete_bucket(&object("k").bucket).await.unwrap();
    assert_eq!(store.head(&object("k")).await.unwrap_err().kind, StorageErrorKind::NoSuchBucket);
}

#[tokio::test]
async fn other_failures_are_not_absence() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    for (status, code) in
        [(404, "NoSuchUpload"), (500, "InternalError"), (403, "AccessDenied"), (503, "SlowDown")]
    {
        server.script(move |call| {
            (call.operation == "GetObject").then_some(Fault::Refuse { status, code })
        });
        let error = store.get(&object("k"), None).await.unwrap_err();
        assert!(!error.is_absent(), "{status}: {}", chain(&error));
        server.script(move |call| {
            (call.operation == "HeadObject").then_some(Fault::Refuse { status, code })
        });
        let error = store.head(&object("k")).await.unwrap_err();
        assert_eq!(error.is_absent(), status == 404, "{status}: {}", chain(&error));
    }
}

/// A 404 to a conditional delete is not a success.
#[tokio::test]
async fn delete_if_match_needs_object() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    let refuse = |call: &s3_server::Call<'_>| {
        (call.operation == "DeleteObject")
            .then_some(Fault::Refuse { status: 404, code: "NoSuchKey" })
    };
    server.script(refuse);
    let error = store.delete(&object("k"), Some(&ETag("0".repeat(32)))).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Precondition);
    store.delete(&object("k"), None).await.unwrap();
}

#[tokio::test]
async fn slow_start_is_waited_for() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    server.script(|call| {
        (call.operation == "HeadObject").then_some(Fault::Wait(Duration::from_secs(1)))
    });
    let started = Instant::now();
    assert!(is_absent(&store, "k").await);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests_of("HeadObject"), 1);
}

/// The SDK would treat it as a missing key.
#[tokio::test]
async fn white_space_key_is_refused() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    put(&store, "k", content(3), &PutCondition::None).await.unwrap();
    for key in [" ", "\t", "\u{a0}"] {
        for error in [
            put(&store, key, content(3), &PutCondition::None).await.map(drop).unwrap_err(),
            store.head(&object(key)).await.map(drop).unwrap_err(),
            store.get(&object(key), None).await.map(drop).unwrap_err(),
            store.delete(&object(key), None).await.unwrap_err(),
            store
                .copy(&object(key), &object("to"), &CopyOptions::default())
                .await
                .map(drop)
                .unwrap_err(),
            store
                .copy(&object("k"), &object(key), &CopyOptions::default())
                .await
                .map(drop)
                .unwrap_err(),
        ] {
            assert_eq!(error.kind, StorageErrorKind::Invalid);
            assert!(chain(&error).contains("white space"), "{}", chain(&error));
        }
    }
    assert_eq!(read(&store, "k").await.unwrap(), content(3));
}

async fn copy(store: &S3Store, if_match: Option<&ETag>) -> Result<ETag, StorageError> {
    let options = CopyOptions { if_match: if_match.cloned(), ..CopyOptions::default() };
    store.copy(&object("from"), &object("to"), &options).await
}

#[tokio::test]
async fn large_copy_keeps_attributes() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    let attributes = Attributes {
        metadata: [("dg-tool".to_owned(), "deltaglider".to_owned())].into(),
        content_type: Some("application/zip".to_owned()),
        expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
        ..Attributes::default()
    };
    for (len, parts) in
        [(MIN_PART_SIZE, 0), (MIN_PART_SIZE + 1, 2), (2 * MIN_PART_SIZE, 2), (12_345_678, 3)]
    {
        let body = pieces(len, len, ends);
        let source = store
            .put(&object("from"), body, &attributes, &PutCondition::None.into())
            .await
            .unwrap();
        let count = || (server.requests_of("UploadPartCopy"), server.requests_of("CopyObject"));
        let before = count();
        let etag = copy(&store, Some(&source)).await.unwrap();
        assert_eq!(
            (count().0 - before.0, count().1 - before.1),
            (parts, u64::from(parts == 0)),
            "{len} bytes"
        );
        let head = store.head(&object("to")).await.unwrap();
        assert_eq!((head.size, head.etag, &head.attributes), (len, etag, &attributes));
        assert!(read(&store, "to").await.unwrap() == content(len), "{len} bytes");
    }
    assert_eq!((server.open_uploads(), server.requests_of("AbortMultipartUpload")), (0, 0));
}

/// Neither an object nor an open upload is left.
#[tokio::test]
async fn failed_copy_leaves_nothing() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    put(&store, "from", content(3 * MIN_PART_SIZE), &PutCondition::None).await.unwrap();
    for (operation, status) in
        [("UploadPartCopy", 403), ("UploadPartCopy", 200), ("CompleteMultipartUpload", 403)]
    {
        server.script(move |call| {
            let third = operation != "UploadPartCopy" || call.nth % 3 == 0;
            (call.operation == operation && third)
                .then_some(Fault::Refuse { status, code: "AccessDenied" })
        });
        let error = copy(&store, None).await.unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Denied, "{}", chain(&error));
        assert!(chain(&error).contains("s3://bucket/from to s3://bucket/to"), "{}", chain(&error));
        assert!(is_absent(&store, "to").await);
        assert_eq!(server.open_uploads(), 0, "{operation} {status}");
    }
    assert_eq!(server.requests_of("AbortMultipartUpload"), 3);
}

/// Neither an object nor an open upload is left.
#[tokio::test]
async fn dropped_copy_leaves_nothing() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    put(&store, "from", content(2 * MIN_PART_SIZE), &PutCondition::None).await.unwrap();
    server.script(|call| {
        (call.operation == "UploadPartCopy").then_some(Fault::Wait(Duration::from_secs(30)))
    });
    assert!(tokio::time::timeout(Duration::from_millis(1500), copy(&store, None)).await.is_err());
    assert!(server.requests_of("UploadPartCopy") > 0);
    store.settle().await;
    assert_eq!(server.open_uploads(), 0);
    assert!(is_absent(&store, "to").await);
}

#[tokio::test]
async fn multipart_copy_has_one_version() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(in_parts(&server)).await;
    let first = put(&store, "from", content(2 * MIN_PART_SIZE), &PutCondition::None).await.unwrap();
    // Replaced while the second part waits to be copied.
    let slow_second = |call: &s3_server::Call<'_>| {
        (call.operation == "UploadPartCopy" && call.nth == 2)
            .then_some(Fault::Wait(Duration::from_secs(4)))
    };
    server.script(slow_second);
    let replaced = vec![7; 2 * MIN_PART_SIZE as usize + 3];
    let replace = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        put(&store, "from", replaced.clone(), &PutCondition::None).await.unwrap();
    };
    let (copied, ()) = futures::future::join(copy(&store, None), replace).await;
    copied.unwrap();
    assert!(read(&store, "to").await.unwrap() == replaced, "the next version was not copied whole");
    assert!(server.requests_of("UploadPartCopy") > 3);
    let late = copy(&store, Some(&first)).await.unwrap_err();
    assert_eq!(late.kind, StorageErrorKind::Precondition, "{}", chain(&late));
    assert_eq!(server.open_uploads(), 0);
}

/// The source may change after its head was read.
#[tokio::test]
async fn copy_condition_is_sent() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    let first = put(&store, "from", content(10), &PutCondition::None).await.unwrap();
    server.script(|call| {
        (call.operation == "CopyObject").then_some(Fault::Wait(Duration::from_secs(4)))
    });
    // Replaced after the head was requested.
    let replace = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        put(&store, "from", content(11), &PutCondition::None).await.unwrap();
    };
    let (copied, ()) = futures::future::join(copy(&store, Some(&first)), replace).await;
    assert_eq!(copied.unwrap_err().kind, StorageErrorKind::Precondition);
    assert!(is_absent(&store, "to").await);
}

#[tokio::test]
async fn error_after_200_is_an_error() {
    let server = Server::memory().unwrap();
    let store = store_with_bucket(server.config()).await;
    put(&store, "from", content(10), &PutCondition::None).await.unwrap();
    for (code, kind, requests) in [
        ("InternalError", StorageErrorKind::Other, 3),
        ("SlowDown", StorageErrorKind::Throttled, 3),
        ("AccessDenied", StorageErrorKind::Denied, 1),
    ] {
        let before = server.requests_of("CopyObject");
        server.script(move |call| {
            (call.operation == "CopyObject").then_some(Fault::Refuse { status: 200, code })
        });
        let error = copy(&store, None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{}", chain(&error));
        assert!(chain(&error).contains(code), "{}", chain(&error));
        assert_eq!(server.requests_of("CopyObject") - before, requests, "{code}");
        assert!(is_absent(&store, "to").await);
    }
}

#[tokio::test]
async fn conditional_writes_is_followed() {
    let server = Server::memory().unwrap();
    for (setting, atomic) in [
        (ConditionalWrites::Auto, false),
        (ConditionalWrites::No, false),
        (ConditionalWrites::Yes, true),
    ] {
        let config = S3Config { conditional_writes: setting, ..server.config() };
        assert_eq!(
            S3Store::connect(config).await.unwrap().conditions_are_atomic(),
            atomic,
            "{setting:?}"
        );
    }
    let aws = S3Config { endpoint: None, ..server.config() };
    assert!(S3Store::connect(aws).await.unwrap().conditions_are_atomic());
}

/// A store that ignores conditions executes requests that should fail.
#[tokio::test]
async fn ignored_conditions_never_fail() {
    let server = Server::memory_with(Conditions::Ignored).unwrap();
    for config in [server.config(), in_parts(&server)] {
        let store = S3Store::connect(config).await.unwrap();
        let _ = store.create_bucket(&bucket()).await;
        let large = content(MIN_PART_SIZE + 1);
        let first = put(&store, "k", large.clone(), &PutCondition::IfAbsent).await.unwrap();
        put(&store, "k", content(3), &PutCondition::IfAbsent).await.unwrap();
        put(&store, "k", large.clone(), &PutCondition::IfAbsent).await.unwrap();
        put(&store, "k", content(3), &PutCondition::IfMatch(first.clone())).await.unwrap();
        put(&store, "k", content(4), &PutCondition::IfMatch(first.clone())).await.unwrap();
        assert_eq!(read(&store, "k").await.unwrap(), content(4));
        store.delete(&object("k"), Some(&first)).await.unwrap();
        assert!(is_absent(&store, "k").await);
    }
}
