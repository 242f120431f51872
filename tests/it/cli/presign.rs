//! Presigned URLs, and the temporary copies that are stored until they expire.

use crate::support::unsigned::request;
use crate::support::{Run, Sandbox, edited, noise};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

/// A sandbox whose store is a server, with `a.zip`, its next version `b.zip`, and `plain.txt`.
struct Stage {
    sandbox: Sandbox,
    server: Server,
    second: Vec<u8>,
}

impl Stage {
    fn new() -> Self {
        let first = noise(50_000, 1);
        let stage = Self {
            sandbox: Sandbox::new(),
            server: Server::memory().unwrap(),
            second: edited(&first, 2),
        };
        stage.run(&["mb", "s3://buc"]).succeeds();
        for (name, content) in
            [("a.zip", &first[..]), ("b c.zip", &stage.second), ("plain.txt", b"plain")]
        {
            stage.sandbox.write(name, content);
            stage.run(&["cp", name, "s3://buc/x/"]).succeeds();
        }
        stage
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", self.server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(arguments))
    }

    fn url(&self, arguments: &[&str]) -> String {
        self.run(&[&["presign"], arguments].concat()).succeeds().out.trim_end().to_owned()
    }

    fn purge(&self, arguments: &[&str]) -> serde_json::Value {
        let run = self.run(&[&["purge", "buc", "--json"], arguments].concat()).succeeds();
        serde_json::from_str(&run.out).unwrap()
    }
}

#[test]
fn url_reads_a_plain_file() {
    let stage = Stage::new();
    let (status, _, body) = request("GET", &stage.url(&["s3://buc/x/plain.txt"]), b"");
    assert_eq!((status, &body[..]), (200, &b"plain"[..]));
    let report = stage.run(&["presign", "s3://buc/x/plain.txt", "--json"]).succeeds().out;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(
        report["url"].as_str().unwrap().contains("X-Amz-Signature=")
            && report["temporary"].is_null()
    );
}

/// Without `--rehydrate`, the error says that the file is stored as a delta.
#[test]
fn rehydrate_stores_a_copy() {
    let stage = Stage::new();
    stage.run(&["presign", "s3://buc/x/b c.zip"]).fails(1, &["stored as a delta", "--rehydrate"]);
    let url = stage.url(&["--rehydrate", "s3://buc/x/b c.zip"]);
    let (status, head, body) = request("GET", &url, b"");
    assert_eq!(status, 200);
    assert!(body == stage.second);
    assert!(head.contains("content-disposition: attachment; filename=\"b c.zip\""), "{head}");
    // The copy is neither listed nor synced.
    assert!(!stage.run(&["ls", "-r", "s3://buc"]).succeeds().out.contains("tmp"));
    stage.run(&["sync", "s3://buc", "out"]).succeeds().says("3 changed");
}

#[test]
fn purge_removes_expired_only() {
    let stage = Stage::new();
    stage.url(&["--rehydrate", "s3://buc/x/b c.zip", "--expires-in", "1"]);
    let lasting = stage.url(&["--rehydrate", "s3://buc/x/a.zip"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let report = stage.purge(&["--dry-run"]);
    assert_eq!(
        (&report["expired_count"], &report["deleted_count"]),
        (&1.into(), &0.into()),
        "{report}"
    );
    let report = stage.purge(&[]);
    assert_eq!(
        (&report["expired_count"], &report["deleted_count"], &report["waiting_count"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!(report["total_size_freed"], stage.second.len());
    assert_eq!(stage.purge(&[])["expired_count"], 0);
    assert_eq!(request("GET", &lasting, b"").0, 200);
    // The file itself is unchanged.
    stage.run(&["verify", "-r", "s3://buc"]).succeeds();
}

#[test]
fn url_writes_a_file() {
    let stage = Stage::new();
    let url = stage.url(&["--method", "put", "s3://buc/x/b c.zip"]);
    // The store dates objects in whole seconds, and of two objects of a second the delta is read.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(request("PUT", &url, b"new content").0, 200);
    stage.run(&["cp", "s3://buc/x/b c.zip", "back"]).succeeds();
    assert_eq!(stage.sandbox.read("back"), b"new content");
    assert_eq!(request("GET", &url, b"").0, 403);
}

#[test]
fn senseless_urls_are_rejected() {
    let stage = Stage::new();
    stage
        .run(&["presign", "s3://buc/x/plain.txt", "--expires-in", "604801"])
        .fails(1, &["604800", "604801"]);
    stage.run(&["presign", "s3://buc/x/plain.txt", "--expires-in", "0"]).fails(1, &["from 1 to"]);
    stage.run(&["presign", "s3://buc/x/none"]).fails(1, &["s3://buc/x/none"]);
    let long = format!("s3://buc/.deltaglider/{}", ".".repeat(400));
    stage.run(&["presign", "--method", "put", &long]).fails(1, &["needs an escaped key"]);
    stage
        .run(&["presign", "--method", "put", "s3://buc/x/b c.zip.delta"])
        .fails(1, &["where the delta of"]);
    stage
        .run(&["presign", "--method", "put", "--rehydrate", "s3://buc/x/new"])
        .fails(255, &["--rehydrate"]);
    stage.sandbox.put("plain.txt", b"plain").succeeds();
    stage.sandbox.run(["presign", "s3://buc/plain.txt"]).fails(1, &["no URLs"]);
}

#[test]
fn bucket_acl_is_passed_through() {
    let stage = Stage::new();
    stage
        .run(&["put-bucket-acl", "buc", "--acl", "public-read", "--dryrun"])
        .succeeds()
        .says("(dryrun)");
    let get = || stage.run(&["get-bucket-acl", "s3://buc"]).succeeds().out;
    assert!(!get().contains("AllUsers"), "{}", get());
    stage.run(&["put-bucket-acl", "buc", "--acl", "public-read"]).succeeds();
    let report = get();
    assert!(
        report.contains("http://acs.amazonaws.com/groups/global/AllUsers")
            && report.contains("\"READ\""),
        "{report}"
    );
    let policy = r#"{"Owner":{"ID":"me"},
        "Grants":[{"Grantee":{"Type":"CanonicalUser","ID":"you"},"Permission":"WRITE"}]}"#;
    stage.run(&["put-bucket-acl", "buc", "--access-control-policy", policy]).succeeds();
    let report: serde_json::Value = serde_json::from_str(&get()).unwrap();
    assert_eq!(report, serde_json::from_str::<serde_json::Value>(policy).unwrap());
    stage.run(&["put-bucket-acl", "buc"]).fails(255, &["nothing to grant"]);
    stage
        .run(&["put-bucket-acl", "buc", "--access-control-policy", "{"])
        .fails(255, &["--access-control-policy"]);
    stage.run(&["get-bucket-acl", "s3://none"]).fails(1, &["no such bucket"]);
    stage.sandbox.run(["get-bucket-acl", "buc"]).fails(1, &["no access control lists"]);
}
