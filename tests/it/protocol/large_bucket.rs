//! Listings and statistics of a large bucket over HTTP: the number of requests, how many are
//! concurrent, the time to the first line, and memory. `scripts/large-bucket` runs this with
//! 100,000 objects.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::support::{Sandbox, edited, noise};
use deltaglider::domain::metadata::{DeltaMetadata, DirectMetadata, ReferenceMetadata};
use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::storage::{Attributes, BucketAdmin as _, ObjectStore as _, PutBody, PutCondition};
use deltaglider_vcdiff::EncodeOptions;
use s3_server::{ACCESS_KEY, Call, Fault, SECRET_KEY, Server};

/// The distribution of the deltas over folders.
#[derive(Debug, Clone, Copy)]
enum Layout {
    /// All in one folder.
    OneFolder,
    /// Folders of six, each with its reference.
    ManyFolders,
}

struct Bucket {
    server: Server,
    sandbox: Sandbox,
    objects: u64,
    deltas: u64,
    references: u64,
}

/// The cost and the output of one run of the binary.
#[derive(Debug)]
struct Taken {
    out: String,
    requests: BTreeMap<String, u64>,
    first_line: Duration,
    /// The number of pages that had been requested when the first line came.
    pages_before: u64,
    seconds: f64,
    mebibytes: u64,
}

impl Taken {
    fn of(&self, operation: &str) -> u64 {
        self.requests.get(operation).copied().unwrap_or_default()
    }

