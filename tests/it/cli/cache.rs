//! `deltaglider cache` on the real binary: shows, verifies and removes what a cache holds, and
//! touches nothing else.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Run, Sandbox, edited, names_below, noise};
use serde_json::Value;

const KEY: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";
const OTHER_KEY: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";

struct Stage(Sandbox);

impl Stage {
    /// Stores two versions and brings their reference into the shared cache.
    fn new() -> Self {
        let stage = Self(Sandbox::new());
        let first = noise(200_000, 1);
        stage.0.put("a/1.zip", &first).succeeds();
        stage.0.put("a/2.zip", &edited(&first, 2)).succeeds();
        stage.run(KEY, &["verify", "s3://buc/a/2.zip"]).succeeds();
        // `verify` reads from the store, `cp` through the cache.
        stage.run(KEY, &["cp", "s3://buc/a/2.zip", "back.zip"]).succeeds();
        assert_eq!(stage.entries().len(), 1);
        stage
    }

    fn command(&self, key: &str) -> Command {
        let mut command = self.0.command();
        command.env("DG_CACHE_DIR", self.cache()).env("DG_CACHE_ENCRYPTION_KEY", key);
        command
    }

    fn run(&self, key: &str, arguments: &[&str]) -> Run {
        Run::of(self.command(key).args(arguments))
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.run(KEY, arguments).succeeds().out).unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.0.path("cache")
    }

    /// Returns the entries of all keys.
    fn entries(&self) -> Vec<PathBuf> {
        let names = names_below(&self.cache()).into_iter().map(|name| self.cache().join(name));
        names.filter(|path| path.is_file() && path.parent().unwrap().ends_with("entries")).collect()
    }
}

#[test]
fn info_shows_the_cache() {
    let stage = Stage::new();
    let size = fs::metadata(&stage.entries()[0]).unwrap().len();
    let info = stage.json(&["cache", "info", "--json"]);
    assert_eq!((&info["backend"], &info["shared"]), (&"filesystem".into(), &true.into()));
    assert_eq!(info["folder"], stage.cache().to_str().unwrap());
    assert_eq!((&info["entries"], &info["bytes"]), (&1.into(), &size.into()));
    assert_eq!(
        (&info["unsound"], &info["expired"], &info["in_use"]),
        (&0.into(), &0.into(), &0.into())
    );
    assert_eq!(
        (&info["limit_bytes"], &info["ttl_seconds"]),
        (&(4096_u64 << 20).into(), &86_400.into())
    );
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(
        info["oldest"].as_u64().unwrap().abs_diff(now) < 60 && info["newest"] == info["oldest"]
    );
    stage
        .run(KEY, &["cache", "info"])
        .succeeds()
        .says("Entries:        1, 0 of them in use")
        .says(&format!("({size} bytes)"));

    // Another key has its own cache, and sees this one only as a cache of another key.
    let other = stage.run(OTHER_KEY, &["cache", "info", "--json"]).succeeds();
    let other: Value = serde_json::from_str(&other.out).unwrap();
    assert_eq!(other["entries"], 0);
    assert_eq!(
        (&other["other_keys"]["caches"], &other["other_keys"]["bytes"]),
        (&1.into(), &size.into())
    );

    // `info` creates nothing.
    let sandbox = Sandbox::new();
    let run = Run::of(
        sandbox
            .command()
            .args(["cache", "info"])
            .env("DG_CACHE_DIR", sandbox.path("none"))
            .env("DG_CACHE_ENCRYPTION_KEY", KEY),
    );
    run.succeeds().says("Entries:        0");
    assert!(!sandbox.path("none").exists());
    for (variable, value, text) in [
        ("DG_NO_CACHE", "1", "none"),
        ("DG_CACHE_BACKEND", "memory", "memory of each process"),
        ("HOME", "/", "files of each process alone"),
    ] {
        Run::of(sandbox.command().args(["cache", "info"]).env(variable, value))
            .succeeds()
            .says(text);
    }
}

