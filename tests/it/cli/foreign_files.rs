//! Files of other tools, over HTTP: compared with the checksums that the store states.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{Attributes, Encryption, KmsKey, ObjectStore as _, PutBody, PutOptions};
use s3_server::{ACCESS_KEY, Fault, Rewrite, SECRET_KEY, Server};

use crate::support::scripted_http::{Answer, scripted_by, xml};
use crate::support::{Run, Sandbox};

const CONTENT: &str = "the content of a file that another tool has stored";
/// The same content with another letter.
const DAMAGED: &str = "the content of a file that another tool has stareD";
const CONTRADICTED: &str = "do not match the store's MD5";

struct Stage {
    sandbox: Sandbox,
    server: Server,
}

impl Stage {
    /// Creates a bucket with `v/app.zip` and `v/plain.bin` of another tool.
    fn new() -> Self {
        let stage = Self { sandbox: Sandbox::new(), server: Server::memory().unwrap() };
        stage.run(&["mb", "s3://buc"]).succeeds();
        for key in ["v/app.zip", "v/plain.bin"] {
            stage.store(key, "none");
        }
        stage
    }

    /// Stores `CONTENT` without a SHA-256, as another tool does.
    fn store(&self, key: &str, encryption: &str) {
        let object = ObjectName::new(BucketName::new("buc").unwrap(), Key::new(key).unwrap());
        let encryption = Encryption::named(encryption, KmsKey::default());
        let attributes = Attributes { encryption, ..Attributes::default() };
        let store = self.server.store().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let options = PutOptions::default();
        let put = store.put(&object, PutBody::from_bytes(CONTENT), &attributes, &options);
        runtime.block_on(put).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", self.server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(arguments))
    }

    /// Damages the content of every download of a file from now on, or of every second one.
    fn damage(&self, every: u64) {
        let downloads = Mutex::new(BTreeMap::<String, u64>::new());
        self.server.script(move |call| {
            let key =
                call.key.filter(|key| call.operation == "GetObject" && !key.ends_with(".delta"))?;
            let mut downloads = downloads.lock().unwrap();
            let nth = downloads.entry(key.to_owned()).or_default();
            *nth += 1;
            let is_damaged = *nth % every == 1 % every;
            is_damaged.then(|| Fault::Rewrite(Rewrite::new(|body| body.replace(CONTENT, DAMAGED))))
        });
    }

    fn files_of(&self, folder: &str) -> usize {
        self.sandbox.files().iter().filter(|name| name.starts_with(folder)).count()
    }
}

#[test]
fn equal_tag_verifies() {
    let stage = Stage::new();
    stage.run(&["cp", "s3://buc/v/app.zip", "back"]).succeeds().says("MD5 of the store verified");
    assert_eq!(stage.sandbox.read("back"), CONTENT.as_bytes());
    let verified = stage.run(&["verify", "-r", "s3://buc"]).succeeds();
    assert!(
        verified.out.contains("MD5 of the store") && verified.out.contains("2 verified, 0 failed"),
        "{verified:?}"
    );
    stage.run(&["migrate", "--yes", "s3://buc/v", "s3://buc/w"]).succeeds().says("2 copied");
}

#[test]
fn no_checksum_is_not_verified() {
    let stage = Stage::new();
    stage.store("v/kms.zip", "aws:kms");
    let verified = stage.run(&["verify", "-r", "s3://buc"]).succeeds();
    assert!(
        verified.out.contains("2 verified, 1 with nothing to compare with, 0 failed"),
        "{verified:?}"
    );
    let one = stage.run(&["verify", "s3://buc/v/kms.zip"]).succeeds();
    assert!(
        one.out.contains("nothing to compare with") && !one.out.contains("verified"),
        "{one:?}"
    );
    // A file that is not compared is written without a warning.
    stage.damage(1);
    stage.run(&["cp", "s3://buc/v/kms.zip", "kms"]).succeeds();
    stage.run(&["cp", "--range", "bytes=3-", "s3://buc/v/app.zip", "part"]).succeeds();
}

