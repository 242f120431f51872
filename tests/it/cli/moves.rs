//! `mv`: removes what was copied, and nothing else.

use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

use crate::support::{Run, Sandbox, edited, noise};

#[test]
fn files_move_in_across_and_out() {
    let sandbox = Sandbox::new();
    let first = noise(100_000, 1);
    let second = edited(&first, 2);
    sandbox.write("rel/app-1.zip", &first);
    sandbox.write("rel/app-2.zip", &second);
    sandbox
        .run(["mv", "--dryrun", "rel/app-1.zip", "s3://buc/a/"])
        .succeeds()
        .says("(dryrun) move: rel/app-1.zip");
    sandbox
        .run(["mv", "-r", "rel", "s3://buc/a/"])
        .succeeds()
        .says("move: rel/app-2.zip to s3://buc/a/app-2.zip");
    assert_eq!(sandbox.files(), ["rel"]);

    sandbox.run(["mv", "s3://buc/a/app-2.zip", "s3://buc/a/new.zip"]).succeeds().says("move: ");
    assert_eq!(sandbox.store().keys(), ["a/app-1.zip.delta", "a/new.zip.delta", "a/reference.bin"]);
    sandbox.run(["mv", "-r", "s3://buc/a", "s3://buc/b"]).succeeds();
    let shown = |folder: &str| sandbox.run(["ls", &format!("s3://buc/{folder}/")]).out;
    assert_eq!((shown("a").lines().count(), shown("b").lines().count()), (0, 2));

    sandbox.run(["mv", "-r", "s3://buc/b", "out"]).succeeds();
    assert!(sandbox.read("out/app-1.zip") == first && sandbox.read("out/new.zip") == second);
    assert_eq!(shown("b"), "");
}

#[test]
fn failed_copy_keeps_source() {
    let sandbox = Sandbox::new();
    let first = noise(100_000, 1);
    sandbox.put("app-1.zip", &first).succeeds();
    sandbox.put("app-2.zip", &edited(&first, 2)).succeeds();
    sandbox.write("app-3.zip", &first);
    sandbox.run(["mv", "app-3.zip", "s3://absent/"]).fails(1, &["no such bucket"]);
    assert_eq!(sandbox.files(), ["app-3.zip"]);
    let reference = sandbox.store().read("reference.bin");
    sandbox.store().replace("reference.bin", noise(reference.len(), 3));
    let before = sandbox.store().keys();
    sandbox.run(["mv", "s3://buc/app-2.zip", "out.zip"]).fails(1, &["is damaged or was replaced"]);
    sandbox.run(["mb", "s3://other"]).succeeds();
    sandbox
        .run(["mv", "s3://buc/app-2.zip", "s3://other/"])
        .fails(1, &["is damaged or was replaced"]);
    sandbox.run(["mv", "s3://buc/app-2.zip", "-"]).fails(255, &["only whole files can be moved"]);
    assert_eq!(sandbox.store().keys(), before);
    assert_eq!(sandbox.files(), ["app-3.zip"]);
}

/// Replaces a file by another one with the same name, size and time.
fn replaced_by_rename(sandbox: &Sandbox, name: &str, content: &[u8]) {
    let modified = std::fs::metadata(sandbox.path(name)).unwrap().modified().unwrap();
    let next = sandbox.write("next", content);
    std::fs::File::options().write(true).open(&next).unwrap().set_modified(modified).unwrap();
    std::fs::rename(next, sandbox.path(name)).unwrap();
}

#[test]
fn replaced_source_is_kept() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let over_http = || {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    };
    Run::of(over_http().args(["mb", "s3://buc"])).succeeds();
    type Change = fn(&Sandbox);
    let changes: [(&str, Change); 4] = [
        ("renamed", |sandbox| replaced_by_rename(sandbox, "f.txt", b"new content")),
        ("written", |sandbox| {
            // The same bytes and modification time: only the change time differs.
            let file = std::fs::File::options().write(true).open(sandbox.path("f.txt")).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, b"old", 0).unwrap();
            file.set_modified(modified).unwrap();
        }),
        ("linked", |sandbox| {
            std::fs::rename(sandbox.path("f.txt"), sandbox.path("g.txt")).unwrap();
            std::os::unix::fs::symlink("g.txt", sandbox.path("f.txt")).unwrap();
        }),
        ("gone", |sandbox| std::fs::remove_file(sandbox.path("f.txt")).unwrap()),
    ];
    for (what, change) in changes {
        sandbox.write("f.txt", b"old content");
        let before = server.requests_of("PutObject");
        // The server answers only after the file was changed.
        let (changed, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        server.script(move |call| {
            if call.operation == "PutObject" {
                wait.lock().unwrap().recv().ok();
            }
            None
        });
        let mut command = over_http();
        command.args(["mv", "f.txt", "s3://buc/"]).stdout(std::process::Stdio::piped());
        let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let begun = std::time::Instant::now();
        while server.requests_of("PutObject") == before {
            assert!(
                begun.elapsed() < std::time::Duration::from_secs(30),
                "{what}: nothing is stored"
            );
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        change(&sandbox);
        drop(changed);
        let run = Run::from(child.wait_with_output().unwrap());
        if what == "gone" {
            run.succeeds();
            continue;
        }
        run.fails(2, &["f.txt was replaced or written to while it was moved; it stays"]);
        assert!(sandbox.path("f.txt").exists(), "{what}");
    }
    assert_eq!(sandbox.read("g.txt"), b"old content");
}

#[test]
fn files_behind_links_are_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("important/k.txt", b"content");
    sandbox.write("folder/own.txt", b"own");
    sandbox.write("folder/deep/own.txt", b"own");
    let link =
        |target: &str, name: &str| std::os::unix::fs::symlink(target, sandbox.path(name)).unwrap();
    link("../important", "folder/link");
    link("../../important", "folder/deep/link");
    link("../important/k.txt", "folder/file-link");
    link("folder", "named");
    let run = sandbox.run(["mv", "-r", "named", "s3://buc"]);
    run.fails(
        2,
        &[
            "warning: named/link/k.txt stays: a link leads to it",
            "warning: named/deep/link/k.txt stays",
        ],
    );
    let stored = ["deep/link/k.txt", "deep/own.txt", "file-link", "link/k.txt", "own.txt"];
    assert_eq!(sandbox.store().keys(), stored);
    let mut left = sandbox.files();
    left.retain(|name| name.ends_with(".txt") || name.ends_with("file-link"));
    assert_eq!(left, ["important/k.txt"]);
    assert_eq!(sandbox.read("important/k.txt"), b"content");
}
