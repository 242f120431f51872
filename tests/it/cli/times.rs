//! Times and modes of files: stored with the object, restored, and compared by `sync`.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use s3_server::{ACCESS_KEY, Fault, Rewrite, SECRET_KEY, Server};

use crate::support::{Run, Sandbox, edited, noise};

/// A working directory, and a server over HTTP that counts requests.
struct Bench {
    sandbox: Sandbox,
    server: Server,
    calls: Arc<Mutex<BTreeMap<String, usize>>>,
    /// The number of years that listings are ahead.
    ahead: Arc<AtomicI64>,
}

impl Bench {
    fn new() -> Self {
        let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
        let bench = Self { sandbox, server, calls: Arc::default(), ahead: Arc::default() };
        bench.run("mb s3://buc").succeeds();
        let (calls, ahead) = (bench.calls.clone(), bench.ahead.clone());
        bench.server.script(move |call| {
            *calls.lock().unwrap().entry(call.operation.to_owned()).or_default() += 1;
            let years = ahead.load(Ordering::SeqCst);
            let lists = call.operation == "ListObjectsV2" && years != 0;
            lists.then(|| Fault::Rewrite(Rewrite::new(move |body| shifted(&body, years))))
        });
        bench
    }

    fn run(&self, words: &str) -> Run {
        let mut command = self.sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", self.server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(words.split(' ')))
    }

    /// Runs a command; also returns the number of its requests by operation.
    fn counted(&self, words: &str) -> (Run, BTreeMap<String, usize>) {
        self.calls.lock().unwrap().clear();
        let run = self.run(words);
        (run, std::mem::take(&mut *self.calls.lock().unwrap()))
    }
}

/// Shifts the times of a listing by a number of years.
fn shifted(body: &str, by: i64) -> String {
    let mut parts = body.split("<LastModified>");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |body, part| {
        let year = part[..4].parse::<i64>().unwrap() + by;
        format!("{body}<LastModified>{year}{}", &part[4..])
    })
}

fn set_time(sandbox: &Sandbox, name: &str, at: SystemTime) {
    File::options().write(true).open(sandbox.path(name)).unwrap().set_modified(at).unwrap();
}

fn set_mode(sandbox: &Sandbox, name: &str, mode: u32) {
    std::fs::set_permissions(sandbox.path(name), PermissionsExt::from_mode(mode)).unwrap();
}

fn status(sandbox: &Sandbox, name: &str) -> (SystemTime, u32) {
    let metadata = std::fs::metadata(sandbox.path(name)).unwrap();
    (metadata.modified().unwrap(), metadata.mode() & 0o7777)
}

const LONG_AGO: Duration = Duration::new(1_000_000_000, 123_456_789);

/// Creates `in/app-1.zip`, `in/app-2.zip` and `in/run.sh`, of 2001.
fn with_files(bench: &Bench) {
    let first = noise(30_000, 1);
    for (name, content, mode) in [
        ("app-1.zip", first.clone(), 0o640),
        ("app-2.zip", edited(&first, 2), 0o600),
        ("run.sh", b"run".to_vec(), 0o755),
    ] {
        let name = format!("in/{name}");
        bench.sandbox.write(&name, content);
        set_time(&bench.sandbox, &name, UNIX_EPOCH + LONG_AGO);
        set_mode(&bench.sandbox, &name, mode);
    }
}

#[test]
fn times_and_modes_come_back() {
    let bench = Bench::new();
    with_files(&bench);
    let sandbox = &bench.sandbox;
    bench.run("sync in s3://buc/a").succeeds();
    bench.run("cp -r s3://buc/a s3://buc/b").succeeds();
    bench.run("cp in/run.sh s3://buc/c/run.sh").succeeds();
    bench.run("cp --no-delta in/app-1.zip s3://buc/c/app-1.zip").succeeds();
    bench.run("mv s3://buc/b/app-2.zip s3://buc/c/app-2.zip").succeeds();
    for (folder, names) in [
        ("a", "app-1.zip app-2.zip run.sh"),
        ("b", "app-1.zip run.sh"),
        ("c", "app-1.zip app-2.zip run.sh"),
    ] {
        bench.run(&format!("sync s3://buc/{folder} out-{folder}")).succeeds();
        for name in names.split(' ') {
            let (there, back) = (
                status(sandbox, &format!("in/{name}")),
                status(sandbox, &format!("out-{folder}/{name}")),
            );
            assert_eq!(back, there, "{folder}/{name}");
        }
    }
    // A file without a stored time gets that of the object.
    bench.run("cp s3://buc/a/run.sh - --quiet").succeeds();
    let mut command = sandbox.command_of("sh".as_ref());
    command
        .env("AWS_ENDPOINT_URL_S3", bench.server.url())
        .env("DG", env!("CARGO_BIN_EXE_deltaglider"));
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    Run::of(command.args(["-c", "echo text | $DG cp - s3://buc/d/stdin"])).succeeds();
    bench.run("cp s3://buc/d/stdin out-d").succeeds();
    let (time, mode) = status(sandbox, "out-d");
    assert!(time > UNIX_EPOCH + LONG_AGO + LONG_AGO / 2 && mode & 0o111 == 0, "{time:?} {mode:o}");
}

