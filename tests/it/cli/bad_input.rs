//! Bad input to the real binary, with its message and exit code.

use std::path::Path;

use crate::support::{Run, Sandbox, edited, names_below, noise};

#[test]
fn what_does_not_exist_is_named() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["cp", "missing.zip", "s3://buc/"])
        .fails(255, &["usage error: missing.zip: No such file or directory"]);
    sandbox
        .run(["cp", "-r", "missing", "s3://buc/"])
        .fails(255, &["usage error: missing: No such file or directory"]);
    sandbox.write("a.zip", noise(999, 1));
    let messages =
        ["fatal error: ", "s3://absent/a.zip: no such bucket (404)", "hint: `deltaglider mb`"];
    sandbox.run(["cp", "a.zip", "s3://absent/"]).fails(1, &messages);
    sandbox.run(["cp", "s3://absent/a.zip", "b.zip"]).fails(1, &messages);
    sandbox
        .run(["ls", "s3://absent"])
        .fails(1, &["fatal error: ListObjectsV2 absent: no such bucket (404)"]);
    sandbox.run(["rm", "s3://absent/a.zip"]).fails(1, &messages);
    let messages = ["fatal error: HeadObject s3://buc/a.zip: no such object (404)"];
    for arguments in [["cp", "s3://buc/a.zip", "b.zip"], ["cp", "s3://buc/a.zip", "-"]] {
        sandbox.run(arguments).fails(1, &messages);
    }
    sandbox.run(["verify", "s3://buc/a.zip"]).fails(1, &messages);
    sandbox.run(["rm", "s3://buc/a.zip"]).fails(1, &messages);
    sandbox
        .run(["cp", "-r", "s3://buc/none", "out"])
        .fails(1, &["nothing is stored under s3://buc/none"]);
    sandbox
        .run(["verify", "-r", "s3://buc/none"])
        .fails(1, &["nothing is stored under s3://buc/none"]);
    assert_eq!(names_below(&sandbox.work()), ["a.zip"]);
}

#[test]
fn bad_command_line_is_rejected() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "a");
    for (arguments, message) in [
        (vec!["cp", "a", "b"], "one of the two must be an S3 URI"),
        (
            vec!["cp", "--raw", "s3://buc/a", "s3://buc/b"],
            "--raw and --allow-recompressed are for copies out of a bucket",
        ),
        (vec!["cp", "a", "s3://"], "bucket name \"\" is not 3 to 63"),
        (vec!["cp", "a", "s3:///key"], "bucket name \"\" is not 3 to 63"),
        (vec!["cp", "a", "s3://../a"], "bucket name \"..\" is not 3 to 63"),
        (vec!["cp", "a", "s3://b@d/a"], "bucket name \"b@d\" is not 3 to 63"),
        (vec!["cp", "s3://buc", "x"], "the key is empty"),
        (vec!["cp", "s3://buc/dir/", "x/"], "cannot be the name of a file"),
        (vec!["cp", "s3://buc/dir/..", "."], "\"..\", cannot be the name of a file"),
        (vec!["cp", ".", "s3://buc/"], ". is a directory; pass --recursive to copy it"),
        (vec!["cp", "-r", "a", "s3://buc/"], "a is not a directory"),
        (
            vec!["cp", "--raw", "a", "s3://buc/"],
            "--raw and --allow-recompressed are for copies out of a bucket",
        ),
        (vec!["cp", "a"], "DESTINATION"),
        (vec!["cp", "--nonsense", "a", "s3://buc/"], "--nonsense"),
        (vec!["mb", "buc"], "\"buc\" is not an S3 URI; they look like s3://bucket/key"),
        (vec!["mb", "s3://buc/key"], "names an object"),
        (vec!["mb", "s3://UP..per"], "is not 3 to 63"),
        (vec!["rm", "buc/key"], "is not an S3 URI"),
        (vec!["ls", "buc"], "is not an S3 URI"),
        (vec!["verify", "s3://buc"], "the key is empty"),
        (vec!["stats", "no/bucket"], "is not 3 to 63"),
        (vec!["nonsense"], "nonsense"),
        (vec![], "Usage"),
    ] {
        sandbox.run(arguments).fails(255, &[message]);
    }
    let long = format!("s3://buc/{}", "k".repeat(1025));
    sandbox
        .run(["cp", "a", &long])
        .fails(255, &["the key has 1025 bytes; S3 keys have at most 1024"]);
    Run::of(sandbox.command().env("DG_LOG_LEVEL", "loud").args(["ls"]))
        .fails(255, &["DG_LOG_LEVEL=\"loud\" is no level"]);
    Run::of(sandbox.command().env("DG_THREADS", "0").args(["ls"]))
        .fails(255, &["DG_THREADS: expected a number from 1 on, got \"0\""]);
    Run::of(sandbox.command().env("DG_MAX_RATIO", "2").args(["cp", "a", "s3://buc/"]))
        .fails(255, &["\"2\" is not a ratio"]);
    sandbox.run(["mb", "s3://buc"]).fails(1, &["fatal error: CreateBucket buc: exists already"]);
    sandbox
        .run(["--version"])
        .succeeds()
        .says(&format!("deltaglider {}\n", env!("CARGO_PKG_VERSION")));
    sandbox.run(["--help"]).succeeds().says("Exit codes: 0 done");
}

