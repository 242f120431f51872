//! Settings of the environment and the profile files, on the real binary.

use std::process::Command;

use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

use crate::support::{Run, Sandbox};

/// Returns profiles with the right key and with another one.
fn credentials_file() -> String {
    format!(
        "[default]\naws_access_key_id = other\naws_secret_access_key = other\n\
         [right]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    )
}

/// A home directory and a server that accepts one key.
struct Stage {
    sandbox: Sandbox,
    server: Server,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { sandbox: Sandbox::new(), server: Server::memory().unwrap() };
        stage.sandbox.write("../.aws/credentials", credentials_file());
        stage
    }

    fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = self.sandbox.command();
        command
            .env("AWS_ENDPOINT_URL_S3", self.server.url())
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command.args(arguments).envs(variables.iter().copied());
        command
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        Run::of(&mut self.command(arguments, variables))
    }
}

const RIGHT: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
const OTHER: [(&str, &str); 2] =
    [("AWS_ACCESS_KEY_ID", "other"), ("AWS_SECRET_ACCESS_KEY", "other")];

#[test]
fn profile_sets_credentials() {
    let stage = Stage::new();
    stage.run(&["--profile", "right", "ls"], &OTHER).succeeds();
    stage.run(&["--profile", "default", "ls"], &RIGHT).fails(1, &["NotSignedUp"]);
    // The keys of the environment take precedence over the variable.
    stage.run(&["ls"], &[RIGHT[0], RIGHT[1], ("AWS_PROFILE", "default")]).succeeds();
    stage.run(&["ls"], &[("AWS_PROFILE", "right")]).succeeds();
    stage.run(&["ls"], &[("AWS_PROFILE", " right\n")]).succeeds();
    stage.run(&["ls"], &[("AWS_PROFILE", "")]).fails(1, &["NotSignedUp"]);
}

#[test]
fn absent_profile_is_rejected() {
    let stage = Stage::new();
    for keys in [&RIGHT[..], &[]] {
        stage
            .run(&["--profile", "nosuch", "ls"], keys)
            .fails(255, &["--profile", "\"nosuch\"", ".aws/credentials"]);
        let variables = [keys, &[("AWS_PROFILE", "nosuch")]].concat();
        stage.run(&["ls"], &variables).fails(255, &["AWS_PROFILE", "\"nosuch\""]);
    }
    assert!(stage.server.requests().is_empty());
}

#[test]
fn retry_settings_never_panic() {
    let stage = Stage::new();
    let run = |name, value| stage.run(&["ls"], &[RIGHT[0], RIGHT[1], (name, value)]);
    for mode in ["legacy", "LEGACY", "standard", "adaptive", "", " "] {
        run("AWS_RETRY_MODE", mode).succeeds();
    }
    for attempts in ["", "1", " 7\n"] {
        run("AWS_MAX_ATTEMPTS", attempts).succeeds();
    }
    run("AWS_RETRY_MODE", "often").fails(255, &["AWS_RETRY_MODE", "\"often\""]);
    for attempts in ["0", "abc", "-1", "1.5"] {
        run("AWS_MAX_ATTEMPTS", attempts).fails(255, &["AWS_MAX_ATTEMPTS", attempts]);
    }
    for (property, fails) in [
        ("retry_mode = legacy", false),
        ("max_attempts =", false),
        ("retry_mode =", false),
        ("max_attempts = 0", true),
        ("retry_mode = often", true),
    ] {
        stage.sandbox.write("../.aws/config", format!("[default]\n{property}\n"));
        let run = stage.run(&["ls"], &RIGHT);
        let name = property.split(' ').next().unwrap();
        if fails {
            run.fails(255, &[name, "profile default"])
        } else {
            run.succeeds()
        };
    }
}

#[test]
fn white_space_is_trimmed() {
    let stage = Stage::new();
    let padded = [
        ("AWS_ACCESS_KEY_ID", " test-access-key\r\n"),
        ("AWS_SECRET_ACCESS_KEY", "test-secret-key\n"),
    ];
    stage.run(&["ls"], &[padded[0], padded[1], ("AWS_REGION", "us-east-1\n")]).succeeds();
    stage.run(&["--region", " us-east-1\n", "ls"], &RIGHT).succeeds();
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "test\nkey"),
        ("AWS_SECRET_ACCESS_KEY", "test key"),
        ("AWS_SESSION_TOKEN", "tok\nen"),
        ("AWS_REGION", "us east"),
        ("AWS_DEFAULT_REGION", "us/east"),
    ] {
        let run = stage.run(&["ls"], &[RIGHT[0], RIGHT[1], (name, value)]);
        run.fails(255, &[name]);
    }
    stage.run(&["--region", "", "ls"], &RIGHT).fails(255, &["--region"]);
    stage
        .run(&["ls"], &[RIGHT[0]])
        .fails(255, &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY is not"]);
}

