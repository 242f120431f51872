//! Tests of the sources of the S3 client's settings: each case is a process of its own with its own
//! environment and home.

use std::error::Error as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, ObjectStore as _, PutBody, PutCondition, S3Config, S3Store,
    StorageError, StorageErrorKind,
};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

/// The variable with the endpoint for the process below; without it, AWS.
const ENDPOINT: &str = "DGTEST_ENDPOINT";

async fn put_something() -> Result<(), StorageError> {
    let config = S3Config { endpoint: std::env::var(ENDPOINT).ok(), ..S3Config::default() };
    let store = S3Store::connect(config).await.map_err(|error| {
        StorageError::new(StorageErrorKind::Invalid, "Connect", "the store").because(error)
    })?;
    let bucket = BucketName::new("bucket").unwrap();
    match store.create_bucket(&bucket).await {
        Err(error) if error.kind != StorageErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let object = ObjectName::new(bucket, Key::new("k").unwrap());
    let body = PutBody::from_bytes("content");
    store.put(&object, body, &Attributes::default(), &PutCondition::None.into()).await.map(drop)
}

/// Runs as the process that the tests start; not a test.
#[tokio::test]
#[ignore = "started by the tests below, with an environment of its own"]
async fn process() {
    match put_something().await {
        Ok(()) => println!("DONE"),
        Err(error) => {
            print!("{:?}: {error}", error.kind);
            let mut cause = error.source();
            while let Some(error) = cause {
                print!(": {error}");
                cause = error.source();
            }
            println!();
        }
    }
}

/// A home directory for one process.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".aws")).unwrap();
        Self { folder }
    }

    fn with(self, name: &str, text: &str) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the process and returns its output.
    fn run(&self, server: Option<&Server>, variables: &[(&str, &str)]) -> String {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process
            .args(["--exact", "store::s3_settings::process", "--ignored", "--nocapture"])
            .env_clear();
        process
            .env("HOME", self.folder.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("PATH", "/usr/bin:/bin");
        process.envs(server.map(|server| (ENDPOINT, server.url())));
        process.envs(variables.iter().copied());
        let output = process.output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8(printed).unwrap();
        assert!(!printed.contains(SECRET_KEY), "{printed}");
        printed
    }
}

const KEYS: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];

fn credentials_file(profile: &str) -> String {
    format!("[{profile}]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n")
}

