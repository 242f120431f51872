//! A cache shared by several buckets and stores serves each only its own references.

use std::process::Command;

use crate::support::{Run, Sandbox, edited, noise};

const KEY: &str = "6Zk5yXo2T0wq2b6m1p0vYb2lE4m5b6n7c8d9e0f1g2U=";

/// Returns a command of the binary with a persistent cache.
fn cached(sandbox: &Sandbox) -> Command {
    let mut command = sandbox.command();
    command.env("DG_CACHE_DIR", sandbox.path("cache")).env("DG_CACHE_ENCRYPTION_KEY", KEY);
    command
}

/// Returns a bucket whose second version was read through the cache, and that version's content.
fn read_once() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let base = noise(30_000, 1);
    let second = edited(&base, 2);
    sandbox.put("a-1.zip", &base).succeeds();
    sandbox.put("a-2.zip", &second).succeeds().says("(delta: ");
    Run::of(cached(&sandbox).args(["cp", "s3://buc/a-2.zip", "out.zip"])).succeeds();
    (sandbox, second)
}

#[test]
fn buckets_share_no_references() {
    let (sandbox, second) = read_once();
    sandbox.run(["mb", "s3://public"]).succeeds();
    // A delta that names the SHA-256 of the other bucket's reference, which this bucket does not
    // have.
    sandbox.run(["cp", "s3://buc/a-2.zip", "s3://public/"]).succeeds();
    let public = sandbox.store_of("public");
    public.keys().iter().filter(|key| key.contains("reference")).for_each(|key| public.remove(key));
    let named = ["s3://public/reference.bin"];
    Run::of(cached(&sandbox).args(["cp", "s3://public/a-2.zip", "-"])).fails(1, &named);
    Run::of(cached(&sandbox).args(["cp", "s3://public/a-2.zip", "s3://public/a.txt"]))
        .fails(1, &named);
    // The bucket that the entry was filled from is still served.
    sandbox.store().remove("reference.bin");
    let own = Run::of(cached(&sandbox).args(["cp", "s3://buc/a-2.zip", "-"])).succeeds();
    assert!(own.stdout == second);
}

#[test]
fn stores_share_no_references() {
    let (sandbox, second) = read_once();
    let moved = sandbox.path("moved");
    let copied =
        Command::new("cp").arg("-r").arg(sandbox.store_path()).arg(&moved).status().unwrap();
    assert!(copied.success());
    sandbox.store().remove("reference.bin");
    let own = Run::of(cached(&sandbox).args(["cp", "s3://buc/a-2.zip", "-"])).succeeds();
    assert!(own.stdout == second);
    let endpoint = format!("file:{}", moved.display());
    std::fs::rename(sandbox.store_path(), sandbox.path("away")).unwrap();
    let other = || {
        let mut command = cached(&sandbox);
        command.env("AWS_ENDPOINT_URL_S3", &endpoint);
        command
    };

    let stored = deltaglider::storage::DirStore::open(&moved).unwrap();
    remove_reference(&stored);
    Run::of(other().args(["cp", "s3://buc/a-2.zip", "-"])).fails(1, &["reference.bin"]);
}

#[tokio::main(flavor = "current_thread")]
async fn remove_reference(store: &deltaglider::storage::DirStore) {
    use deltaglider::storage::ObjectStore as _;
    let reference =
        "s3://buc/reference.bin".parse::<deltaglider::domain::S3Uri>().unwrap().object().unwrap();
    store.delete(&reference, None).await.unwrap();
}