#[test]
fn empty_variables_count_as_unset() {
    let stage = Stage::new();
    stage.sandbox.write("a.zip", [7; 5000]);
    stage.sandbox.write("b.zip", [[7; 2500], [8; 2500]].concat());
    stage.run(&["mb", "s3://buc"], &RIGHT).succeeds();
    let names = [
        "DG_DELTA_EXTENSIONS",
        "DG_MAX_RATIO",
        "DG_CONCURRENCY",
        "DG_CONDITIONAL_WRITES",
        "DG_DELTASPACE",
        "DG_LOG_LEVEL",
        "DG_CACHE_DIR",
        "DG_CACHE_TTL",
        "DG_CACHE_SIZE_MB",
        "DG_NO_CACHE",
        "DG_THREADS",
        "DG_CACHE_BACKEND",
        "DG_CACHE_ENCRYPTION_KEY",
        "DG_DISABLE_EC2_DETECTION",
        "AWS_REGION",
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_CA_BUNDLE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ENDPOINT_URL",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_REQUEST_CHECKSUM_CALCULATION",
        "AWS_RESPONSE_CHECKSUM_VALIDATION",
    ];
    let variables: Vec<_> = RIGHT.into_iter().chain(names.map(|name| (name, ""))).collect();
    stage.run(&["cp", "a.zip", "s3://buc/"], &variables).succeeds();
    let printed = stage.run(&["cp", "--json", "b.zip", "s3://buc/"], &variables).succeeds().out;
    assert!(printed.contains("delta"), "{printed}");
}

#[test]
fn threads_do_not_change_delta() {
    let stage = Stage::new();
    let lines = |changed: usize| {
        let line = |number: usize| format!("{:x}\n", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (0..600_000).map(|number| line(number + number / 1000 * changed)).collect::<String>()
    };
    stage.sandbox.write("a-1.tar", lines(0));
    stage.sandbox.write("a-2.tar", lines(1));
    stage.run(&["mb", "s3://buc"], &RIGHT).succeeds();
    for threads in ["1", "2"] {
        let variables = [RIGHT[0], RIGHT[1], ("DG_THREADS", threads)];
        for file in ["a-1.tar", "a-2.tar"] {
            stage.run(&["cp", file, &format!("s3://buc/{threads}/")], &variables).succeeds();
        }
        let stored = format!("s3://buc/{threads}/a-2.tar.delta");
        stage.run(&["cp", "--raw", &stored, threads], &RIGHT).succeeds();
    }
    assert!(stage.sandbox.read("1") == stage.sandbox.read("2"));
}

#[test]
fn bad_profile_file_is_named() {
    let stage = Stage::new();
    stage.sandbox.write("../.aws/config", "\u{feff}[default]\nregion = us-east-1\n");
    stage.run(&["ls"], &RIGHT).succeeds();
    stage.sandbox.write("../.aws/config", "[default]\nregion = us-east-1\ngarbage\n");
    stage.run(&["ls"], &RIGHT).fails(255, &["/.aws/config", "line 3"]);
    stage.sandbox.write("../.aws/config", "");
    stage.sandbox.write("../.aws/credentials", "garbage\n");
    stage.run(&["ls"], &RIGHT).fails(255, &["/.aws/credentials", "line 1"]);
}

#[test]
fn no_proxy_star_means_no_proxy() {
    let stage = Stage::new();
    let proxy = ("HTTP_PROXY", "http://127.0.0.1:1");
    stage
        .run(&["ls"], &[RIGHT[0], RIGHT[1], proxy, ("AWS_MAX_ATTEMPTS", "1")])
        .fails(1, &["could not be reached"]);
    for (name, value) in [("NO_PROXY", "*"), ("no_proxy", "example.com, *")] {
        stage.run(&["ls"], &[RIGHT[0], RIGHT[1], proxy, (name, value)]).succeeds();
    }
}
