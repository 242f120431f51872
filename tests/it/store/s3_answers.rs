//! Tests of the limits on a store's answers: size and rate.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::chain;
use deltaglider::storage::{
    CopyOptions, ListRequest, MinRate, ObjectStore as _, Patience, S3Config, S3Credentials,
    S3Store, StorageError,
};
use futures::TryStreamExt as _;

const SHORT: Duration = Duration::from_millis(10);
const OBJECT: &str = "ETag: \"0\"\r\nLast-Modified: Wed, 25 Nov 2026 10:00:00 GMT\r\n";
const PAGE: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

/// A server that answers each request by `answer`, which gets the request's head, and counts the
/// bytes it could send.
struct Scripted {
    url: String,
    sent: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

struct Connection {
    socket: TcpStream,
    sent: Arc<AtomicU64>,
}

impl Connection {
    fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.write_all(bytes.as_ref())?;
        self.sent.fetch_add(bytes.as_ref().len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a chunk again and again until the client hangs up.
    fn send_for_ever(&mut self, head: &str, chunk: &str) -> io::Result<()> {
        self.send(head)?;
        loop {
            self.send(chunk)?;
        }
    }
}

impl Scripted {
    fn start(
        answer: impl Fn(&str, &mut Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sent, requests) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (counted, asked, answer) = (sent.clone(), requests.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (counted, asked, answer) = (counted.clone(), asked.clone(), answer.clone());
                std::thread::spawn(move || {
                    let socket = socket.unwrap();
                    let head = head(&socket).unwrap();
                    asked.fetch_add(1, Ordering::Relaxed);
                    // The client may hang up early.
                    let _ = answer(&head, &mut Connection { socket, sent: counted });
                });
            }
        });
        Self { url, sent, requests }
    }

    async fn store(&self, config: S3Config) -> S3Store {
        let credentials = S3Credentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        };
        let endpoint = Some(self.url.clone());
        S3Store::connect(S3Config { endpoint, credentials: Some(credentials), ..config })
            .await
            .unwrap()
    }
}

/// Reads the head of a request; none of these has a body.
fn head(socket: &TcpStream) -> io::Result<String> {
    let mut head = String::new();
    let mut reader = BufReader::new(socket);
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    Ok(head.to_ascii_lowercase())
}

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn quick() -> S3Config {
    S3Config {
        patience: Patience { before_retry: SHORT, ..Patience::default() },
        min_rate: MinRate { bytes_per_second: 1 << 10, over: Duration::from_millis(200) },
        ..S3Config::default()
    }
}

async fn list(store: &S3Store) -> Result<usize, StorageError> {
    Ok(store.list(&bucket(), &ListRequest::default()).await?.objects.len())
}

async fn read(store: &S3Store) -> Result<Vec<u8>, String> {
    let object = ObjectName::new(bucket(), Key::new("k").unwrap());
    let body = store.get(&object, None).await.map_err(|error| chain(&error))?;
    body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn endless_answers_are_rejected() {
    const CHUNKED: &str = "Content-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (status, begin, limit) in [
        ("200 OK", "<ListBucketResult>", 16),
        ("403 Forbidden", "<Error><Code>AccessDenied</Code><Message>", 1),
        ("500 Internal Server Error", "", 1),
    ] {
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
        let server = Scripted::start(move |_, connection| {
            let head =
                format!("HTTP/1.1 {status}\r\n{CHUNKED}{:x}\r\n{begin} \r\n", begin.len() + 1);
            connection.send_for_ever(&head, &chunk)
        });
        let config = S3Config { min_rate: MinRate::default(), ..quick() };
        let error = list(&server.store(config).await).await.unwrap_err();
        assert!(chain(&error).contains(&format!("limit of {limit} MiB")), "{}", chain(&error));
        // The sockets' buffers hold bytes that were sent and not read.
        let sent = server.sent.load(Ordering::Relaxed) / server.requests.load(Ordering::Relaxed);
        assert!(sent < (limit + 12) << 20, "{sent} bytes were taken");
    }
}

#[tokio::test]
async fn endless_heads_are_rejected() {
    let server = Scripted::start(|_, connection| {
        connection.send_for_ever(
            "HTTP/1.1 200 OK\r\n",
            &format!("X-Amz-Meta-A: {}\r\n", "a".repeat(60_000)),
        )
    });
    let store = server.store(S3Config { min_rate: MinRate::default(), ..quick() }).await;
    assert!(list(&store).await.is_err() && read(&store).await.is_err());
    let sent = server.sent.load(Ordering::Relaxed) / server.requests.load(Ordering::Relaxed);
    assert!(sent < 12 << 20, "{sent} bytes were taken");
}

#[tokio::test]
async fn trickling_body_is_rejected() {
    let server = Scripted::start(|head, connection| {
        let from = head
            .split("range: bytes=")
            .nth(1)
            .and_then(|rest| rest.split('-').next())
            .unwrap_or("0");
        let range = format!("Content-Range: bytes {from}-999999/1000000\r\n");
        let left = 1_000_000 - from.parse::<usize>().unwrap();
        connection.send(format!(
            "HTTP/1.1 206 Partial Content\r\n{OBJECT}{range}Content-Length: {left}\r\n\r\n"
        ))?;
        loop {
            connection.send("a")?;
            sleep(SHORT);
        }
    });
    let error = read(&server.store(quick()).await).await.unwrap_err();
    assert!(error.contains("less than 1024 bytes a second over 0.2 s"), "{error}");
}

