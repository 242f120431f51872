//! Object metadata through the real binary over HTTP: hostile user metadata, headers, and what a
//! reference inherits.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::support::{Run, Sandbox, edited, noise};
use deltaglider::cache::WorkingCopies;
use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::service::{DeltaService, GetOptions, Settings};
use deltaglider::storage::{Attributes, Encryption, KmsKey, ObjectStore as _, S3Store};
use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};

/// The binary and a server that has a bucket.
struct Scene {
    sandbox: Sandbox,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { sandbox: Sandbox::new(), server: Server::memory().unwrap() };
        scene.run(&["mb", "s3://buc"]).succeeds();
        let first = noise(50_000, 1);
        scene.sandbox.write("a.zip", &first);
        scene.sandbox.write("b.zip", edited(&first, 1));
        scene.sandbox.write("c.zip", edited(&first, 2));
        scene.sandbox.write("notes.txt", "text");
        scene
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command();
        command
            .env("AWS_ENDPOINT_URL_S3", self.server.url())
            .env("AWS_REGION", "us-east-1")
            .args(arguments);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        // With conditional writes, one of several concurrent writers creates the classic key.
        command.env("DG_CONDITIONAL_WRITES", "yes");
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    #[tokio::main(flavor = "current_thread")]
    async fn attributes(&self, key: &str) -> Attributes {
        let store = S3Store::connect(self.server.config()).await.unwrap();
        let attributes = store.head(&object(key)).await.unwrap().attributes;
        Attributes { tags: store.tags(&object(key)).await.unwrap(), ..attributes }
    }

    /// Returns the attributes of a file that the library reads, by head and by get.
    #[tokio::main(flavor = "current_thread")]
    async fn given_back(&self, name: &str) -> Attributes {
        let store = Arc::new(S3Store::connect(self.server.config()).await.unwrap());
        let settings =
            Settings { policy: Default::default(), spool_dir: self.sandbox.temporaries() };
        let cache = Arc::new(WorkingCopies::new(self.sandbox.temporaries()));
        let service = DeltaService::new(store, cache, settings);
        let head = service.head(&object(name)).await.unwrap().attributes;
        let (_, report) =
            service.get(&object(name), std::io::sink(), &GetOptions::default()).await.unwrap();
        assert_eq!(report.attributes, head);
        head
    }
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(BucketName::new("buc").unwrap(), Key::new(key).unwrap())
}

const HOSTILE: &str = r#"{"compression": "none", "dg-tool": "mine", "file_sha256": "0",
    "ref-key": "elsewhere", "dg-user-x": "y", "note": "", "naïve": "日本 ",
    "lines": "a\r\nx-amz-acl: public-read", "word": "=?UTF-8?B?w6k=?=", "Plain": "100% a=b"}"#;

fn hostile() -> BTreeMap<String, String> {
    let mut metadata: BTreeMap<String, String> = serde_json::from_str(HOSTILE).unwrap();
    let plain = metadata.remove("Plain").unwrap();
    metadata.insert("plain".to_owned(), plain);
    metadata
}

/// User metadata with the names of our own fields never changes how an object is read.
#[test]
fn hostile_metadata_round_trips() {
    let scene = Scene::new();
    for (file, key, stored) in
        [("a.zip", "rel/a.zip", "rel/a.zip.delta"), ("notes.txt", "notes.txt", "notes.txt")]
    {
        scene.run(&["cp", "--metadata", HOSTILE, file, &format!("s3://buc/{key}")]).succeeds();
        assert_eq!(scene.given_back(key).metadata, hostile(), "{key}");
        let metadata = scene.attributes(stored).metadata;
        assert_eq!(metadata["dg-user-compression"], "none");
        assert_eq!(metadata["plain"], "100% a=b");
        let bare = ["compression", "file_sha256", "ref-key", "note"];
        assert!(bare.iter().all(|name| !metadata.contains_key(*name)), "{metadata:?}");
        assert!(metadata["dg-tool"].starts_with("deltaglider/"));
        scene.run(&["cp", &format!("s3://buc/{key}"), "back"]).succeeds();
        assert!(scene.sandbox.read("back") == scene.sandbox.read(file), "{key}");
    }
}

