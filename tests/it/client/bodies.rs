//! The same file, stored from bytes, a path, a reader and a stream; and bodies that break off.

use std::io;

use bytes::Bytes;
use deltaglider::storage::MAX_USER_METADATA_BYTES;
use deltaglider::{Body, DeltaGlider, ErrorKind};
use futures::{StreamExt as _, TryStreamExt as _};

use super::stage::{client, content, uri, version};
use crate::support::noise;

/// Returns the content as a stream of pieces of 100 kB.
fn pieces(content: Vec<u8>) -> Body {
    let pieces: Vec<_> = content.chunks(100_000).map(Bytes::copy_from_slice).map(Ok).collect();
    Body::stream(futures::stream::iter(pieces))
}

#[tokio::test]
async fn all_bodies_store_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, version(1)).unwrap();
    for extension in ["zip", "bin"] {
        let (client, _) = client().await;
        client.put(uri(&format!("base.{extension}")), version(0)).await.unwrap();
        let file = tokio::fs::File::open(&path).await.unwrap();
        let bodies: [(&str, Body); 4] = [
            ("bytes", version(1).into()),
            ("path", Body::path(&path)),
            ("reader", Body::reader(file)),
            ("stream", pieces(version(1))),
        ];
        for (name, body) in bodies {
            let key = format!("{name}.{extension}");
            let stored = client.put(uri(&key), body).await.unwrap();
            assert_eq!(stored.size, version(1).len() as u64, "{key}");
            assert_eq!(stored.stored < stored.size / 10, extension == "zip", "{key}");
            assert!(content(&client, &key).await == version(1), "{key}");
            let info = client.head(uri(&key)).await.unwrap();
            assert_eq!(info.sha256, stored.sha256, "{key}");
            assert_eq!(info.status.modified.is_some(), name == "path", "{key}");
        }
    }
}

/// A stream longer than what is kept in memory is sent as it comes.
#[tokio::test]
async fn long_stream_is_sent_as_it_comes() {
    let (client, _) = client().await;
    let file = noise(20 << 20, 5);
    client.put(uri("long.bin"), pieces(file.clone())).await.unwrap();
    client.put(uri("long.zip"), pieces(file.clone())).await.unwrap();
    for name in ["long.bin", "long.zip"] {
        let info = client.head(uri(name)).await.unwrap();
        assert_eq!(info.sha256, Some(deltaglider::domain::Sha256Digest::of(&file)), "{name}");
        assert!(content(&client, name).await == file, "{name}");
    }
}

async fn names(client: &DeltaGlider) -> usize {
    client.list("s3://bucket").try_collect::<Vec<_>>().await.unwrap().len()
}

#[tokio::test]
async fn failing_stream_stores_nothing() {
    for (name, before) in [("a.zip", 3), ("a.bin", 3), ("b.bin", 200)] {
        let (client, _) = client().await;
        let given = noise(100_000, 1);
        let good = futures::stream::iter((0..before).map(move |_| Ok(given.clone().into())));
        let broken = good.chain(futures::stream::iter([Err(io::Error::other("line broke"))]));
        let error = client.put(uri(name), Body::stream(broken)).await.unwrap_err();
        assert_eq!(deltaglider::service::chain(&error).matches("line broke").count(), 1);
        assert_eq!(names(&client).await, 0, "{name}");
    }
}

/// A stream that never ends is abandoned with its put: no part of it is taken for the file.
#[tokio::test]
async fn abandoned_stream_stores_nothing() {
    for name in ["a.zip", "a.bin", "b.bin"] {
        let (client, _) = client().await;
        let given = noise(if name == "b.bin" { 20 << 20 } else { 9 }, 1);
        let pieces = futures::stream::iter([Ok(Bytes::from(given))]);
        let endless = pieces.chain(futures::stream::pending());
        let put = client.put(uri(name), Body::stream(endless)).into_future();
        let waited = tokio::time::timeout(std::time::Duration::from_millis(300), put).await;
        assert!(waited.is_err());
        assert_eq!(names(&client).await, 0, "{name}");
    }
}

#[tokio::test]
async fn absent_path_is_a_local_error() {
    let (client, _) = client().await;
    let error = client.put(uri("a.zip"), Body::path("/nowhere/a.zip")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    let error = client.upload("/nowhere/a.zip", "s3://bucket/x/").await.unwrap_err();
    assert_eq!((error.kind(), error.object()), (ErrorKind::Local, "s3://bucket/x/a.zip"));
}

#[tokio::test]
async fn attributes_come_back() {
    let (client, _) = client().await;
    for name in ["a.zip", "a.bin"] {
        client
            .put(uri(name), version(0))
            .content_type("application/zip")
            .cache_control("no-cache")
            .content_disposition("inline")
            .metadata("Version", "1.0")
            .tag("stage", "beta")
            .storage_class("STANDARD_IA")
            .await
            .unwrap();
        let info = client.head(uri(name)).with_tags().await.unwrap();
        let attributes = info.attributes;
        assert_eq!(attributes.content_type.as_deref(), Some("application/zip"));
        assert_eq!(attributes.cache_control.as_deref(), Some("no-cache"));
        assert_eq!(attributes.content_disposition.as_deref(), Some("inline"));
        assert_eq!(attributes.metadata["version"], "1.0");
        assert_eq!(attributes.tags["stage"], "beta");
        assert_eq!(attributes.storage_class.unwrap().as_str(), "STANDARD_IA");
    }
    let huge = "x".repeat(MAX_USER_METADATA_BYTES);
    let error = client.put(uri("b.bin"), "").metadata("huge", huge).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = client.put(uri("b.bin"), "").storage_class("cold").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}
