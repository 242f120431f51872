//! Crashes at any write, and full disks: no partial entry is trusted, and the next start leaves
//! nothing behind.

use std::os::unix::process::ExitStatusExt as _;

use crate::stage::{Binary, entries, files_in, like, need_root};
use crate::support::{Run, names_below};

/// SIGXFSZ, which ends a process at the first write beyond its file size limit.
const TOO_LARGE: i32 = 25;

/// Returns file size limits, in blocks of 512 bytes as `dash` counts them, that kill the process in
/// the header, at the first byte of each of five chunks, and in the middle of each.
fn blocks() -> impl Iterator<Item = usize> {
    std::iter::once(0).chain((0..=9).map(|half| (135 + half * (16_384 + 16) / 2) / 512))
}

/// A process that dies at any write publishes nothing, and the next start deletes its draft.
#[test]
fn death_at_any_write_is_harmless() {
    let binary = Binary::new();
    let mut deaths = 0;
    for blocks in blocks() {
        // `sh` may count in blocks of 1024.
        let script = format!("ulimit -f {blocks}; exec \"$DG\" cp s3://buc/a/2.zip -");
        let died = binary.script(&script).output().unwrap();
        if died.status.signal() != Some(TOO_LARGE) {
            continue;
        }
        deaths += 1;
        assert!(entries(&binary.cache()).is_empty(), "published though unfinished");
        assert_eq!(files_in(&binary.cache(), "new").len(), 1, "it died before it wrote");
        let run = Run::of(&mut binary.command(&["cp", "s3://buc/a/2.zip", "-"])).succeeds();
        assert!(run.stdout == binary.second);
        assert!(files_in(&binary.cache(), "new").is_empty(), "left after the next start");
        Run::of(&mut binary.command(&["cache", "verify"]))
            .succeeds()
            .says("1 valid, 0 expired, 0 invalid");
        Run::of(&mut binary.command(&["cache", "clean"])).succeeds();
    }
    assert!(deaths >= 5, "{deaths}");
}

/// The next start deletes the cache of a process that died at any write.
#[test]
fn dead_process_cache_is_deleted() {
    let binary = Binary::new();
    let mut deaths = 0;
    for blocks in blocks() {
        let script = format!(
            "unset DG_CACHE_ENCRYPTION_KEY DG_CACHE_DIR; ulimit -f {blocks}; \
             exec \"$DG\" cp -r s3://buc/a/ out/"
        );
        let died = binary.script(&script).output().unwrap();
        if died.status.signal() != Some(TOO_LARGE) {
            continue;
        }
        deaths += 1;
        assert!(!names_below(&binary.sandbox.temporaries()).is_empty());
        let run = binary.sandbox.run(["cp", "s3://buc/a/2.zip", "-"]).succeeds();
        assert!(run.stdout == binary.second);
        assert_eq!(names_below(&binary.sandbox.temporaries()), Vec::<String>::new());
    }
    assert!(deaths >= 5, "{deaths}");
}

#[test]
#[ignore = "needs to mount a small tmpfs, as root: run by scripts/attack-cache"]
fn full_disk_fails_no_operation() {
    need_root();
    let binary = Binary::new();
    std::fs::create_dir(binary.cache()).unwrap();
    std::fs::set_permissions(binary.cache(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    // Space for nothing, for the header alone, and for some chunks.
    for kib in [12, 40, 200] {
        let script = format!(
            "mount -t tmpfs -o mode=700,size={kib}k none cache && \
             \"$DG\" cp s3://buc/a/2.zip out.zip >/dev/null && \
             \"$DG\" cp out.zip s3://buc/a/3.zip >/dev/null && \
             find cache -type f -path '*/new/*' >&2"
        );
        let base = binary.command(&[]);
        let run = Run::of(&mut like(&base, "unshare", &["--mount", "sh", "-c", &script]));
        assert_eq!(run.code, Some(0), "{kib} KiB: {run:?}");
        assert!(!run.err.contains("/new/"), "{kib} KiB: {run:?}");
        assert!(run.err.contains("No space left"), "{kib} KiB: {run:?}");
        assert!(binary.sandbox.read("out.zip") == binary.second);
        assert!(
            binary.sandbox.run(["cp", "s3://buc/a/3.zip", "-"]).succeeds().stdout == binary.second
        );
    }
}
