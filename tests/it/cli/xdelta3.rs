//! The binary in place of xdelta3, by its subcommand and by its name. Plain `cargo test` ignores
//! the comparisons with the xdelta3 3.0.11 on PATH, which run by name.

mod field;
mod generated_deltas;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::support::{Run, edited, noise};

/// A directory with an old and a new file, and a link to the binary named xdelta3.
struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "work", "tmp"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(
            env!("CARGO_BIN_EXE_deltaglider"),
            folder.path().join("bin/xdelta3"),
        )
        .unwrap();
        let room = Self { folder };
        let old = noise(200_000, 1);
        let mut new = edited(&old, 2);
        new.extend_from_slice("hello world, ".repeat(20).as_bytes());
        room.write("old", &old);
        room.write("new", &new);
        room
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.work().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.work().join(name)).unwrap()
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work())
            .env("TMPDIR", self.folder.path().join("tmp"))
            .stdin(Stdio::null());
        command.env_remove("XDELTA").env_remove("DG_XDELTA3_EXTERNAL");
        command
    }

    fn ours(&self) -> Command {
        self.command(self.folder.path().join("bin/xdelta3"))
    }

    fn run(&self, line: &str) -> Run {
        Run::of(self.ours().args(line.split_terminator(' ')))
    }

    /// Returns the files of the directory.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let names = crate::support::names_below(&self.work()).into_iter();
        let files = names.filter(|name| self.work().join(name).is_file());
        files.map(|name| (name.clone(), self.read(&name))).collect()
    }

    /// Creates a packed copy of a file; xdelta3 recognises packed files by their first bytes.
    fn gzip(&self, name: &str) {
        let run = self.command("gzip").args(["-k", "-n", name]).status().unwrap();
        assert!(run.success());
    }
}

/// The text that xdelta3 3.0.11 prints for the delta in `PRINTED`.
const PRINTED_TEXT: &str = "\
VCDIFF version:               0
VCDIFF header size:           13
VCDIFF header indicator:      VCD_APPHEADER 
VCDIFF secondary compressor:  lzma
VCDIFF application header:    t1//s1/
XDELTA filename (output):     t1
XDELTA filename (source):     s1
VCDIFF window number:         0
VCDIFF window indicator:      VCD_SOURCE VCD_ADLER32 
VCDIFF adler32 checksum:      741D1731
VCDIFF copy window length:    50
VCDIFF copy window offset:    0
VCDIFF delta encoding length: 23
VCDIFF target window length:  72
VCDIFF data section length:   4
VCDIFF inst section length:   8
VCDIFF addr section length:   2
  Offset Code Type1 Size1  @Addr1 + Type2 Size2 @Addr2
  000000 003  ADD        2        
  000002 019  CPY_0     20 S@0     
  000022 000  RUN       19        
  000041 019  CPY_0     30 S@20    
  000071 002  ADD        1        
";

const PRINTED: &[u8] =
    b"\xD6\xC3\xC4\x00\x04\x07t1//s1/\x05\x32\x00\x17\x48\x00\x04\x08\x02\x74\x1D\x17\x31\
    \x78\x78\x7A\x71\x03\x13\x14\x00\x13\x13\x1E\x02\x00\x14";

#[test]
fn both_names_make_the_same_delta() {
    let room = Room::new();
    room.run("-e -9 -s old new delta").succeeds();
    let by_subcommand = ["xdelta3", "-e", "-9", "-s", "old", "new", "same"];
    Run::of(room.command(env!("CARGO_BIN_EXE_deltaglider")).args(by_subcommand)).succeeds();
    assert_eq!(room.read("delta"), room.read("same"));
    assert!(room.read("delta").len() < 10_000);
    room.run("-d -s old delta back").succeeds();
    assert_eq!(room.read("back"), room.read("new"));
}

#[test]
fn printdelta_matches_xdelta3() {
    let room = Room::new();
    room.write("delta", PRINTED);
    assert_eq!(room.run("printdelta delta").succeeds().out, PRINTED_TEXT);
    let (headers, _) = PRINTED_TEXT.split_once("  Offset").unwrap();
    for command in ["printhdr", "printhdrs"] {
        assert_eq!(room.run(&format!("{command} delta")).succeeds().out, headers);
    }
}

