//! `migrate`: copies a bucket into another, repeatedly; `--rebase` re-encodes old deltas against
//! later references.

use crate::support::{Run, Sandbox, edited, noise};

#[test]
fn rebase_uses_later_reference() {
    let sandbox = Sandbox::new();
    let (old, new) = (noise(100_000, 1), noise(100_000, 2));
    sandbox.put("app-1.zip", &old).succeeds();
    // Half old, half new: against the only reference so far, the delta holds all of the new half.
    let middle = [&old[..50_000], &new[..50_000]].concat();
    Run::of(
        sandbox.command().env("DG_MAX_RATIO", "0.9").args(["cp", "-", "s3://buc/app-2.zip"]).stdin(
            {
                sandbox.write("middle", &middle);
                std::fs::File::open(sandbox.path("middle")).unwrap()
            },
        ),
    )
    .succeeds();
    let last = [&old[..10_000], &new[..90_000]].concat();
    sandbox.put("app-3.zip", &last).succeeds().says("(reference: ");
    let before = sandbox.store().metadata("app-2.zip.delta");
    assert_eq!(before["dg-ref-key"], "reference.bin");

    sandbox.run(["migrate", "s3://buc"]).fails(255, &["DESTINATION"]);
    sandbox.run(["migrate", "--rebase", "--dryrun", "s3://buc"]).succeeds().says("1 of 3 deltas");
    assert_eq!(sandbox.store().metadata("app-2.zip.delta"), before);
    sandbox
        .run(["migrate", "--rebase", "s3://buc"])
        .succeeds()
        .says("rebase: s3://buc/app-2.zip (");
    let after = sandbox.store().metadata("app-2.zip.delta");
    assert!(after["dg-ref-key"].starts_with(".deltaglider/references/"), "{after:?}");
    assert!(
        after["dg-delta-size"].parse::<u64>().unwrap()
            < before["dg-delta-size"].parse::<u64>().unwrap()
    );
    assert_eq!(after["dg-file-sha256"], before["dg-file-sha256"]);
    sandbox.run(["migrate", "--rebase", "s3://buc"]).succeeds().says("0 of 3 deltas");
    for (name, content) in [("app-1.zip", &old), ("app-2.zip", &middle), ("app-3.zip", &last)] {
        sandbox.run(["cp", &format!("s3://buc/{name}"), "back"]).succeeds();
        assert!(sandbox.read("back") == *content, "{name}");
    }
    let edit = edited(&last, 4);
    sandbox.put("app-4.zip", &edit).succeeds().says("(delta: ");
    sandbox.run(["migrate", "--rebase", "s3://buc/none"]).fails(1, &["no delta is stored under"]);
}

/// Creates a bucket with files of another tool, own files and a directory marker, and one `new`.
fn to_migrate() -> (Sandbox, Vec<(&'static str, Vec<u8>)>) {
    let sandbox = Sandbox::new();
    let first = noise(60_000, 1);
    let mut files = vec![
        ("app/one.zip", first.clone()),
        ("app/two.zip", edited(&first, 2)),
        ("notes.txt", b"plain".to_vec()),
    ];
    for (key, content) in &files {
        sandbox.store().foreign(key, content);
    }
    sandbox.store().foreign("app/", b"");
    files.push(("app/three.zip", edited(&first, 3)));
    sandbox.put("app/three.zip", &files[3].1).succeeds();
    sandbox.run(["mb", "s3://new"]).succeeds();
    (sandbox, files)
}

#[track_caller]
fn is_there(sandbox: &Sandbox, files: &[(&str, Vec<u8>)], below: &str) {
    for (key, content) in files {
        sandbox.run(["cp", &format!("s3://new/{below}{key}"), "back"]).succeeds();
        assert!(sandbox.read("back") == *content, "{key}");
    }
}

#[test]
fn migrate_skips_equal_content() {
    let (sandbox, files) = to_migrate();
    let migrate = ["migrate", "--yes", "s3://buc", "s3://new/x"];
    sandbox
        .run(["migrate", "--dryrun", "s3://buc", "s3://new/x"])
        .succeeds()
        .says("(dryrun) copy: s3://buc/app/one.zip to");
    assert!(sandbox.store_of("new").keys().is_empty());
    sandbox.run(migrate).succeeds().says("4 copied, 0 already there, 0 failed");
    is_there(&sandbox, &files, "x/");
    let before = sandbox.store_of("new").keys();
    assert!(before.contains(&"x/app/two.zip.delta".to_owned()), "{before:?}");
    sandbox.run(migrate).succeeds().says("0 copied, 4 already there, 0 failed");
    assert_eq!(sandbox.store_of("new").keys(), before);

    // Other content of the same size under the same name, which neither name nor size shows.
    let mut changed = files[1].1.clone();
    changed[1_000] ^= 1;
    sandbox.store().foreign("app/two.zip", &changed);
    sandbox.run(migrate).succeeds().says("1 copied, 3 already there, 0 failed");
    is_there(&sandbox, &[("app/two.zip", changed)], "x/");
}

/// `--no-preserve-prefix` drops it.
#[test]
fn migrate_keeps_source_prefix() {
    let (sandbox, _) = to_migrate();
    sandbox
        .run(["migrate", "--yes", "s3://buc/app/", "s3://new", "--exclude", "t*"])
        .succeeds()
        .says("1 copied");
    sandbox
        .run([
            "migrate",
            "--yes",
            "--no-preserve-prefix",
            "--exclude",
            "t*",
            "s3://buc/app",
            "s3://new",
        ])
        .succeeds();
    let keys = sandbox.store_of("new").keys();
    assert!(
        keys.contains(&"app/one.zip.delta".to_owned())
            && keys.contains(&"one.zip.delta".to_owned()),
        "{keys:?}"
    );
}

#[test]
fn migrate_needs_confirmation() {
    let (sandbox, _) = to_migrate();
    sandbox.run(["migrate", "s3://buc", "s3://new"]).fails(255, &["--yes"]);
    sandbox
        .run(["migrate", "--yes", "s3://buc/none", "s3://new"])
        .fails(1, &["nothing is stored under s3://buc/none"]);
    assert!(sandbox.store_of("new").keys().is_empty());
}

#[test]
fn next_run_copies_failed_files() {
    let (sandbox, files) = to_migrate();
    sandbox.store().remove("app/reference.bin");
    let run = sandbox
        .run(["migrate", "--yes", "s3://buc", "s3://new"])
        .fails(1, &["app/three.zip", "1 of 4 failed"]);
    assert!(run.out.contains("3 copied, 0 already there, 1 failed"), "{run:?}");
    sandbox.put("app/three.zip", &files[3].1).succeeds();
    sandbox
        .run(["migrate", "--yes", "s3://buc", "s3://new"])
        .succeeds()
        .says("1 copied, 3 already there, 0 failed");
    is_there(&sandbox, &files, "");
}

#[test]
fn events_are_printed_as_json() {
    let (sandbox, _) = to_migrate();
    let run = sandbox.run(["migrate", "--yes", "--json", "s3://buc", "s3://new"]).succeeds();
    let events: Vec<serde_json::Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.last().unwrap()["copied"], 4, "{}", run.out);
    assert!(
        events.iter().any(|event| event["action"] == "copy" && event["stored_as"] == "delta"),
        "{}",
        run.out
    );
}

