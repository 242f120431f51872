//! Tests of the table in docs/permissions.md: each command works with exactly these actions on a
//! store that denies everything else, and without any one of them fails with "access denied".

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::support::{Run, Sandbox, edited, noise};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use deltaglider::domain::{BucketName, Deltaspace, Key, ObjectName, Sha256Digest};
use deltaglider::storage::{
    Attributes, ListRequest, MemoryStore, ObjectStore as _, PutBody, PutCondition,
};
use s3_server::{ACCESS_KEY, Fault, SECRET_KEY, Server};

/// The commands of the table with their arguments.
const COMMANDS: [(&str, &[&str]); 36] = [
    ("cp FILE s3://BUCKET/KEY", &["cp", "a-3.zip", "s3://buc/a-3.zip"]),
    ("cp --no-delta FILE s3://BUCKET/KEY", &["cp", "--no-delta", "note.txt", "s3://buc/new.txt"]),
    ("cp s3://BUCKET/KEY FILE", &["cp", "s3://buc/a-2.zip", "back"]),
    ("cp s3://BUCKET/KEY s3://BUCKET/KEY", &["cp", "s3://buc/a-2.zip", "s3://buc/copy.zip"]),
    ("cp -r FOLDER s3://BUCKET", &["cp", "-r", ".", "s3://buc/x"]),
    ("cp -r s3://BUCKET FOLDER", &["cp", "-r", "s3://buc", "out"]),
    ("cp -r s3://BUCKET s3://BUCKET", &["cp", "-r", "s3://buc", "s3://empty/x"]),
    ("mv FILE s3://BUCKET/KEY", &["mv", "a-3.zip", "s3://buc/a-3.zip"]),
    ("mv s3://BUCKET/KEY FILE", &["mv", "s3://buc/a-2.zip", "back"]),
    ("mv s3://BUCKET/KEY s3://BUCKET/KEY", &["mv", "s3://buc/a-2.zip", "s3://buc/moved.zip"]),
    ("ls", &["ls"]),
    ("ls s3://BUCKET", &["ls", "-r", "s3://buc"]),
    ("ls --sizes stored s3://BUCKET", &["ls", "--sizes", "stored", "s3://buc"]),
    ("rm s3://BUCKET/KEY", &["rm", "s3://buc/a-2.zip"]),
    ("rm -r s3://BUCKET", &["rm", "-r", "s3://buc"]),
    ("verify s3://BUCKET/KEY", &["verify", "s3://buc/a-2.zip"]),
    ("verify -r s3://BUCKET", &["verify", "-r", "s3://buc"]),
    ("stats BUCKET", &["stats", "buc"]),
    ("stats --quick BUCKET", &["stats", "--quick", "buc"]),
    ("sync FOLDER s3://BUCKET", &["sync", ".", "s3://buc/x"]),
    ("sync s3://BUCKET FOLDER", &["sync", "s3://buc", "out"]),
    ("sync s3://BUCKET s3://BUCKET", &["sync", "s3://buc", "s3://empty/x"]),
    ("migrate s3://BUCKET s3://BUCKET", &["migrate", "--yes", "s3://buc", "s3://empty/x"]),
    ("migrate --rebase s3://BUCKET", &["migrate", "--rebase", "s3://buc"]),
    ("presign s3://BUCKET/KEY", &["presign", "s3://buc/note.txt"]),
    ("presign --rehydrate s3://BUCKET/KEY", &["presign", "--rehydrate", "s3://buc/a-2.zip"]),
    ("presign --method put s3://BUCKET/KEY", &["presign", "--method", "put", "s3://buc/new.txt"]),
    ("purge BUCKET", &["purge", "buc"]),
    ("repair BUCKET", &["repair", "buc"]),
    ("repair --fix BUCKET", &["repair", "--fix", "--grace-days", "0", "buc"]),
    ("mb s3://BUCKET", &["mb", "s3://another"]),
    ("rb s3://BUCKET", &["rb", "s3://empty"]),
    ("rb --force s3://BUCKET", &["rb", "--force", "s3://buc"]),
    ("stats --sampled BUCKET", &["stats", "--sampled", "buc"]),
    ("get-bucket-acl BUCKET", &["get-bucket-acl", "buc"]),
    ("put-bucket-acl BUCKET", &["put-bucket-acl", "buc", "--acl", "private"]),
];