/// Returns the binary as an unprivileged user: the one who runs the tests, unless that is root.
fn unprivileged(sandbox: &Sandbox) -> std::process::Command {
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    if !root {
        return sandbox.command();
    }
    use std::os::unix::fs::PermissionsExt as _;
    let folder = sandbox.work().parent().unwrap().to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(sandbox.temporaries(), std::fs::Permissions::from_mode(0o777))
        .unwrap();
    let binary = folder.join("deltaglider");
    // Another process makes the copy: a file that this process has open for writing cannot be run
    // while a concurrent test forks.
    let copy = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_deltaglider"))
        .arg(&binary)
        .status();
    assert!(copy.unwrap().success());
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(binary);
    command
        .current_dir(sandbox.work())
        .env("TMPDIR", sandbox.temporaries())
        .stdin(std::process::Stdio::null());
    command
        .env("HOME", &folder)
        .env("AWS_ENDPOINT_URL_S3", format!("file:{}", folder.join("other-store").display()));
    command
}

#[test]
fn unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    let path = sandbox.write("secret.zip", noise(999, 1));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    let run = Run::of(unprivileged(&sandbox).args(["cp", "secret.zip", "s3://buc/"]));
    run.fails(1, &["fatal error: secret.zip: Permission denied"]);
}

#[test]
fn non_regular_file_is_rejected() {
    let sandbox = Sandbox::new();
    sandbox
        .run(["cp", "/dev/zero", "s3://buc/zero.zip"])
        .fails(1, &["/dev/zero is not a regular file"]);
    sandbox.put("a.txt", b"a").succeeds();
    sandbox.run(["cp", "s3://buc/a.txt", "/dev/null"]).succeeds();
    assert!(!Path::new("/dev/null").is_file());
    sandbox.write("folder/a.txt/b", "b");
    sandbox
        .run(["cp", "s3://buc/a.txt", "folder"])
        .fails(1, &["cannot write folder/a.txt: it is a directory"]);
    sandbox.write("file", "f");
    sandbox
        .run(["cp", "s3://buc/a.txt", "file/a.txt"])
        .fails(1, &["cannot write file/a.txt: file is not a directory"]);
    assert_eq!(names_below(&sandbox.work()), ["file", "folder", "folder/a.txt", "folder/a.txt/b"]);
}

#[test]
fn empty_files_round_trip() {
    let sandbox = Sandbox::new();
    // An empty first file is not made the reference; the next file is.
    sandbox.put("d/empty-1.zip", b"").succeeds().says("(direct: 0 Bytes, shorter than 256 bytes");
    sandbox.put("d/a-1.zip", &noise(9_000, 1)).succeeds().says("(reference: ");
    // An empty second file, and one that replaces a delta.
    sandbox.put("d/empty-2.zip", b"").succeeds().says("(direct: 0 Bytes, ");
    sandbox.put("d/a-2.zip", &edited(&noise(9_000, 1), 1)).succeeds().says("(delta: ");
    sandbox.put("d/a-2.zip", b"").succeeds();
    for key in ["d/empty-1.zip", "d/empty-2.zip", "d/a-2.zip"] {
        assert_eq!(sandbox.run(["cp", &format!("s3://buc/{key}"), "-"]).succeeds().stdout, b"");
    }
    sandbox.run(["cp", "-r", "s3://buc/d", "back"]).succeeds();
    assert_eq!(
        names_below(&sandbox.path("back")),
        ["a-1.zip", "a-2.zip", "empty-1.zip", "empty-2.zip"]
    );
}

