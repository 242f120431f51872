//! Tests of retries: to a store that is busy, in another region, or with another clock.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::chain;
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ListRequest, ObjectStore as _, Patience, PutBody, PutOptions,
    S3Config, S3Credentials, S3Store, StorageErrorKind,
};
use futures::stream::{FuturesUnordered, StreamExt as _};
use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};
use time::macros::format_description;

use crate::support::scripted_http::{scripted_by, xml};
use crate::support::{Run, Sandbox, noise};

fn bucket(name: &str) -> BucketName {
    BucketName::new(name).unwrap()
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(bucket("bucket"), Key::new(key).unwrap())
}

/// Returns a configuration without a number of attempts.
fn patient(server: &Server, busy: Duration) -> S3Config {
    let patience = Patience { before_retry: Duration::from_millis(5), busy, ..Patience::default() };
    S3Config { max_attempts: None, patience, ..server.config() }
}

#[tokio::test]
async fn busy_store_loses_no_file() {
    for (status, code) in [(503, "SlowDown"), (429, "TooManyRequests")] {
        let server = Server::memory().unwrap();
        let store = S3Store::connect(patient(&server, Duration::from_secs(300))).await.unwrap();
        store.create_bucket(&bucket("bucket")).await.unwrap();
        // Refuses three of ten requests.
        let all = AtomicU64::new(0);
        server.script(move |_| {
            let refused = all.fetch_add(7, Ordering::Relaxed) % 10 < 3;
            refused.then_some(Fault::Refuse { status, code })
        });
        let mut puts = FuturesUnordered::new();
        for n in 0..100 {
            let store = store.clone();
            puts.push(async move {
                let body = PutBody::from_bytes(format!("content {n}"));
                store
                    .put(
                        &object(&n.to_string()),
                        body,
                        &Attributes::default(),
                        &PutOptions::default(),
                    )
                    .await
            });
            if puts.len() == 8 {
                puts.next().await.unwrap().unwrap();
            }
        }
        while let Some(put) = puts.next().await {
            put.unwrap();
        }
        assert_eq!(
            store.list(&bucket("bucket"), &ListRequest::default()).await.unwrap().objects.len(),
            100
        );
    }
}

#[tokio::test]
async fn patience_with_busy_store_ends() {
    let server = Server::memory().unwrap();
    let store = S3Store::connect(patient(&server, Duration::from_millis(300))).await.unwrap();
    server.script(|_| Some(Fault::Refuse { status: 503, code: "SlowDown" }));
    let error = store.list(&bucket("bucket"), &ListRequest::default()).await.unwrap_err();
    assert_eq!(error.kind, StorageErrorKind::Throttled, "{}", chain(&error));
    assert!(server.requests_of("ListObjectsV2") > 3, "{:?}", server.requests());
}

#[tokio::test]
async fn attempts_setting_is_followed() {
    let server = Server::memory().unwrap();
    for (status, code) in [(503, "SlowDown"), (500, "InternalError")] {
        for most in [1, 2, 5] {
            let config = patient(&server, Duration::from_secs(300));
            let store =
                S3Store::connect(S3Config { max_attempts: NonZeroU32::new(most), ..config })
                    .await
                    .unwrap();
            server.script(move |_| Some(Fault::Refuse { status, code }));
            let before = server.requests_of("ListObjectsV2");
            store.list(&bucket("bucket"), &ListRequest::default()).await.unwrap_err();
            assert_eq!(server.requests_of("ListObjectsV2") - before, u64::from(most), "{status}");
        }
    }
}

#[test]
fn attempts_are_an_option() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    server.script(move |_| Some(Fault::Refuse { status: 503, code: "SlowDown" }));
    let run = |option: &[&str], variable: &str| {
        let before = server.requests_of("ListBuckets");
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).env("AWS_MAX_ATTEMPTS", variable);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(option).arg("ls")).fails(1, &["asks to slow down"]);
        server.requests_of("ListBuckets") - before
    };
    assert_eq!(run(&[], "2"), 2);
    assert_eq!(run(&["--max-attempts", "1"], "2"), 1);
}

/// Refuses requests for `far` that are not signed for its region.
fn two_regions(server: &Server) {
    server.script(|call| {
        let signed = call
            .headers
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let wanted = if call.bucket == Some("far") { "eu-west-3" } else { "us-east-1" };
        (call.bucket.is_some()
            && call.operation != "CreateBucket"
            && !signed.contains(&format!("/{wanted}/s3/")))
        .then_some(Fault::Elsewhere(wanted))
    });
}