/// Returns the IAM actions of an operation (Amazon S3 User Guide, "Required permissions for Amazon
/// S3 API operations").
fn actions(operation: &str) -> &'static [&'static str] {
    match operation {
        "GetObject" | "HeadObject" => &["s3:GetObject"],
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            &["s3:PutObject"]
        }
        "CopyObject" => &["s3:GetObject", "s3:PutObject"],
        "DeleteObject" => &["s3:DeleteObject"],
        "AbortMultipartUpload" => &["s3:AbortMultipartUpload"],
        "GetObjectTagging" => &["s3:GetObjectTagging"],
        "ListObjectsV2" | "HeadBucket" => &["s3:ListBucket"],
        "ListBuckets" => &["s3:ListAllMyBuckets"],
        "ListMultipartUploads" => &["s3:ListBucketMultipartUploads"],
        "GetBucketLifecycleConfiguration" => &["s3:GetLifecycleConfiguration"],
        "CreateBucket" => &["s3:CreateBucket"],
        "DeleteBucket" => &["s3:DeleteBucket"],
        "GetBucketAcl" => &["s3:GetBucketAcl"],
        "PutBucketAcl" => &["s3:PutBucketAcl"],
        _ => &["an unknown action"],
    }
}

/// Returns the rows of the table.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    let page = include_str!("../../../docs/permissions.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ");
        let command = cells.next().unwrap().trim().trim_matches('`').to_owned();
        let actions = cells.next().unwrap().split('`').filter(|part| part.contains(':'));
        (
            command,
            actions.map(|action| format!("s3:{}", action.trim_start_matches("s3:"))).collect(),
        )
    })
    .collect()
}

/// Returns a plain S3 client, to act as another tool.
fn client(server: &Server) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "test"))
        .force_path_style(true)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