#[test]
fn prints_up_to_the_damage() {
    let room = Room::new();
    let check = |line: &str, delta: &[u8], printed: &str, code: i32| {
        room.write("damaged", delta);
        let run = room.run(line);
        assert_eq!((run.code, run.out.as_str()), (Some(code), printed), "{run:?}");
        assert_eq!(run.err.contains("XD3_INVALID_INPUT"), code == 1, "{run:?}");
    };
    let (headers, _) = PRINTED_TEXT.split_once("  Offset").unwrap();
    let cut = &PRINTED[..PRINTED.len() - 1];
    check("printhdr damaged", cut, headers, 0);
    check("printhdrs damaged", cut, "", 1);
    check("printdelta damaged", cut, "", 1);
    // A whole window, followed by half of another one.
    let and_a_half = [PRINTED, &PRINTED[13..cut.len()]].concat();
    check("printhdrs damaged", &and_a_half, headers, 1);
    check("printdelta damaged", &and_a_half, PRINTED_TEXT, 1);
    // The address of the second COPY is beyond the source.
    let mut wrong = PRINTED.to_vec();
    *wrong.last_mut().unwrap() = 120;
    let (rows, _) = PRINTED_TEXT.split_once("  000041").unwrap();
    check("printdelta damaged", &wrong, rows, 1);
    check("printhdrs damaged", &wrong, headers, 0);
}

/// `config` reports a file that does not exist.
#[test]
fn rewrites_report_progress() {
    let room = Room::new();
    room.run("-e -W 16384 -s old new delta").succeeds();
    let run = room.run("recode -v -S djw delta recoded");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.err.contains("xdelta3: 0: in ") && run.err.contains("xdelta3: 12: in "), "{run:?}");
    let total: usize = room.read("delta").len();
    assert!(
        run.err.contains(&format!("input {total} output {} bytes", room.read("recoded").len())),
        "{run:?}"
    );
    let run = room.run("merge -v -m delta recoded merged");
    run.fails(
        1,
        &["finished in", &format!("input {total} output 0 bytes"), "Invalid copy offset in merge"],
    );
    let run = room.run("printdelta -v delta");
    assert!(run.err.contains(&format!("input {total} output {} bytes", run.out.len())), "{run:?}");
    assert_eq!(room.run("config old").code, Some(0));
    room.run("config nowhere")
        .fails(1, &["file open failed: read: nowhere: No such file or directory"]);
}

