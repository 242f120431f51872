//! Real releases and packages, processed by the real binary over the embedded store and over S3 on
//! a socket.
//!
//! `scripts/real-input` downloads them and runs this file. `DGTEST_RELEASES` names a folder of
//! consecutive releases, `DGTEST_MOST_STORED` the maximum share of their bytes that may be stored,
//! and `DGTEST_PACKED` a folder of compressed files of other projects.
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use deltaglider::domain::{BucketName, ObjectName, Sha256Digest};
use deltaglider::storage::{DirStore, ListRequest, ListedObject, S3Store, Store};
use futures::TryStreamExt as _;
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

/// The store used by the binary, and direct access to it.
struct Place {
    name: &'static str,
    endpoint: String,
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
    _server: Option<Server>,
}

fn bucket() -> BucketName {
    BucketName::new("releases").unwrap()
}

impl Place {
    fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = Arc::new(DirStore::open(&path).unwrap());
        Self {
            name: "embedded store",
            endpoint: format!("file:{}", path.display()),
            store,
            folder,
            _server: None,
        }
    }

    #[tokio::main(flavor = "current_thread")]
    async fn http() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s3s-fs");
        std::fs::create_dir(&path).unwrap();
        let server = Server::folder_at(&path, 0).unwrap();
        let store = Arc::new(S3Store::connect(server.config()).await.unwrap());
        Self {
            name: "s3s-fs over HTTP",
            endpoint: server.url(),
            store,
            folder,
            _server: Some(server),
        }
    }

    /// Runs the binary and returns its standard output. It must exit with 0.
    fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_deltaglider"))
            .args(arguments)
            .env("AWS_ENDPOINT_URL_S3", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {stderr}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Lists all objects of the store.
    #[tokio::main(flavor = "current_thread")]
    async fn objects(&self) -> Vec<ListedObject> {
        let (mut objects, mut request) = (Vec::new(), ListRequest::default());
        loop {
            let page = self.store.list(&bucket(), &request).await.unwrap();
            objects.extend(page.objects);
            request.continuation = page.continuation;
            if request.continuation.is_none() {
                return objects;
            }
        }
    }

    #[tokio::main(flavor = "current_thread")]
    async fn bytes(&self, object: &ListedObject) -> Vec<u8> {
        let name = ObjectName::new(bucket(), object.key.clone());
        let body = self.store.get(&name, None).await.unwrap();
        body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap()
    }
}

fn folder_from(variable: &str) -> Vec<PathBuf> {
    let folder = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} names no folder"));
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 1, "{variable} has {} files", files.len());
    files
}

fn digest(path: &Path) -> Sha256Digest {
    Sha256Digest::of(&std::fs::read(path).unwrap())
}

fn restored_exactly(files: &[PathBuf], back: &Path) {
    for file in files {
        assert_eq!(
            digest(&back.join(file.file_name().unwrap())),
            digest(file),
            "{}",
            file.display()
        );
    }
}

/// Consecutive releases share one reference, take at most the given share of their bytes, and are
/// restored exactly.
#[test]
#[ignore = "needs real releases in DGTEST_RELEASES and xdelta3: run by scripts/real-input"]
fn releases_take_a_fraction() {
    let releases = folder_from("DGTEST_RELEASES");
    let most: f64 = std::env::var("DGTEST_MOST_STORED").unwrap().parse().unwrap();
    let original: u64 = releases.iter().map(|path| path.metadata().unwrap().len()).sum();
    for place in [Place::embedded(), Place::http()] {
        place.run(["mb", "s3://releases"]);
        place.run([
            "cp".as_ref(),
            "-r".as_ref(),
            releases[0].parent().unwrap().as_os_str(),
            "s3://releases/p/".as_ref(),
        ]);
        let objects = place.objects();
        let named = |suffix: &str| {
            objects.iter().filter(|object| object.key.as_str().ends_with(suffix)).count()
        };
        assert_eq!(
            (named("/reference.bin"), named(".delta"), objects.len()),
            (1, releases.len(), releases.len() + 1)
        );
        let stored: u64 = objects.iter().map(|object| object.size).sum();
        let share = stored as f64 / original as f64;
        println!(
            "{}: {} releases, {original} bytes, {stored} stored: {:.2} %",
            place.name,
            releases.len(),
            share * 100.0
        );
        assert!(share <= most, "{share} is more than {most}");
        let back = place.folder.path().join("back");
        place.run(["cp".as_ref(), "-r".as_ref(), "s3://releases/p".as_ref(), back.as_os_str()]);
        restored_exactly(&releases, &back);
        println!("{}: {} restored with equal SHA-256", place.name, releases.len());
        place.run(["verify", "-r", "s3://releases"]);
        compare_with_xdelta3(&place, &objects, &releases);
    }
}