/// Runs a command on a fresh store that allows these actions.
fn run(arguments: &[&str], allowed: &BTreeSet<String>) -> Run {
    let (server, sandbox) = (Server::memory().unwrap(), Sandbox::new());
    if arguments.contains(&"--rebase") {
        // Young deltas are not encoded again.
        let clock = || SystemTime::now() - Duration::from_secs(3 * 60 * 60);
        server.serve(Arc::new(MemoryStore::with_clock(clock).with_content_tags()));
    }
    let command = |arguments: &[&str]| {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        if arguments.contains(&"--rebase") {
            // Other stores reject it.
            command.env("DG_CONDITIONAL_WRITES", "yes");
        }
        Run::of(command.args(arguments))
    };
    for bucket in ["s3://buc", "s3://empty"] {
        command(&["mb", bucket]).succeeds();
    }
    let base = noise(20_000, 1);
    for (name, content) in
        [("a-1.zip", base.clone()), ("a-2.zip", edited(&base, 1)), ("note.txt", b"note".to_vec())]
    {
        sandbox.write(name, content);
        command(&["cp", name, "s3://buc/"]).succeeds();
    }
    sandbox.write("a-3.zip", edited(&base, 2));
    let temporary =
        ObjectName::new(BucketName::new("buc").unwrap(), Key::new(".deltaglider/tmp/0_a").unwrap());
    let expired = [("dg-rehydrated", "true"), ("dg-expires-at", "2020-01-01T00:00:00")];
    let metadata = expired.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let attributes = Attributes { metadata, ..Attributes::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = server.store().unwrap();
    let body = PutBody::from_bytes("old");
    runtime.block_on(store.put(&temporary, body, &attributes, &PutCondition::None.into())).unwrap();
    if arguments.contains(&"--rebase") {
        // The second has more in common with the third, which becomes a reference later.
        let (old, new) = (noise(100_000, 3), noise(100_000, 4));
        let (half, most) =
            ([&old[..50_000], &new[..50_000]].concat(), [&old[..10_000], &new[..90_000]].concat());
        for (name, content, ratio) in
            [("d-1.zip", old, "0.5"), ("d-2.zip", half, "0.9"), ("d-3.zip", most, "0.5")]
        {
            sandbox.write(name, content);
            command(&["cp", "--max-ratio", ratio, name, "s3://buc/drift/"]).succeeds();
        }
    }
    if arguments.contains(&"--fix") {
        let page =
            runtime.block_on(store.list(&temporary.bucket, &ListRequest::default())).unwrap();
        let object = |key: &str| temporary.sibling(Key::new(key).unwrap());
        let reference =
            page.objects.iter().find(|object| object.key.base_name() == "reference.bin").unwrap();
        runtime.block_on(store.delete(&object(reference.key.as_str()), None)).unwrap();
        // Its content exists as a file, and a tombstone of another reference is left.
        sandbox.write("content", &base);
        command(&["cp", "content", "s3://buc/"]).succeeds();
        let mark =
            Deltaspace::of(&object("a-1.zip")).tombstone(&Sha256Digest::of(b"gone")).unwrap();
        let (none, always) = (Attributes::default(), PutCondition::None.into());
        runtime.block_on(store.put(&mark, PutBody::from_bytes(""), &none, &always)).unwrap();
        runtime
            .block_on(
                client(&server).create_multipart_upload().bucket("buc").key("never-ended").send(),
            )
            .unwrap();
    }
    let page = runtime.block_on(store.list(&temporary.bucket, &ListRequest::default())).unwrap();
    let there: BTreeSet<String> =
        page.objects.into_iter().map(|object| object.key.to_string()).collect();

    let allowed = allowed.clone();
    server.script(move |call| {
        let may = |action: &str| allowed.contains(action);
        let of_object = matches!(call.operation, "GetObject" | "HeadObject");
        // Without permission to list, S3 does not report that an object is absent.
        let hidden =
            of_object && !may("s3:ListBucket") && call.key.is_some_and(|key| !there.contains(key));
        // "How to perform conditional deletes" in the same guide.
        let compares = call.operation == "DeleteObject" && call.headers.contains_key("if-match");
        let denied = hidden
            || (compares && !may("s3:GetObject"))
            || !actions(call.operation).iter().all(|action| may(action));
        denied.then_some(Fault::Refuse { status: 403, code: "AccessDenied" })
    });
    command(arguments)
}

#[test]
fn permissions_table_is_exact() {
    let table = table();
    let documented: BTreeSet<&str> = table.keys().map(String::as_str).collect();
    assert_eq!(documented, COMMANDS.iter().map(|(command, _)| *command).collect());
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let runs: Vec<_> = COMMANDS
            .chunks(COMMANDS.len().div_ceil(4))
            .map(|part| {
                let table = &table;
                scope.spawn(move || {
                    let mut wrong = Vec::new();
                    for (command, arguments) in part {
                        let needed = table.get(*command).unwrap();
                        let with_all = run(arguments, needed);
                        if with_all.code != Some(0) {
                            wrong.push(format!("{command} with {needed:?}: {with_all:?}"));
                        }
                        for action in needed {
                            let mut fewer = needed.clone();
                            fewer.remove(action);
                            let without = run(arguments, &fewer);
                            // Failed repairs are only in the report.
                            let output = [without.out.as_str(), &without.err].concat();
                            if without.code == Some(0) || !output.contains("access denied") {
                                wrong.push(format!("{command} without {action}: {without:?}"));
                            }
                        }
                    }
                    wrong
                })
            })
            .collect();
        runs.into_iter().for_each(|run| wrong.extend(run.join().unwrap()));
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Without it, what they learn is not stored, and no warning is printed.
#[test]
fn ls_needs_no_write_permission() {
    let reads = ["s3:ListBucket", "s3:GetObject"].map(str::to_owned).into();
    for arguments in [["ls", "-r", "s3://buc"].as_slice(), &["stats", "buc"]] {
        run(arguments, &reads).succeeds();
    }
}
