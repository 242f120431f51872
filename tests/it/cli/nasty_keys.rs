//! Keys that broke other systems, through the real binary: uploaded, listed, downloaded and
//! removed, and no file is written outside its directory.

use crate::support::{Sandbox, names_below, noise};
use deltaglider::storage::conformance::nasty_keys::NASTY_KEYS;

/// Returns every nasty key with the name of its kind.
fn keys() -> impl Iterator<Item = (&'static str, String)> {
    NASTY_KEYS.iter().flat_map(|kind| kind.keys().into_iter().map(|key| (kind.name, key)))
}

/// Returns whether the key is one of our own, so that a file of this name is stored escaped.
fn is_ours(key: &str) -> bool {
    key == "reference.bin" || key.ends_with("/reference.bin")
}

#[test]
fn nasty_keys_round_trip() {
    let sandbox = Sandbox::new();
    sandbox.write("f", "content");
    for (kind, key) in keys() {
        let uri = format!("s3://buc/{key}");
        let run = sandbox.run(["cp", "f", &uri]);
        let (uri, key) =
            if key.ends_with('/') { (format!("{uri}f"), format!("{key}f")) } else { (uri, key) };
        if key.len() > 1024 {
            run.fails(255, &["S3 keys have at most 1024"]);
            continue;
        }
        run.succeeds();
        let stored = match key.strip_suffix("reference.bin") {
            Some(folder) if is_ours(&key) => format!("{folder}.deltaglider/files/reference%2Ebin"),
            _ => key.clone(),
        };
        assert_eq!(sandbox.store().keys(), [stored], "{kind}");
        assert_eq!(sandbox.run(["cp", &uri, "-"]).succeeds().out, "content", "{kind}");
        sandbox.run(["cp", &uri, "out"]).succeeds();
        assert_eq!(sandbox.read("out"), b"content", "{kind}");
        let listed = sandbox.run(["ls", "--recursive", "s3://buc"]).succeeds().out;
        assert_eq!(listed.lines().count(), 1, "{kind}: {listed:?}");
        assert!(!listed.contains(|c: char| c.is_control() && c != '\n'), "{kind}: {listed:?}");
        sandbox.run(["rm", &uri]).succeeds();
        assert!(sandbox.store().keys().is_empty(), "{kind}");
    }
}

#[test]
fn nasty_delta_names_round_trip() {
    let sandbox = Sandbox::new();
    let (mut stored, content) = (0, noise(1_000, 1));
    sandbox.write("f", &content);
    for (kind, key) in keys().filter(|(_, key)| !is_ours(key) && !key.ends_with('/')) {
        let uri = format!("s3://buc/{key}.zip");
        if key.len() + ".zip".len() > 1024 {
            sandbox.run(["cp", "f", &uri]).fails(255, &["S3 keys have at most 1024"]);
            continue;
        }
        sandbox.run(["cp", "f", &uri]).succeeds();
        assert!(sandbox.run(["cp", &uri, "-"]).succeeds().stdout == content, "{kind}: {key:?}");
        stored += 1;
    }
    let store = sandbox.store();
    let keys = store.keys();
    let deltas = keys.iter().filter(|key| key.ends_with(".zip.delta")).count();
    assert!(deltas > stored * 9 / 10, "{deltas} of {stored}");
    for key in keys.iter().filter(|key| key.ends_with(".delta")) {
        let metadata = store.metadata(key);
        assert!(keys.contains(&metadata["dg-ref-key"]), "{key:?}: {metadata:?}");
    }
    sandbox.run(["verify", "-r", "s3://buc"]).succeeds().says(" 0 failed");
}

#[test]
fn download_stays_in_directory() {
    let sandbox = Sandbox::new();
    let store = sandbox.store();
    for key in [
        "../out",
        "a/../../out",
        "/etc/out",
        "..",
        "a//b",
        "a/./b",
        "a/",
        "full/",
        "ok/x",
        "ok",
        "a/b",
    ] {
        store.foreign(key, if key == "a/" { b"" } else { b"content" });
    }
    store.foreign("C:\\out", b"content");
    let before = names_below(sandbox.work().parent().unwrap());
    let run = sandbox.run(["cp", "-r", "s3://buc", "deep/dest", "--concurrency", "1"]);
    for key in ["../out", "a/../../out", "/etc/out", "a//b", "a/./b", "full/"] {
        assert!(
            run.err.contains(&format!("download failed: the key of s3://buc/{key} cannot be")),
            "{key}: {run:?}"
        );
    }
    // A name cannot be both a file and a directory; the file is left out.
    let shadowed = ["cannot download s3://buc/ok: ", "cannot download s3://buc/..: "];
    run.fails(1, &["cannot be the name of a file", "8 of 12 failed", shadowed[0], shadowed[1]]);
    let mut after = names_below(sandbox.work().parent().unwrap());
    after.retain(|name| !before.contains(name) && !name.starts_with("store/"));
    let dest = "work/deep/dest";
    assert_eq!(
        after,
        [
            "work/deep",
            dest,
            &format!("{dest}/C:\\out"),
            &format!("{dest}/a"),
            &format!("{dest}/a/b"),
            &format!("{dest}/ok"),
            &format!("{dest}/ok/x")
        ]
    );
}