/// A file that is replaced keeps its mode.
#[test]
fn overwriting_needs_f() {
    let room = Room::new();
    room.write("delta", b"kept");
    let path = room.work().join("delta");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    room.run("-e -s old new delta")
        .fails(1, &["xdelta3: to overwrite output file specify -f: delta"]);
    assert_eq!(room.run("-q -e -s old new delta").err, "");
    assert_eq!(room.read("delta"), b"kept");
    room.run("-e -f -s old new delta").succeeds();
    assert_ne!(room.read("delta"), b"kept");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn failed_run_changes_no_file() {
    let room = Room::new();
    room.run("-e -W 16384 -s old new delta").succeeds();
    let mut cut = room.read("delta");
    cut.truncate(cut.len() - 3);
    room.write("cut", &cut);
    room.write("back", b"kept");
    let files = room.files();
    room.run("-d -f -s old cut back").fails(1, &["xdelta3: eof in decode: XD3_INVALID_INPUT"]);
    room.run("-d -s old cut other").fails(1, &["eof in decode"]);
    room.run("-d -f -s new delta back")
        .fails(1, &["XD3_INVALID_INPUT", "normally this indicates that the source file"]);
    room.run("-d -s old old other").fails(1, &["not a VCDIFF input: XD3_INVALID_INPUT"]);
    room.write("short", &cut[..20]);
    room.run("-d -s old short other").fails(1, &["nothing to output: short"]);
    room.run("recode cut other").fails(1, &["eof in decode"]);
    std::fs::remove_file(room.work().join("short")).unwrap();
    assert!(room.files() == files);
}

#[test]
fn source_may_be_the_output() {
    let room = Room::new();
    room.run("-e -s old new delta").succeeds();
    room.run("-d -f -s old delta old").succeeds();
    assert_eq!(room.read("old"), room.read("new"));
}

#[test]
fn default_names_come_from_header() {
    let room = Room::new();
    std::fs::create_dir(room.work().join("sub")).unwrap();
    room.run("-e -s old new sub/delta").succeeds();
    std::fs::rename(room.work().join("old"), room.work().join("sub/old")).unwrap();
    let run = room.run("-d sub/delta");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(
        run.err,
        "xdelta3: using default output filename: sub/new\n\
         xdelta3: using default source filename: sub/old\n"
    );
    assert_eq!(room.read("sub/new"), room.read("new"));
}

/// The header names piped input `-`, and a piped delta decodes to standard output.
#[test]
fn pipes_work_both_ways() {
    let room = Room::new();
    let pipe = |name: &str, line: &str| {
        let mut cat = room.command("cat").arg(name).stdout(Stdio::piped()).spawn().unwrap();
        let run = Run::of(room.ours().args(line.split(' ')).stdin(cat.stdout.take().unwrap()));
        cat.wait().unwrap();
        run.succeeds().stdout
    };
    room.write("delta", &pipe("new", "-e -c -s old"));
    assert!(
        room.run("printhdr delta")
            .succeeds()
            .out
            .contains("VCDIFF application header:    -//old/\n")
    );
    assert!(pipe("delta", "-d -s old") == room.read("new"));
    assert!(pipe("old", "-d -c -s /dev/stdin delta") == room.read("new"));
}

/// A delta whose inputs were unpacked elsewhere is rejected.
#[test]
fn packed_files_are_not_unpacked() {
    let room = Room::new();
    room.gzip("old");
    room.gzip("new");
    room.run("-e -s old.gz new.gz delta").succeeds();
    assert!(
        room.run("printhdr delta")
            .succeeds()
            .out
            .contains("VCDIFF application header:    new.gz//old.gz/\n")
    );
    room.run("-d -s old.gz delta back").succeeds();
    assert!(room.read("back") == room.read("new.gz"));

    // The headers that xdelta3 writes for the two packed files.
    room.run("-e -A=new.gz/G/old.gz/G -s old new unpacked").succeeds();
    room.run("-e -A=new.gz/G/old/ -s old new target").succeeds();
    room.run("-e -A=new/Z/old/?9 -s old new unknown").succeeds();
    let variable = "DG_XDELTA3_EXTERNAL=1";
    for (line, message) in [
        ("-d -s old.gz unpacked out", variable),
        ("-d -R -s old unpacked out", variable),
        ("-d -A -n -s old.gz unpacked out", variable),
        ("-d -D -s old unpacked out", variable),
        ("-d -s old target out", variable),
        ("-d -s old unknown out", "unknown program: ?9"),
    ] {
        room.run(line).fails(1, &[message]);
        assert!(!room.files().contains_key("out"), "{line}");
    }
    room.run("-d -D -R -s old unpacked out").succeeds();
    assert!(room.read("out") == room.read("new"));
}

#[test]
fn external_needs_a_variable() {
    let room = Room::new();
    room.gzip("old");
    room.gzip("new");
    let external =
        |line: &str| Run::of(room.ours().env("DG_XDELTA3_EXTERNAL", "1").args(line.split(' ')));
    let run = external("-e -s old.gz new.gz delta");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.err.contains("externally compressed input: gzip -dc < old.gz"), "{run:?}");
    assert!(
        room.run("printhdr delta")
            .succeeds()
            .out
            .contains("VCDIFF application header:    new.gz/G/old.gz/G\n")
    );
    let run = external("-d -s old.gz delta back.gz");
    assert_eq!(run.code, Some(0), "{run:?}");
    let unpacked = Run::of(room.command("gzip").args(["-dc", "back.gz"])).succeeds().stdout;
    assert!(unpacked == room.read("new"));
    external("-q -d -R -s old.gz delta back").succeeds();
    assert!(room.read("back") == room.read("new"));
    external("-q -e -D -s old.gz new.gz plain").succeeds();
    external("-q -d -D -s old.gz plain plain.gz").succeeds();
    assert!(room.read("plain.gz") == room.read("new.gz"));

    let mut cut = room.read("new.gz");
    cut.truncate(1000);
    room.write("cut.gz", &cut);
    for line in ["-e -s old cut.gz out", "-e -s cut.gz new out"] {
        external(line).fails(1, &["external compression commands failed", "gzip ended with"]);
        assert!(!room.files().contains_key("out"), "{line}");
    }
    let run = Run::of(
        room.ours().env("DG_XDELTA3_EXTERNAL", "1").env("PATH", "").args(["-e", "old.gz", "out"]),
    );
    run.fails(1, &["external compression commands failed", "gzip cannot be run"]);
}

