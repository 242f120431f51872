//! A stream whose end is reached is the file: what is damaged, cut or abandoned never looks whole.

use std::io;
use std::sync::Arc;

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::Compared;
use deltaglider::storage::{MemoryStore, ObjectStore as _, PutBody, PutCondition};
use deltaglider::{DeltaGlider, ErrorKind, FileStream};
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::stage::{LEN, client, content, uri, version};
use crate::support::{edited, noise};

/// Changes the last byte of a stored object, and keeps its metadata.
pub(crate) async fn damage(store: &MemoryStore, key: &str) {
    let object = ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap());
    let body = store.get(&object, None).await.unwrap();
    let attributes = body.head.attributes.clone();
    let mut bytes = body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let body = PutBody::from_bytes(bytes);
    store.put(&object, body, &attributes, &PutCondition::None.into()).await.unwrap();
}

/// Returns a client with a file as it is, and one as a delta of itself, both with a wrong last
/// byte.
async fn damaged() -> (DeltaGlider, [&'static str; 2]) {
    let (client, store) = client().await;
    client.put(uri("direct.bin"), version(0)).await.unwrap();
    client.put(uri("delta.zip"), version(0)).await.unwrap();
    damage(&store, "direct.bin").await;
    damage(&store, "reference.bin").await;
    (client, ["direct.bin", "delta.zip"])
}

#[tokio::test]
async fn wrong_last_byte_is_never_streamed() {
    let (client, names) = damaged().await;
    for name in names {
        let (mut len, mut error) = (0, None);
        match client.get(uri(name)).await {
            Err(early) => error = Some(early),
            Ok(mut stream) => {
                while let Some(piece) = stream.next().await {
                    match piece {
                        Ok(piece) => len += piece.len(),
                        Err(late) => error = Some(late),
                    }
                }
                assert!(stream.compared().is_none());
            }
        }
        assert_eq!(error.unwrap().kind(), ErrorKind::Corrupt, "{name}");
        assert!(len < LEN, "{name}: {len}");
    }
}

/// The error stays: a second read is no end of the file either.
#[tokio::test]
async fn wrong_last_byte_is_never_read() {
    let (client, names) = damaged().await;
    for name in names {
        let Ok(mut stream) = client.get(uri(name)).await else { continue };
        let mut read = Vec::new();
        let error = stream.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
        assert!(read.len() < LEN, "{name}: {}", read.len());
        assert!(stream.read_to_end(&mut read).await.is_err());
        assert!(read.len() < LEN);
    }
    assert!(client.get(uri("direct.bin")).await.is_ok(), "no stream was begun");
}

/// Answers one HTTP request with the file, as a server would.
async fn serve(listener: tokio::net::TcpListener, mut file: FileStream) {
    let (mut socket, _) = listener.accept().await.unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.content_len());
    socket.write_all(head.as_bytes()).await.unwrap();
    // An error closes the connection before the declared length is reached.
    while let Ok(Some(piece)) = file.try_next().await {
        socket.write_all(&piece).await.unwrap();
    }
}

#[tokio::test]
async fn http_answer_with_wrong_byte_is_incomplete() {
    let (client, _) = damaged().await;
    client.put(uri("sound.bin"), version(3)).await.unwrap();
    for (name, is_whole) in [("direct.bin", false), ("sound.bin", true)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let file = client.get(uri(name)).await.unwrap();
        let server = tokio::spawn(serve(listener, file));
        let mut answer = Vec::new();
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.read_to_end(&mut answer).await.unwrap();
        server.await.unwrap();
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let declared = format!("Content-Length: {}", version(3).len());
        assert!(!is_whole || String::from_utf8_lossy(&answer[..body]).contains(&declared));
        let len = if is_whole { version(3).len() } else { LEN };
        assert_eq!(answer.len() - body == len, is_whole, "{name}");
    }
}

#[tokio::test]
async fn dropped_stream_ends_its_call() {
    let (client, _) = client().await;
    for name in ["whole.bin", "delta.zip"] {
        client.put(uri(name), noise(8 << 20, 3)).await.unwrap();
        let mut stream = client.get(uri(name)).await.unwrap();
        assert!(!stream.next().await.unwrap().unwrap().is_empty());
        drop(stream);
    }
    // The memory of the decoders is free again: many further gets would wait for ever otherwise.
    for _ in 0..20 {
        let mut stream = client.get(uri("delta.zip")).await.unwrap();
        stream.next().await.unwrap().unwrap();
    }
    let all = async { content(&client, "delta.zip").await };
    let read = tokio::time::timeout(std::time::Duration::from_secs(60), all).await.unwrap();
    assert!(read == noise(8 << 20, 3));
}