    fn all(&self) -> u64 {
        self.requests.values().sum()
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Returns the digest of number `n`, which also depends on `SEED`.
fn digest(n: u64) -> Sha256Digest {
    Sha256Digest::of(format!("{} {n}", number("SEED", 1)).as_bytes())
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn put(server: &Server, key: &str, metadata: BTreeMap<String, String>) {
    let object = ObjectName::new(BucketName::new("large").unwrap(), Key::new(key).unwrap());
    let attributes = Attributes { metadata, ..Attributes::default() };
    let body = PutBody::from_bytes(key.to_owned());
    let store = server.store().unwrap();
    block_on(store.put(&object, body, &attributes, &PutCondition::None.into())).unwrap();
}

impl Bucket {
    /// Creates a bucket of `objects` objects, three of five of them deltas.
    fn new(objects: u64, layout: Layout) -> Self {
        let server = Server::memory().unwrap();
        block_on(server.store().unwrap().create_bucket(&BucketName::new("large").unwrap()))
            .unwrap();
        let deltas = objects * 3 / 5;
        let at = Some(SystemTime::UNIX_EPOCH.into());
        let reference = |folder: &str| {
            let metadata = ReferenceMetadata {
                source_name: "a".into(),
                file_sha256: digest(0),
                created_at: at,
                packing: None,
            };
            put(&server, &format!("{folder}reference.bin"), metadata.write());
        };
        let folder_of = |n: u64| match layout {
            Layout::OneFolder => "releases/".to_owned(),
            Layout::ManyFolders => format!("project-{:06}/", n / 6),
        };
        let mut references = 0;
        for n in 0..deltas {
            let folder = folder_of(n);
            if n == 0 || folder_of(n - 1) != folder {
                reference(&folder);
                references += 1;
            }
            let metadata = DeltaMetadata {
                original_name: format!("app-{n:06}.zip"),
                file_sha256: digest(n),
                file_size: 1_000_000 + n,
                created_at: at,
                ref_key: Key::new(format!("{folder}reference.bin")).unwrap(),
                ref_sha256: digest(0),
                delta_size: 9,
                ref_packing: None,
            };
            put(&server, &format!("{folder}app-{n:06}.zip.delta"), metadata.write());
        }
        for n in 0..objects - deltas - references {
            let (file_sha256, original_name) = (digest(n), "n".to_owned());
            let metadata =
                DirectMetadata { original_name, file_sha256, file_size: 20, created_at: at };
            put(&server, &format!("texts/{:04}/{n:06}.txt", n / 100), metadata.write());
        }
        // Long enough for concurrent requests to be counted as such.
        server.script(|call| {
            (call.operation == "HeadObject").then_some(Fault::Wait(Duration::from_millis(2)))
        });
        Self { server, sandbox: Sandbox::new(), objects, deltas, references }
    }

    fn command(&self) -> Command {
        let mut command = match std::env::var_os("DGTEST_BINARY") {
            Some(binary) => {
                let mut command = Command::new(binary);
                command.current_dir(self.sandbox.work()).env("TMPDIR", self.sandbox.temporaries());
                command
            }
            None => self.sandbox.command(),
        };
        command.env("AWS_ENDPOINT_URL_S3", self.server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    }

    fn run(&self, arguments: &[&str]) -> Taken {
        let (taken, succeeded) = self.run_to_end(arguments);
        assert!(succeeded, "{arguments:?}");
        taken
    }

    fn run_to_end(&self, arguments: &[&str]) -> (Taken, bool) {
        let before = self.server.requests();
        let begun = Instant::now();
        let mut child = self.command().args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut out = String::new();
        stdout.read_line(&mut out).unwrap();
        let first_line = begun.elapsed();
        let pages = |requests: &BTreeMap<String, u64>| {
            requests.get("ListObjectsV2").copied().unwrap_or_default()
        };
        let pages_before = pages(&self.server.requests()) - pages(&before);
        let status = format!("/proc/{}/status", child.id());
        let mut mebibytes = 0;
        let mut chunk = vec![0; 1 << 16];
        loop {
            let peak = std::fs::read_to_string(&status).unwrap_or_default();
            let peak = peak.lines().find_map(|line| {
                line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok()
            });
            mebibytes = mebibytes.max(peak.unwrap_or(0) / 1024);
            let n = stdout.read(&mut chunk).unwrap();
            if n == 0 {
                break;
            }
            out.push_str(std::str::from_utf8(&chunk[..n]).unwrap());
        }
        let succeeded = child.wait().unwrap().success();
        let after = self.server.requests();
        let requests = after
            .iter()
            .map(|(name, n)| (name.clone(), n - before.get(name).copied().unwrap_or_default()));
        let requests = requests.filter(|(_, n)| *n > 0).collect();
        let seconds = begun.elapsed().as_secs_f64();
        (Taken { out, requests, first_line, pages_before, seconds, mebibytes }, succeeded)
    }
}

fn report(what: &str, taken: &Taken) {
    println!(
        "{what:<46} {:>7.2} s, first line after {:>5.2} s, {:>4} MiB, {:?}",
        taken.seconds,
        taken.first_line.as_secs_f64(),
        taken.mebibytes,
        taken.requests
    );
}

fn check(layout: Layout) {
    let bucket = Bucket::new(number("OBJECTS", 2_500), layout);
    let (objects, looked_at) = (bucket.objects, bucket.deltas + bucket.references);
    println!(
        "{layout:?}: {objects} objects, {} deltas, {} references",
        bucket.deltas, bucket.references
    );
    let listed = ["ls", "--recursive", "s3://large"];
    let stored = bucket.run(&["ls", "--recursive", "--sizes", "stored", "s3://large"]);
    report("ls --recursive --sizes stored", &stored);
    assert_eq!(
        stored.of("HeadObject") + stored.of("GetObject") + stored.of("PutObject"),
        0,
        "{:?}",
        stored.requests
    );

    // A server that answers before the next request is sent would see no concurrent requests. A
    // reader may be late to read the first line, so the third page waits.
    let third = bucket.server.requests_of("ListObjectsV2") + 3;
    bucket.server.script(move |call: &Call<'_>| match call.operation {
        "HeadObject" if call.nth <= 256 => Some(Fault::Wait(Duration::from_millis(100))),
        "ListObjectsV2" if call.nth == third => Some(Fault::Wait(Duration::from_secs(2))),
        _ => None,
    });
    let first = bucket.run(&listed);
    report("ls --recursive, first", &first);
    assert_eq!(first.of("HeadObject"), looked_at);
    assert!(bucket.server.most_heads_at_once() >= 32, "{}", bucket.server.most_heads_at_once());
    println!("{} HEADs at once", bucket.server.most_heads_at_once());
    assert!(first.pages_before <= 2, "{} pages before the first line", first.pages_before);

    let second = bucket.run(&listed);
    report("ls --recursive, second", &second);
    assert_eq!(second.of("HeadObject") + second.of("PutObject"), 0, "{:?}", second.requests);
    let indexes = first.of("PutObject");
    assert!(second.all() <= 2 * (second.of("ListObjectsV2") + indexes), "{:?}", second.requests);
    assert!(second.out == first.out, "the two runs print different listings");
    assert_eq!(first.out.lines().count() as u64, objects - bucket.references);
    assert!(first.out.contains(&format!(" {} ", 1_000_000 + bucket.deltas - 1)));

    let counted = bucket.run(&["stats", "large", "--json"]);
    report("stats, first, with the index", &counted);
    assert_eq!(counted.of("HeadObject"), 0, "{:?}", counted.requests);
    let again = bucket.run(&["stats", "large", "--json"]);
    report("stats, second", &again);
    assert_eq!(
        (again.of("GetObject"), again.all()),
        (1, again.of("ListObjectsV2") + 1),
        "{:?}",
        again.requests
    );
    let quick = bucket.run(&["stats", "large", "--json", "--quick"]);
    report("stats --quick", &quick);
    assert_eq!(quick.all(), quick.of("ListObjectsV2"), "{:?}", quick.requests);
    let sampled = bucket.run(&["stats", "large", "--json", "--sampled"]);
    report("stats --sampled", &sampled);
    assert_eq!(sampled.of("HeadObject"), bucket.deltas.min(1000), "{:?}", sampled.requests);
    let size = |taken: &Taken| {
        serde_json::from_str::<serde_json::Value>(&taken.out).unwrap()["total_size"].as_f64()
    };
    let (exact, estimate) = (size(&counted).unwrap(), size(&sampled).unwrap());
    assert!((exact - estimate).abs() < exact / 100.0, "{exact} was estimated as {estimate}");
    assert_eq!(size(&again), Some(exact));

    let down = bucket.run(&["sync", "--dryrun", "s3://large", "out"]);
    report("sync --dryrun to an empty folder", &down);
    let another = BucketName::new("another").unwrap();
    block_on(bucket.server.store().unwrap().create_bucket(&another)).unwrap();
    let across = bucket.run(&["sync", "--dryrun", "s3://large", "s3://another"]);
    report("sync --dryrun to an empty bucket", &across);
    for dry in [&down, &across] {
        assert_eq!(dry.of("HeadObject") + dry.of("PutObject"), 0, "{:?}", dry.requests);
        assert!(dry.all() <= 2 * (dry.of("ListObjectsV2") + indexes), "{:?}", dry.requests);
        assert_eq!(
            dry.out.lines().filter(|line| line.contains("(dryrun)")).count() as u64,
            objects - bucket.references
        );
    }

    for taken in [&stored, &first, &second, &counted, &again, &quick, &sampled, &down, &across] {
        assert!(taken.mebibytes <= 200, "{} MiB", taken.mebibytes);
    }
}

/// Looks at each delta of one folder once: later listings use the index.
#[test]
fn one_folder_is_indexed_once() {
    check(Layout::OneFolder);
}

/// Looks at each delta of many folders once: later listings use the index.
#[test]
fn many_folders_are_indexed_once() {
    check(Layout::ManyFolders);
}

/// Creates a bucket of readable deltas, all of one file, in folders of `per_folder`.
fn readable(deltas: u64, per_folder: u64) -> Bucket {
    let server = Server::memory().unwrap();
    let store = server.store().unwrap();
    block_on(store.create_bucket(&BucketName::new("large").unwrap())).unwrap();
    let (reference, file) = (noise(300, 1), edited(&noise(300, 1), 2));
    let delta =
        deltaglider_vcdiff::encode(Some(&reference), &file, &EncodeOptions::default()).unwrap();
    let at = Some(SystemTime::UNIX_EPOCH.into());
    let put = |key: &str, bytes: &[u8], metadata: BTreeMap<String, String>| {
        let object = ObjectName::new(BucketName::new("large").unwrap(), Key::new(key).unwrap());
        let attributes = Attributes { metadata, ..Attributes::default() };
        let body = PutBody::from_bytes(bytes.to_vec());
        block_on(store.put(&object, body, &attributes, &PutCondition::None.into())).unwrap();
    };
    let (sandbox, mut references) = (Sandbox::new(), 0);
    for n in 0..deltas {
        let folder = format!("project-{:06}/", n / per_folder);
        let ref_key = format!("{folder}reference.bin");
        if n % per_folder == 0 {
            let file_sha256 = Sha256Digest::of(&reference);
            let metadata = ReferenceMetadata {
                source_name: "a".into(),
                file_sha256,
                created_at: at,
                packing: None,
            };
            put(&ref_key, &reference, metadata.write());
            references += 1;
        }
        let metadata = DeltaMetadata {
            original_name: "app.zip".into(),
            file_sha256: Sha256Digest::of(&file),
            file_size: file.len() as u64,
            created_at: at,
            ref_key: Key::new(ref_key).unwrap(),
            ref_sha256: Sha256Digest::of(&reference),
            delta_size: delta.len() as u64,
            ref_packing: None,
        };
        put(&format!("{folder}app-{n:06}.zip.delta"), &delta, metadata.write());
        // Older than the stored object, so that `sync` skips it.
        let path = sandbox.write(&format!("files/{folder}app-{n:06}.zip"), &file);
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    }
    Bucket { server, sandbox, objects: deltas + references, deltas, references }
}

/// Prints the requests and seconds of commands that do not rely on an index, and of those that do.
/// `DGTEST_BINARY` names another version of the program.
#[test]
fn unindexed_commands_cost_little() {
    let deltas = number("DELTAS", 120);
    let bucket = readable(deltas, number("PER_FOLDER", 60));
    println!("{deltas} deltas, {} references; requests, seconds", bucket.references);
    let row = |what: &str, arguments: &[&str]| {
        let (taken, succeeded) = bucket.run_to_end(arguments);
        println!("| {what} | {} | {:.1} | {:?} |", taken.all(), taken.seconds, taken.requests);
        (taken, succeeded)
    };
    let (first, _) =
        row("cp -r --dryrun, no index", &["cp", "-r", "--dryrun", "s3://large", "out"]);
    row("ls --recursive, first", &["ls", "--recursive", "s3://large"]);
    let (again, _) =
        row("cp -r --dryrun, with an index", &["cp", "-r", "--dryrun", "s3://large", "out"]);
    let (unchanged, _) = row("sync, unchanged", &["sync", "files", "s3://large"]);
    let (kept, removed) = row("rb, refused", &["rb", "s3://large"]);
    // Commands that read or delete each file take long in a bucket of 100,000.
    if number("LISTS_ONLY", 0) == 1 {
        return;
    }
    let (down, _) = row("cp -r", &["cp", "-r", "--quiet", "s3://large", "out"]);
    let (verified, sound) = row("verify -r", &["verify", "-r", "--quiet", "s3://large"]);
    for n in 0..10 {
        let folder = n / number("PER_FOLDER", 60);
        std::fs::remove_file(
            bucket.sandbox.path(&format!("files/project-{folder:06}/app-{n:06}.zip")),
        )
        .unwrap();
    }
    let (removing, _) = row(
        "sync --delete to the bucket, ten removals",
        &["sync", "--delete", "files", "s3://large"],
    );
    let (pulling, _) = row(
        "sync --delete from the bucket, ten removals",
        &["sync", "--delete", "s3://large", "out"],
    );
    assert!(sound && !removed, "{kept:?}");
    let (deleted, _) = row("rm -r", &["rm", "-r", "--quiet", "s3://large"]);
    row("rb --force, without files", &["rb", "--force", "s3://large"]);
    assert!(
        removing.out.contains("10 changed") && pulling.out.contains("10 changed"),
        "{removing:?} {pulling:?}"
    );
    if std::env::var_os("DGTEST_BINARY").is_some() {
        return;
    }
    let references = bucket.references;
    for listed in [&first, &again] {
        assert_eq!(listed.of("HeadObject"), references, "{listed:?}");
    }
    // One HEAD of the name; the read of the delta also looks at the delta's own key.
    assert_eq!(down.of("HeadObject"), deltas + references, "{down:?}");
    assert_eq!(verified.of("HeadObject"), deltas + references, "{verified:?}");
    assert_eq!(unchanged.of("HeadObject"), 0, "{unchanged:?}");
    // Of each deleted file one HEAD to decide and two to delete; the rest look for other files that
    // need its reference.
    let release = removing.of("HeadObject") - 30;
    assert!(release <= 10 * (number("PER_FOLDER", 60) + 2), "{removing:?}");
    assert_eq!(pulling.of("HeadObject"), 0, "{pulling:?}");
    assert_eq!(kept.of("DeleteObject") + kept.of("DeleteBucket"), 0, "{kept:?}");
    assert!(kept.of("ListObjectsV2") <= 1 && kept.of("HeadObject") <= 1000, "{kept:?}");
    assert!(deleted.of("DeleteObject") >= deltas - 10, "{deleted:?}");
}