/// They are stored with deltas and with plain files.
#[test]
fn headers_and_tags_are_stored() {
    let scene = Scene::new();
    for (file, stored) in [("a.zip", "a.zip.delta"), ("notes.txt", "notes.txt")] {
        let arguments = "cp --content-type x/y --cache-control max-age=60 \
                         --content-encoding identity --content-language en,de \
                         --expires 2026-10-21T07:28:00Z --storage-class STANDARD_IA \
                         --sse aws:kms --sse-kms-key-id alias/k --tags team=a --metadata owner=me";
        let mut arguments: Vec<&str> = arguments.split_whitespace().collect();
        arguments.extend([
            "--content-disposition",
            "attachment; filename=\"a b\"",
            file,
            "s3://buc",
        ]);
        scene.run(&arguments).succeeds();
        let expected = Attributes {
            metadata: [("owner".to_owned(), "me".to_owned())].into(),
            content_type: Some("x/y".to_owned()),
            cache_control: Some("max-age=60".to_owned()),
            content_disposition: Some("attachment; filename=\"a b\"".to_owned()),
            content_encoding: Some("identity".to_owned()),
            content_language: Some("en,de".to_owned()),
            expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
            storage_class: Some("STANDARD_IA".parse().unwrap()),
            encryption: Some(Encryption::Kms(KmsKey {
                id: Some("alias/k".to_owned()),
                bucket_key: false,
            })),
            ..Attributes::default()
        };
        assert_eq!(scene.given_back(file), expected, "{file}");
        assert_eq!(
            scene.attributes(stored).tags,
            BTreeMap::from([("team".to_owned(), "a".to_owned())])
        );
    }
}

#[test]
fn content_type_is_guessed() {
    let scene = Scene::new();
    scene.run(&["cp", "notes.txt", "s3://buc/guessed"]).succeeds();
    scene.run(&["cp", "a.zip", "s3://buc/rel/a.zip"]).succeeds();
    scene.run(&["cp", "--no-guess-mime-type", "notes.txt", "s3://buc/not-guessed.txt"]).succeeds();
    let type_of = |name: &str| scene.given_back(name).content_type.unwrap();
    assert_eq!(type_of("guessed"), "text/plain");
    assert_eq!(type_of("rel/a.zip"), "application/zip");
    assert_eq!(type_of("not-guessed.txt"), "application/octet-stream");
}

/// A reference takes the encryption of its first file, and no other option.
#[test]
fn reference_inherits_encryption() {
    let scene = Scene::new();
    let acls = Arc::new(Mutex::new(BTreeMap::new()));
    let seen = acls.clone();
    scene.server.script(move |call| {
        if let ("PutObject", Some(key), Some(acl)) =
            (call.operation, call.key, call.headers.get("x-amz-acl"))
        {
            seen.lock().unwrap().insert(key.to_owned(), acl.to_str().unwrap().to_owned());
        }
        None
    });
    let arguments = "cp --acl public-read --storage-class GLACIER --tags expire=soon \
                     --expires 2026-10-21 --sse aws:kms --sse-kms-key-id alias/k \
                     --metadata owner=me --cache-control no-store a.zip s3://buc/rel/a.zip";
    scene.run(&arguments.split_whitespace().collect::<Vec<_>>()).succeeds();
    let encryption =
        Some(Encryption::Kms(KmsKey { id: Some("alias/k".to_owned()), bucket_key: false }));
    let only = |attributes: Attributes| {
        assert_eq!(attributes.metadata.get("owner"), None);
        assert_eq!(attributes.metadata["dg-note"], "reference");
        let content_type = Some("application/octet-stream".to_owned());
        let expected =
            Attributes { content_type, encryption: encryption.clone(), ..Attributes::default() };
        assert_eq!(Attributes { metadata: BTreeMap::new(), ..attributes }, expected);
    };
    only(scene.attributes("rel/reference.bin"));
    let public = "public-read".to_owned();
    assert_eq!(*acls.lock().unwrap(), BTreeMap::from([("rel/a.zip.delta".to_owned(), public)]));
    assert_eq!(scene.attributes("rel/a.zip.delta").tags.len(), 1);
    // The copy of the reference that outlives it has the same attributes.
    scene.run(&["rm", "s3://buc/rel/a.zip"]).succeeds();
    let digest = scene_digest(&scene.sandbox.read("a.zip"));
    only(scene.attributes(&format!("rel/.deltaglider/references/{digest}/reference.bin")));
}

