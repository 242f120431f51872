//! Drafts, the incomplete files in a destination: their names, their locks, and the removal of
//! those that a killed process left.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{FlockOperation, flock};
use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};

use crate::support::{Run, Sandbox, edited, names_below, noise};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns a name that only a draft has.
fn draft(letter: char) -> String {
    format!(".deltaglider-{}.part", String::from(letter).repeat(32))
}

fn is_draft(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or_default();
    let middle = name.strip_prefix(".deltaglider-").and_then(|rest| rest.strip_suffix(".part"));
    middle.is_some_and(|hex| {
        hex.len() == 32 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_locked(path: &Path) -> bool {
    flock(File::open(path).unwrap(), FlockOperation::NonBlockingLockExclusive).is_err()
}

fn age(path: &Path, by: Duration) {
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - by).unwrap();
}

/// Waits for the draft of the process and returns its name.
fn draft_of(child: &mut Child, folder: &Path) -> String {
    let begun = Instant::now();
    loop {
        if let Some(name) =
            names_below(folder).into_iter().find(|name| name.contains(".deltaglider-"))
        {
            return name;
        }
        assert_eq!(child.try_wait().unwrap(), None);
        assert!(begun.elapsed() < Duration::from_secs(30), "no draft appears");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn drafts_are_named_and_locked() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let over_http = || {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    };
    sandbox.write("put", noise(10_000, 1));
    Run::of(over_http().args(["mb", "s3://buc"])).succeeds();
    Run::of(over_http().args(["mb", "s3://two"])).succeeds();
    Run::of(over_http().args(["cp", "put", "s3://buc/f.bin"])).succeeds();
    std::fs::create_dir(sandbox.path("dst")).unwrap();
    server.script(|call| {
        let stalls = matches!(call.operation, "GetObject" | "HeadObject");
        stalls.then_some(Fault::Wait(Duration::from_secs(60)))
    });
    let mut child = over_http().args(["cp", "s3://buc/f.bin", "dst/f.bin"]).spawn().unwrap();
    let name = draft_of(&mut child, &sandbox.path("dst"));
    assert!(is_draft(&name), "{name}");
    let path = sandbox.path("dst").join(&name);
    // A draft is locked right after it is created.
    let begun = Instant::now();
    while !is_locked(&path) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is not locked");
        // A look takes the lock for an instant.
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A process that another test starts can hold a look's file until it executes its program.
    let begun = Instant::now();
    while is_locked(&path) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is still locked");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(names_below(&sandbox.path("dst")), [name]);

    server.script(|_| None);
    Run::of(over_http().args(["sync", "dst", "s3://two"])).fails(0, &["1 draft of a download"]);
    assert_eq!(Run::of(over_http().args(["ls", "--recursive", "s3://two"])).out, "");
}

#[test]
fn walks_leave_drafts_out() {
    let sandbox = Sandbox::new();
    for name in [draft('0'), format!("sub/{}", draft('a')), format!("sub/{}", draft('f'))] {
        sandbox.write(&format!("dst/{name}"), b"half");
    }
    // Names that are not those of drafts.
    let others =
        [".deltaglider-Ab3dEf", ".deltaglider-.part", &draft('A'), &format!("{}.zip", draft('b'))];
    for name in others {
        sandbox.write(&format!("dst/{name}"), b"whole");
    }
    let mut names: Vec<String> = others.map(str::to_owned).to_vec();
    names.sort();
    let note = "3 drafts of downloads";
    for command in ["sync dst s3://buc", "cp -r dst s3://buc", "sync --delete dst s3://buc"] {
        let run = sandbox.run(command.split(' '));
        run.fails(0, &[note]);
        assert_eq!(sandbox.store().keys(), names, "{command}");
    }
    let quiet = sandbox.run(["sync", "-q", "dst", "s3://buc"]);
    assert_eq!(quiet.err, "");
    // `--delete` removes what the bucket lacks, except drafts.
    sandbox.run(["rm", "s3://buc/.deltaglider-.part"]).succeeds();
    sandbox
        .run(["sync", "--delete", "s3://buc", "dst"])
        .fails(0, &[note])
        .says("delete: dst/.deltaglider-.part");
    sandbox.run(["mv", "-r", "dst", "s3://buc"]).fails(0, &[note]);
    let left: Vec<String> =
        names_below(&sandbox.path("dst")).into_iter().filter(|name| name != "sub").collect();
    assert_eq!(left, [draft('0'), format!("sub/{}", draft('a')), format!("sub/{}", draft('f'))]);
}

#[test]
fn sync_keeps_draft_named_object() {
    let sandbox = Sandbox::new();
    for name in [draft('a'), "in/f.txt".into()] {
        sandbox.write(&name, name.as_bytes());
    }
    sandbox.run(["cp", &draft('a'), &format!("s3://buc/d/{}", draft('a'))]).succeeds();
    sandbox.write(&format!("in/{}", draft('a')), "a file of this name");
    sandbox.run(["sync", "--delete", "in", "s3://buc/d/"]).fails(0, &["1 draft of a download"]);
    assert_eq!(sandbox.store().keys(), [format!("d/{}", draft('a')), "d/f.txt".into()]);
}

#[test]
fn old_unlocked_drafts_are_swept() {
    let sandbox = Sandbox::new();
    let content = noise(10_000, 1);
    sandbox.put("a/f.bin", &content).succeeds();
    let (old, young, locked) = (draft('1'), draft('2'), draft('3'));
    let other = ".deltaglider-Ab3dEf".to_owned();
    let elsewhere = format!("b/{}", draft('4'));
    let link = draft('5');
    for name in [&old, &young, &locked, &other, &elsewhere] {
        let path = sandbox.write(&format!("dst/{name}"), b"half");
        age(
            &path,
            if *name == young {
                DAY - Duration::from_secs(60)
            } else {
                DAY + Duration::from_secs(1)
            },
        );
    }
    let target = sandbox.write("target", b"whole");
    age(&target, 2 * DAY);
    std::os::unix::fs::symlink(&target, sandbox.path("dst").join(&link)).unwrap();
    let holder = File::open(sandbox.path("dst").join(&locked)).unwrap();
    flock(&holder, FlockOperation::NonBlockingLockExclusive).unwrap();
    sandbox.run(["cp", "s3://buc/a/f.bin", "dst/"]).succeeds();
    let mut left = vec![young, locked, other, link, "b".into(), elsewhere, "f.bin".into()];
    left.sort();
    assert_eq!(names_below(&sandbox.path("dst")), left);
    assert!(target.exists());
    drop(holder);
    sandbox.run(["cp", "-r", "s3://buc/a", "dst"]).succeeds();
    left.remove(1);
    assert_eq!(names_below(&sandbox.path("dst")), left);
}

#[test]
fn no_download_takes_a_draft_name() {
    let sandbox = Sandbox::new();
    sandbox.store().foreign(&format!("x/{}", draft('0')), b"content");
    let named = "is the name of a draft";
    sandbox.run(["cp", "-r", "s3://buc", "dst"]).fails(1, &[named]);
    sandbox.run(["cp", &format!("s3://buc/x/{}", draft('0')), "dst/"]).fails(255, &[named]);
    sandbox.run(["cp", &format!("s3://buc/x/{}", draft('0')), "dst/other"]).succeeds();
    sandbox.run(["cp", "-r", "s3://buc/x", "s3://buc/y"]).succeeds();
    assert_eq!(sandbox.read("dst/other"), b"content");
}

#[test]
fn decode_sweeps_and_locks_drafts() {
    let sandbox = Sandbox::new();
    let content = noise(4 << 20, 1);
    sandbox.write("old", &content);
    sandbox.write("new", edited(&content, 2));
    sandbox.run(["xdelta3", "-e", "-s", "old", "new", "delta"]).succeeds();
    let left = sandbox.write(&draft('1'), b"half");
    age(&left, 2 * DAY);
    let delta = sandbox.read("delta");
    let mut command = sandbox.command();
    command
        .args(["xdelta3", "-e", "-W", "16384", "-s", "old", "/dev/stdin", "out"])
        .stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Enough for the first windows, so that a draft exists.
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(&content[..1 << 20]).unwrap();
    let begun = Instant::now();
    let name = loop {
        let names = sandbox.files().into_iter();
        if let Some(name) =
            names.into_iter().find(|name| name.starts_with(".deltaglider-") && *name != draft('1'))
        {
            break name;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "no draft appears");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(is_draft(&name), "{name}");
    while !is_locked(&sandbox.path(&name)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is not locked");
    }
    drop(pipe);
    assert!(child.wait().unwrap().success());
    assert!(!left.exists());
    assert_eq!(sandbox.files(), ["delta", "new", "old", "out"]);
    assert!(!delta.is_empty());
}