/// The error names the ways to supply credentials.
#[test]
fn no_request_without_credentials() {
    let server = Server::memory().unwrap();
    let printed = Home::new().run(Some(&server), &[]);
    assert!(
        printed.contains("Credentials") && printed.contains("no AWS credentials were found"),
        "{printed}"
    );
    for way in ["AWS_ACCESS_KEY_ID", "--profile", "--no-sign-request"] {
        assert!(printed.contains(way), "{printed}");
    }
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

/// A custom endpoint needs no region.
#[test]
fn keys_come_from_the_environment() {
    let server = Server::memory().unwrap();
    let printed = Home::new().run(Some(&server), &KEYS);
    assert!(printed.contains("DONE"), "{printed}");
    assert_eq!(server.requests_of("PutObject"), 1);
}

#[test]
fn keys_come_from_the_profile() {
    let server = Server::memory().unwrap();
    let home = Home::new()
        .with(".aws/credentials", &credentials_file("work"))
        .with("keys", &credentials_file("default"));
    let printed = home.run(Some(&server), &[("AWS_PROFILE", "work")]);
    assert!(printed.contains("DONE"), "{printed}");
    let printed = home.run(
        Some(&server),
        &[("AWS_SHARED_CREDENTIALS_FILE", home.path("keys").to_str().unwrap())],
    );
    assert!(printed.contains("DONE"), "{printed}");
    let printed = home.run(Some(&server), &[]);
    assert!(printed.contains("Credentials"), "{printed}");
}

#[test]
fn keys_come_from_a_process() {
    let server = Server::memory().unwrap();
    let answer = format!(
        "{{\"Version\": 1, \"AccessKeyId\": \"{ACCESS_KEY}\", \
         \"SecretAccessKey\": \"{SECRET_KEY}\"}}"
    );
    let home = Home::new().with("answer", &answer);
    let command = format!("cat {}", home.path("answer").display());
    let home = home.with(".aws/config", &format!("[default]\ncredential_process = {command}\n"));
    let printed = home.run(Some(&server), &[]);
    assert!(printed.contains("DONE"), "{printed}");
}

#[test]
fn credential_errors_have_a_cause() {
    let server = Server::memory().unwrap();
    let home = Home::new().with(".aws/config", "[default]\ncredential_process = no-such-program\n");
    let printed = home.run(Some(&server), &[]);
    assert!(
        printed.contains("Credentials") && printed.contains("could not be loaded"),
        "{printed}"
    );
    assert!(printed.contains("no-such-program"), "{printed}");
}

/// The proxy does not exist, so nothing leaves this machine.
#[test]
fn aws_ignores_the_sdk_endpoint() {
    let server = Server::memory().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let url = server.url();
    let settings =
        [("AWS_REGION", "eu-west-3"), ("AWS_ENDPOINT_URL_S3", &url), ("HTTPS_PROXY", &proxy)];
    // Also without a region.
    for settings in [&settings[..], &settings[1..]] {
        let printed = Home::new().run(None, &[KEYS.as_slice(), settings].concat());
        assert!(
            printed.contains("could not be reached") && printed.contains("refused"),
            "{printed}"
        );
    }
    assert!(server.requests().is_empty(), "{:?}", server.requests());
}

#[test]
fn chosen_endpoint_wins_over_sdk() {
    let (server, other) = (Server::memory().unwrap(), Server::memory().unwrap());
    let url = other.url();
    let settings = [("AWS_ENDPOINT_URL_S3", url.as_str()), ("AWS_ENDPOINT_URL", &url)];
    let printed = Home::new().run(Some(&server), &[KEYS.as_slice(), &settings].concat());
    assert!(printed.contains("DONE"), "{printed}");
    assert_eq!((server.requests_of("PutObject"), other.requests().len()), (1, 0));
}

#[test]
fn bad_ca_bundle_is_named() {
    let server = Server::memory().unwrap();
    let home = Home::new()
        .with("empty.pem", "")
        .with(".aws/config", "[profile ca]\nca_bundle = /no/such/bundle.pem\n");
    let empty = home.path("empty.pem");
    let empty = |name| (name, empty.to_str().unwrap());
    for (setting, named) in [
        (empty("AWS_CA_BUNDLE"), "empty.pem"),
        (("AWS_PROFILE", "ca"), "/no/such/bundle.pem"),
        (empty("SSL_CERT_FILE"), "SSL_CERT_FILE"),
    ] {
        let printed = home.run(Some(&server), &[KEYS.as_slice(), &[setting]].concat());
        assert!(printed.contains("Invalid") && printed.contains(named), "{printed}");
    }
}

/// Returns the names of the checksum headers of the one PUT.
fn checksums(home: &Home, variables: &[(&str, &str)]) -> Vec<String> {
    let server = Server::memory().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    server.script(move |call| {
        if call.operation == "PutObject" {
            let names = call.headers.keys().map(|name| name.as_str().to_owned());
            kept.lock()
                .unwrap()
                .extend(names.filter(|name| name.contains("checksum") || name.contains("trailer")));
        }
        None
    });
    let printed = home.run(Some(&server), &[KEYS.as_slice(), variables].concat());
    assert!(printed.contains("DONE"), "{printed}");
    let seen = seen.lock().unwrap();
    seen.clone()
}

/// By default the SDK adds checksums only where they are required.
#[test]
fn checksums_follow_sdk_settings() {
    let home = Home::new()
        .with(".aws/config", "[profile sums]\nrequest_checksum_calculation = when_supported\n");
    assert_eq!(checksums(&home, &[]), Vec::<String>::new());
    for setting in [("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported"), ("AWS_PROFILE", "sums")]
    {
        assert!(!checksums(&home, &[setting]).is_empty(), "{setting:?}");
    }
}