#[test]
fn region_of_bucket_is_followed() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let run = |region: &str, arguments: &[&str]| {
        let mut command = sandbox.command();
        command
            .env("AWS_ENDPOINT_URL_S3", server.url())
            .env("AWS_REGION", region)
            .env("AWS_MAX_ATTEMPTS", "1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(arguments)).succeeds()
    };
    run("", &["mb", "s3://near"]);
    run("", &["mb", "s3://far"]);
    two_regions(&server);
    let bytes = noise(50_000, 1);
    sandbox.write("a.zip", &bytes);
    for region in ["", "us-east-1", "eu-west-3"] {
        for (from, to) in [("far", "near"), ("near", "far"), ("far", "far"), ("near", "near")] {
            run(region, &["cp", "a.zip", &format!("s3://{from}/in/")]);
            run(region, &["cp", &format!("s3://{from}/in/a.zip"), &format!("s3://{to}/out/")]);
            run(region, &["sync", &format!("s3://{from}/in/"), &format!("s3://{to}/copy/")]);
            run(region, &["cp", &format!("s3://{to}/copy/a.zip"), "back.zip"]);
            assert!(sandbox.read("back.zip") == bytes, "{region} {from} {to}");
            for bucket in [from, to] {
                run(region, &["rm", "-r", &format!("s3://{bucket}/")]);
            }
        }
    }
}

async fn store_at(endpoint: String) -> S3Store {
    let credentials = S3Credentials {
        access_key_id: "AKID".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
    };
    let patience = Patience { before_retry: Duration::from_millis(5), ..Patience::default() };
    let config = S3Config {
        endpoint: Some(endpoint),
        credentials: Some(credentials),
        patience,
        ..S3Config::default()
    };
    S3Store::connect(config).await.unwrap()
}

#[tokio::test]
async fn bodiless_400_is_retried() {
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let url = scripted_by(move |_| match counted.fetch_add(1, Ordering::Relaxed) {
        0 => ("400 Bad Request", String::new(), String::new()),
        _ => ("200 OK", "ETag: \"0\"\r\n".to_owned(), String::new()),
    });
    let store = store_at(url).await;
    store
        .put(&object("k"), PutBody::from_bytes("x"), &Attributes::default(), &PutOptions::default())
        .await
        .unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 2);
    // One with a reason is final.
    let url = scripted_by(|_| ("400 Bad Request", String::new(), xml("InvalidArgument", "no", "")));
    let store = store_at(url).await;
    let put = store
        .put(&object("k"), PutBody::from_bytes("x"), &Attributes::default(), &PutOptions::default())
        .await;
    assert_eq!(put.unwrap_err().kind, StorageErrorKind::Invalid);
}

#[tokio::test]
async fn time_asked_for_is_kept() {
    let begun = std::time::Instant::now();
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = times.clone();
    let url = scripted_by(move |_| {
        let mut times = kept.lock().unwrap();
        times.push(begun.elapsed());
        match times.len() {
            1 => ("503 Slow Down", "Retry-After: 1\r\n".to_owned(), xml("SlowDown", "", "")),
            _ => ("200 OK", "ETag: \"0\"\r\n".to_owned(), String::new()),
        }
    });
    let store = store_at(url).await;
    store
        .put(&object("k"), PutBody::from_bytes("x"), &Attributes::default(), &PutOptions::default())
        .await
        .unwrap();
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= Duration::from_secs(1), "{times:?}");
}

