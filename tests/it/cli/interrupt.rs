//! Signals on the real binary: incomplete work is removed.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Run, Sandbox, edited, names_below, noise, without_machine_output};
use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};

/// Returns the binary with default signal handling, even if the tests run with some signals
/// ignored, as in the background of a script or under `nohup`.
fn command(sandbox: &Sandbox) -> Command {
    let mut command = sandbox.command_of(Path::new("env"));
    command.args(["--default-signal=INT,TERM,HUP", env!("CARGO_BIN_EXE_deltaglider")]);
    command
}

fn signal(child: &Child, name: &str) {
    // The `kill` of the shell, since a minimal system has no program of that name.
    let sent = Command::new("sh")
        .args(["-c", "kill -$0 $1", name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Waits for the end of the process and returns its exit code; for a process that a signal ended,
/// 128 and the number.
fn ends(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().or(status.signal().map(|number| 128 + number));
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn interrupted_pipe_stores_none() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let sandbox = Sandbox::new();
        let mut command = command(&sandbox);
        let mut child =
            command.args(["cp", "-", "s3://buc/a.zip"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // More than is held in memory, so that a temporary file exists.
        pipe.write_all(&noise(20 << 20, 1)).unwrap();
        signal(&child, name);
        // The writer of the pipe ends too, as with Ctrl-C in a terminal.
        drop(pipe);
        assert_eq!(ends(&mut child), Some(code), "{name}");
        assert!(names_below(&sandbox.temporaries()).is_empty());
        assert!(sandbox.store().keys().is_empty());
    }
}

#[test]
fn ignored_hangup_ends_no_command() {
    let sandbox = Sandbox::new();
    // As `nohup` starts a command.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "trap '' HUP; exec \"$0\" cp - s3://buc/a.zip",
        env!("CARGO_BIN_EXE_deltaglider"),
    ]);
    command.env("AWS_ENDPOINT_URL_S3", sandbox.endpoint()).env("TMPDIR", sandbox.temporaries());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // More than a pipe holds, so the command has begun to read.
    pipe.write_all(&noise(1 << 20, 1)).unwrap();
    signal(&child, "HUP");
    drop(pipe);
    assert_eq!(ends(&mut child), Some(0));
    assert_eq!(sandbox.store().keys(), ["a.zip.delta", "reference.bin"]);
}

#[test]
fn interrupted_download_is_atomic() {
    let sandbox = Sandbox::new();
    let (base, mut whole) = (noise(24 << 20, 1), 0);
    let second = edited(&base, 2);
    sandbox.put("a-1.zip", &base).succeeds();
    sandbox.put("a-2.zip", &second).succeeds();
    for round in 0..24 {
        let mut command = command(&sandbox);
        let mut child = command
            .args(["cp", "s3://buc/a-2.zip", "out/a-2.zip"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round * 15));
        if child.try_wait().unwrap().is_none() {
            signal(&child, "INT");
        }
        let code = ends(&mut child);
        let left = names_below(&sandbox.work());
        match left.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] | ["out"] => assert_eq!(code, Some(130), "round {round}"),
            ["out", "out/a-2.zip"] => {
                assert!(sandbox.read("out/a-2.zip") == second, "round {round}");
                std::fs::remove_file(sandbox.path("out/a-2.zip")).unwrap();
                whole += 1;
            }
            _ => panic!("round {round}: {left:?}"),
        }
        assert!(names_below(&sandbox.temporaries()).is_empty());
    }
    println!("{whole} of 24 downloads were faster than the signal");
}