#[test]
fn recode_and_merge_keep_the_file() {
    let room = Room::new();
    room.write("newer", &edited(&room.read("new"), 3));
    room.run("-e -s old new d1").succeeds();
    room.run("-e -s new newer d2").succeeds();
    room.run("merge -m d1 d2 merged").succeeds();
    room.run("recode -S none merged recoded").succeeds();
    assert!(room.read("merged") != room.read("recoded"));
    for delta in ["merged", "recoded"] {
        room.run(&format!("-d -f -s old {delta} back")).succeeds();
        assert!(room.read("back") == room.read("newer"));
    }
    room.run("merge -m d2 d2 wrong").fails(1, &["Invalid copy offset in merge: XD3_INVALID_INPUT"]);
}

#[test]
fn invalid_flags_are_named() {
    let room = Room::new();
    for (line, message) in [
        ("-e -s old -s old new d", "specify only one source file"),
        ("-e old new d", "too many filenames: d ..."),
        ("-W 100 new d", "-W: minimum value: 16384"),
        ("-W 99999999 new d", "-W: maximum value: 16777216"),
        ("-B 1 new d", "-B: minimum value: 524288"),
        ("-W 64k new d", "-W: invalid integer: 64k"),
        ("-W-5 new d", "-W: negative integer: -5"),
        ("-s", "-s: requires an argument"),
        ("-P 3 new d", "sprevsz is required to be a power of two: XD3_INTERNAL"),
        ("-I 2 new d", "instruction buffer of 2"),
        ("-S bogus new d", "unrecognized or not compiled secondary compressor: bogus"),
        ("-S djw10 new d", "-S: maximum value: 9"),
        ("-C 9,9,9 new d", "invalid string match specifier (-C) 2: 9"),
        ("-C 1,2,3,4,5,6,7 new d", "invalid soft string-match config: XD3_INVALID"),
        ("-e -s nowhere new d", "file open failed: read: nowhere: No such file or directory"),
        ("-e new nowhere/d", "file open failed: write: nowhere/d: No such file or directory"),
        ("-d -e new d", "usage: xdelta3"),
        ("-h", "usage: xdelta3"),
        ("-Z", "usage: xdelta3"),
    ] {
        room.run(line).fails(1, &[message]);
    }
    assert_eq!(room.files().into_keys().collect::<Vec<_>>(), ["new", "old"]);
    for line in ["-V", "config"] {
        let run = room.run(line);
        assert_eq!(run.code, Some(0));
        assert!(run.err.starts_with("Xdelta version 3.0.11"), "{run:?}");
    }
}

#[test]
fn broken_pipe_is_silent() {
    let room = Room::new();
    let mut child = room
        .ours()
        .args(["-e", "-c", "new"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.code, run.err.as_str()), (Some(141), ""));
}

/// Command lines that both programs run in order, in directories with the same files. `<name` is
/// standard input.
const LINES: &str = "\
-e -s old new d
-e -s old new d
-q -e -s old new d
-e -f -9 -s old new d
-e -f -v -s old new d
-d -s old d o
-d -f -v -s old d o
printhdr d
printhdrs d
printdelta d
-e -W16384 -f -s old new dm
-d -f -v -s old dm o
printdelta dm
printhdrs dm
-d d
-d -f d
-e -J -v -s old new nothing
-e -c -s old new nothing
-d -J -s old d nothing
-d -s new d nothing
-q -d -s new d nothing
-d -s old old nothing
-d -A -f d nothing
recode old nothing
merge -m old d nothing
printdelta old
-W 64k new y
-W 100 new y
-B 1 new y
-B 99999999999 new y
-P 3 new y
-P -1 new y
-P0 -f new y
-C 1,2 new y
-C 1,2,3,4,5,6,7 new z
-C 9,9,9 new y
-e -C 1,2,3,4,5,6,7,8 new y
-e -C 9,9,x,4,5,6,7 new y
-S bogus new y
-S djw10 new y
-Sdjw3 -e -f new y
-Sdjw9 -9 -e -f new y
-Sfgk -e -f new y
-I -f new
-s
-W=20000 -f new y
-W 0x10000 -f new y
-W 00200000 -f new y
-W-5 new y
-W 99999999 new y
-e -f new -
-e - new -f y
-efs old new y
-ef9Snone new y
-e -A= -f new y
printhdr y
-e -A=a/Q//Z -f new y
printhdr y
-e -A=-//-/ -f new y
printhdr y
-e -A=a/b/c -f new y
printhdr y
-e -Sfgk -A=a/b/c/d/e -f new y
printhdr y
-e -Snone -n -A= -f new y
printdelta y
-e -f -s ./old ../work/new y
-e -s old new folder
-e -f -s old new folder
-e -s folder new y
-e -s old folder y
-d folder
-e -s nowhere new y
-e -s old nowhere y
-e -s old new nowhere/y
-e -f -n -s old new dn
-d -f -s old dn o
-1 -F -e -f -s old new y
-q -v -e -f -s old new y
-v -q -e -f -s old new y
-e -f new /dev/full
-e -s old new /dev/null
-e -f -s old new /dev/stdout
-e -s old <new
-d -c -s old <d
-d
printhdr -f d y
printhdr d y
recode -S none d d1
recode -J d nothing
printdelta -S none d1
printdelta -S djw d1
recode -A -f d d1
recode -A foo -f d d1
recode -f -n d d1
recode -S djw d
recode d
merge d
merge -m d d
merge -m nowhere d
-m d -e -f new y
-e empty de
-d -f de empty
printdelta de
-d empty nothing
recode empty nothing
printdelta empty
-e -f -v -s large -B 524288 new y
-d -f -s large y o
-C9,3,4,8,2,36,70 -f -v -s old new y
-8 -N -f -s old new y
-e -I0 -f new y
-f encode -s old new y
printhdr -W 1 d
config d
config d y
config nowhere
recode -f -v dm y
-e -f -s new old dback
merge -f -v -m d dback y
printdelta -v dm
printhdrs -v -f dm y
encode -d
-d -e
-e -s
-E x
";

