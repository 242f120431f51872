//! Runs the real binary in a fresh directory with an embedded store.
#![allow(dead_code, reason = "each test program uses its part")]

pub(crate) mod polls;
pub(crate) mod scripted_http;
pub(crate) mod small_files;
pub(crate) mod unsigned;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::storage::{
    CopyOptions, DirStore, ListRequest, ObjectStore as _, PutBody, PutCondition,
};
use futures::TryStreamExt as _;

/// A working directory, a store beside it, and a directory for temporary files.
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    /// Creates a sandbox with a bucket `buc`.
    pub(crate) fn new() -> Self {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["work", "tmp"] {
            std::fs::create_dir(sandbox.folder.path().join(folder)).unwrap();
        }
        sandbox.run(["mb", "s3://buc"]).succeeds();
        sandbox
    }

    /// The working directory of the binary.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The `TMPDIR` of the binary.
    pub(crate) fn temporaries(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub(crate) fn store_path(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("file:{}", self.store_path().display())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Returns a command for the binary, with the store's endpoint in its environment.
    pub(crate) fn command(&self) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_deltaglider")))
    }

    /// Returns a command for another program with the directory and environment of the binary.
    pub(crate) fn command_of(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // Settings in the environment of the tests must not reach the binary.
        for (name, _) in std::env::vars_os() {
            if [&b"AWS_"[..], b"DG_"]
                .iter()
                .any(|prefix| name.as_encoded_bytes().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.work())
            .env("TMPDIR", self.temporaries())
            .env("HOME", self.folder.path());
        command.env("AWS_ENDPOINT_URL_S3", self.endpoint());
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Run {
        Run::of(self.command().args(arguments))
    }

    /// Uploads a file with this content.
    pub(crate) fn put(&self, key: &str, content: &[u8]) -> Run {
        let path = self.folder.path().join("put");
        std::fs::write(&path, content).unwrap();
        let run = Run::of(self.command().arg("cp").arg(&path).arg(format!("s3://buc/{key}")));
        std::fs::remove_file(path).unwrap();
        run
    }

    /// Returns the names of everything below the working directory.
    pub(crate) fn files(&self) -> Vec<String> {
        names_below(&self.work())
    }

    /// Opens the store itself, for operations that no command offers.
    pub(crate) fn store(&self) -> Stored {
        self.store_of("buc")
    }

    /// Opens the store at another bucket.
    pub(crate) fn store_of(&self, bucket: &str) -> Stored {
        Stored(self.dir_store(), BucketName::new(bucket).unwrap())
    }

    pub(crate) fn dir_store(&self) -> DirStore {
        DirStore::open(&self.store_path()).unwrap()
    }
}

/// Returns the names of everything below a directory, in order.
pub(crate) fn names_below(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder)
        .min_depth(1)
        .sort_by_file_name()
        .into_iter()
        .map(Result::unwrap);
    entries
        .map(|entry| entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned())
        .collect()
}

/// Direct access to the objects of a bucket.
pub(crate) struct Stored(DirStore, BucketName);

impl Stored {
    fn object(&self, key: &str) -> ObjectName {
        ObjectName::new(self.1.clone(), Key::new(key).unwrap())
    }

    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn keys(&self) -> Vec<String> {
        let page = self.0.list(&self.1, &ListRequest::default()).await.unwrap();
        page.objects.into_iter().map(|object| object.key.as_str().to_owned()).collect()
    }

    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn read(&self, key: &str) -> Vec<u8> {
        self.bytes(key).await
    }

    async fn bytes(&self, key: &str) -> Vec<u8> {
        let body = self.0.get(&self.object(key), None).await.unwrap();
        body.stream.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap()
    }

    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn metadata(&self, key: &str) -> BTreeMap<String, String> {
        self.0.head(&self.object(key)).await.unwrap().attributes.metadata
    }

    /// Replaces the bytes of an object and keeps its metadata.
    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn replace(&self, key: &str, bytes: Vec<u8>) {
        let attributes = self.0.head(&self.object(key)).await.unwrap().attributes;
        let body = PutBody::from_bytes(bytes);
        self.0.put(&self.object(key), body, &attributes, &PutCondition::None.into()).await.unwrap();
    }

    /// Changes the metadata of an object.
    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn change_metadata(
        &self,
        key: &str,
        change: fn(&mut BTreeMap<String, String>),
    ) {
        let body = PutBody::from_bytes(self.bytes(key).await);
        let mut attributes = self.0.head(&self.object(key)).await.unwrap().attributes;
        change(&mut attributes.metadata);
        self.0.put(&self.object(key), body, &attributes, &PutCondition::None.into()).await.unwrap();
    }

    /// Replaces a reference by one with these bytes and a matching digest.
    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn replace_reference(&self, key: &str, bytes: Vec<u8>) {
        let mut attributes = self.0.head(&self.object(key)).await.unwrap().attributes;
        attributes.metadata.insert("dg-file-sha256".into(), Sha256Digest::of(&bytes).to_string());
        let body = PutBody::from_bytes(bytes);
        self.0.put(&self.object(key), body, &attributes, &PutCondition::None.into()).await.unwrap();
    }

    /// Stores an object as another tool would.
    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn foreign(&self, key: &str, bytes: &[u8]) {
        let body = PutBody::from_bytes(bytes.to_vec());
        self.0
            .put(&self.object(key), body, &Default::default(), &PutCondition::None.into())
            .await
            .unwrap();
    }

    /// Copies an object as another tool would.
    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn copy(&self, from: &str, to: &str) {
        self.0.copy(&self.object(from), &self.object(to), &CopyOptions::default()).await.unwrap();
    }

    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn remove(&self, key: &str) {
        self.0.delete(&self.object(key), None).await.unwrap();
    }
}

/// A finished run of the binary.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Shows the beginning of each stream, for the message of a failed test.
impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let beginning = |text: &str| text.chars().take(2_000).collect::<String>();
        f.debug_struct("Run")
            .field("code", &self.code)
            .field("out", &beginning(&self.out))
            .field("err", &beginning(&self.err))
            .finish()
    }
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// Requires exit code 0 and nothing on standard error.
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert_eq!(self.err, "", "{self:?}");
        self
    }

    /// Requires this exit code and these texts on standard error.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, messages: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for text in messages {
            assert!(self.err.contains(text), "{text:?} is not in {self:?}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    /// Requires this text on standard output.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "{text:?} is not in {self:?}");
        self
    }
}

