//! Fixtures: caches to attack.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use deltaglider::cache::{CacheKey, CachedReference, FolderCache, Limits, ReferenceCache};
use deltaglider::domain::Sha256Digest;

use crate::support::{Sandbox, edited, noise};

pub(crate) const LIMITS: Limits = Limits { bytes: 64 << 20, ttl: Duration::from_secs(3600) };

/// 32 bytes in base64.
pub(crate) const KEY: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";
pub(crate) const OTHER_KEY: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";

pub(crate) fn keep(cache: &dyn ReferenceCache, content: &[u8]) -> CachedReference {
    let mut writer = cache.begin(&Sha256Digest::of(content), content.len() as u64).unwrap();
    content.chunks(50_000).for_each(|piece| writer.write(piece).unwrap());
    writer.publish().unwrap()
}

/// Returns the bytes that the cache serves for a content; `None` if it serves none.
pub(crate) fn read(cache: &dyn ReferenceCache, content: &[u8]) -> Option<Vec<u8>> {
    let reference = cache.get(&Sha256Digest::of(content))?;
    let mut bytes = vec![0; reference.len().unwrap() as usize];
    let n = reference.read_at(0, &mut bytes).ok()?;
    bytes.truncate(n);
    Some(bytes)
}

/// Returns the files in every directory `entries` below this one.
pub(crate) fn entries(below: &Path) -> Vec<PathBuf> {
    files_in(below, "entries")
}

/// Returns the files in every directory of this name.
pub(crate) fn files_in(below: &Path, name: &str) -> Vec<PathBuf> {
    let found = walkdir::WalkDir::new(below)
        .into_iter()
        .filter_map(Result::ok)
        .map(|entry| entry.into_path());
    found.filter(|path| path.parent().is_some_and(|parent| parent.ends_with(name))).collect()
}

/// A cache of this process, without a monitor: an attack is detected at use.
pub(crate) struct Unwatched {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) cache: FolderCache,
    pub(crate) content: Vec<u8>,
}

impl Unwatched {
    /// Creates a cache with one entry of `len` bytes.
    pub(crate) fn with(len: usize, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = FolderCache::ephemeral(folder.path(), limits).unwrap();
        let content = noise(len, 7);
        drop(keep(&cache, &content));
        Self { folder, cache, content }
    }

    pub(crate) fn new(len: usize) -> Self {
        Self::with(len, LIMITS)
    }

    pub(crate) fn entry(&self) -> PathBuf {
        let mut entries = entries(self.folder.path());
        assert_eq!(entries.len(), 1);
        entries.remove(0)
    }

    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        read(&self.cache, &self.content)
    }
}

pub(crate) fn shared(folder: &Path, key: &str) -> FolderCache {
    FolderCache::persistent(folder, &CacheKey::parse(key).unwrap(), LIMITS, &std::env::temp_dir())
        .unwrap()
}

/// The real binary with a store of two versions in `a/`, whose reference has 300 KB, and with a
/// shared cache.
pub(crate) struct Binary {
    pub(crate) sandbox: Sandbox,
    pub(crate) first: Vec<u8>,
    pub(crate) second: Vec<u8>,
}

impl Binary {
    pub(crate) fn new() -> Self {
        let sandbox = Sandbox::new();
        let first = noise(300_000, 1);
        let second = edited(&first, 2);
        sandbox.put("a/1.zip", &first).succeeds();
        sandbox.put("a/2.zip", &second).succeeds();
        Self { sandbox, first, second }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.sandbox.path("cache")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.sandbox.command();
        command
            .env("DG_CACHE_DIR", self.cache())
            .env("DG_CACHE_ENCRYPTION_KEY", KEY)
            .args(arguments);
        command
    }

    /// Returns a command that runs a script in `sh`, with the binary as `$DG`.
    pub(crate) fn script(&self, script: &str) -> Command {
        like(&self.command(&[]), "sh", &["-c", script])
    }
}

/// Returns a command of another program in the same directory and environment, with the binary as
/// `$DG`.
pub(crate) fn like(command: &Command, program: &str, arguments: &[&str]) -> Command {
    let mut other = Command::new(program);
    other.args(arguments).env("DG", command.get_program()).stdin(std::process::Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        other.current_dir(folder);
    }
    command.get_envs().for_each(|(name, value)| {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    });
    other
}

/// Panics unless the test runs as root.
pub(crate) fn need_root() {
    assert_eq!(rustix::process::geteuid().as_raw(), 0, "this attack needs root");
}
