//! Pipes, devices and descriptors as sources and destinations of `cp`.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

use crate::support::{Run, Sandbox, noise};

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// Runs a script of bash, which has `>(…)` and descriptors; the binary is `$DG`.
fn shell(sandbox: &Sandbox, script: &str) -> Run {
    let mut command = sandbox.command_of(Path::new("bash"));
    command.env("DG", env!("CARGO_BIN_EXE_deltaglider"));
    Run::of(command.args(["-c", script]))
}

#[test]
fn cp_writes_devices_and_pipes() {
    let sandbox = Sandbox::new();
    let content = noise(200_000, 1);
    sandbox.put("d/f.bin", &content).succeeds();
    sandbox.put("d/f.zip", &content).succeeds();
    let before = std::fs::read_dir("/dev").unwrap().count();
    sandbox
        .run(["cp", "s3://buc/d/f.bin", "/dev/null"])
        .succeeds()
        .says("to /dev/null (195.3 KiB, SHA-256 verified)");
    assert_eq!(std::fs::read_dir("/dev").unwrap().count(), before);
    for path in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert!(
            sandbox.run(["cp", "s3://buc/d/f.zip", path]).succeeds().stdout == content,
            "{path}"
        );
        shell(&sandbox, &format!("echo first > out && $DG cp s3://buc/d/f.bin {path} >> out"))
            .succeeds();
        assert!(sandbox.read("out") == [b"first\n", &content[..]].concat(), "{path}");
    }
    pipe(&sandbox.path("pipe"));
    let reader = std::thread::spawn({
        let path = sandbox.path("pipe");
        move || std::fs::read(path).unwrap()
    });
    sandbox.run(["cp", "s3://buc/d/f.zip", "pipe"]).succeeds();
    assert!(reader.join().unwrap() == content);
    let script = "set -o pipefail; \
                  { $DG cp -q s3://buc/d/f.bin >(cat > got; echo done >&3); } 3>&1 | grep -q done";
    shell(&sandbox, script).succeeds();
    assert!(sandbox.read("got") == content);
    shell(&sandbox, "exec 5> five && $DG cp --range bytes=0-9 s3://buc/d/f.bin /dev/fd/5")
        .succeeds();
    assert_eq!(sandbox.read("five"), &content[..10]);
}

#[test]
fn cp_reads_devices_and_pipes() {
    let sandbox = Sandbox::new();
    let content = noise(200_000, 1);
    sandbox.write("f.bin", &content);
    pipe(&sandbox.path("pipe"));
    for script in [
        "$DG cp /dev/stdin s3://buc/f < f.bin",
        "cat f.bin | $DG cp /dev/stdin s3://buc/f",
        "cat f.bin | $DG cp /dev/fd/0 s3://buc/f",
        "$DG cp <(cat f.bin) s3://buc/f",
        "$DG cp /dev/fd/7 s3://buc/f 7< f.bin",
        "cat f.bin > pipe & $DG cp pipe s3://buc/f",
        "cat f.bin > pipe & $DG cp pipe s3://buc/ && $DG mv s3://buc/pipe s3://buc/f",
    ] {
        shell(&sandbox, script).succeeds();
        assert!(sandbox.run(["cp", "s3://buc/f", "-"]).succeeds().stdout == content, "{script}");
        sandbox.run(["rm", "s3://buc/f"]).succeeds();
    }
    // Input that was read before is not read again.
    shell(&sandbox, "(head -c 8 > /dev/null; $DG cp /dev/stdin s3://buc/f) <<< '12345678rest'")
        .succeeds();
    sandbox.run(["cp", "/dev/null", "s3://buc/empty"]).succeeds();
    sandbox.run(["cp", "s3://buc/empty", "-"]).succeeds();
}

#[test]
fn senseless_streams_are_rejected() {
    let sandbox = Sandbox::new();
    sandbox.put("f", b"stored").succeeds();
    pipe(&sandbox.path("pipe"));
    for words in ["mv s3://buc/f /dev/null", "mv s3://buc/f pipe", "mv pipe s3://buc/p"] {
        sandbox.run(words.split(' ')).fails(255, &["only whole files can be moved"]);
    }
    sandbox
        .run(["cp", "-r", "s3://buc/", "/dev/null"])
        .fails(255, &["cannot be copied to /dev/null"]);
    sandbox
        .run(["cp", "--allow-recompressed", "s3://buc/f", "/dev/null"])
        .fails(255, &["--allow-recompressed writes NAME.unpacked"]);
    shell(&sandbox, "$DG cp /dev/stdin s3://buc/ < /dev/null")
        .fails(255, &["standard input has no name"]);
    shell(&sandbox, "$DG cp <(true) s3://buc/d/")
        .fails(255, &["has no name; add one at the end of s3://buc/d/"]);
    sandbox.run(["cp", "/dev/fd/77", "s3://buc/x"]).fails(255, &["/dev/fd/77"]);
    sandbox.run(["cp", "s3://buc/f", "/dev/fd/77"]).fails(255, &["/dev/fd/77"]);
    assert_eq!(sandbox.store().keys(), ["f"]);
}

#[test]
fn destination_is_opened_first() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let command = || {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    };
    Run::of(command().args(["mb", "s3://buc"])).succeeds();
    sandbox.write("f.bin", noise(10_000, 1));
    Run::of(command().args(["cp", "f.bin", "s3://buc/f.bin"])).succeeds();
    let (sender, calls) = std::sync::mpsc::channel();
    server.script(move |call| {
        sender.send(call.operation.to_owned()).unwrap();
        None
    });
    let fetches = || calls.try_iter().filter(|operation| operation == "GetObject").count();
    Run::of(command().args(["cp", "s3://buc/f.bin", "/dev/fd/77"])).fails(255, &["/dev/fd/77"]);
    assert_eq!(fetches(), 0);
    Run::of(command().args(["cp", "s3://buc/f.bin", "/dev/full"]))
        .fails(1, &["No space left on device"]);
    assert!(fetches() > 0);
}
