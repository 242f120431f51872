//! Deltas and directories as found in practice: large copy windows, deltas of other tools,
//! directories that may not be written to.

use std::os::unix::fs::{FileExt as _, PermissionsExt, symlink};
use std::os::unix::process::CommandExt as _;

use super::Room;
use crate::support::Run;

/// One window that copies 16 bytes at 5 GiB and 16 bytes at 100 from a copy window of 6 GiB.
const FAR: &[u8] =
    b"\xd6\xc3\xc4\0\0\x05\x98\x80\x80\x80\0\0\x13\x20\0\0\x04\x06\x89\x46\x07\xfa\x13\x10\x13\x10\
    \x94\x80\x80\x80\0\x64";

/// The hint that the source is wrong.
const WRONG_SOURCE: &str = "source file is incorrect";

#[test]
fn limits_are_named_and_lifted() {
    let room = Room::new();
    let source = std::fs::File::create(room.work().join("large")).unwrap();
    source.set_len(6 << 30).unwrap();
    source.write_all_at(b"MARKER-AT-5GiB!!", 5 << 30).unwrap();
    source.write_all_at(b"HEAD-OF-FILE-100", 100).unwrap();
    room.write("far", FAR);
    let refused = room.run("-d -s large far back");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("--limit source-span=6442450944 or --no-limits"), "{refused:?}");
    assert!(!refused.err.contains(WRONG_SOURCE), "{refused:?}");
    for flags in ["--limit source-span=6442450944", "--limit=source-span=6442450944", "--no-limits"]
    {
        room.run(&format!("-d -f {flags} -s large far back")).succeeds();
        assert_eq!(room.read("back"), b"MARKER-AT-5GiB!!HEAD-OF-FILE-100");
    }
    room.run("printdelta --no-limits far").succeeds();
}

#[test]
fn bare_header_is_an_empty_file() {
    let room = Room::new();
    room.write("delta", b"\xd6\xc3\xc4\0\0");
    room.run("-d -s old delta back").succeeds();
    assert_eq!(room.read("back"), b"");
}

#[test]
fn missing_checksums_warn() {
    let room = Room::new();
    room.run("-e -n -s old new unchecked").succeeds();
    room.run("-e -s old new checked").succeeds();
    let warning = "warning: 1 of 1 windows have no checksum";
    for (line, warns) in [
        ("-d -f -s old unchecked back", true),
        ("-d -f -q -s old unchecked back", false),
        ("-d -f -n -s old unchecked back", false),
        ("-d -f -s old checked back", false),
    ] {
        let run = room.run(line);
        assert_eq!((run.code, run.err.contains(warning)), (Some(0), warns), "{line}: {run:?}");
        assert!(room.read("back") == room.read("new"));
    }
}

#[test]
fn output_link_makes_its_target() {
    for flag in ["", "-f "] {
        let room = Room::new();
        room.run("-e -s old new delta").succeeds();
        std::fs::create_dir(room.work().join("sub")).unwrap();
        symlink("sub/first", room.work().join("link")).unwrap();
        symlink("second", room.work().join("sub/first")).unwrap();
        room.run(&format!("-d {flag}-s old delta link")).succeeds();
        assert!(
            room.work().join("link").is_symlink() && room.work().join("sub/first").is_symlink()
        );
        assert!(room.read("sub/second") == room.read("new"));
        // Without -f, an existing target is never replaced.
        let again = room.run("-d -s old delta link");
        assert!(again.err.contains("to overwrite output file specify -f"), "{again:?}");
        symlink("nowhere/first", room.work().join("dangling")).unwrap();
        let refused = room.run(&format!("-d {flag}-s old delta dangling"));
        assert!(
            refused.err.contains("file open failed: write: dangling: No such file"),
            "{refused:?}"
        );
    }
}

/// A file is replaced even if its directory may not be written to.
#[test]
fn writable_file_suffices() {
    if !rustix::process::geteuid().is_root() {
        println!("not root: no directory of another user can be made");
        return;
    }
    let room = Room::new();
    room.run("-e -s old new delta").succeeds();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    mode(room.folder.path(), 0o755);
    mode(&room.folder.path().join("tmp"), 0o777);
    let program = room.folder.path().join("xdelta3");
    std::fs::copy(env!("CARGO_BIN_EXE_deltaglider"), &program).unwrap();
    // For a user who may not write to the directory, and in one where only the owner may rename.
    for of_directory in [0o755, 0o1777] {
        mode(&room.work(), of_directory);
        room.write("target", b"before");
        mode(&room.work().join("target"), 0o666);
        let decode = |delta: &str, source: &str| {
            let mut command = room.command(&program);
            Run::of(
                command.args(["-d", "-f", "-s", source, delta, "target"]).uid(12_345).gid(12_345),
            )
        };
        // A failed run leaves the file unchanged.
        room.write("cut", &room.read("delta")[..room.read("delta").len() - 1]);
        assert_eq!(decode("cut", "old").code, Some(1));
        assert_eq!(room.read("target"), b"before");
        decode("delta", "old").succeeds();
        assert!(room.read("target") == room.read("new"));
        let metadata = super::owner_and_mode(&room.work().join("target"));
        assert_eq!(metadata, (0, 0, 0o666));
        // The source may be the output.
        room.write("target", &room.read("old"));
        decode("delta", "target").succeeds();
        assert!(room.read("target") == room.read("new"));
    }
}
