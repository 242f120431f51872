//! Streams of unknown length that become no deltas: stored in parts as they arrive, without a
//! temporary file.

use std::io::Write as _;
use std::process::Stdio;

use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};

use crate::support::{Run, Sandbox, noise};

/// A length in bytes over the buffer in memory and over one part.
const LEN: usize = (17 << 20) + 17;

/// Runs the binary where no temporary file can be created.
fn without_temporaries(sandbox: &Sandbox, endpoint: &str, words: &str, input: &[u8]) -> Run {
    let mut command = sandbox.command();
    command.env("AWS_ENDPOINT_URL_S3", endpoint).env("DG_CACHE_BACKEND", "memory");
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.env("TMPDIR", sandbox.path("absent")).args(words.split(' '));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let run = Run::from(child.wait_with_output().unwrap());
    // A command that fails does not read to the end.
    let _ = writer.join().unwrap();
    run
}

#[test]
fn stdin_is_stored_as_it_comes() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let content = noise(LEN, 1);
    for endpoint in [server.url(), sandbox.endpoint()] {
        let run =
            |words: &str, input: &[u8]| without_temporaries(&sandbox, &endpoint, words, input);
        if endpoint == server.url() {
            run("mb s3://buc", b"").succeeds();
        }
        for (words, name) in [
            ("cp - s3://buc/dump.sql", "dump.sql"),
            ("cp --no-delta - s3://buc/dump.zip", "dump.zip"),
            (
                "cp --expected-size 100000000 --metadata team=x --content-type text/x - \
                 s3://buc/dump.txt",
                "dump.txt",
            ),
            ("cp --no-delta /dev/stdin s3://buc/d/dump", "d/dump"),
        ] {
            let stored = run(words, &content).succeeds().says("(direct: 17.0 MiB, ");
            assert!(!stored.out.contains("without"), "{stored:?}");
            let back = run(&format!("cp s3://buc/{name} back"), b"").succeeds();
            assert!(
                back.out.contains("SHA-256 verified") && sandbox.read("back") == content,
                "{back:?}"
            );
        }
        run("repair buc", b"").succeeds();
        run("cp - s3://buc/short.txt", b"short").succeeds();
        run("cp - s3://buc/empty.txt", b"").succeeds();
        assert_eq!(run("cp s3://buc/short.txt -", b"").out, "short");
    }
}

#[test]
fn denied_copy_leaves_plain_file() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let (content, url) = (noise(LEN, 1), server.url());
    let run = |words: &str, input: &[u8]| without_temporaries(&sandbox, &url, words, input);
    run("mb s3://buc", b"").succeeds();
    for (status, code) in [(403, "AccessDenied"), (501, "NotImplemented"), (400, "InvalidRequest")]
    {
        server.script(move |call| {
            (call.operation == "CopyObject").then_some(Fault::Refuse { status, code })
        });
        run("cp - s3://buc/dump.sql", &content).succeeds().says("without its SHA-256)\n");
        let back = run("cp s3://buc/dump.sql back", b"").succeeds();
        assert!(!back.out.contains("SHA-256") && sandbox.read("back") == content, "{back:?}");
    }
}

#[test]
fn stream_replaces_its_delta() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let (content, url) = (noise(LEN, 1), server.url());
    let run = |words: &str, input: &[u8]| without_temporaries(&sandbox, &url, words, input);
    run("mb s3://buc", b"").succeeds();
    sandbox.write("first.zip", noise(100_000, 2));
    run("cp first.zip s3://buc/a.zip", b"").succeeds();
    run("cp first.zip s3://buc/b.zip", b"").succeeds();
    run("cp --no-delta - s3://buc/b.zip", &content);
    run("cp s3://buc/b.zip back", b"").succeeds().says("SHA-256 verified");
    assert!(sandbox.read("back") == content);
    run("cp s3://buc/a.zip back", b"").succeeds();
    assert!(sandbox.read("back") == noise(100_000, 2));
}

#[test]
fn failed_stream_leaves_nothing() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let (content, url) = (noise(LEN, 1), server.url());
    let run = |words: &str, input: &[u8]| without_temporaries(&sandbox, &url, words, input);
    run("mb s3://buc", b"").succeeds();
    run("cp - s3://buc/dump.sql", b"old").succeeds();
    server.script(|call| {
        let refuse = call.operation == "UploadPart" && call.query.contains("partNumber=2");
        refuse.then_some(Fault::Refuse { status: 403, code: "AccessDenied" })
    });
    run("cp - s3://buc/dump.sql", &content).fails(1, &["access denied"]);
    server.script(|_| None);
    assert_eq!(run("cp s3://buc/dump.sql -", b"").out, "old");
    run("repair buc", b"").succeeds();
    // A stream that may become a delta needs a temporary file.
    run("cp - s3://buc/dump.zip", &content).fails(255, &["absent"]);
}