/// Starts a metadata service of an EC2 instance in `region`, which speaks version 2 of the protocol
/// only, and returns its URL.
fn instance_metadata(region: &'static str) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines =
                BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let request = lines.next().unwrap_or_default();
            let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let has_token = headers
                .iter()
                .any(|line| line.eq_ignore_ascii_case("x-aws-ec2-metadata-token: secret"));
            let (status, body) = match request.split(' ').collect::<Vec<_>>()[..] {
                ["PUT", "/latest/api/token", _] => ("200 OK", "secret"),
                ["GET", "/latest/meta-data/placement/region", _] if has_token => ("200 OK", region),
                _ => ("401 Unauthorized", ""),
            };
            let length = body.len();
            let ttl = "x-aws-ec2-metadata-token-ttl-seconds: 60";
            let answer = format!(
                "HTTP/1.1 {status}\r\n{ttl}\r\ncontent-length: {length}\r\nconnection: close\r\n\
                 \r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[test]
fn ec2_transfer_cost_is_reported() {
    let sandbox = Sandbox::new();
    let run = |region: &str, disabled: &str| {
        let mut command = sandbox.command();
        command
            .env_remove("AWS_ENDPOINT_URL_S3")
            .env("AWS_REGION", region)
            .env("DG_DISABLE_EC2_DETECTION", disabled);
        command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance_metadata("eu-west-1"));
        command.env("AWS_ACCESS_KEY_ID", "none").env("AWS_SECRET_ACCESS_KEY", "none");
        // Without a confirmation nothing is sent.
        Run::of(command.args(["migrate", "s3://old", "s3://new"])).fails(255, &["--yes"]).out
    };
    assert!(
        run("us-east-1", "")
            .contains("requests go to us-east-1 and this instance is in eu-west-1: AWS charges")
    );
    assert!(run("eu-west-1", "").contains("requests go to eu-west-1, where this instance is"));
    assert!(!run("us-east-1", "true").contains("instance"));
}

/// A file arrives, and so does another one that has the name of the first one's delta.
#[test]
fn file_named_as_delta_is_copied() {
    let sandbox = Sandbox::new();
    let first = noise(60_000, 1);
    let files = [
        ("rel/x.zip", first.clone()),
        ("rel/x.zip.delta", b"a patch of a user".to_vec()),
        ("rel/y.zip", edited(&first, 1)),
    ];
    for (key, content) in &files {
        sandbox.store().foreign(key, content);
        sandbox.write(&format!("in/{key}"), content);
    }
    for (bucket, line) in [
        ("migrated", ["migrate", "--yes", "s3://buc", "s3://migrated"].as_slice()),
        ("copied", &["cp", "-r", "s3://buc", "s3://copied"]),
        ("uploaded", &["sync", "in", "s3://uploaded"]),
    ] {
        sandbox.run(["mb", &format!("s3://{bucket}")]).succeeds();
        sandbox.run(line).succeeds();
        for (key, content) in &files {
            assert!(
                sandbox.run(["cp", &format!("s3://{bucket}/{key}"), "-"]).succeeds().stdout
                    == *content,
                "{key}"
            );
        }
        sandbox
            .run(["ls", "-r", "--summarize", &format!("s3://{bucket}")])
            .succeeds()
            .says("Total Objects: 3");
    }
    sandbox
        .run(["migrate", "--yes", "s3://buc", "s3://migrated"])
        .succeeds()
        .says("0 copied, 3 already there, 0 failed");
}

/// A file with the name of an existing delta is rejected, and the error names both.
#[test]
fn existing_delta_is_not_replaced() {
    let (sandbox, files) = to_migrate();
    sandbox.run(["migrate", "--yes", "s3://buc", "s3://new"]).succeeds();
    sandbox.store().foreign("app/two.zip.delta", b"a patch of a user");
    let run = sandbox.run(["migrate", "--yes", "s3://buc", "s3://new"]);
    run.fails(
        1,
        &["copy failed: s3://buc/app/two.zip.delta", "s3://new/app/two.zip", "1 of 1 failed"],
    );
    is_there(&sandbox, &files, "");
}