/// Command lines whose effect on files differs on purpose: xdelta3 leaves an incomplete file when
/// it fails.
const LEAVES_WHAT_IT_WROTE: [&str; 1] = ["-C 1,2,3,4,5,6,7 new z"];

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn lines_match_live_xdelta3() {
    let rooms = [Room::new(), Room::new()];
    for room in &rooms {
        std::fs::create_dir(room.work().join("folder")).unwrap();
        room.write("empty", b"");
        room.write("large", &room.read("old").repeat(7));
    }
    let mut compared = 0;
    for line in LINES.lines() {
        let [theirs, ours] =
            [("xdelta3".as_ref(), &rooms[0]), (rooms[1].ours().get_program(), &rooms[1])].map(
                |(program, room): (&OsStr, &Room)| {
                    let mut command = room.command(program);
                    for word in line.split(' ') {
                        match word.strip_prefix('<') {
                            Some(file) => {
                                command.stdin(std::fs::File::open(room.work().join(file)).unwrap())
                            }
                            None => command.arg(word),
                        };
                    }
                    Run::of(&mut command)
                },
            );
        assert_eq!(theirs.code, ours.code, "{line}: {theirs:?} {ours:?}");
        assert!(theirs.stdout == ours.stdout, "{line}: {theirs:?} {ours:?}");
        // The texts of help and version differ.
        if !theirs.err.contains("usage: xdelta3") && !theirs.err.starts_with("Xdelta version") {
            let mut printed = ours.err.lines().map(timeless);
            for wanted in theirs.err.lines().map(timeless).filter(|line| !is_left_out(line)) {
                assert!(
                    printed.any(|line| line == wanted),
                    "{line}: {wanted:?} is not in {ours:?}"
                );
            }
        }
        let leaves = LEAVES_WHAT_IT_WROTE.contains(&line);
        let [theirs, ours] = [rooms[0].files(), rooms[1].files()];
        let differ: Vec<&String> = theirs
            .keys()
            .chain(ours.keys())
            .filter(|name| theirs.get(*name) != ours.get(*name))
            .collect();
        assert!(leaves || differ.is_empty(), "{line}: {differ:?}");
        compared += 1;
    }
    println!("{compared} command lines, 0 differences");
    assert!(compared > 100);
}

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn damage_matches_live_xdelta3() {
    let (room, mut compared, mut more) = (Room::new(), 0, 0);
    room.run("-e -W 16384 -S none -s old new plain").succeeds();
    room.run("-e -W 16384 -s old new packed").succeeds();
    for name in ["plain", "packed"] {
        let delta = room.read(name);
        let step = delta.len() / 150 + 1;
        // To xdelta3, a file shorter than four bytes is not an error.
        let cut = (4..delta.len()).step_by(step).map(|len| delta[..len].to_vec());
        let flipped = (0..delta.len()).step_by(step).map(|at| {
            let mut flipped = delta.clone();
            flipped[at] ^= 1 << (at % 8);
            flipped
        });
        for damaged in cut.chain(flipped) {
            room.write("damaged", &damaged);
            for command in ["printhdr", "printhdrs", "printdelta"] {
                let theirs = Run::of(room.command("xdelta3").args([command, "damaged"]));
                let ours = room.run(&format!("{command} damaged"));
                // We detect more damage, and some of it sooner, but accept leading zeros in
                // integers.
                let sooner = ours.code == Some(1)
                    && theirs.stdout.starts_with(&ours.stdout)
                    && ours.stdout != theirs.stdout;
                let padded = theirs.err.contains("incorrect encoding length")
                    && ours.stdout.starts_with(&theirs.stdout);
                if sooner || padded {
                    more += 1;
                } else {
                    assert_eq!(
                        (ours.code, ours.out),
                        (theirs.code, theirs.out),
                        "{command} {name} {:?} {:?}",
                        ours.err,
                        theirs.err
                    );
                }
                compared += 1;
            }
        }
    }
    println!(
        "{compared} texts of damaged deltas, 0 differences but {more} where we see more or accept \
         padding"
    );
    assert!(compared > 1000 && more * 10 < compared);
}

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn deltas_match_live_xdelta3() {
    let number = |variable: &str, otherwise| {
        std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
    };
    let figures = generated_deltas::compare(
        number("DGTEST_SEED", 1),
        number("DGTEST_COMPARISONS", 40) as usize,
    );
    println!("{figures}");
    assert!(figures.printed > 0 && figures.recoded > 0 && figures.merged > 0);
}