#[test]
fn same_bytes_twice_defy_the_etag() {
    let stage = Stage::new();
    stage.damage(1);
    let done = stage
        .run(&["cp", "s3://buc/v/app.zip", "back"])
        .fails(2, &[CONTRADICTED, "--no-verify-etag"]);
    assert_eq!(done.out.matches("download:").count(), 1, "{done:?}");
    assert_eq!(stage.sandbox.read("back"), DAMAGED.as_bytes());
    stage.run(&["cp", "s3://buc/v/app.zip", "-"]).fails(2, &[CONTRADICTED]).says(DAMAGED);
    stage.run(&["sync", "s3://buc/v", "synced"]).fails(2, &[CONTRADICTED]);
    assert_eq!(stage.files_of("synced/"), 2);
    stage.run(&["verify", "s3://buc/v/app.zip"]).fails(1, &[CONTRADICTED]);
    let all = stage.run(&["verify", "-r", "s3://buc"]).fails(1, &[CONTRADICTED]);
    assert!(all.out.contains("0 verified, 2 failed"), "{all:?}");
    // A copy that gets a SHA-256 is read and compared.
    stage.run(&["cp", "s3://buc/v/app.zip", "s3://buc/x/app.zip"]).fails(2, &[CONTRADICTED]);
    stage.run(&["migrate", "--yes", "s3://buc/v", "s3://buc/w"]).fails(1, &[CONTRADICTED]);
    stage.run(&["ls", "s3://buc/w/v/app.zip"]).fails(1, &[]);
    for command in [
        &["cp", "--no-verify-etag", "s3://buc/v/app.zip", "again"][..],
        &["sync", "--no-verify-etag", "s3://buc/v", "resynced"],
        &["migrate", "--no-verify-etag", "--yes", "s3://buc/v", "s3://buc/w"],
        &["verify", "--no-verify-etag", "s3://buc/v/app.zip"],
    ] {
        let done = stage.run(command).succeeds();
        assert!(!done.err.contains("MD5") && !done.out.contains("verified:"), "{done:?}");
    }
}

#[test]
fn contradicted_source_is_kept() {
    let stage = Stage::new();
    stage.damage(1);
    stage.run(&["mv", "s3://buc/v/app.zip", "moved"]).fails(2, &[CONTRADICTED, "stays"]);
    stage.run(&["mv", "s3://buc/v/app.zip", "s3://buc/x/app.zip"]).fails(2, &[CONTRADICTED]);
    stage.run(&["ls", "s3://buc/v/app.zip"]).succeeds().says("app.zip");
}

#[test]
fn different_bytes_are_damage() {
    let stage = Stage::new();
    for command in [
        &["cp", "s3://buc/v/app.zip", "back"][..],
        &["sync", "s3://buc/v", "back"],
        &["verify", "s3://buc/v/app.zip"],
        &["migrate", "--yes", "s3://buc/v", "s3://buc/w"],
    ] {
        stage.damage(2);
        stage.run(command).fails(1, &["a second read gave different bytes"]);
    }
    assert_eq!(stage.files_of("back/"), 0, "{:?}", stage.sandbox.files());
}

/// Runs a command against a proxy that answers as AWS does; also returns the number of downloads.
fn run_at_aws(headers: &'static str, body: &'static str, arguments: &[&str]) -> (Run, u64) {
    let downloads = Arc::new(AtomicU64::new(0));
    let counted = downloads.clone();
    let proxy = scripted_by(move |request| -> (&'static str, String, String) {
        let (status, more, text): Answer = match &*request.method {
            "GET" if request.path.ends_with("/file.bin") => {
                counted.fetch_add(1, Ordering::Relaxed);
                assert_eq!(request.header("x-amz-checksum-mode"), Some("enabled"), "{request:?}");
                ("200 OK", headers, body.to_owned())
            }
            "HEAD" if request.path.ends_with("/file.bin") => ("200 OK", headers, body.to_owned()),
            "HEAD" if request.path == "http://buc.s3.us-east-1.amazonaws.com/" => {
                ("200 OK", "", String::new())
            }
            _ => ("404 Not Found", "", xml("NoSuchKey", "", "")),
        };
        (status, format!("{more}Last-Modified: Mon, 30 Nov 2026 00:00:00 GMT\r\n"), text)
    });
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    command
        .env("HTTP_PROXY", proxy)
        .env("AWS_ENDPOINT_URL_S3", "http://s3.us-east-1.amazonaws.com");
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let done = Run::of(command.args(arguments));
    (done, downloads.load(Ordering::Relaxed))
}

#[test]
fn difference_on_aws_is_damage() {
    let get = ["cp", "s3://buc/file.bin", "file.bin"];
    // The CRC-64/NVME of "123456789".
    let crc = "ETag: \"00000000000000000000000000000000-2\"\r\n\
               x-amz-checksum-crc64nvme: rosUhgp5mIg=\r\nx-amz-checksum-type: FULL_OBJECT\r\n";
    run_at_aws(crc, "123456789", &get).0.succeeds().says("CRC-64/NVME of the store verified");
    let (done, downloads) = run_at_aws(crc, "123456780", &get);
    done.fails(1, &["is damaged", "CRC-64/NVME"]);
    assert_eq!(downloads, 1);
    let tag = "ETag: \"25f9e794323b453885f5181f1b624d0b\"\r\n";
    run_at_aws(tag, "123456789", &get).0.succeeds().says("MD5 of the store verified");
    run_at_aws(tag, "123456780", &get).0.fails(1, &["is damaged", "MD5"]);
    run_at_aws(tag, "123456780", &["verify", "s3://buc/file.bin"])
        .0
        .fails(1, &["is damaged", "MD5"]);
    // The ETag and checksum of an upload in parts, and those of a directory bucket.
    let parts = "ETag: \"00000000000000000000000000000000-2\"\r\n\
                 x-amz-checksum-crc32: AAAAAA==-2\r\nx-amz-checksum-type: COMPOSITE\r\n";
    run_at_aws(parts, "123456789", &get).0.succeeds();
}
