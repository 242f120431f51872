//! Standard input and output that are closed, or open in the wrong direction, at the start.

use std::process::{Command, Stdio};

use crate::support::{Run, Sandbox, edited, noise};

/// Runs the binary from a shell that redirects its streams.
fn redirected(sandbox: &Sandbox, redirection: &str, arguments: &[&str]) -> Run {
    let ours = sandbox.command();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec \"$@\" {redirection}"), "sh"])
        .arg(ours.get_program())
        .args(arguments);
    shell.current_dir(sandbox.work()).stdin(Stdio::null());
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Run::of(&mut shell)
}

#[test]
fn closed_stdin_stores_nothing() {
    let sandbox = Sandbox::new();
    let content = noise(50_000, 1);
    sandbox.put("f.zip", &content).succeeds();
    for redirection in ["<&-", "0>sink"] {
        let run = redirected(&sandbox, redirection, &["cp", "-", "s3://buc/f.zip"]);
        run.fails(1, &["cannot read standard input", "pass < /dev/null"]);
        let run = redirected(&sandbox, redirection, &["cp", "-", "s3://buc/new.zip"]);
        run.fails(1, &["cannot read standard input"]);
        redirected(&sandbox, redirection, &["xdelta3", "-e"]).fails(1, &["/dev/stdin"]);
    }
    redirected(&sandbox, "<&-", &["xdelta3", "-e", "/dev/stdin"]).fails(1, &["/dev/stdin"]);
    assert_eq!(sandbox.store().keys(), ["f.zip.delta", "reference.bin"]);
    assert!(sandbox.run(["cp", "s3://buc/f.zip", "-"]).succeeds().stdout == content);
}

#[test]
fn dev_null_is_an_empty_input() {
    let sandbox = Sandbox::new();
    redirected(&sandbox, "</dev/null", &["cp", "-", "s3://buc/empty"]).succeeds();
    assert_eq!(sandbox.store().keys(), ["empty"]);
    assert_eq!(
        redirected(&sandbox, ">/dev/null", &["cp", "s3://buc/empty", "-"]).succeeds().out,
        ""
    );
}

#[test]
fn closed_stdout_fails_early() {
    let sandbox = Sandbox::new();
    let content = noise(50_000, 1);
    sandbox.put("f.zip", &content).succeeds();
    sandbox.put("g.zip", &edited(&content, 2)).succeeds();
    sandbox.write("old", &content);
    sandbox.write("new.txt", b"content");
    sandbox.run(["xdelta3", "-e", "-s", "old", "new.txt", "delta"]).succeeds();
    let (keys, files) = (sandbox.store().keys(), sandbox.files());
    let commands = [
        "ls",
        "ls s3://buc",
        "cp s3://buc/f.zip -",
        "cp -q s3://buc/f.zip -",
        "cp s3://buc/f.zip out.zip",
        "cp new.txt s3://buc/",
        "mv new.txt s3://buc/",
        "mv s3://buc/f.zip out.zip",
        "sync . s3://buc",
        "rm s3://buc/f.zip",
        "rm -r s3://buc",
        "mb s3://other",
        "rb s3://buc --force",
        "migrate --rebase s3://buc",
        "presign s3://buc/f.zip",
        "purge buc",
        "repair buc --fix",
        "stats buc",
        "verify s3://buc/f.zip",
        "cache info",
        "cache clean",
    ];
    for redirection in [">&-", "1<new.txt"] {
        for command in commands {
            let arguments: Vec<&str> = command.split(' ').collect();
            let run = redirected(&sandbox, redirection, &arguments);
            assert_eq!(run.code, Some(1), "{command} {redirection}: {run:?}");
            assert!(
                run.err.contains("cannot write to standard output"),
                "{command} {redirection}: {run:?}"
            );
        }
        for line in [
            "-c -e new.txt",
            "-d -c -s old delta",
            "-e new.txt /dev/stdout",
            "printhdr delta",
            "merge -c delta",
        ] {
            let arguments: Vec<&str> = std::iter::once("xdelta3").chain(line.split(' ')).collect();
            redirected(&sandbox, redirection, &arguments).fails(1, &["/dev/stdout"]);
        }
        redirected(&sandbox, redirection, &["--help"]).fails(1, &[]);
    }
    assert_eq!((sandbox.store().keys(), sandbox.files()), (keys, files));
}

#[test]
fn quiet_commands_need_no_stdout() {
    let sandbox = Sandbox::new();
    sandbox.write("new.txt", b"content");
    redirected(&sandbox, ">&-", &["cp", "-q", "new.txt", "s3://buc/"]).succeeds();
    redirected(&sandbox, ">&-", &["sync", "-q", ".", "s3://buc"]).succeeds();
    redirected(&sandbox, ">&-", &["verify", "-q", "s3://buc/new.txt"]).succeeds();
    redirected(&sandbox, ">&-", &["rm", "-q", "s3://buc/new.txt"]).succeeds();
    assert!(sandbox.store().keys().is_empty());
    redirected(&sandbox, ">&- <&-", &["xdelta3", "-e", "new.txt", "delta"]).succeeds();
    sandbox.run(["xdelta3", "-d", "-c", "delta"]).succeeds().says("content");
}
