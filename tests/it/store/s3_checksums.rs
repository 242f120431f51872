//! Tests that every write has a checksum.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, Checksums, ObjectStore as _, PutBody, PutOptions, S3Config,
    S3Credentials, S3Store,
};
use s3_server::{ACCESS_KEY, Fault, MIN_PART_SIZE, SECRET_KEY, Server};

use crate::support::scripted_http::{scripted_by, xml};
use crate::support::{Run, Sandbox, noise};

const WRITES: [&str; 2] = ["PutObject", "UploadPart"];

/// Refuses writes without a checksum, as buckets with Object Lock do.
fn lock_objects(server: &Server) {
    server.script(|call| {
        let has = |name: &str| call.headers.contains_key(name);
        let is_refused =
            WRITES.contains(&call.operation) && !has("content-md5") && !has("x-amz-checksum-crc32");
        is_refused.then_some(Fault::Refuse { status: 400, code: "InvalidRequest" })
    });
}

#[tokio::test]
async fn locked_bucket_accepts_writes() {
    let server = Server::memory().unwrap();
    let in_parts = S3Config {
        multipart_threshold: MIN_PART_SIZE + 1,
        part_size: MIN_PART_SIZE,
        ..server.config()
    };
    let store = S3Store::connect(in_parts).await.unwrap();
    let bucket = BucketName::new("bucket").unwrap();
    store.create_bucket(&bucket).await.unwrap();
    lock_objects(&server);
    for len in [0, 1, 100_000, MIN_PART_SIZE + 1, 2 * MIN_PART_SIZE + 7] {
        let object = ObjectName::new(bucket.clone(), Key::new(format!("{len}")).unwrap());
        let body = PutBody::from_bytes(noise(usize::try_from(len).unwrap(), len));
        store.put(&object, body, &Attributes::default(), &PutOptions::default()).await.unwrap();
        assert_eq!(store.head(&object).await.unwrap().size, len);
    }
}

#[test]
fn locked_bucket_takes_deltas() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(arguments)).succeeds()
    };
    run(&["mb", "s3://buc"]);
    lock_objects(&server);
    let (first, mut second) = (noise(100_000, 1), noise(100_000, 1));
    second[500] ^= 1;
    sandbox.write("v/a-1.zip", &first);
    sandbox.write("v/a-2.zip", &second);
    sandbox.write("v/plain.bin", "plain");
    run(&["cp", "-r", "v", "s3://buc/v/"]);
    run(&["cp", "s3://buc/v/a-2.zip", "back.zip"]);
    assert!(sandbox.read("back.zip") == second);
    run(&["stats", "s3://buc"]);
    run(&["rm", "-r", "s3://buc/v/"]);
}

async fn store_at(endpoint: String) -> S3Store {
    let credentials = S3Credentials {
        access_key_id: "AKID".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
    };
    let config = S3Config {
        endpoint: Some(endpoint),
        credentials: Some(credentials),
        ..S3Config::default()
    };
    S3Store::connect(config).await.unwrap()
}

#[tokio::test]
async fn refused_checksum_is_switched() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let url = scripted_by(move |request| {
        let md5 = request.header("content-md5").map(str::to_owned);
        let crc32 = request.header("x-amz-checksum-crc32").map(str::to_owned);
        let refused = md5.is_some();
        assert!(
            request.header("x-amz-trailer").is_none()
                && request.header("content-encoding").is_none()
        );
        kept.lock().unwrap().push((md5, crc32));
        match refused {
            true => (
                "400 Bad Request",
                String::new(),
                xml("InvalidArgument", "Content-MD5 is not supported here", ""),
            ),
            false => ("200 OK", "ETag: \"0\"\r\n".to_owned(), String::new()),
        }
    });
    let store = store_at(url).await;
    let object = ObjectName::new(BucketName::new("bucket").unwrap(), Key::new("k").unwrap());
    for _ in 0..2 {
        let body = PutBody::from_bytes("content");
        store.put(&object, body, &Attributes::default(), &PutOptions::default()).await.unwrap();
    }
    // Lower case, as in a request's headers.
    let sums = Checksums::of(b"content");
    let md5 = STANDARD.encode(sums.md5).to_lowercase();
    let crc32 = STANDARD.encode(sums.crc32.to_be_bytes()).to_lowercase();
    let seen = seen.lock().unwrap();
    assert_eq!(*seen, [(Some(md5), None), (None, Some(crc32.clone())), (None, Some(crc32))]);
}

#[tokio::test]
async fn two_refused_checksums_fail() {
    let url = scripted_by(|_| {
        let text = "neither Content-MD5 nor x-amz-checksum headers are supported";
        ("400 Bad Request", String::new(), xml("InvalidArgument", text, ""))
    });
    let store = store_at(url).await;
    let object = ObjectName::new(BucketName::new("bucket").unwrap(), Key::new("k").unwrap());
    let body = PutBody::from_bytes("content");
    store.put(&object, body, &Attributes::default(), &PutOptions::default()).await.unwrap_err();
}

#[test]
fn refused_write_is_not_locked() {
    let sandbox = Sandbox::new();
    sandbox.write("a.bin", "content");
    let text = "Content-MD5 OR x-amz-checksum- HTTP header is required for \
                Put Object requests with Object Lock parameters";
    let url = scripted_by(move |request| match request.method.as_str() {
        "PUT" => ("400 Bad Request", String::new(), xml("InvalidRequest", text, "")),
        "DELETE" => {
            ("403 Forbidden", String::new(), xml("AccessDenied", "protected by object lock", ""))
        }
        _ if request.path == "/buc" || request.path == "/buc/" => {
            ("200 OK", String::new(), String::new())
        }
        _ => ("404 Not Found", String::new(), xml("NoSuchKey", "", "")),
    });
    let mut command = sandbox.command();
    command.env("AWS_ENDPOINT_URL_S3", url).env("AWS_MAX_ATTEMPTS", "1");
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let failed = Run::of(command.args(["cp", "--no-delta", "a.bin", "s3://buc/"]))
        .fails(1, &["Content-MD5"]);
    assert!(!failed.err.contains("locked") && !failed.err.contains("retention"), "{failed:?}");
}
