//! Death in the middle, and disks that are full: nothing half-written is believed, and nothing is
//! left after the next start.

use std::os::unix::process::ExitStatusExt as _;

use crate::stage::{Binary, entries, in_room, like, need_root};
use crate::support::{Run, names_below};

/// SIGXFSZ: a process ends at the first write beyond the limit of its files.
const TOO_LARGE: i32 = 25;

/// Where `dash` counts in blocks of 512 bytes, a death in the header, in the first byte of each of
/// five chunks and in the middle of each.
fn blocks() -> impl Iterator<Item = usize> {
    std::iter::once(0).chain((0..=9).map(|half| (135 + half * (65_536 + 16) / 2) / 512))
}

#[test]
fn a_process_that_dies_at_any_write_leaves_nothing_that_is_believed_or_stays() {
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
        assert_eq!(in_room(&binary.cache(), "new").len(), 1, "it died before it wrote");
        let run = Run::of(&mut binary.command(&["cp", "s3://buc/a/2.zip", "-"])).succeeds();
        assert!(run.stdout == binary.second);
        assert!(in_room(&binary.cache(), "new").is_empty(), "left after the next start");
        Run::of(&mut binary.command(&["cache", "verify"]))
            .succeeds()
            .says("1 sound, 0 expired, 0 unsound");
        Run::of(&mut binary.command(&["cache", "clean"])).succeeds();
    }
    assert!(deaths >= 5, "{deaths}");
}

#[test]
fn the_cache_of_a_process_that_dies_at_any_write_goes_with_the_next_start() {
    let binary = Binary::new();
    let mut deaths = 0;
    for blocks in blocks() {
        let script = format!(
            "unset DG_CACHE_ENCRYPTION_KEY DG_CACHE_DIR; ulimit -f {blocks}; exec \"$DG\" cp s3://buc/a/2.zip -"
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
fn a_full_disk_costs_the_cache_and_no_operation() {
    need_root();
    let binary = Binary::new();
    std::fs::create_dir(binary.cache()).unwrap();
    std::fs::set_permissions(binary.cache(), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    // Room for nothing, for the header alone, and for some chunks.
    for kib in [12, 40, 200] {
        let script = format!(
            "mount -t tmpfs -o mode=700,size={kib}k none cache && \"$DG\" cp s3://buc/a/2.zip out.zip >/dev/null && \
             \"$DG\" cp out.zip s3://buc/a/3.zip >/dev/null && find cache -type f -path '*/new/*' >&2"
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