#[tokio::test]
async fn skewed_clock_is_corrected() {
    // Six hours from now, by the server's clock.
    let there = || SystemTime::now() + Duration::from_secs(6 * 3600);
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let url = scripted_by(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        let date = time::OffsetDateTime::from(there());
        let format = format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        let date = date.format(format).unwrap();
        // Such as 20260102t030405z, compared by the hour, which may just have begun.
        let hours = [there(), there() - Duration::from_secs(60)].map(|time| {
            time::OffsetDateTime::from(time)
                .format(format_description!("[year][month][day]t[hour]"))
                .unwrap()
        });
        match request.header("x-amz-date") {
            Some(sent) if hours.iter().any(|hour| sent.starts_with(hour)) => {
                ("200 OK", "ETag: \"0\"\r\n".to_owned(), String::new())
            }
            _ => (
                "403 Forbidden",
                format!("Date: {date}\r\n"),
                xml("RequestTimeTooSkewed", "The difference is too large", ""),
            ),
        }
    });
    let store = store_at(url).await;
    for _ in 0..2 {
        let body = PutBody::from_bytes("x");
        store
            .put(&object("k"), body, &Attributes::default(), &PutOptions::default())
            .await
            .unwrap();
    }
    assert_eq!(sent.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn weak_tag_is_read_on() {
    let url = scripted_by(|request| {
        let tag = "ETag: W/\"v1\"\r\nLast-Modified: Wed, 25 Nov 2026 10:00:00 GMT\r\n";
        match (request.header("range"), request.header("if-match")) {
            (_, Some(_)) => {
                ("412 Precondition Failed", String::new(), xml("PreconditionFailed", "", ""))
            }
            // The connection ends early.
            (None, _) => ("200 OK", format!("{tag}Content-Length: 10\r\n"), "01234".to_owned()),
            (Some(_), _) => (
                "206 Partial Content",
                format!("{tag}Content-Range: bytes 5-9/10\r\n"),
                "56789".to_owned(),
            ),
        }
    });
    let body = store_at(url).await.get(&object("k"), None).await.unwrap();
    let pieces: Vec<_> = body.stream.map(Result::unwrap).collect().await;
    assert_eq!(pieces.concat(), b"0123456789");
    assert_eq!(body.head.etag.0, "v1");
}

#[tokio::test]
async fn answer_without_length_is_read() {
    let url = scripted_by(|request| {
        let tag = "ETag: \"v1\"\r\nLast-Modified: Wed, 25 Nov 2026 10:00:00 GMT\r\n";
        match request.method.as_str() {
            "HEAD" => ("200 OK", format!("{tag}Content-Length: 10\r\n"), String::new()),
            _ => {
                let chunked = "6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n".to_owned();
                // The name of the header keeps the server from adding a length.
                (
                    "200 OK",
                    format!("{tag}Transfer-Encoding: chunked\r\nX-No-Content-Length: 1\r\n"),
                    chunked,
                )
            }
        }
    });
    let body = store_at(url).await.get(&object("k"), None).await.unwrap();
    let pieces: Vec<_> = body.stream.map(Result::unwrap).collect().await;
    assert_eq!((pieces.concat().as_slice(), body.head.size), (&b"0123456789"[..], 10));
}

#[test]
fn addressing_style_is_followed() {
    let sandbox = Sandbox::new();
    let hosts = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = hosts.clone();
    // A proxy, so that every host leads to it.
    let proxy = scripted_by(move |request| {
        kept.lock().unwrap().push(format!(
            "{} {}",
            request.header("host").unwrap_or_default(),
            request.path
        ));
        ("404 Not Found", String::new(), xml("NoSuchBucket", "", ""))
    });
    let run = |options: &[&str], config: &str| {
        sandbox.write("config", config);
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", "http://store.example").env("HTTP_PROXY", &proxy);
        command.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", "secret");
        command.env("AWS_CONFIG_FILE", sandbox.path("config"));
        let run = Run::of(command.args(options).args(["ls", "s3://buc/"]));
        (run, hosts.lock().unwrap().pop())
    };
    let virtual_config =
        "[default]\ns3 =\n  max_concurrent_requests = 3\n  addressing_style = virtual\n";
    for (options, config, is_virtual) in [
        (&[][..], "", false),
        (&["--addressing-style", "virtual"], "", true),
        (&[], virtual_config, true),
        (&["--addressing-style", "path"], virtual_config, false),
        (&["--addressing-style", "auto"], virtual_config, false),
    ] {
        let (run, host) = run(options, config);
        run.fails(1, &["no such bucket"]);
        let host = host.unwrap();
        assert_eq!(
            host.starts_with("buc.store.example "),
            is_virtual,
            "{options:?} {config:?}: {host}"
        );
        assert_eq!(host.contains("store.example/buc"), !is_virtual, "{host}");
    }
    run(&["--addressing-style", "host"], "").0.fails(255, &[]);
    run(&[], "[default]\ns3 =\n  addressing_style = host\n")
        .0
        .fails(255, &["addressing_style", "\"host\""]);
}
