//! Tests that `cp`, `rm` and other commands report the store's own reason for a rejection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::support::scripted_http::{Answer, scripted, scripted_by, xml};
use crate::support::{Run, Sandbox};

/// Runs the binary with a store.
fn run(sandbox: &Sandbox, url: &str, arguments: &[&str]) -> Run {
    let mut command = sandbox.command();
    command
        .env("AWS_ENDPOINT_URL_S3", url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_MAX_ATTEMPTS", "1");
    command.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", "secret");
    Run::of(command.args(arguments))
}

const COMMANDS: [&[&str]; 7] = [
    &["cp", "a.zip", "s3://buc/a.zip"],
    &["cp", "--no-delta", "a.zip", "s3://buc/a.zip"],
    &["cp", "s3://buc/a.zip", "b.zip"],
    &["rm", "s3://buc/a.zip"],
    &["mv", "s3://buc/a.zip", "s3://buc/b.zip"],
    &["ls", "s3://buc/"],
    &["verify", "s3://buc/a.zip"],
];

#[test]
fn credential_errors_are_uniform() {
    let sandbox = Sandbox::new();
    sandbox.write("a.zip", "content");
    for (status, code, hint) in [
        ("400 Bad Request", "ExpiredToken", "get new temporary credentials"),
        ("403 Forbidden", "InvalidAccessKeyId", "check the credentials"),
        ("403 Forbidden", "SignatureDoesNotMatch", "the secret access key is wrong"),
        ("403 Forbidden", "RequestTimeTooSkewed", "set the clock of this machine"),
    ] {
        let url = scripted(move |_, _| (status, "", xml(code, "as the test wants it", "")));
        for arguments in COMMANDS {
            let failed = run(&sandbox, &url, arguments)
                .fails(1, &["the credentials cannot be used", code, hint]);
            for wrong in
                ["without an S3 error code", "this needs", "no permission to list", "access denied"]
            {
                assert!(!failed.err.contains(wrong), "{arguments:?}: {failed:?}");
            }
        }
    }
}

#[test]
fn virtual_only_store_has_a_hint() {
    let sandbox = Sandbox::new();
    sandbox.write("a.zip", "content");
    let url = scripted(|_, _| {
        ("403 Forbidden", "", xml("SecondLevelDomainForbidden", "use virtual hosted style", ""))
    });
    for arguments in COMMANDS {
        let failed = run(&sandbox, &url, arguments).fails(1, &["--addressing-style virtual"]);
        assert!(
            !failed.err.contains("denied") && !failed.err.contains("no permission to list"),
            "{arguments:?}: {failed:?}"
        );
    }
}

#[test]
fn folder_ends_at_expired_token() {
    let sandbox = Sandbox::new();
    for n in 0..40 {
        sandbox.write(&format!("d/{n}.bin"), "content");
    }
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let url = scripted(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        ("400 Bad Request", "", xml("ExpiredToken", "The provided token has expired.", ""))
    });
    let failed = run(&sandbox, &url, &["cp", "-r", "--concurrency", "2", "d", "s3://buc/"])
        .fails(1, &["ExpiredToken"]);
    assert_eq!(failed.err.matches("ExpiredToken").count(), 1, "{failed:?}");
    assert!(asked.load(Ordering::Relaxed) <= 8, "{asked:?}");
}

#[test]
fn denied_head_costs_one_get() {
    let sandbox = Sandbox::new();
    let gets = Arc::new(AtomicU64::new(0));
    let counted = gets.clone();
    let url = scripted(move |method, _| -> Answer {
        counted.fetch_add(u64::from(method == "GET"), Ordering::Relaxed);
        ("403 Forbidden", "", xml("AccessDenied", "Access Denied", ""))
    });
    sandbox.write("d/a.bin", "a");
    sandbox.write("d/b.bin", "b");
    run(&sandbox, &url, &["rm", "s3://buc/a.bin"]).fails(1, &["access denied", "this needs s3:"]);
    assert!(gets.load(Ordering::Relaxed) <= 2, "{gets:?}");
}

#[test]
fn codeless_answers_are_quoted() {
    let sandbox = Sandbox::new();
    for (status, body, words) in [
        (
            "502 Bad Gateway",
            "<html>\r\n<head><title>502 Bad Gateway</title></head>",
            "502 Bad Gateway",
        ),
        (
            "413 Payload Too Large",
            "<html><head><title>413 Request Entity Too Large</title>",
            "413 Request Entity",
        ),
        (
            "407 Proxy Authentication Required",
            "\nyou shall not pass\nfurther",
            "you shall not pass",
        ),
        (
            "400 Bad Request",
            "Client sent an HTTP request to an HTTPS server.\n",
            "Client sent an HTTP request to an HTTPS",
        ),
    ] {
        let url = scripted(move |_, _| (status, "Content-Type: text/html\r\n", body.to_owned()));
        let failed = run(&sandbox, &url, &["ls", "s3://buc/"]).fails(1, &[words]);
        assert!(!failed.err.contains("this needs"), "{failed:?}");
        if status.starts_with("400") {
            // The answer to HEAD has no text, so that of GET is shown.
            run(&sandbox, &url, &["rm", "s3://buc/a.zip"]).fails(1, &[words]);
        }
    }
}

#[test]
fn redirect_names_the_address() {
    let sandbox = Sandbox::new();
    for status in
        ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        let url = scripted_by(move |_| {
            let location =
                "Location: https://user:hush@store.example.com:9000/buc/?X-Amz-Signature=hush\r\n"
                    .to_owned();
            (status, location, String::new())
        });
        let failed =
            run(&sandbox, &url, &["ls", "s3://buc/"]).fails(1, &["https://store.example.com:9000"]);
        assert!(!failed.err.contains("region") && !failed.err.contains("hush"), "{failed:?}");
    }
}

#[test]
fn unreachable_store_is_named() {
    let sandbox = Sandbox::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    sandbox.write("a.zip", "content");
    for arguments in COMMANDS {
        let failed = run(&sandbox, &url, arguments).fails(1, &[&url, "could not be reached"]);
        assert!(!failed.err.contains("403"), "{failed:?}");
    }
}

#[test]
fn no_status_without_a_request() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    command
        .env("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let failed =
        Run::of(command.args(["ls", "s3://buc/"])).fails(1, &["no AWS credentials were found"]);
    assert!(!failed.err.contains("403") && !failed.err.contains("access denied"), "{failed:?}");
}
