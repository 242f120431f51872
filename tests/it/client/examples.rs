//! The examples do what they say, on a store in memory.

use std::sync::Arc;

use deltaglider::ErrorKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::stage::{client, client_of, content, uri, version};

#[allow(dead_code, reason = "`main` is that of the example")]
#[path = "../../../examples/http_server.rs"]
mod http_server;
#[allow(dead_code, reason = "`main` is that of the example")]
#[path = "../../../examples/mirror.rs"]
mod mirror;
#[allow(dead_code, reason = "`main` is that of the example")]
#[path = "../../../examples/own_store.rs"]
mod own_store;
#[allow(dead_code, reason = "`main` is that of the example")]
#[path = "../../../examples/releases.rs"]
mod releases;

#[tokio::test]
async fn releases_are_stored_once() {
    let (client, _) = client().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (number, name) in (0..).zip(["app-1.0.zip", "app-1.1.zip"]) {
        std::fs::write(path(name), version(number)).unwrap();
        releases::store(&client, "s3://bucket/app", [path(name)]).await.unwrap();
    }
    std::fs::write(path("app-1.0.zip"), "other").unwrap();
    releases::store(&client, "s3://bucket/app", [path("app-1.0.zip")]).await.unwrap();
    assert!(content(&client, "app/app-1.0.zip").await == version(0));
    let info = client.head(uri("app/app-1.1.zip")).with_tags().await.unwrap();
    assert_eq!((&*info.attributes.tags["kept"], info.ratio() < 0.1), ("forever", true));
    let text = include_str!("../../../examples/releases.rs");
    assert!(text.lines().count() <= 60, "it is as short as the guide says");
}

/// Sends one request; returns head and body of the answer, up to the end of the connection.
async fn request(address: std::net::SocketAddr, path: &str, more: &str) -> (String, Vec<u8>) {
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    (String::from_utf8(answer[..end].to_vec()).unwrap(), answer[end..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn http_server_streams_files() {
    let (client, store) = client().await;
    client.put(uri("a-1.zip"), version(0)).content_type("application/zip").await.unwrap();
    client.put(uri("a-2.zip"), version(1)).await.unwrap();
    client.put(uri("bad.bin"), version(2)).await.unwrap();
    super::streams::damage(&store, "bad.bin").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async move {
        http_server::serve(client, "s3://bucket".to_owned(), listener).await.unwrap();
    };
    let server = tokio::spawn(serving);
    let (head, body) = request(address, "/a-1.zip", "").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/zip"), "{head}");
    assert!(body == version(0));
    let (head, body) = request(address, "/a-2.zip", "Range: bytes=5-9\r\n").await;
    assert!(head.starts_with("HTTP/1.1 206") && head.contains("bytes 5-9/"), "{head}");
    assert_eq!(body, version(1)[5..10]);
    assert!(request(address, "/absent", "").await.0.starts_with("HTTP/1.1 404"));
    let (head, body) = request(address, "/bad.bin", "").await;
    let len = version(2).len();
    assert!(head.contains(&format!("content-length: {len}")), "{head}");
    assert!(body.len() < len);
    server.abort();
}

#[tokio::test]
async fn mirror_deletes_within_its_limit() {
    let (client, _) = client().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.zip"), version(0)).unwrap();
    client.put(uri("m/old.txt"), "old").await.unwrap();
    let from = folder.path().to_str().unwrap();
    let summary = mirror::mirror(&client, from, "s3://bucket/m").await.unwrap();
    assert_eq!((summary.uploaded, summary.deleted), (1, 1));
}

#[tokio::test]
async fn own_store_refuses_to_grow() {
    let (_, store) = client().await;
    let limited = client_of(Arc::new(own_store::Limited::new(store, 10_000))).await;
    limited.put(uri("a.bin"), vec![1; 9_000]).await.unwrap();
    let error = limited.put(uri("b.bin"), vec![1; 9_000]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace);
    assert_eq!(error.hint(), Some("free space on the disk of the store"));
}