fn scene_digest(bytes: &[u8]) -> String {
    deltaglider::domain::Sha256Digest::of(bytes).to_string()
}

#[test]
fn long_metadata_stores_nothing() {
    let scene = Scene::new();
    let metadata = format!("big={}", "v".repeat(1900));
    for file in ["a.zip", "notes.txt"] {
        let run = scene.run(&["cp", "--metadata", &metadata, file, "s3://buc"]);
        run.fails(1, &["1903 bytes of user metadata", "S3 allows 2048", "DeltaGlider needs"]);
    }
    let odd = scene.run(&["cp", "--content-disposition", "naïve", "a.zip", "s3://buc"]);
    odd.fails(1, &["\"naïve\" is no header value"]);
    scene
        .run(&["cp", "--metadata", "Note=1,note=2", "a.zip", "s3://buc"])
        .fails(1, &["\"note\"", "is given twice"]);
    assert_eq!(scene.server.requests_of("PutObject"), 0);
    let fits = format!("big={}", "v".repeat(1000));
    scene.run(&["cp", "--metadata", &fits, "a.zip", "s3://buc"]).succeeds();
}

#[test]
fn invalid_options_are_rejected() {
    let scene = Scene::new();
    for (arguments, message) in [
        (&["--sse", "rot13"][..], "is none of AES256, aws:kms and aws:kms:dsse"),
        (&["--sse-kms-key-id", "k", "--sse", "AES256"], "--sse-kms-key-id needs --sse aws:kms"),
        (&["--acl", "public"], "is no canned ACL"),
        (&["--storage-class", "glacier"], "is no storage class"),
        (&["--metadata", "name"], "a = is missing"),
        (&["--expires", "soon"], "not an HTTP date"),
        (&["--sse-c", "--sse-c-key", "hush"], "a customer's key has 32 bytes, not 4"),
    ] {
        let mut all = vec!["cp", "a.zip", "s3://buc"];
        all.extend(arguments);
        let run = scene.run(&all).fails(255, &[message]);
        assert!(!run.err.contains("hush"), "{run:?}");
    }
    scene
        .run(&["cp", "s3://buc/a.zip", "out", "--metadata", "a=b"])
        .fails(255, &["object metadata is for uploads only"]);
    assert_eq!(scene.server.requests_of("PutObject"), 0);
}

/// A delta is made only against a reference that is encrypted with the same customer's key.
#[test]
fn delta_needs_same_customer_key() {
    let scene = Scene::new();
    for (name, byte) in [("key-1", b'1'), ("key-2", b'2')] {
        scene.sandbox.write(name, [byte; 32]);
    }
    let with = |key: &str, arguments: &[&str]| {
        let key = format!("fileb://{key}");
        scene.run(&[arguments, &["--sse-c", "AES256", "--sse-c-key", &key]].concat())
    };
    for folder in ["rel", "addressed"] {
        let to = |name: &str| format!("s3://buc/{folder}/{name}");
        if folder == "addressed" {
            // Without conditional writes, the first reference is at an addressed key.
            let mut command = scene.command(&[
                "cp",
                "a.zip",
                &to("a.zip"),
                "--sse-c",
                "--sse-c-key",
                "fileb://key-1",
            ]);
            Run::of(command.env("DG_CONDITIONAL_WRITES", "no")).succeeds().says("(reference: ");
        } else {
            with("key-1", &["cp", "a.zip", &to("a.zip")]).succeeds().says("(reference: ");
        }
        with("key-1", &["cp", "b.zip", &to("b.zip")]).succeeds().says("(delta: ");
        with("key-2", &["cp", "c.zip", &to("c.zip")]).succeeds().says("another customer's key");
        scene.run(&["cp", "c.zip", &to("d.zip")]).succeeds().says("another customer's key");
        for (name, file, key) in
            [("b.zip", "b.zip", "key-1"), ("c.zip", "c.zip", "key-2"), ("d.zip", "c.zip", "key-1")]
        {
            with(key, &["cp", &to(name), "back"]).succeeds();
            assert!(scene.sandbox.read("back") == scene.sandbox.read(file), "{name}");
        }
        scene.run(&["cp", &to("d.zip"), "back"]).succeeds();
        for key in [None, Some("key-2")] {
            let run = match key {
                Some(key) => with(key, &["cp", &to("b.zip"), "back"]),
                None => scene.run(&["cp", &to("b.zip"), "back"]),
            };
            run.fails(1, &["encrypted with a customer's key", "--sse-c-key"]);
        }
    }
    // No delta is made against a reference without a key either.
    scene.run(&["cp", "a.zip", "s3://buc/plain/a.zip"]).succeeds().says("(reference: ");
    with("key-1", &["cp", "b.zip", "s3://buc/plain/b.zip"])
        .succeeds()
        .says("another customer's key");
    with("key-1", &["cp", "s3://buc/plain/b.zip", "back"]).succeeds();
}