#[test]
fn verify_removes_invalid_entries() {
    let stage = Stage::new();
    stage.run(KEY, &["cache", "verify"]).succeeds().says("1 valid, 0 expired, 0 invalid");
    let entry = stage.entries().remove(0);
    let sound = fs::read(&entry).unwrap();
    let folder = entry.parent().unwrap().to_owned();
    // The last byte: only a read of the whole entry detects this.
    let mut damaged = sound.clone();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(&entry, damaged).unwrap();
    // A valid entry under another name, and things that are not entries.
    fs::write(folder.join("0".repeat(64)), &sound).unwrap();
    set_mode(&folder.join("0".repeat(64)), 0o600);
    fs::create_dir(folder.join("sub")).unwrap();
    symlink("/etc/passwd", folder.join("link")).unwrap();
    let found = stage.run(KEY, &["cache", "verify", "--json"]);
    assert_eq!(found.code, Some(1), "{found:?}");
    let report: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(report["sound"], 0);
    let unsound = report["unsound"].as_array().unwrap();
    assert_eq!(unsound.len(), 4, "{report}");
    assert!(unsound.iter().all(|entry| entry["removed"] == true));
    let why = |name: &str| {
        unsound.iter().find(|entry| entry["entry"] == name).unwrap()["why"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(why(entry.file_name().unwrap().to_str().unwrap()).contains("does not authenticate"));
    assert!(why(&"0".repeat(64)).contains("another content"));
    assert!(
        why("link").contains("expected file type") && why("sub").contains("expected file type")
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert!(Path::new("/etc/passwd").exists());
    stage.run(KEY, &["cache", "verify"]).succeeds().says("0 valid, 0 expired, 0 invalid");
    // With no cache to share there is nothing to verify.
    stage.0.run(["cache", "verify"]).succeeds().says("no cache is shared");
}

/// `clean` removes unused entries of its own key; entries in use and of other keys are kept.
#[test]
fn clean_spares_used_and_foreign() {
    let stage = Stage::new();
    stage.run(OTHER_KEY, &["cp", "s3://buc/a/2.zip", "back.zip"]).succeeds();
    assert_eq!(stage.entries().len(), 2);
    // An entry that is being read is locked.
    let entry = stage.entries().into_iter().find(|entry| File::open(entry).is_ok()).unwrap();
    let info = |key| -> Value {
        serde_json::from_str(&stage.run(key, &["cache", "info", "--json"]).out).unwrap()
    };
    for entry in stage.entries() {
        let reader = File::open(&entry).unwrap();
        reader.lock_shared().unwrap();
        assert_eq!(
            info(KEY)["in_use"].as_u64().unwrap() + info(OTHER_KEY)["in_use"].as_u64().unwrap(),
            1
        );
    }
    let reader = File::open(&entry).unwrap();
    reader.lock_shared().unwrap();
    let owner = if info(KEY)["in_use"] == 1 { KEY } else { OTHER_KEY };
    stage
        .run(owner, &["cache", "clean"])
        .succeeds()
        .says("0 removed, 0 Bytes (0 bytes); 1 in use stay");
    drop(reader);
    let cleaned = stage.run(owner, &["cache", "clean", "--json"]).succeeds();
    assert_eq!(serde_json::from_str::<Value>(&cleaned.out).unwrap()["removed"], 1);
    assert_eq!(stage.entries().len(), 1, "the entry of the other key");
    stage.run(owner, &["cache", "clean"]).succeeds().says("0 removed");
    stage.run(owner, &["cache", "clean", "--all"]).succeeds().says("1 removed");
    assert!(stage.entries().is_empty());
    stage.run(KEY, &["cp", "s3://buc/a/2.zip", "back.zip"]).succeeds();
}

#[test]
fn clean_removes_dead_caches() {
    let sandbox = Sandbox::new();
    let tmp = sandbox.temporaries();
    for name in ["dg-cache-dead", "dg-cache-alive", "dg-other"] {
        fs::create_dir(tmp.join(name)).unwrap();
        fs::write(tmp.join(name).join("file"), b"left").unwrap();
    }
    symlink("dg-other", tmp.join("dg-cache-link")).unwrap();
    let alive = File::open(tmp.join("dg-cache-alive")).unwrap();
    alive.lock().unwrap();
    let info = sandbox.run(["cache", "info", "--json"]).succeeds();
    let info: Value = serde_json::from_str(&info.out).unwrap();
    assert_eq!((&info["processes"]["alive"], &info["processes"]["dead"]), (&1.into(), &1.into()));
    sandbox.run(["cache", "clean"]).succeeds().says("1 removed, 4 Bytes (4 bytes); 1 in use stay");
    assert_eq!(
        names_below(&tmp),
        ["dg-cache-alive", "dg-cache-alive/file", "dg-cache-link", "dg-other", "dg-other/file"]
    );
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

/// Creates what the Python tool leaves, and what only looks like it.
fn legacy(tmp: &Path) {
    let digest = "5e".repeat(32);
    for (path, content) in [
        (".deltaglider/reference_cache/buc/a/reference.bin", "plain text"),
        (&format!("deltaglider-ab_d3f6h/5e/5e/{digest}"), "sealed"),
        (&format!("deltaglider-ab_d3f6h/5e/5e/{digest}.decrypted"), "plain text"),
        ("deltaglider-mem-cache/buc/a/reference.bin", "plain text"),
        ("deltaglider-sources1/Makefile", "a user's"),
        ("deltaglider-myfiles8/notes.txt", "a user's"),
        ("deltaglider-myfiles8/reference.bin", "a user's"),
        ("elsewhere/reference.bin", "a user's"),
    ] {
        fs::create_dir_all(tmp.join(path).parent().unwrap()).unwrap();
        fs::write(tmp.join(path), content).unwrap();
    }
    fs::create_dir_all(tmp.join("deltaglider-with_lnk")).unwrap();
    for (to, link) in [
        ("elsewhere", "deltaglider-link0000"),
        ("../elsewhere/reference.bin", "deltaglider-with_lnk/reference.bin"),
    ] {
        let link = tmp.join(link);
        if !link.is_symlink() {
            symlink(to, link).unwrap();
        }
    }
}

/// Caches of the Python tool are reported, and removed only on request.
#[test]
fn legacy_caches_need_a_request() {
    let sandbox = Sandbox::new();
    let tmp = sandbox.temporaries();
    legacy(&tmp);
    let before = names_below(&tmp);
    // They are reported at every start, unless they are recent and may be in use.
    sandbox.put("a/1.zip", &noise(1000, 1)).succeeds();
    let old = FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(7200));
    for name in [".deltaglider", "deltaglider-ab_d3f6h"] {
        File::open(tmp.join(name)).unwrap().set_times(old).unwrap();
    }
    let report = sandbox.put("a/2.zip", &noise(1000, 2));
    assert_eq!(report.code, Some(0));
    assert_eq!(report.err.matches("left references in plain text").count(), 1, "{report:?}");
    assert!(
        report.err.contains("count=2") && report.err.contains("cache clean --legacy"),
        "{report:?}"
    );

    let info: Value = serde_json::from_str(&sandbox.run(["cache", "info", "--json"]).out).unwrap();
    let ours = |list: &Value| -> Vec<(String, u64)> {
        let caches = list.as_array().unwrap().iter();
        let caches = caches.map(|cache| {
            (PathBuf::from(cache["path"].as_str().unwrap()), cache["bytes"].as_u64().unwrap())
        });
        let below = caches.filter_map(|(path, bytes)| {
            Some((path.strip_prefix(&tmp).ok()?.to_string_lossy().into_owned(), bytes))
        });
        below.collect()
    };
    let expected =
        [(".deltaglider", 10), ("deltaglider-ab_d3f6h", 16), ("deltaglider-mem-cache", 10)];
    let expected: Vec<(String, u64)> =
        expected.map(|(name, bytes)| (name.to_owned(), bytes)).into();
    assert_eq!(ours(&info["legacy"]), expected);

    // Without a terminal nothing is removed; nor does a plain `clean` touch them.
    sandbox.run(["cache", "clean", "--legacy"]).fails(255, &["--yes"]);
    sandbox.run(["cache", "clean"]).succeeds();
    assert_eq!(names_below(&tmp), before);
}

/// A test must not touch the machine's `/tmp`: another directory is mounted over it in a private
/// namespace.
#[test]
#[ignore = "needs to mount, as root: run by name from .ci/run"]
fn clean_legacy_asks_first() {
    let sandbox = Sandbox::new();
    let tmp = sandbox.temporaries();
    fs::copy(env!("CARGO_BIN_EXE_deltaglider"), sandbox.path("dg")).unwrap();
    // The new mounts hide the path of the working directory.
    let run = |script: &str| {
        let script = format!("mount --bind ../tmp /tmp && export TMPDIR=/tmp && {script}");
        let mut command = sandbox.command();
        let environment =
            command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)));
        let environment: Vec<_> = environment.collect();
        command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).current_dir(sandbox.work());
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Run::of(&mut command)
    };
    let asked = |answer: &str| {
        run(&format!("echo {answer} | script -qec './dg cache clean --legacy' /dev/null"))
    };
    legacy(&tmp);
    let before = names_below(&tmp);
    let report = asked("n");
    assert_eq!(report.code, Some(1), "{report:?}");
    assert!(report.out.contains("/tmp/.deltaglider") && report.out.contains("[y/N]"), "{report:?}");
    assert_eq!(names_below(&tmp), before);
    asked("y").succeeds();
    let after: Vec<_> = before.into_iter().filter(|name| !is_left_by_python(name)).collect();
    assert_eq!(names_below(&tmp), after);
    legacy(&tmp);
    let report: Value =
        serde_json::from_str(&run("./dg cache clean --legacy --yes --json").succeeds().out)
            .unwrap();
    assert_eq!(report["removed"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(names_below(&tmp), after);
}

fn is_left_by_python(name: &str) -> bool {
    ["deltaglider-ab_d3f6h", "deltaglider-mem-cache", ".deltaglider"]
        .iter()
        .any(|cache| name.starts_with(cache))
}

/// Directories that only look like caches of the Python tool are kept.
#[test]
fn only_legacy_caches_are_removed() {
    let sandbox = Sandbox::new();
    let tmp = sandbox.temporaries();
    legacy(&tmp);
    let found = deltaglider::cache::LegacyCache::find(std::slice::from_ref(&tmp));
    assert_eq!(found.len(), 3);
    for cache in &found {
        cache.remove().unwrap();
    }
    assert_eq!(
        names_below(&tmp),
        [
            "deltaglider-link0000",
            "deltaglider-myfiles8",
            "deltaglider-myfiles8/notes.txt",
            "deltaglider-myfiles8/reference.bin",
            "deltaglider-sources1",
            "deltaglider-sources1/Makefile",
            "deltaglider-with_lnk",
            "deltaglider-with_lnk/reference.bin",
            "elsewhere",
            "elsewhere/reference.bin",
        ]
    );
    // A cache that changed since it was found is not removed.
    fs::create_dir(tmp.join(".deltaglider")).unwrap();
    fs::write(tmp.join(".deltaglider/mine.txt"), b"a user's").unwrap();
    assert!(found[0].remove().is_err());
    assert!(tmp.join(".deltaglider/mine.txt").exists());
}