/// Removes the lines about references that the Python tool left in `/tmp` of this machine, which no
/// test is about.
pub(crate) fn without_machine_output(err: &str) -> String {
    let of_machine = |line: &&str| {
        line.contains("the Python tool left references") && line.contains(" folder=/tmp ")
            || line.contains(" /tmp/deltaglider-") && line.contains("left by the Python tool")
    };
    err.split_inclusive('\n').filter(|line| !of_machine(line)).collect()
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: without_machine_output(&String::from_utf8_lossy(&output.stderr)),
            stdout: output.stdout,
        }
    }
}

/// Returns pseudorandom bytes, the same for the same seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56
    };
    (0..len).map(|_| next() as u8).collect()
}

/// Returns pseudo-random hexadecimal digits, which gzip packs to six tenths.
pub(crate) fn text(len: usize, seed: u64) -> Vec<u8> {
    noise(len, seed).into_iter().map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]).collect()
}

/// Returns the next version of a file: a few bytes changed, some inserted, some removed.
pub(crate) fn edited(content: &[u8], seed: u64) -> Vec<u8> {
    let (third, insertion) = (content.len() / 3, noise(40, seed ^ 0xed17));
    let mut next = content[..third].to_vec();
    next.extend_from_slice(&insertion);
    next.extend_from_slice(&content[third + third / 50..]);
    if let Some(byte) = next.last_mut() {
        *byte ^= 1;
    }
    next
}
