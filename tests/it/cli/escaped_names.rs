//! Files of users with the names of DeltaGlider's own objects: stored under escaped keys and
//! addressed by their names.

use std::collections::BTreeMap;

use crate::support::unsigned::request;
use crate::support::{Run, Sandbox, edited, names_below, noise};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

/// A sandbox whose store is embedded or a server, with a tree in the directory `in`.
struct Scene {
    sandbox: Sandbox,
    /// The server, with the setting for its conditional writes.
    server: Option<(Server, &'static str)>,
    tree: BTreeMap<String, Vec<u8>>,
}

impl Scene {
    fn new(conditions: Option<&'static str>) -> Self {
        let server = conditions.map(|conditions| (Server::memory().unwrap(), conditions));
        let scene = Self { sandbox: Sandbox::new(), server, tree: tree() };
        if scene.server.is_some() {
            scene.run(&["mb", "s3://buc"]).succeeds();
        }
        for (name, content) in &scene.tree {
            scene.sandbox.write(&format!("in/{name}"), content);
        }
        scene
    }

    /// Returns scenes with the embedded store, and with a server for which conditional writes are
    /// set on or off.
    fn all() -> impl Iterator<Item = Self> {
        [None, Some("yes"), Some("no")].into_iter().map(Self::new)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.command();
        if let Some((server, conditions)) = &self.server {
            command.env("DG_CONDITIONAL_WRITES", conditions);
            command.env("AWS_ENDPOINT_URL_S3", server.url()).env("AWS_REGION", "us-east-1");
            command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        }
        Run::of(command.args(arguments))
    }

    /// Returns the names that `ls -r` prints below a prefix, without the prefix.
    fn listed(&self, prefix: &str) -> Vec<String> {
        let run = self.run(&["ls", "-r", &format!("s3://buc/{prefix}")]).succeeds();
        run.out.lines().map(|line| line[31..].strip_prefix(prefix).unwrap().to_owned()).collect()
    }

    /// Returns the names of files and prefixes that `ls` prints.
    fn shown(&self, uri: &str) -> Vec<String> {
        let run = self.run(&["ls", uri]).succeeds();
        run.out.lines().map(|line| line[31..].to_owned()).collect()
    }

