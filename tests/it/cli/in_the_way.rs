//! A local file where the source has a directory, a directory where it has a file, and a bucket
//! that has both.

use std::os::unix::fs::symlink;

use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};

use crate::support::{Run, Sandbox, noise};

const DOWN: [&str; 3] = ["sync", "s3://buc/d", "out"];
const DOWN_DELETE: [&str; 4] = ["sync", "--delete", "s3://buc/d", "out"];

/// Returns the name of a directory that holds what was renamed aside.
fn aside(letter: char) -> String {
    format!(".deltaglider-{}.aside", String::from(letter).repeat(32))
}

fn below_out(sandbox: &Sandbox) -> Vec<String> {
    let names =
        sandbox.files().into_iter().filter_map(|name| name.strip_prefix("out/").map(str::to_owned));
    names.collect()
}

#[test]
fn file_makes_way_for_directory() {
    let sandbox = Sandbox::new();
    for key in ["d/x/y", "d/x/z/w", "d/x/", "d/other"] {
        let content = if key.ends_with('/') { "" } else { "stored" };
        sandbox.store().foreign(key, content.as_bytes());
    }
    sandbox.write("out/x", "local");
    for command in [&DOWN[..], &["cp", "-r", "s3://buc/d", "out"]] {
        sandbox.run(command).fails(1, &["out/x/y", "out/x is not a directory"]);
        assert_eq!(sandbox.read("out/x"), b"local");
    }
    std::fs::remove_file(sandbox.path("out/other")).unwrap();
    let dry = sandbox.run([&DOWN_DELETE[..], &["--dryrun"]].concat()).succeeds();
    assert_eq!(dry.out.matches("(dryrun) delete: out/x\n").count(), 1, "{dry:?}");
    assert_eq!(below_out(&sandbox), ["x"]);
    let run = sandbox.run(DOWN_DELETE).succeeds().says("delete: out/x\n");
    // Three files, a directory and a deletion.
    assert!(run.out.ends_with("5 changed, 0 unchanged\n"), "{run:?}");
    assert_eq!(below_out(&sandbox), ["other", "x", "x/y", "x/z", "x/z/w"]);
    sandbox.run(DOWN_DELETE).succeeds().says("0 changed, 4 unchanged\n");
}

#[test]
fn directory_makes_way_for_file() {
    let sandbox = Sandbox::new();
    sandbox.store().foreign("d/x", b"stored");
    for name in ["out/x/a", "out/x/b/c"] {
        sandbox.write(name, "local");
    }
    std::fs::create_dir(sandbox.path("out/x/empty")).unwrap();
    let before = below_out(&sandbox);
    sandbox.run(DOWN).fails(1, &["cannot write out/x: it is a directory"]);
    sandbox
        .run(["cp", "-r", "s3://buc/d", "out"])
        .fails(1, &["cannot write out/x: it is a directory"]);
    assert_eq!(below_out(&sandbox), before);
    let run =
        sandbox.run(DOWN_DELETE).succeeds().says("delete: out/x/a\n").says("delete: out/x/b/c\n");
    assert!(run.out.ends_with("3 changed, 0 unchanged\n"), "{run:?}");
    assert_eq!(
        (below_out(&sandbox), sandbox.read("out/x")),
        (vec!["x".to_owned()], b"stored".to_vec())
    );
}

#[test]
fn kept_content_keeps_directory() {
    let sandbox = Sandbox::new();
    sandbox.store().foreign("d/x", b"stored");
    sandbox.store().foreign("d/y", b"stored");
    sandbox.write("elsewhere/f", "precious");
    type Change = fn(&Sandbox);
    let contents: [(&str, Change, &[&str]); 4] = [
        (
            "out/x/keep.log",
            |sandbox| drop(sandbox.write("out/x/keep.log", "log")),
            &["--exclude", "*.log"],
        ),
        (
            "out/x/link",
            |sandbox| symlink(sandbox.path("elsewhere"), sandbox.path("out/x/link")).unwrap(),
            &[],
        ),
        (
            "out/x/dangling",
            |sandbox| symlink("nowhere", sandbox.path("out/x/dangling")).unwrap(),
            &[],
        ),
        (
            "out/x",
            |sandbox| {
                std::fs::remove_dir_all(sandbox.path("out/x")).unwrap();
                symlink(sandbox.path("elsewhere"), sandbox.path("out/x")).unwrap();
            },
            &[],
        ),
    ];
    for (kept, change, options) in contents {
        let _ = std::fs::remove_dir_all(sandbox.path("out"));
        sandbox.write("out/x/a", "local");
        sandbox.write("out/extra", "local");
        change(&sandbox);
        let run = sandbox.run([&DOWN_DELETE[..], options].concat());
        let text = format!("cannot replace out/x: --delete would not delete {kept}");
        run.fails(1, &["download failed: s3://buc/d/x", &text, "nothing was removed"]);
        let left = below_out(&sandbox);
        assert!(left.contains(&"extra".into()) && left.contains(&"y".into()), "{kept}: {left:?}");
        assert!(kept == "out/x" || left.contains(&"x/a".into()), "{kept}: {left:?}");
        assert!(!left.iter().any(|name| name.contains(".deltaglider")), "{left:?}");
    }
    assert_eq!(sandbox.read("elsewhere/f"), b"precious");
}

