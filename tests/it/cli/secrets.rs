//! Programs that the binary runs, and the secrets that they must not get.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

use crate::support::{Run, Sandbox, noise};

const CACHE_KEY: &str = "NrG2sUZ8HWwS5cXbhcYp5jo8z6xcUZ7xkY1s6i3Yt0A=";

/// Creates a program that writes its environment to a file and then runs `rest`.
fn program(sandbox: &Sandbox, name: &str, rest: &str) -> PathBuf {
    let path = sandbox
        .write(name, format!("#!/bin/sh\nenv >> {}.env\n{rest}\n", sandbox.path(name).display()));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Returns the variables that a program was run with.
fn environment_of(sandbox: &Sandbox, name: &str) -> BTreeMap<String, String> {
    let text = String::from_utf8(sandbox.read(&format!("{name}.env"))).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn credentials(expiration: &str) -> String {
    let keys = format!("\"AccessKeyId\": \"{ACCESS_KEY}\", \"SecretAccessKey\": \"{SECRET_KEY}\"");
    format!("echo '{{\"Version\": 1, {keys}{expiration}}}'")
}

fn with_profile(sandbox: &Sandbox, server: &Server, config: &str) -> Command {
    let config = sandbox.write("config", config);
    let mut command = sandbox.command();
    command.env("AWS_CONFIG_FILE", config).env("AWS_ENDPOINT_URL_S3", server.url());
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command
}

#[test]
fn process_gets_no_own_variables() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let path = program(&sandbox, "process", &credentials(""));
    let config = format!("[profile own]\ncredential_process = {}\n", path.display());
    let mut command = with_profile(&sandbox, &server, &config);
    command
        .env("DG_CACHE_ENCRYPTION_KEY", CACHE_KEY)
        .env("DG_CACHE_DIR", sandbox.temporaries().join("cache"));
    command.env("AWS_PROFILE", "own").env("AWS_SECRET_OF_TEST", "kept");
    Run::of(command.args(["mb", "s3://buc"])).succeeds();
    let environment = environment_of(&sandbox, "process");
    assert!(environment.keys().all(|name| !name.starts_with("DG_")), "{environment:?}");
    assert_eq!(
        (environment["AWS_PROFILE"].as_str(), environment["AWS_SECRET_OF_TEST"].as_str()),
        ("own", "kept")
    );
}

#[test]
fn profile_chooses_its_process() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let path = program(&sandbox, "process", &credentials(""));
    let bad = program(&sandbox, "bad", "exit 7");
    let (path, bad) = (path.display(), bad.display());
    let keys = format!("aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
    let config = format!(
        "[default]\ncredential_process = {path}\n[profile static]\n{keys}\
         [profile bad]\ncredential_process = {bad}\n\
         [profile before]\ncredential_process = {path}\n\
         aws_access_key_id = wrong\naws_secret_access_key = wrong\n"
    );
    let run = |profile: &str, environment: bool| {
        let mut command = with_profile(&sandbox, &server, &config);
        if environment {
            command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        }
        let run = Run::of(command.args(["--profile", profile, "ls"]));
        let ran = std::fs::remove_file(sandbox.path("process.env")).is_ok();
        (run, ran)
    };
    for (profile, ran) in [("default", true), ("before", true), ("static", false)] {
        let (run, was_run) = run(profile, false);
        run.succeeds();
        assert_eq!(was_run, ran, "{profile}");
    }
    // The option overrides the keys of the environment.
    let (run_with_keys, ran) = run("default", true);
    run_with_keys.succeeds();
    assert!(ran);
    let mut command = with_profile(&sandbox, &server, &config);
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    Run::of(command.env("AWS_PROFILE", "default").arg("ls")).succeeds();
    assert!(!sandbox.path("process.env").exists());
    run("bad", false).0.fails(1, &["credential_process", "exit status: 7"]);
    assert!(sandbox.path("bad.env").exists());
}

#[test]
fn profile_names_differ_by_case() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let path = program(&sandbox, "process", &credentials(""));
    for names in [["Own", "own"], ["own", "Own"], ["OWN", "oWN"]] {
        let [right, other] = names;
        let config = format!(
            "[profile {right}]\ncredential_process = {}\n\
             [profile {other}]\ncredential_process = exit 7\n",
            path.display()
        );
        let run = |name: &str| {
            Run::of(with_profile(&sandbox, &server, &config).args(["--profile", name, "ls"]))
        };
        run(right).succeeds();
        run(other).fails(1, &["exit status: 7"]);
    }
}