/// Streams that are open share the decoders' memory: with little of it, the next one waits until
/// one is dropped.
#[tokio::test]
async fn memory_limits_open_streams() {
    use std::time::Duration;
    let (client, store) = client().await;
    client.put(uri("a.zip"), noise(8 << 20, 3)).await.unwrap();
    client.put(uri("b.zip"), edited(&noise(8 << 20, 3), 1)).await.unwrap();
    for (memory, is_shared) in [(1 << 20, false), (1 << 30, true)] {
        let builder = DeltaGlider::builder().store(store.clone()).memory(memory);
        let limited = builder.build().await.unwrap();
        let first = limited.get(uri("b.zip")).await.unwrap();
        let second = limited.get(uri("b.zip")).into_future();
        let waited = tokio::time::timeout(Duration::from_secs(3), second).await;
        assert_eq!(waited.is_ok(), is_shared);
        drop((first, waited));
        assert!(content(&limited, "b.zip").await == edited(&noise(8 << 20, 3), 1));
    }
}

#[tokio::test]
async fn empty_file_has_no_piece() {
    let (client, _) = client().await;
    for name in ["empty.bin", "empty.zip"] {
        client.put(uri(name), "").await.unwrap();
        let mut stream = client.get(uri(name)).await.unwrap();
        assert_eq!(stream.content_len(), 0);
        assert!(stream.next().await.is_none());
        assert!(matches!(stream.compared(), Some(Compared::Sha256(_))));
    }
}

/// Pieces, reads of any length and both mixed give the same bytes.
#[tokio::test]
async fn stream_and_reader_agree() {
    let (client, _) = client().await;
    client.put(uri("a-1.zip"), version(0)).await.unwrap();
    client.put(uri("a-2.zip"), version(1)).await.unwrap();
    for step in [1_000, 65_536, 1 << 20] {
        let mut stream = client.get(uri("a-2.zip")).await.unwrap();
        let (mut read, mut buf) = (Vec::new(), vec![0; step]);
        loop {
            let n = stream.read(&mut buf).await.unwrap();
            if n == 0 {
                break;
            }
            read.extend_from_slice(&buf[..n]);
            if let Some(piece) = stream.next().await {
                read.extend_from_slice(&piece.unwrap());
            }
        }
        assert!(read == version(1), "{step}");
    }
}

#[tokio::test]
async fn ranges_match_their_slices() {
    let (client, _) = client().await;
    let file = version(1);
    let len = file.len() as u64;
    client.put(uri("a-1.zip"), version(0)).await.unwrap();
    for name in ["a-2.zip", "whole.bin"] {
        client.put(uri(name), file.clone()).await.unwrap();
        for (first, end) in [(0, 1), (0, len), (5, 300_000), (len - 1, len), (len - 9, len + 9)] {
            let part = client.get(uri(name)).range(first..end).await.unwrap();
            let expected = &file[first as usize..end.min(len) as usize];
            assert_eq!((part.info().size, part.content_len()), (len, expected.len() as u64));
            assert!(part.bytes().await.unwrap() == expected, "{name} {first}..{end}");
        }
        let rest = client.get(uri(name)).range(len - 7..).await.unwrap();
        assert_eq!(rest.bytes().await.unwrap(), file[file.len() - 7..]);
        for (first, end) in [(5, 5), (len, len + 1)] {
            let error = client.get(uri(name)).range(first..end).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidRange, "{name} {first}..{end}");
        }
    }
}

/// A file that is replaced between the lookup and the read is read whole, with its own properties.
#[tokio::test]
async fn properties_are_of_the_bytes() {
    use crate::scripted_store::ScriptedStore;
    let (client, store) = client().await;
    client.put(uri("a.bin"), "old").await.unwrap();
    let other = client.clone();
    let act = async move {
        other.put(uri("a.bin"), "newer content").await.unwrap();
    };
    let scripted = ScriptedStore::at(&store, |_, call| call == "get a.bin", act);
    let reader = super::stage::client_of(Arc::clone(&scripted) as _).await;
    let file = reader.get(uri("a.bin")).await.unwrap();
    assert!(scripted.happened());
    assert_eq!(file.content_len(), 13);
    assert_eq!(file.bytes().await.unwrap(), "newer content");
}
