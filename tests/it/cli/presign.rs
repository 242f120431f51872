//! URLs for others, and the copies that are made for them until they expire.

use crate::support::unsigned::request;
use crate::support::{Run, Sandbox, edited, noise};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

/// A sandbox whose store is a server, with `a.zip`, its next version `b.zip`, and `plain.txt`.
struct Room {
    sandbox: Sandbox,
    server: Server,
    second: Vec<u8>,
}

impl Room {
    fn new() -> Self {
        let first = noise(50_000, 1);
        let room = Self {
            sandbox: Sandbox::new(),
            server: Server::memory().unwrap(),
            second: edited(&first, 2),
        };
        room.run(&["mb", "s3://buc"]).succeeds();
        for (name, content) in
            [("a.zip", &first[..]), ("b c.zip", &room.second), ("plain.txt", b"plain")]
        {
            room.sandbox.write(name, content);
            room.run(&["cp", name, "s3://buc/x/"]).succeeds();
        }
        room
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
fn a_file_that_is_stored_as_it_is_is_read_by_its_url() {
    let room = Room::new();
    let (status, _, body) = request("GET", &room.url(&["s3://buc/x/plain.txt"]), b"");
    assert_eq!((status, &body[..]), (200, &b"plain"[..]));
    let told = room.run(&["presign", "s3://buc/x/plain.txt", "--json"]).succeeds().out;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(
        told["url"].as_str().unwrap().contains("X-Amz-Signature=") && told["temporary"].is_null()
    );
}

#[test]
fn of_a_delta_the_caller_is_told_and_a_copy_of_the_file_is_made_on_request() {
    let room = Room::new();
    room.run(&["presign", "s3://buc/x/b c.zip"]).fails(1, &["stored as a delta", "--rehydrate"]);
    let url = room.url(&["--rehydrate", "s3://buc/x/b c.zip"]);
    let (status, head, body) = request("GET", &url, b"");
    assert_eq!(status, 200);
    assert!(body == room.second);
    assert!(head.contains("content-disposition: attachment; filename=\"b c.zip\""), "{head}");
    // Nobody sees it in a listing, and it is no file.
    assert!(!room.run(&["ls", "-r", "s3://buc"]).succeeds().out.contains("tmp"));
    room.run(&["sync", "s3://buc", "out"]).succeeds().says("3 changed");
}

#[test]
fn a_copy_goes_when_its_url_has_expired_and_not_before() {
    let room = Room::new();
    room.url(&["--rehydrate", "s3://buc/x/b c.zip", "--expires-in", "1"]);
    let lasting = room.url(&["--rehydrate", "s3://buc/x/a.zip"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let told = room.purge(&["--dry-run"]);
    assert_eq!((&told["expired_count"], &told["deleted_count"]), (&1.into(), &0.into()), "{told}");
    let told = room.purge(&[]);
    assert_eq!(
        (&told["expired_count"], &told["deleted_count"], &told["waiting_count"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!(told["total_size_freed"], room.second.len());
    assert_eq!(room.purge(&[])["expired_count"], 0);
    assert_eq!(request("GET", &lasting, b"").0, 200);
    // The file itself is where it was.
    room.run(&["verify", "-r", "s3://buc"]).succeeds();
}

#[test]
fn a_file_is_written_by_its_url_and_read_as_it_was_written() {
    let room = Room::new();
    let url = room.url(&["--method", "put", "s3://buc/x/b c.zip"]);
    // The store dates in whole seconds, and of two objects of one second the delta is read.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(request("PUT", &url, b"new content").0, 200);
    room.run(&["cp", "s3://buc/x/b c.zip", "back"]).succeeds();
    assert_eq!(room.sandbox.read("back"), b"new content");
    assert_eq!(request("GET", &url, b"").0, 403);
}

#[test]
fn urls_that_make_no_sense_are_refused() {
    let room = Room::new();
    room.run(&["presign", "s3://buc/x/plain.txt", "--expires-in", "604801"])
        .fails(1, &["604800", "604801"]);
    room.run(&["presign", "s3://buc/x/plain.txt", "--expires-in", "0"]).fails(1, &["from 1 to"]);
    room.run(&["presign", "s3://buc/x/none"]).fails(1, &["s3://buc/x/none"]);
    let long = format!("s3://buc/.deltaglider/{}", ".".repeat(400));
    room.run(&["presign", "--method", "put", &long]).fails(1, &["needs an escaped key"]);
    room.run(&["presign", "--method", "put", "s3://buc/x/b c.zip.delta"])
        .fails(1, &["where the delta of"]);
    room.run(&["presign", "--method", "put", "--rehydrate", "s3://buc/x/new"])
        .fails(255, &["--rehydrate"]);
    room.sandbox.put("plain.txt", b"plain").succeeds();
    room.sandbox.run(["presign", "s3://buc/plain.txt"]).fails(1, &["no URLs"]);
}

#[test]
fn the_access_control_list_of_a_bucket_is_passed_on_as_it_is() {
    let room = Room::new();
    room.run(&["put-bucket-acl", "buc", "--acl", "public-read", "--dryrun"])
        .succeeds()
        .says("(dryrun)");
    let get = || room.run(&["get-bucket-acl", "s3://buc"]).succeeds().out;
    assert!(!get().contains("AllUsers"), "{}", get());
    room.run(&["put-bucket-acl", "buc", "--acl", "public-read"]).succeeds();
    let told = get();
    assert!(
        told.contains("http://acs.amazonaws.com/groups/global/AllUsers")
            && told.contains("\"READ\""),
        "{told}"
    );
    let policy = r#"{"Owner":{"ID":"me"},"Grants":[{"Grantee":{"Type":"CanonicalUser","ID":"you"},"Permission":"WRITE"}]}"#;
    room.run(&["put-bucket-acl", "buc", "--access-control-policy", policy]).succeeds();
    let told: serde_json::Value = serde_json::from_str(&get()).unwrap();
    assert_eq!(told, serde_json::from_str::<serde_json::Value>(policy).unwrap());
    room.run(&["put-bucket-acl", "buc"]).fails(255, &["nothing is granted"]);
    room.run(&["put-bucket-acl", "buc", "--access-control-policy", "{"])
        .fails(255, &["--access-control-policy"]);
    room.run(&["get-bucket-acl", "s3://none"]).fails(1, &["no such bucket"]);
    room.sandbox.run(["get-bucket-acl", "buc"]).fails(1, &["no access control lists"]);
}