#[test]
fn expired_keys_are_renewed() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    sandbox.write("a.zip", noise(10_000, 1));
    let run = |expiration: &str, arguments: &[&str]| {
        let before: u64 = server.requests().values().sum();
        let path = program(
            &sandbox,
            "process",
            &credentials(&format!(", \"Expiration\": \"{expiration}\"")),
        );
        let config = format!("[default]\ncredential_process = {}\n", path.display());
        Run::of(with_profile(&sandbox, &server, &config).args(arguments)).succeeds();
        let text = String::from_utf8(sandbox.read("process.env")).unwrap();
        std::fs::remove_file(sandbox.path("process.env")).unwrap();
        let runs = text.lines().filter(|line| line.starts_with("AWS_CONFIG_FILE=")).count() as u64;
        (runs, server.requests().values().sum::<u64>() - before)
    };
    run("2099-01-01T00:00:00Z", &["mb", "s3://buc"]);
    let (runs, requests) = run("2099-01-01T00:00:00Z", &["cp", "a.zip", "s3://buc/one/"]);
    assert!(runs == 1 && requests > 2, "{runs} {requests}");
    // Once for each request, or once for concurrent requests.
    let (runs, requests) = run("2020-01-01T00:00:00Z", &["cp", "a.zip", "s3://buc/two/"]);
    assert!((2..=requests).contains(&runs), "{runs} {requests}");
}

#[test]
fn endless_credentials_fail() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let config = "[default]\ncredential_process = yes\n";
    let mut command = with_profile(&sandbox, &server, config);
    Run::of(command.args(["ls"])).fails(1, &["it printed more than 65536 bytes"]);
}

#[test]
fn compressors_get_no_secrets() {
    let sandbox = Sandbox::new();
    let real = String::from_utf8(
        Command::new("sh").args(["-c", "command -v gzip"]).output().unwrap().stdout,
    )
    .unwrap();
    program(&sandbox, "gzip", &format!("exec {} \"$@\"", real.trim()));
    sandbox.write("old", noise(10_000, 1));
    sandbox.write("new", noise(10_000, 1));
    assert!(
        Command::new(real.trim()).arg("-n").arg(sandbox.path("new")).status().unwrap().success()
    );
    let path = format!("{}:{}", sandbox.work().display(), std::env::var("PATH").unwrap());
    for arguments in
        [&["-e", "-s", "old", "new.gz", "delta"][..], &["-d", "-s", "old", "delta", "back.gz"]]
    {
        let mut command = sandbox.command();
        command.env("PATH", &path).env("DG_XDELTA3_EXTERNAL", "1").env("KEPT", "yes");
        command.env("DG_CACHE_ENCRYPTION_KEY", CACHE_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        let run = Run::of(command.arg("xdelta3").args(arguments));
        assert_eq!(run.code, Some(0), "{run:?}");
        let environment = environment_of(&sandbox, "gzip");
        let secret = |name: &String| name.starts_with("DG_") || name.starts_with("AWS_");
        assert!(!environment.keys().any(secret), "{environment:?}");
        assert_eq!(environment["KEPT"], "yes");
        std::fs::remove_file(sandbox.path("gzip.env")).unwrap();
    }
}

#[test]
fn key_file_read_is_bounded() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let mut command = Command::new("sh");
    // 4 GiB, in KiB: an endless file does not fit.
    command.args(["-c", "ulimit -v 4194304; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_deltaglider")]);
    command.args(["--sse-c", "--sse-c-key", "fileb:///dev/zero", "ls"]).current_dir(sandbox.work());
    command.env("AWS_ENDPOINT_URL_S3", server.url()).env("TMPDIR", sandbox.temporaries());
    Run::of(&mut command).fails(255, &["a customer's key has 32 bytes; /dev/zero has more"]);
}