#[test]
fn dir_store_rejects_customer_key() {
    let sandbox = Sandbox::new();
    sandbox.write("f", "content");
    let run = sandbox.run([
        "cp",
        "f",
        "s3://buc",
        "--sse-c",
        "--sse-c-key",
        "0123456789abcdef0123456789abcdef",
    ]);
    run.fails(1, &["the embedded store encrypts nothing"]);
}

/// Without permission to list, absence is unknown, and the error names `--no-delta`.
#[test]
fn denied_list_suggests_no_delta() {
    let scene = Scene::new();
    scene.server.script(|call| {
        matches!(call.operation, "HeadObject" | "ListObjectsV2")
            .then_some(Fault::Refuse { status: 403, code: "AccessDenied" })
    });
    scene
        .run(&["cp", "a.zip", "s3://buc/rel/a.zip"])
        .fails(1, &["access denied", "s3:ListBucket", "--no-delta"]);
    assert_eq!(scene.server.requests_of("PutObject"), 0);
    scene.run(&["cp", "--no-delta", "a.zip", "s3://buc/rel/a.zip"]).succeeds().says("as asked");
    let delta = scene.run(&["cp", "--no-delta", "a.zip", "s3://buc/rel/b.zip.delta"]);
    delta.fails(1, &["no permission to list or read the destination"]);
    scene.server.script(|call| {
        (call.operation == "ListObjectsV2")
            .then_some(Fault::Refuse { status: 403, code: "AccessDenied" })
    });
    scene
        .run(&["cp", "a.zip", "s3://buc/new/a.zip"])
        .fails(1, &["this needs s3:ListBucket", "--no-delta"]);
}

#[test]
fn owner_gets_every_object() {
    let acls = |given: Option<&str>| {
        let scene = Scene::new();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        scene.server.script(move |call| {
            if matches!(call.operation, "PutObject" | "CreateMultipartUpload") {
                let acl = call.headers.get("x-amz-acl").map(|acl| acl.to_str().unwrap().to_owned());
                kept.lock().unwrap().push((call.key.unwrap().to_owned(), acl));
            }
            None
        });
        let with = |arguments: &[&str]| {
            let given = given.map(|acl| ["--acl", acl]);
            let given = given.iter().flatten().copied();
            scene.run(&arguments.iter().copied().chain(given).collect::<Vec<_>>()).succeeds();
        };
        for n in 0..3 {
            with(&["cp", "a.zip", &format!("s3://buc/o/{n}.zip")]);
        }
        with(&["cp", "--no-delta", "a.zip", "s3://buc/o/plain.zip"]);
        let seen = seen.lock().unwrap();
        seen.clone()
    };
    let owner = "bucket-owner-full-control";
    let seen = acls(Some(owner));
    assert!(seen.iter().any(|(key, _)| key.ends_with("reference.bin")), "{seen:?}");
    assert!(seen.iter().all(|(_, acl)| acl.as_deref() == Some(owner)), "{seen:?}");
    assert!(acls(None).iter().all(|(_, acl)| acl.is_none()));
    let public = acls(Some("public-read"));
    assert!(public.iter().all(|(key, acl)| acl.is_none()
        || !key.contains(".deltaglider") && !key.ends_with("reference.bin")));
}