#[test]
fn failed_copy_restores_obstacle() {
    let sandbox = Sandbox::new();
    sandbox.put("d/x", &noise(5_000, 1)).succeeds();
    sandbox.put("d/y/z", &noise(5_000, 2)).succeeds();
    for key in ["d/x", "d/y/z"] {
        sandbox.store().replace(key, noise(5_000, 3));
    }
    for name in ["out/x/a", "out/y", "out/extra"] {
        sandbox.write(name, "local");
    }
    let before = below_out(&sandbox);
    sandbox.run(DOWN_DELETE).fails(1, &["SHA-256 mismatch", "nothing was removed"]);
    assert_eq!(below_out(&sandbox), before);
}

#[test]
fn killed_download_is_undone() {
    let sandbox = Sandbox::new();
    sandbox.put("d/f", b"stored").succeeds();
    let leave = || {
        let _ = std::fs::remove_dir_all(sandbox.path("out"));
        sandbox.write(&format!("out/{}/x/a", aside('a')), "local");
        sandbox.write(&format!("out/{}/y", aside('b')), "local");
        // Created for a file whose download never ended.
        std::fs::create_dir_all(sandbox.path("out/y/sub")).unwrap();
    };
    for command in [
        "cp -r s3://buc/d out",
        "cp s3://buc/d/f out/f",
        "cp s3://buc/d/f out/new/f",
        "sync s3://buc/d out",
    ] {
        leave();
        sandbox.run(command.split(' ')).succeeds();
        assert_eq!(
            (sandbox.read("out/x/a"), sandbox.read("out/y")),
            (b"local".to_vec(), b"local".to_vec()),
            "{command}"
        );
        let names = below_out(&sandbox);
        assert!(!names.iter().any(|name| name.contains(".deltaglider")), "{names:?}");
    }
    leave();
    let before = below_out(&sandbox);
    sandbox.run([&DOWN[..], &["--dryrun"]].concat());
    assert_eq!(below_out(&sandbox), before);
    sandbox.run(DOWN_DELETE).succeeds().says("delete: out/x/a\n").says("delete: out/y\n");
    // In a source, what is aside is neither stored nor taken for absent.
    leave();
    std::fs::remove_dir_all(sandbox.path("out/y")).unwrap();
    for key in ["u/x/a", "u/y", "u/stale"] {
        sandbox.put(key, b"stored").succeeds();
    }
    sandbox.write("out/f", "f");
    let run = sandbox
        .run(["sync", "--delete", "out", "s3://buc/u"])
        .fails(2, &["out/x was renamed aside", "out/y was renamed aside"]);
    assert!(run.out.contains("delete: s3://buc/u/stale\n"), "{run:?}");
    let keys =
        sandbox.store().keys().into_iter().filter(|key| key.starts_with("u/")).collect::<Vec<_>>();
    assert_eq!(keys, ["u/f", "u/x/a", "u/y"]);
}

#[test]
fn file_and_directory_conflict() {
    let sandbox = Sandbox::new();
    for key in ["d/x", "d/x-1", "d/x.txt", "d/x/y", "d/x/z", "d/v", "d/w/a", "d/w/a/b"] {
        sandbox.store().foreign(key, b"stored");
    }
    sandbox.store().foreign("d/v/", b"");
    sandbox.put("d/w/a.zip", &noise(3_000, 1)).succeeds();
    sandbox.store().foreign("d/w/a.zip/b", b"stored");
    for command in ["cp -r", "sync", "sync --delete", "cp -r --concurrency 1", "sync --dryrun"] {
        for _ in 0..2 {
            let run = sandbox.run([command, "s3://buc/d out"].join(" ").split(' '));
            let run = run.fails(
                1,
                &[
                    "cannot download s3://buc/d/x: s3://buc/d/x/y needs a directory of this name",
                    "cannot download s3://buc/d/w/a: s3://buc/d/w/a/b needs",
                    "cannot download s3://buc/d/w/a.zip: s3://buc/d/w/a.zip/b needs",
                    "s3://buc/d/v/",
                ],
            );
            assert!(run.err.contains("4 of "), "{run:?}");
            let written = [
                "v",
                "w",
                "w/a",
                "w/a/b",
                "w/a.zip",
                "w/a.zip/b",
                "x",
                "x/y",
                "x/z",
                "x-1",
                "x.txt",
            ];
            assert_eq!(below_out(&sandbox), written, "{command}");
        }
        if !command.contains("concurrency") {
            std::fs::remove_dir_all(sandbox.path("out")).unwrap();
        }
    }
}

#[test]
fn obstacles_are_found_first() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let run = |words: &str| {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(words.split(' ')))
    };
    run("mb s3://buc").succeeds();
    sandbox.write("f.bin", noise(10_000, 1));
    run("cp f.bin s3://buc/d/f.bin").succeeds();
    sandbox.write("file", "local");
    sandbox.write("dir/f.bin/x", "local");
    server.script(|call| {
        (call.operation == "GetObject").then_some(Fault::Refuse { status: 418, code: "Fetched" })
    });
    for (destination, why) in [
        ("file/f.bin", "file is not a directory"),
        ("file/sub/f.bin", "file is not a directory"),
        ("dir/", "cannot write dir/f.bin: it is a directory"),
    ] {
        let run = run(&format!("cp s3://buc/d/f.bin {destination}"));
        assert!(
            run.code == Some(1) && run.err.contains(why) && !run.err.contains("Fetched"),
            "{run:?}"
        );
    }
}