#[test]
fn interrupted_upload_is_atomic() {
    let sandbox = Sandbox::new();
    let (base, content) = (noise(1 << 20, 1), noise(24 << 20, 3));
    sandbox.put("p/a.zip", &base).succeeds();
    sandbox.put("p/b.zip", &edited(&base, 1)).succeeds();
    sandbox.write("b.zip", &content);
    let before = sandbox.run(["cp", "s3://buc/p/b.zip", "-"]).succeeds().stdout;
    for round in 0..12 {
        let mut command = command(&sandbox);
        let mut child =
            command.args(["cp", "b.zip", "s3://buc/p/"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(round * 12));
        if child.try_wait().unwrap().is_none() {
            signal(&child, "TERM");
        }
        let code = ends(&mut child);
        let served = sandbox.run(["cp", "s3://buc/p/b.zip", "-"]).succeeds().stdout;
        assert!(served == before || served == content, "round {round}, code {code:?}");
        assert!(code != Some(0) || served == content, "round {round}");
        assert!(sandbox.run(["cp", "s3://buc/p/a.zip", "-"]).succeeds().stdout == base);
        assert!(names_below(&sandbox.temporaries()).is_empty());
    }
}

#[test]
fn broken_pipe_ends_quietly() {
    let sandbox = Sandbox::new();
    sandbox.put("a.zip", &noise(4 << 20, 1)).succeeds();
    let mut command = command(&sandbox);
    command.args(["cp", "s3://buc/a.zip", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = [0; 10];
    let mut pipe = child.stdout.take().unwrap();
    pipe.read_exact(&mut first).unwrap();
    drop(pipe);
    assert_eq!(ends(&mut child), Some(141));
    let mut printed = String::new();
    child.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(without_machine_output(&printed), "");
}

#[test]
fn interrupt_aborts_open_upload() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let over_http = || {
        let mut command = command(&sandbox);
        command.env("AWS_ENDPOINT_URL_S3", server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    };
    Run::of(over_http().args(["mb", "s3://buc"])).succeeds();
    sandbox.write("large.bin", noise(80 << 20, 1));
    server.script(|call| {
        let stalls = call.operation == "UploadPart" && call.nth >= 2;
        stalls.then_some(Fault::Wait(Duration::from_secs(60)))
    });
    let mut child = over_http().args(["cp", "large.bin", "s3://buc/"]).spawn().unwrap();
    let begun = Instant::now();
    while server.requests_of("UploadPart") < 2 {
        assert!(begun.elapsed() < Duration::from_secs(60), "no part arrives");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.open_uploads(), 1);
    signal(&child, "TERM");
    assert_eq!(ends(&mut child), Some(143));
    assert_eq!(server.open_uploads(), 0);
    Run::of(over_http().args(["ls", "s3://buc/large.bin"])).fails(1, &[]);
}

/// The maximum time from a signal to the end of a command without an open upload: the 1.5 s that
/// the command gives itself, and time to be scheduled on a busy machine. With an open upload it
/// gives itself 10 s.
const PROMPT: Duration = Duration::from_secs(6);

/// Ends the command by a signal and requires that it ends within [`PROMPT`].
fn ends_promptly(child: &mut Child, name: &str, code: i32) {
    let begun = Instant::now();
    signal(child, name);
    assert_eq!(ends(child), Some(code));
    let took = begun.elapsed();
    assert!(took < PROMPT, "{took:?}");
}

/// Waits until a command has `reached` the point to interrupt it at.
fn until(child: &mut Child, mut reached: impl FnMut(&Child) -> bool) {
    let begun = Instant::now();
    while !reached(child) {
        assert_eq!(child.try_wait().unwrap(), None, "it ended");
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not get there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Returns whether the process waits for a lock on a file.
fn waits_for_a_lock(child: &Child) -> bool {
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let process = child.id().to_string();
    locks
        .lines()
        .any(|line| line.contains("->") && line.split_whitespace().any(|word| word == process))
}

#[test]
fn signal_ends_wait_for_stdin() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = Sandbox::new();
        let mut command = command(&sandbox);
        let mut child =
            command.args(["cp", "-", "s3://buc/a.zip"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(&noise(1 << 20, 1)).unwrap();
        // The command has read everything and waits for more.
        until(&mut child, |_| rustix::io::ioctl_fionread(&pipe).unwrap() == 0);
        ends_promptly(&mut child, name, code);
        drop(pipe);
        assert!(sandbox.store().keys().is_empty());
        assert!(names_below(&sandbox.temporaries()).is_empty());
    }
}

#[test]
fn signal_ends_wait_for_full_pipe() {
    let sandbox = Sandbox::new();
    sandbox.put("a.bin", &noise(1 << 20, 1)).succeeds();
    for number in 0..200 {
        sandbox.store().foreign(&format!("list/{number:03}-{}", "x".repeat(900)), b"");
    }
    for arguments in [&["cp", "s3://buc/a.bin", "-"][..], &["ls", "s3://buc/list/"]] {
        let mut child = command(&sandbox).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let pipe = child.stdout.take().unwrap();
        let (mut before, mut same) = (0, 0);
        // The pipe takes no more.
        until(&mut child, |_| {
            let filled = rustix::io::ioctl_fionread(&pipe).unwrap();
            same = if filled == before { same + 1 } else { 0 };
            before = filled;
            filled > 32 << 10 && same > 20
        });
        ends_promptly(&mut child, "TERM", 143);
    }
}

#[test]
fn signal_ends_wait_for_a_lock() {
    let sandbox = Sandbox::new();
    sandbox.write("a.txt", b"content");
    let lock = names_below(&sandbox.store_path())
        .into_iter()
        .find(|name| name.ends_with("buc/lock"))
        .unwrap();
    let held = std::fs::File::open(sandbox.store_path().join(lock)).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let mut child = command(&sandbox).args(["cp", "a.txt", "s3://buc/"]).spawn().unwrap();
    until(&mut child, waits_for_a_lock);
    ends_promptly(&mut child, "INT", 130);
}

#[test]
fn second_signal_ends_at_once() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let over_http = || {
        let mut command = command(&sandbox);
        command.env("AWS_ENDPOINT_URL_S3", server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    };
    Run::of(over_http().args(["mb", "s3://buc"])).succeeds();
    sandbox.write("large.bin", noise(80 << 20, 1));
    server.script(|call| {
        let stalls = call.operation == "UploadPart" || call.operation == "AbortMultipartUpload";
        stalls.then_some(Fault::Wait(Duration::from_secs(60)))
    });
    let mut child = over_http().args(["cp", "large.bin", "s3://buc/"]).spawn().unwrap();
    until(&mut child, |_| server.requests_of("UploadPart") > 0);
    signal(&child, "INT");
    until(&mut child, |_| server.requests_of("AbortMultipartUpload") > 0);
    ends_promptly(&mut child, "TERM", 143);
}

#[test]
fn unanswered_abort_ends_in_time() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let over_http = || {
        let mut command = command(&sandbox);
        command.env("AWS_ENDPOINT_URL_S3", server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    };
    Run::of(over_http().args(["mb", "s3://buc"])).succeeds();
    sandbox.write("large.bin", noise(80 << 20, 1));
    server.script(|call| {
        let stalls = call.operation == "UploadPart" || call.operation == "AbortMultipartUpload";
        stalls.then_some(Fault::Wait(Duration::from_secs(60)))
    });
    let mut child = over_http().args(["cp", "large.bin", "s3://buc/"]).spawn().unwrap();
    until(&mut child, |_| server.requests_of("UploadPart") > 0);
    let begun = Instant::now();
    signal(&child, "TERM");
    assert_eq!(ends(&mut child), Some(143));
    let took = begun.elapsed();
    assert!(Duration::from_secs(5) < took && took < Duration::from_secs(11), "{took:?}");
}