/// Returns a line without its time.
fn timeless(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let kept = words
        .iter()
        .enumerate()
        .filter(|&(index, _)| !words.get(index + 1).is_some_and(|next| next.starts_with("ms")));
    kept.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

/// Returns whether a line is about the insides of xdelta3, or irrelevant.
fn is_left_out(line: &str) -> bool {
    [
        "<placeholder>",
        "further input required",
        "normally this indicates",
        "please verify the source file",
        "have no checksum",
    ]
    .iter()
    .any(|part| line.contains(part))
}

/// Returns the owner, group and mode of a file.
fn owner_and_mode(path: &std::path::Path) -> (u32, u32, u32) {
    let metadata = std::fs::metadata(path).unwrap();
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

#[test]
fn overwrite_keeps_owner_and_mode() {
    let room = Room::new();
    room.run("-e -s old new delta").succeeds();
    let path = room.work().join("target");
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let mut owners = vec![own];
    if own.0 == 0 {
        owners.extend([(12_345, own.1), (own.0, 23_456), (12_345, 23_456)]);
    } else {
        println!("not root: files of other users are left out");
    }
    for (uid, gid) in owners {
        for mode in [0o644, 0o4755, 0o2755, 0o6711, 0o1600] {
            room.write("target", b"before");
            std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            room.run("-d -f -s old delta target").succeeds();
            assert_eq!(owner_and_mode(&path), (uid, gid, mode), "{uid}:{gid} {mode:o}");
            assert!(room.read("target") == room.read("new"));
            std::fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn set_id_bits_need_the_owner() {
    if !rustix::process::geteuid().is_root() {
        println!("not root: no file of another user can be made");
        return;
    }
    let room = Room::new();
    room.run("-e -s old new delta").succeeds();
    let path = room.work().join("target");
    // A user who may write to a file of root, and to its directory.
    let user = 12_345;
    for folder in [room.folder.path().to_owned(), room.work(), room.folder.path().join("tmp")] {
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let program = room.folder.path().join("xdelta3");
    std::fs::copy(env!("CARGO_BIN_EXE_deltaglider"), &program).unwrap();
    for (gid, mode, left) in
        [(0, 0o6777, 0o777), (user, 0o4777, 0o777), (user, 0o2777, 0o777), (user, 0o666, 0o666)]
    {
        room.write("target", b"before");
        std::os::unix::fs::chown(&path, Some(0), Some(gid)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let mut command = room.command(&program);
        Run::of(command.args(["-d", "-f", "-s", "old", "delta", "target"]).uid(user).gid(user))
            .succeeds();
        assert_eq!(owner_and_mode(&path), (user, user, left), "{gid} {mode:o}");
        std::fs::remove_file(&path).unwrap();
    }
}
