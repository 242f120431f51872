//! `--range` on the real binary: of deltas, references and plain files.

use crate::support::{Sandbox, edited, noise};

/// The file is a reference, a delta, a plain file or one of another tool.
#[test]
fn range_reads_any_kind_of_file() {
    let sandbox = Sandbox::new();
    let base = noise(300_000, 1);
    let next = edited(&base, 1);
    sandbox.put("a-1.zip", &base).succeeds().says("(reference: ");
    sandbox.put("a-2.zip", &next).succeeds().says("delta");
    sandbox.put("a.txt", &base).succeeds();
    sandbox.store().foreign("foreign.bin", &base);
    for (key, content) in
        [("a-1.zip", &base), ("a-2.zip", &next), ("a.txt", &base), ("foreign.bin", &base)]
    {
        let len = content.len();
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=99990-100009", 99_990, 100_010),
            ("bytes=131071-", 131_071, len),
            ("bytes=-10", len - 10, len),
            ("bytes=5-99999999999", 5, len),
        ] {
            let uri = format!("s3://buc/{key}");
            let got = sandbox.run(["cp", "--range", range, &uri, "-"]).succeeds().stdout;
            assert!(got == content[from..to], "{key} {range}: {} bytes", got.len());
            sandbox.run(["cp", "--range", range, &uri, "part"]).succeeds().says(range);
            assert!(sandbox.read("part") == content[from..to], "{key} {range}");
        }
        std::fs::remove_file(sandbox.path("part")).unwrap_or_default();
        let outside = format!("bytes={len}-");
        let uri = format!("s3://buc/{key}");
        sandbox.run(["cp", "--range", &outside, &uri, "part"]).fails(1, &["416", &uri]);
        assert_eq!(sandbox.files(), [""; 0]);
    }
    let raw = sandbox
        .run(["cp", "--raw", "--range", "bytes=0-2", "s3://buc/a-2.zip.delta", "-"])
        .succeeds()
        .stdout;
    assert_eq!(raw, [0xd6, 0xc3, 0xc4]);
}

#[test]
fn range_of_damaged_delta_fails() {
    let sandbox = Sandbox::new();
    let base = noise(50_000, 1);
    sandbox.put("a-1.zip", &base).succeeds();
    sandbox.put("a-2.zip", &edited(&base, 1)).succeeds();
    sandbox
        .run(["cp", "--range", "bytes=0-9", "s3://buc/a-2.zip", "part"])
        .succeeds()
        .says("SHA-256 verified");
    let mut delta = sandbox.store().read("a-2.zip.delta");
    let middle = delta.len() / 2;
    delta[middle] ^= 1;
    sandbox.store().replace("a-2.zip.delta", delta);
    std::fs::remove_file(sandbox.path("part")).unwrap_or_default();
    sandbox.run(["cp", "--range", "bytes=0-9", "s3://buc/a-2.zip", "part"]).fails(1, &["a-2.zip"]);
    assert_eq!(sandbox.files(), [""; 0]);
}

#[test]
fn senseless_range_is_rejected() {
    let sandbox = Sandbox::new();
    sandbox.put("a.txt", b"abc").succeeds();
    sandbox
        .run(["cp", "--range", "0-1", "s3://buc/a.txt", "-"])
        .fails(255, &["\"0-1\" is not a byte range", "bytes=0-99"]);
    sandbox.write("b.txt", b"b");
    sandbox
        .run(["cp", "--range", "bytes=0-1", "b.txt", "s3://buc/b.txt"])
        .fails(255, &["--range is for copies out"]);
    sandbox
        .run(["mv", "--range", "bytes=0-1", "s3://buc/a.txt", "c.txt"])
        .fails(255, &["--range is for copies out"]);
    sandbox.run(["cp", "-r", "--range", "bytes=0-1", "s3://buc/", "out"]).fails(255, &["--range"]);
}