/// The most common layout: a folder for each version, with the same file name in each.
#[test]
#[ignore = "needs real releases in DGTEST_RELEASES: run by scripts/real-input"]
fn folders_share_a_reference() {
    let releases = folder_from("DGTEST_RELEASES");
    let original: u64 = releases.iter().map(|path| path.metadata().unwrap().len()).sum();
    for place in [Place::embedded(), Place::http()] {
        place.run(["mb", "s3://releases"]);
        let key =
            |path: &Path| format!("releases/{}/django.zip", path.file_stem().unwrap().display());
        for path in &releases {
            place.run([
                "cp".as_ref(),
                path.as_os_str(),
                format!("s3://releases/{}", key(path)).as_ref(),
            ]);
        }
        let stored: u64 = place.objects().iter().map(|object| object.size).sum();
        let share = stored as f64 / original as f64;
        println!(
            "{}: {} folders, {stored} of {original} bytes: {:.2} %",
            place.name,
            releases.len(),
            share * 100.0
        );
        assert!(share <= 0.14, "{share}");
        for path in &releases {
            let back = place.folder.path().join("back");
            place.run([
                "cp".as_ref(),
                format!("s3://releases/{}", key(path)).as_ref(),
                back.as_os_str(),
            ]);
            assert_eq!(digest(&back), digest(path), "{}", path.display());
        }
    }
}

/// Requires every delta to equal the output of `xdelta3 -e -9 -D` with the same (no) application
/// header.
fn compare_with_xdelta3(place: &Place, objects: &[ListedObject], releases: &[PathBuf]) {
    let reference =
        objects.iter().find(|object| object.key.as_str().ends_with("/reference.bin")).unwrap();
    let source = place.folder.path().join("reference");
    std::fs::write(&source, place.bytes(reference)).unwrap();
    let mut equal = 0;
    for object in objects.iter().filter(|object| object.key.as_str().ends_with(".delta")) {
        let name = object.key.base_name().strip_suffix(".delta").unwrap();
        let release =
            releases.iter().find(|release| release.file_name() == Some(OsStr::new(name))).unwrap();
        let theirs = place.folder.path().join("theirs");
        let status = Command::new("xdelta3")
            .args(["-e", "-f", "-9", "-D", "-A=", "-s"])
            .args([&source, release, &theirs])
            .status()
            .expect("xdelta3 is on PATH");
        assert!(status.success());
        assert!(
            place.bytes(object) == std::fs::read(&theirs).unwrap(),
            "{name}: the deltas differ"
        );
        equal += 1;
    }
    assert_eq!(equal, releases.len());
    println!("{}: {equal} deltas equal those of xdelta3 -e -9 -D, byte for byte", place.name);
}

/// Compressed files are restored exactly and never become the reference of their folder.
#[test]
#[ignore = "needs DGTEST_PACKED and DGTEST_RELEASES: run by scripts/real-input"]
fn packed_files_are_kept_exactly() {
    let (packed, releases) = (folder_from("DGTEST_PACKED"), folder_from("DGTEST_RELEASES"));
    for place in [Place::embedded(), Place::http()] {
        place.run(["mb", "s3://releases"]);
        let upload = |path: &PathBuf| {
            place.run([OsStr::new("cp"), path.as_os_str(), OsStr::new("s3://releases/p/")])
        };
        for path in &packed {
            let printed = upload(path);
            assert!(
                printed.contains("(direct: ") && printed.contains("cannot be a reference"),
                "{printed}"
            );
        }
        assert!(upload(&releases[0]).contains("(reference: "));
        let second = upload(&releases[1]);
        assert!(second.contains("(delta: "), "{second}");
        // With a reference present, compressed files are tried against it.
        packed.iter().for_each(|path| drop(upload(path)));
        let back = place.folder.path().join("back");
        place.run(["cp".as_ref(), "-r".as_ref(), "s3://releases/p".as_ref(), back.as_os_str()]);
        restored_exactly(&packed, &back);
        restored_exactly(&releases[..2], &back);
        println!(
            "{}: {} packed files came back exactly; {}",
            place.name,
            packed.len(),
            second.trim_end()
        );
    }
}