#[test]
fn full_output_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.put("a.zip", &noise(300_000, 1)).succeeds();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in
        [["cp", "s3://buc/a.zip", "-"].as_slice(), &["ls", "s3://buc"], &["stats", "buc"]]
    {
        let mut command = sandbox.command();
        let run = Run::of(command.args(arguments).stdout(full()));
        run.fails(1, &["fatal error: the output could not be written: No space left on device"]);
    }
}

/// `unshare` gives the run its own file system; it needs root or unprivileged namespaces.
#[test]
#[ignore = "needs to mount a small tmpfs: run by name in .ci/run"]
fn full_disk_keeps_existing_files() {
    let sandbox = Sandbox::new();
    let (first, second) = (noise(1_500_000, 1), noise(1_500_000, 2));
    sandbox.put("a.zip", &first).succeeds();
    sandbox.put("b.zip", &second).succeeds();
    sandbox.write("new.zip", &second);
    let small = sandbox.path("small");
    std::fs::create_dir(&small).unwrap();
    let in_small = |script: &str| {
        let script = format!(
            "mount -t tmpfs -o size=1m small small && {script}; code=$?; ls -A small >&3; \
             exit $code"
        );
        let left = sandbox.work().join("left");
        let command = sandbox.command();
        let binary = command.get_program().to_owned();
        let mut unshare = std::process::Command::new("unshare");
        unshare.current_dir(sandbox.work()).stdin(std::process::Stdio::null());
        command.get_envs().for_each(|(name, value)| match value {
            Some(value) => drop(unshare.env(name, value)),
            None => drop(unshare.env_remove(name)),
        });
        unshare.env("DG", binary).args(["--mount", "sh", "-c", &format!("exec 3>left; {script}")]);
        (Run::of(&mut unshare), std::fs::read_to_string(left).unwrap())
    };
    // Downloads to a full disk, and through a full temporary directory.
    let (run, left) = in_small("echo old >small/a.zip && \"$DG\" cp s3://buc/a.zip small/");
    run.fails(1, &["small/a.zip", "No space left on device", "hint: free space there"]);
    assert_eq!(left, "a.zip\n");
    let (run, left) = in_small("TMPDIR=small \"$DG\" cp -r s3://buc/ out");
    run.fails(1, &["cannot store a local copy of the reference", "No space left on device"]);
    assert_eq!((left.as_str(), sandbox.path("out/a.zip").exists()), ("", false));
    // For one object, the reference is held in memory.
    let (run, left) = in_small("TMPDIR=small \"$DG\" cp s3://buc/a.zip out.zip");
    run.succeeds();
    assert!(left.is_empty() && sandbox.read("out.zip") == first);
    // An upload into a store on a full disk.
    let store = "AWS_ENDPOINT_URL_S3=file:small/store";
    let (run, _) = in_small(&format!(
        "export {store} && \"$DG\" mb s3://buc >/dev/null && ! \"$DG\" cp new.zip s3://buc/ && \
         test -z \"$(\"$DG\" ls -r s3://buc)\" && exit 7"
    ));
    run.fails(7, &["s3://buc/reference.bin: the store's disk is full"]);
}

/// The error names the variable, its value and the valid values.
#[test]
fn conditional_writes_is_checked() {
    let sandbox = Sandbox::new();
    let run = |value| Run::of(sandbox.command().arg("ls").env("DG_CONDITIONAL_WRITES", value));
    for value in ["maybe", " ", "YES"] {
        run(value)
            .fails(255, &["DG_CONDITIONAL_WRITES", &format!("{value:?}"), "yes, no and auto"]);
    }
    for value in ["yes", "no", "auto"] {
        run(value).succeeds();
    }
}