    #[track_caller]
    fn has_tree(&self, folder: &str) {
        for (name, content) in &self.tree {
            assert!(self.sandbox.read(&format!("{folder}/{name}")) == *content, "{name}");
        }
        let there = names_below(&self.sandbox.path(folder));
        let files =
            there.iter().filter(|name| self.sandbox.path(&format!("{folder}/{name}")).is_file());
        assert_eq!(files.count(), self.tree.len());
    }
}

/// Files with our own names, similar names, encoded names, and versions that are stored as deltas
/// beside them.
fn tree() -> BTreeMap<String, Vec<u8>> {
    let first = noise(50_000, 1);
    let mut tree: BTreeMap<String, Vec<u8>> = [
        "reference.bin",
        ".deltaglider/a",
        ".deltaglider/files/x%2F",
        ".deltaglider/files/reference%2Ebin",
        ".deltaglider/tmp/0_x",
        "sub/.deltaglider/index/contents.json",
        "sub/.deltaglider/reference.bin",
        "sub/.deltaglider/x.zip.delta",
        "sub/reference.bin",
        "sub/reference.bin.delta",
        "sub/reference.bins",
        "sub/a%2Eb",
        "other/reference.bin/x",
        "other/reference.bin/reference.bin",
        "plain.txt",
    ]
    .iter()
    .map(|name| ((*name).to_owned(), format!("this is {name}").into_bytes()))
    .collect();
    tree.insert("sub/app-2.zip".to_owned(), edited(&first, 2));
    tree.insert("sub/app-3.zip".to_owned(), edited(&first, 3));
    tree.insert("sub/app-1.zip".to_owned(), first);
    tree
}

#[test]
fn trees_come_back_by_cp() {
    for scene in Scene::all() {
        let run = scene.run(&["cp", "-r", "in", "s3://buc/t"]).succeeds();
        assert_eq!(run.out.matches("(delta: ").count(), 2, "{run:?}");
        scene.run(&["cp", "-r", "s3://buc/t", "out"]).succeeds();
        scene.has_tree("out");
        let names: Vec<String> = scene.tree.keys().cloned().collect();
        assert_eq!(scene.listed("t/"), names);
        let run = scene.run(&["verify", "-r", "s3://buc"]).succeeds();
        run.says(&format!("{} verified, 0 failed", names.len()));
        // The same from bucket to bucket.
        scene.run(&["mb", "s3://two"]).succeeds();
        scene.run(&["cp", "-r", "s3://buc/t", "s3://two"]).succeeds();
        scene.run(&["cp", "-r", "s3://two", "again"]).succeeds();
        scene.has_tree("again");
    }
}

#[test]
fn second_sync_changes_nothing() {
    for scene in Scene::all() {
        let all = scene.tree.len();
        for (arguments, changed) in [
            (["sync", "in", "s3://buc/t"], all),
            (["sync", "in", "s3://buc/t"], 0),
            (["sync", "s3://buc/t", "out"], all),
            (["sync", "s3://buc/t", "out"], 0),
            (["sync", "s3://buc/t", "s3://buc/u"], all),
            (["sync", "s3://buc/t", "s3://buc/u"], 0),
        ] {
            let run = scene.run(&arguments).succeeds();
            run.says(&format!("{changed} changed, {} unchanged\n", all - changed));
        }
        scene.has_tree("out");
        let run = scene.run(&["migrate", "--yes", "s3://buc/t", "s3://buc/v"]).succeeds();
        run.says(&format!("{all} copied"));
        let run = scene.run(&["migrate", "--yes", "s3://buc/t", "s3://buc/v"]).succeeds();
        run.says(&format!("0 copied, {all} already there"));
    }
}

#[test]
fn sync_delete_removes_what_went() {
    for mut scene in Scene::all() {
        scene.run(&["sync", "in", "s3://buc"]).succeeds();
        scene.run(&["sync", "s3://buc", "out"]).succeeds();
        let gone = [
            "reference.bin",
            "sub/.deltaglider/reference.bin",
            ".deltaglider/files/x%2F",
            "sub/reference.bin.delta",
        ];
        for name in gone {
            std::fs::remove_file(scene.sandbox.path(&format!("in/{name}"))).unwrap();
            scene.tree.remove(name);
        }
        for arguments in
            [["sync", "--delete", "in", "s3://buc"], ["sync", "--delete", "s3://buc", "out"]]
        {
            let run = scene.run(&arguments).succeeds();
            let mut removed: Vec<&str> =
                run.out.lines().filter(|line| line.starts_with("delete: ")).collect();
            removed.sort_unstable();
            assert_eq!(removed.len(), gone.len(), "{run:?}");
            for name in gone {
                assert!(
                    removed.iter().any(|line| line.ends_with(&format!("/{name}"))),
                    "{name}: {run:?}"
                );
            }
        }
        scene.has_tree("out");
        scene.run(&["cp", "-r", "s3://buc", "again"]).succeeds();
        scene.has_tree("again");
    }
}

#[test]
fn lists_show_names_in_place() {
    for scene in Scene::all() {
        scene.run(&["cp", "-r", "in", "s3://buc/t"]).succeeds();
        let shown = |uri: &str| scene.shown(&format!("s3://buc/t/{uri}"));
        assert_eq!(shown(""), [".deltaglider/", "other/", "sub/", "plain.txt", "reference.bin"]);
        assert_eq!(shown(".deltaglider/"), ["files/", "tmp/", "a"]);
        assert_eq!(shown(".deltaglider/files/"), ["reference%2Ebin", "x%2F"]);
        assert_eq!(shown(".delta"), [".deltaglider/"]);
        assert_eq!(shown("ref"), ["reference.bin"]);
        assert_eq!(shown("reference.bin"), ["reference.bin"]);
        assert_eq!(shown("sub/ref"), ["reference.bin", "reference.bin.delta", "reference.bins"]);
        assert_eq!(shown("other/"), ["reference.bin/"]);
        assert_eq!(shown("sub/.deltaglider/"), ["index/", "reference.bin", "x.zip.delta"]);
        assert_eq!(scene.listed("t/sub/ref"), ["erence.bin", "erence.bin.delta", "erence.bins"]);
        assert_eq!(scene.listed("t/.deltaglider/f"), ["iles/reference%2Ebin", "iles/x%2F"]);
        assert_eq!(scene.listed("t/.del").len(), 4);
        scene.run(&["ls", "s3://buc/t/.deltaglider/references/"]).fails(1, &[]);
        let stored =
            scene.run(&["ls", "--sizes", "stored", "s3://buc/t/sub/reference.bin"]).succeeds();
        stored.says(" 25 reference.bin\n");
        let stats: serde_json::Value =
            serde_json::from_str(&scene.run(&["stats", "--json", "buc"]).succeeds().out).unwrap();
        assert_eq!(stats["object_count"], scene.tree.len());
        let size: usize = scene.tree.values().map(Vec::len).sum();
        assert_eq!(stats["total_size"], size);
    }
}

#[test]
fn own_prefix_holds_trees() {
    let scene = Scene::new(None);
    let all = scene.tree.len();
    scene
        .run(&["sync", "in", "s3://buc/.deltaglider/backup"])
        .succeeds()
        .says(&format!("{all} changed"));
    scene
        .run(&["sync", "in", "s3://buc/.deltaglider/backup"])
        .succeeds()
        .says(&format!("{all} unchanged"));
    scene.run(&["sync", "s3://buc/.deltaglider/backup", "out"]).succeeds();
    scene.has_tree("out");
    std::fs::remove_file(scene.sandbox.path("in/sub/reference.bin")).unwrap();
    let run = scene.run(&["sync", "--delete", "in", "s3://buc/.deltaglider/backup"]).succeeds();
    run.says("delete: s3://buc/.deltaglider/backup/sub/reference.bin\n1 changed");
    let run = scene.run(&["rm", "-r", "s3://buc/.deltaglider"]).succeeds();
    assert_eq!(run.out.lines().count(), all - 1, "{run:?}");
    assert_eq!(scene.sandbox.store().keys(), [""; 0]);
}

#[test]
fn directory_shadows_escaped_file() {
    let scene = Scene::new(None);
    scene.run(&["cp", "in/reference.bin", "s3://buc/t/"]).succeeds();
    scene.run(&["cp", "in/reference.bin", "s3://buc/t/reference.bin/a"]).succeeds();
    let messages =
        ["cannot download s3://buc/t/reference.bin: s3://buc/t/reference.bin/a needs a directory"];
    scene.run(&["cp", "-r", "s3://buc/t", "out"]).fails(1, &messages);
    assert_eq!(names_below(&scene.sandbox.path("out")), ["reference.bin", "reference.bin/a"]);
}

#[test]
fn patterns_match_names() {
    let scene = Scene::new(None);
    scene
        .run(&["cp", "-r", "in", "s3://buc", "--exclude", "*", "--include", "*/reference.bin"])
        .succeeds();
    let names = [
        "other/reference.bin/reference.bin",
        "sub/.deltaglider/reference.bin",
        "sub/reference.bin",
    ];
    assert_eq!(scene.listed(""), names);
    scene
        .run(&["sync", "s3://buc", "out", "--exclude", "*.deltaglider/*"])
        .succeeds()
        .says("2 changed");
}

#[test]
fn damaged_file_is_listed_by_name() {
    let scene = Scene::new(None);
    scene.run(&["cp", "in/reference.bin", "s3://buc/"]).succeeds();
    let leaves = scene.sandbox.store_path().join("buckets/=buc/leaves/=");
    let mut files = std::fs::read_dir(&leaves).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(|path| path.to_string_lossy().contains("reference")).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    for uri in ["s3://buc", "s3://buc/ref"] {
        scene
            .run(&["ls", uri])
            .fails(1, &["damaged: reference.bin"])
            .says("    damaged reference.bin\n");
    }
    scene.run(&["cp", "s3://buc/reference.bin", "-"]).fails(1, &["the stored object is damaged"]);
    scene.run(&["cp", "in/reference.bin", "s3://buc/"]).succeeds();
    assert_eq!(
        scene.run(&["cp", "s3://buc/reference.bin", "-"]).succeeds().out,
        "this is reference.bin"
    );
}

#[test]
fn own_empty_prefixes_are_hidden() {
    for scene in Scene::all() {
        scene.run(&["cp", "in/sub/app-1.zip", "s3://buc/t/"]).succeeds();
        scene.run(&["cp", "in/sub/app-2.zip", "s3://buc/t/"]).succeeds();
        scene.run(&["cp", "in/reference.bin", "s3://buc/t/"]).succeeds();
        assert_eq!(scene.shown("s3://buc/t/"), ["app-1.zip", "app-2.zip", "reference.bin"]);
        scene.run(&["rm", "s3://buc/t/reference.bin"]).succeeds();
        assert_eq!(scene.shown("s3://buc/t/"), ["app-1.zip", "app-2.zip"]);
        scene.run(&["ls", "s3://buc/t/reference.bin"]).fails(1, &[]);
    }
}

#[test]
fn names_work_in_all_commands() {
    for scene in Scene::all() {
        scene.run(&["cp", "-r", "in", "s3://buc/t"]).succeeds();
        for name in [
            "reference.bin",
            ".deltaglider/a",
            ".deltaglider/files/reference%2Ebin",
            "sub/.deltaglider/x.zip.delta",
        ] {
            let (uri, content) = (format!("s3://buc/t/{name}"), &scene.tree[name]);
            assert_eq!(scene.run(&["cp", &uri, "-"]).succeeds().stdout, *content);
            assert_eq!(scene.run(&["cp", "--range", "bytes=5-6", &uri, "-"]).succeeds().out, "is");
            scene
                .run(&["verify", &uri])
                .succeeds()
                .says(&format!("verified: {uri} ({} bytes, SHA-256 ", content.len()));
            scene.run(&["cp", &uri, "one"]).succeeds();
            assert_eq!(scene.sandbox.read("one"), *content);
            scene
                .run(&["mv", &uri, "s3://buc/m/reference.bin"])
                .succeeds()
                .says(&format!("move: {uri} to s3://buc/m/reference.bin"));
            scene.run(&["cp", &uri, "-"]).fails(1, &[&uri]);
            scene.run(&["cp", "s3://buc/m/reference.bin", &uri]).succeeds();
            scene.run(&["mv", "one", "s3://buc/m/reference.bin"]).succeeds();
            scene.run(&["mv", "s3://buc/m/reference.bin", "two"]).succeeds();
            assert_eq!(scene.sandbox.read("two"), *content);
            scene
                .run(&["rm", "--dryrun", &uri])
                .succeeds()
                .says(&format!("(dryrun) delete: {uri}\n"));
            scene.run(&["rm", &uri]).succeeds().says(&format!("delete: {uri}\n"));
            scene.run(&["rm", &uri]).fails(1, &[&uri]);
        }
        // Nothing else was deleted, and the deltas have their reference.
        assert_eq!(scene.listed("t/").len(), scene.tree.len() - 4);
        scene.run(&["verify", "-r", "s3://buc"]).succeeds();
        let run = scene.run(&["rm", "-r", "s3://buc/t/sub/.deltaglider"]).succeeds();
        assert_eq!(run.out.lines().count(), 2, "{run:?}");
        scene.run(&["verify", "-r", "s3://buc/t/sub"]).succeeds().says("7 verified, 0 failed");
        scene.run(&["rm", "-r", "s3://buc"]).succeeds();
        scene.run(&["cp", "in/reference.bin", "s3://buc/"]).succeeds();
        scene.run(&["rb", "s3://buc"]).fails(1, &[]);
        scene
            .run(&["rb", "--force", "s3://buc"])
            .succeeds()
            .says("delete: s3://buc/reference.bin\n");
    }
}

#[test]
fn other_tools_see_escaped_keys() {
    let scene = Scene::new(None);
    scene
        .run(&["cp", "in/reference.bin", "s3://buc/t/"])
        .succeeds()
        .says("(direct: 21 Bytes, under an escaped key");
    scene
        .run(&["cp", "in/sub/app-1.zip", "s3://buc/t/.deltaglider/"])
        .succeeds()
        .says("under an escaped key");
    let store = scene.sandbox.store();
    let keys = [
        "t/.deltaglider/files/%2Edeltaglider/app%2D1%2Ezip",
        "t/.deltaglider/files/reference%2Ebin",
    ];
    assert_eq!(store.keys(), keys);
    let metadata = store.metadata(keys[1]);
    assert_eq!(
        (metadata["dg-original-name"].as_str(), metadata["dg-compression"].as_str()),
        ("reference.bin", "none")
    );
    // An escaped key is not a name, but another file can have it as its name.
    scene.run(&["cp", &format!("s3://buc/{}", keys[1]), "-"]).fails(1, &[]);
    scene.run(&["rm", &format!("s3://buc/{}", keys[1])]).fails(1, &[]);
    scene.run(&["cp", "in/plain.txt", &format!("s3://buc/{}", keys[1])]).succeeds();
    assert_eq!(
        scene.run(&["cp", &format!("s3://buc/{}", keys[1]), "-"]).succeeds().out,
        "this is plain.txt"
    );
    assert_eq!(
        scene.run(&["cp", "s3://buc/t/reference.bin", "-"]).succeeds().out,
        "this is reference.bin"
    );
}

#[test]
fn long_names_have_no_escaped_key() {
    let scene = Scene::new(None);
    let name = format!("s3://buc/.deltaglider/{}", ".".repeat(400));
    let messages = ["needs an escaped key, which would have 1234 bytes", "choose a shorter name"];
    scene.run(&["cp", "in/plain.txt", &name]).fails(1, &messages);
    scene.run(&["cp", &name, "-"]).fails(1, &["no such object"]);
    scene.run(&["rm", &name]).fails(1, &["no such object"]);
    scene.run(&["ls", &format!("{name}/{}", ".".repeat(400))]).fails(1, &[]);
    assert_eq!(scene.sandbox.store().keys(), [""; 0]);
}

#[test]
fn foreign_objects_stay_at_names() {
    let scene = Scene::new(None);
    let store = scene.sandbox.store();
    store.foreign("t/reference.bin", b"by another tool");
    let read = || scene.run(&["cp", "s3://buc/t/reference.bin", "-"]).succeeds().out;
    assert_eq!(read(), "by another tool");
    scene.run(&["sync", "s3://buc/t", "out"]).succeeds().says("1 changed");
    scene.run(&["cp", "in/reference.bin", "s3://buc/t/"]).succeeds();
    assert_eq!(read(), "this is reference.bin");
    assert_eq!(store.read("t/reference.bin"), b"by another tool");
    // A name is listed once.
    assert_eq!(scene.listed("t/"), ["reference.bin"]);
    assert_eq!(scene.shown("s3://buc/t/ref"), ["reference.bin"]);
    scene.run(&["verify", "-r", "s3://buc"]).succeeds().says("1 verified");
    scene.run(&["sync", "--size-only", "s3://buc/t", "out"]).succeeds().says("1 changed");
    assert_eq!(scene.sandbox.read("out/reference.bin"), b"this is reference.bin");
    scene.run(&["repair", "--fix", "buc"]).succeeds().says("0 found");
    assert_eq!(store.read("t/reference.bin"), b"by another tool");
    scene.run(&["rm", "s3://buc/t/reference.bin"]).succeeds();
    assert_eq!(read(), "by another tool");
    scene.run(&["cp", "in/reference.bin", "s3://buc/t/"]).succeeds();
    let run = scene.run(&["rm", "-r", "s3://buc/t"]).succeeds();
    assert_eq!(run.out, "delete: s3://buc/t/reference.bin\n".repeat(2));
    assert_eq!(store.keys(), [""; 0]);
}

#[test]
fn urls_lead_to_escaped_keys() {
    let scene = Scene::new(Some("yes"));
    scene.run(&["cp", "-r", "in", "s3://buc"]).succeeds();
    for (name, saved) in
        [("reference.bin", "reference.bin"), ("sub/.deltaglider/x.zip.delta", "x.zip.delta")]
    {
        let url = scene.run(&["presign", &format!("s3://buc/{name}")]).succeeds().out;
        let (status, head, body) = request("GET", url.trim_end(), b"");
        assert_eq!((status, &body), (200, &scene.tree[name]));
        assert!(
            head.contains(&format!("content-disposition: attachment; filename=\"{saved}\"")),
            "{head}"
        );
        let url =
            scene.run(&["presign", "--method", "put", &format!("s3://buc/{name}")]).succeeds().out;
        assert_eq!(request("PUT", url.trim_end(), b"by a URL").0, 200);
        assert_eq!(scene.run(&["cp", &format!("s3://buc/{name}"), "-"]).succeeds().out, "by a URL");
    }
    scene.run(&["purge", "buc"]).succeeds();
    assert_eq!(
        scene.run(&["cp", "s3://buc/.deltaglider/tmp/0_x", "-"]).succeeds().stdout,
        scene.tree[".deltaglider/tmp/0_x"]
    );
}

#[test]
fn streams_have_escaped_keys_too() {
    for scene in Scene::all() {
        // Longer than the buffer in memory, so it is uploaded in parts.
        let content = noise(1 << 20, 7).repeat(17);
        scene.sandbox.write("long", &content);
        let fifo = scene.sandbox.path("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let source = scene.sandbox.path("long");
        let writer = std::thread::spawn(move || std::fs::copy(source, fifo).unwrap());
        scene.run(&["cp", "fifo", "s3://buc/reference.bin"]).succeeds();
        writer.join().unwrap();
        assert!(scene.run(&["cp", "s3://buc/reference.bin", "-"]).succeeds().stdout == content);
        scene.run(&["verify", "s3://buc/reference.bin"]).succeeds().says("SHA-256 ");
    }
}

#[test]
fn references_survive_namesakes() {
    for scene in Scene::all() {
        for name in ["app-1.zip", "app-2.zip"] {
            scene.run(&["cp", &format!("in/sub/{name}"), "s3://buc/sub/"]).succeeds();
        }
        scene.run(&["cp", "in/sub/reference.bin", "s3://buc/sub/"]).succeeds();
        scene.run(&["cp", "in/sub/app-3.zip", "s3://buc/sub/"]).succeeds().says("(delta: ");
        scene.run(&["repair", "--fix", "--grace-days", "0", "buc"]).succeeds().says("0 found");
        scene.run(&["migrate", "--rebase", "--yes", "s3://buc"]);
        // With the last delta its reference is deleted, but not the file of that name.
        for name in ["app-1.zip", "app-2.zip", "app-3.zip"] {
            let uri = format!("s3://buc/sub/{name}");
            assert!(
                scene.run(&["cp", &uri, "-"]).succeeds().stdout
                    == scene.tree[&format!("sub/{name}")]
            );
            scene.run(&["rm", &uri]).succeeds();
        }
        assert_eq!(scene.listed(""), ["sub/reference.bin"]);
        assert_eq!(
            scene.run(&["cp", "s3://buc/sub/reference.bin", "-"]).succeeds().out,
            "this is sub/reference.bin"
        );
        scene.run(&["cp", "in/sub/app-2.zip", "s3://buc/sub/"]).succeeds();
        assert!(
            scene.run(&["cp", "s3://buc/sub/app-2.zip", "-"]).succeeds().stdout
                == scene.tree["sub/app-2.zip"]
        );
    }
}