#[test]
fn replaced_file_keeps_its_mode() {
    let bench = Bench::new();
    with_files(&bench);
    let sandbox = &bench.sandbox;
    bench.run("sync in s3://buc/a").succeeds();
    for (mode, name) in [(0o600, "run.sh"), (0o755, "app-1.zip"), (0o444, "app-2.zip")] {
        sandbox.write(&format!("out/{name}"), "old");
        set_mode(sandbox, &format!("out/{name}"), mode);
    }
    bench.run("sync s3://buc/a out").succeeds();
    let modes =
        ["run.sh", "app-1.zip", "app-2.zip"].map(|name| status(sandbox, &format!("out/{name}")).1);
    assert_eq!(modes, [0o600, 0o755, 0o444]);
    bench.run("cp s3://buc/a/app-1.zip out/run.sh").succeeds();
    assert_eq!(status(sandbox, "out/run.sh").1, 0o600);
}

/// User metadata that leaves no space for them is stored all the same.
#[test]
fn full_metadata_drops_times() {
    let bench = Bench::new();
    with_files(&bench);
    // Our own metadata grows with the key.
    for size in (1_500..2_048).step_by(20) {
        let run =
            bench.run(&format!("cp --metadata k={} in/run.sh s3://buc/run.sh", "v".repeat(size)));
        if run.code != Some(0) {
            assert!(size > 1_500 && run.err.contains("user metadata"), "{run:?}");
            return;
        }
        bench.run("cp s3://buc/run.sh back").succeeds();
    }
    panic!("all metadata fits");
}

#[test]
fn equal_times_hide_no_change() {
    let bench = Bench::new();
    let sandbox = &bench.sandbox;
    let one = UNIX_EPOCH + Duration::from_secs(1);
    for (name, content) in [("in/app.js", "version-1"), ("in/app.zip", "version-1")] {
        sandbox.write(name, content);
        set_time(sandbox, name, one);
    }
    bench.run("sync in s3://buc/a").succeeds().says("2 changed");
    bench.run("sync s3://buc/a out").succeeds().says("2 changed");
    bench.run("sync in s3://buc/a").succeeds().says("0 changed, 2 unchanged");
    bench.run("sync s3://buc/a out").succeeds().says("0 changed, 2 unchanged");
    // A reproducible build has other content of the same size and time.
    for name in ["in/app.js", "in/app.zip"] {
        sandbox.write(name, "version-2");
        set_time(sandbox, name, one);
    }
    bench.run("sync in s3://buc/a").succeeds().says("2 changed");
    assert_eq!(bench.run("cp s3://buc/a/app.js -").out, "version-2");
    bench.run("sync s3://buc/a out").succeeds().says("2 changed");
    assert_eq!(sandbox.read("out/app.zip"), b"version-2");
    // A new time and the same content.
    for name in ["in/app.js", "in/app.zip"] {
        set_time(sandbox, name, SystemTime::now() + Duration::from_secs(3_600));
    }
    let run = bench.run("sync --json in s3://buc/a").succeeds();
    let end: serde_json::Value = serde_json::from_str(run.out.lines().last().unwrap()).unwrap();
    assert_eq!((&end["changed"], &end["unchanged"]), (&0.into(), &2.into()), "{end}");
}

/// Only a file whose times leave open whether it changed costs a request.
#[test]
fn sync_requests_only_when_unsure() {
    let bench = Bench::new();
    let sandbox = &bench.sandbox;
    for n in 0..4 {
        sandbox.write(&format!("in/f{n}.txt"), "text");
    }
    bench.run("sync in s3://buc/a").succeeds();
    // All objects are stored later than any file changed.
    bench.ahead.store(1, Ordering::SeqCst);
    let (run, calls) = bench.counted("sync in s3://buc/a");
    run.succeeds().says("0 changed, 4 unchanged");
    assert_eq!(calls.get("HeadObject"), None, "{calls:?}");
    // The modification time is old, the change time is not.
    sandbox.write("in/f1.txt", "TEXT");
    set_time(sandbox, "in/f1.txt", UNIX_EPOCH + LONG_AGO);
    bench.ahead.store(0, Ordering::SeqCst);
    let (run, calls) = bench.counted("sync --dryrun in s3://buc/a");
    run.succeeds().says("upload: in/f1.txt").says("1 changed, 3 unchanged");
    assert!(calls.get("HeadObject") >= Some(&1) && !calls.contains_key("GetObject"), "{calls:?}");
    // One request for each file whose times leave it open.
    bench.ahead.store(-1, Ordering::SeqCst);
    let (run, calls) = bench.counted("sync --dryrun in s3://buc/a");
    run.succeeds().says("1 changed, 3 unchanged");
    assert_eq!((calls.get("HeadObject"), calls.get("GetObject")), (Some(&4), None), "{calls:?}");
}
