//! Tests of downloads in several ranges at once.

use std::io;

use bytes::Bytes;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ObjectStore as _, PutBody, PutOptions, S3Config, S3Store,
};
use futures::TryStreamExt as _;
use http::header::RANGE;
use s3_server::{Fault, Server};

use crate::support::noise;

/// The number of bytes of a range.
const RANGE_LEN: usize = 1 << 20;

fn object() -> ObjectName {
    ObjectName::new(BucketName::new("bucket").unwrap(), Key::new("k").unwrap())
}

async fn put(store: &S3Store, bytes: &[u8]) {
    let body = PutBody::from_bytes(bytes.to_vec());
    store.put(&object(), body, &Attributes::default(), &PutOptions::default()).await.unwrap();
}

/// Returns a server, and a store with an object of these bytes.
async fn stored(bytes: &[u8]) -> (Server, S3Store) {
    let server = Server::memory().unwrap();
    let config = S3Config { part_size: RANGE_LEN as u64, ..server.config() };
    let store = S3Store::connect(config).await.unwrap();
    store.create_bucket(&object().bucket).await.unwrap();
    put(&store, bytes).await;
    (server, store)
}

async fn read(store: &S3Store) -> io::Result<Vec<u8>> {
    let body = store.get(&object(), None).await.map_err(io::Error::other)?;
    body.stream.map_ok(|piece| piece.to_vec()).try_concat().await
}

#[tokio::test]
async fn ranges_give_the_object() {
    for (len, requests) in [
        (4 * RANGE_LEN - 1, 1),
        (4 * RANGE_LEN, 4),
        (4 * RANGE_LEN + 1, 5),
        (9 * RANGE_LEN + 77, 10),
    ] {
        let bytes = noise(len, 1);
        let (server, store) = stored(&bytes).await;
        assert!(read(&store).await.unwrap() == bytes, "{len}");
        assert_eq!(server.requests_of("GetObject"), requests, "{len}");
        let part = 5..len as u64;
        let body = store.get(&object(), Some(part)).await.unwrap();
        let part: Vec<u8> = body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
        assert!(part == bytes[5..], "{len}");
    }
}

#[tokio::test]
async fn parts_without_size_are_read() {
    let server = Server::memory().unwrap();
    let store = S3Store::connect(S3Config { part_size: 0, ..server.config() }).await.unwrap();
    store.create_bucket(&object().bucket).await.unwrap();
    put(&store, b"content").await;
    assert_eq!(read(&store).await.unwrap(), b"content");
    assert_eq!(server.requests_of("GetObject"), 7, "a byte each");
}

/// Several downloads at once share the memory: those without a share read one range.
#[tokio::test]
async fn downloads_share_the_memory() {
    let bytes = noise(6 * RANGE_LEN, 1);
    let (server, store) = stored(&bytes).await;
    let reads = (0..8).map(|_| read(&store));
    for read in futures::future::join_all(reads).await {
        assert!(read.unwrap() == bytes);
    }
    assert!((8..=48).contains(&server.requests_of("GetObject")));
    let before = server.requests_of("GetObject");
    assert!(read(&store).await.unwrap() == bytes);
    assert_eq!(server.requests_of("GetObject") - before, 6, "the memory was returned");
}

#[tokio::test]
async fn broken_ranges_are_resumed() {
    let bytes = noise(7 * RANGE_LEN, 1);
    let (server, store) = stored(&bytes).await;
    // The first request is cut within its range, and each range but the second one is cut once.
    server.script(|call| {
        let cut = call.operation == "GetObject" && (call.nth == 1 || (3..8).contains(&call.nth));
        cut.then_some(Fault::Cut(300_000))
    });
    assert!(read(&store).await.unwrap() == bytes);
    assert_eq!(server.requests_of("GetObject"), 13);
}

/// A store that does not serve a range is read as before.
#[tokio::test]
async fn refused_ranges_are_not_needed() {
    let bytes = noise(6 * RANGE_LEN, 1);
    let (server, store) = stored(&bytes).await;
    server.script(|call| {
        let ranged = call.operation == "GetObject" && call.headers.contains_key(RANGE);
        ranged.then_some(Fault::Refuse { status: 501, code: "NotImplemented" })
    });
    assert!(read(&store).await.unwrap() == bytes);
    assert_eq!(server.requests_of("GetObject"), 2);
}

#[tokio::test]
async fn ranges_reject_another_version() {
    let (_server, store) = stored(&noise(9 * RANGE_LEN, 1)).await;
    let mut stream = store.get(&object(), None).await.unwrap().stream;
    stream.try_next().await.unwrap().unwrap();
    put(&store, &noise(9 * RANGE_LEN, 2)).await;
    let rest: io::Result<Vec<Bytes>> = stream.try_collect().await;
    let error = rest.unwrap_err().to_string();
    assert!(error.contains("412") && error.contains("s3://bucket/k"), "{error}");
}

/// A failed range is an error, and never a shorter object.
#[tokio::test]
async fn failed_range_is_an_error() {
    let (server, store) = stored(&noise(6 * RANGE_LEN, 1)).await;
    server.script(|call| {
        let fails = call.operation == "GetObject" && call.nth > 3;
        fails.then_some(Fault::Refuse { status: 403, code: "AccessDenied" })
    });
    let error = read(&store).await.unwrap_err().to_string();
    assert!(error.contains("s3://bucket/k"), "{error}");
}