#[tokio::test]
async fn stalled_bodies_are_resumed() {
    for trickle in ["a", ""] {
        let server = Scripted::start(move |head, connection| {
            let Some(from) =
                head.split("range: bytes=").nth(1).and_then(|rest| rest.split('-').next())
            else {
                connection.send(format!(
                    "HTTP/1.1 200 OK\r\n{OBJECT}Content-Length: 5000\r\n\r\nbegun"
                ))?;
                loop {
                    connection.send(trickle)?;
                    sleep(SHORT);
                }
            };
            let left = 5000 - from.parse::<usize>().unwrap();
            let head =
                format!("Content-Range: bytes {from}-4999/5000\r\nContent-Length: {left}\r\n\r\n");
            connection
                .send(format!("HTTP/1.1 206 Partial Content\r\n{OBJECT}{head}{}", "b".repeat(left)))
        });
        let read = read(&server.store(quick()).await).await.unwrap();
        assert_eq!((read.len(), &read[..5]), (5000, &b"begun"[..]));
        assert!(server.requests.load(Ordering::Relaxed) >= 2);
    }
}

#[tokio::test]
async fn sufficient_rate_is_accepted() {
    let server = Scripted::start(|_, connection| {
        connection.send(format!("HTTP/1.1 200 OK\r\n{OBJECT}Content-Length: 100000\r\n\r\n"))?;
        for _ in 0..100 {
            connection.send("a".repeat(1000))?;
            sleep(SHORT);
        }
        Ok(())
    });
    // Ten times the required rate, so that a busy machine does not matter.
    let min_rate = MinRate { bytes_per_second: 10 << 10, over: Duration::from_millis(500) };
    let read = read(&server.store(S3Config { min_rate, ..quick() }).await).await.unwrap();
    assert_eq!((read.len(), server.requests.load(Ordering::Relaxed)), (100_000, 1));
}

#[tokio::test]
async fn slow_reader_is_not_blamed() {
    // Just too short for ranges.
    const LEN: usize = 15 << 20;
    let server = Scripted::start(|_, connection| {
        connection.send(format!("HTTP/1.1 200 OK\r\n{OBJECT}Content-Length: {LEN}\r\n\r\n"))?;
        (0..32).try_for_each(|_| connection.send("a".repeat(LEN / 32)))
    });
    let min_rate = MinRate { over: Duration::from_millis(400), ..quick().min_rate };
    let store = server.store(S3Config { min_rate, ..quick() }).await;
    let object = ObjectName::new(bucket(), Key::new("k").unwrap());
    let mut body = store.get(&object, None).await.unwrap().stream;
    let (mut read, mut pauses) = (0, 0);
    while let Some(piece) = body.try_next().await.unwrap() {
        read += piece.len();
        if read > (pauses + 1) * LEN / 4 {
            pauses += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    assert_eq!((read, pauses, server.requests.load(Ordering::Relaxed)), (LEN, 3, 1));
}

/// A page of a thousand keys takes longer on a slow line than an answer may take to begin.
#[tokio::test]
async fn slow_list_is_read() {
    let server = Scripted::start(|_, connection| {
        connection
            .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PAGE.len() + 200_000))?;
        for _ in 0..200 {
            connection.send(" ".repeat(1000))?;
            sleep(SHORT);
        }
        connection.send(PAGE)
    });
    let patience = Patience { answer: Duration::from_secs(1), ..quick().patience };
    let min_rate = MinRate { over: Duration::from_secs(10), ..quick().min_rate };
    assert_eq!(
        list(&server.store(S3Config { patience, min_rate, ..quick() }).await).await.unwrap(),
        0
    );
    assert_eq!(server.requests.load(Ordering::Relaxed), 1);
}

/// S3 starts its answer at once and sends spaces while it copies.
#[tokio::test]
async fn store_at_work_is_waited_for() {
    let server = Scripted::start(|head, connection| {
        if head.starts_with("head") {
            return connection
                .send(format!("HTTP/1.1 200 OK\r\n{OBJECT}Content-Length: 5\r\n\r\n"));
        }
        let result = "<CopyObjectResult><ETag>\"1\"</ETag></CopyObjectResult>";
        connection
            .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 100 + result.len()))?;
        for _ in 0..100 {
            connection.send(" ")?;
            sleep(SHORT);
        }
        connection.send(result)
    });
    let object = |key: &str| ObjectName::new(bucket(), Key::new(key).unwrap());
    let copied = server
        .store(quick())
        .await
        .copy(&object("k"), &object("copy"), &CopyOptions::default())
        .await;
    assert_eq!(copied.unwrap().0, "1");
    assert_eq!(server.requests.load(Ordering::Relaxed), 2);
}
