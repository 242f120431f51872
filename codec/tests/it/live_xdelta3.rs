//! Compares our deltas with those that the `xdelta3` 3.0.11 on PATH makes of the same input with
//! the same options.
//!
//! `DGTEST_COMPARISONS` and `DGTEST_SEED` set the number of cases and their seed; `DGTEST_PAIRS`
//! names a directory of real files, every two of which in the order of their names are a source and
//! a target.
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, thread};

use crate::support::case::Case;
use crate::support::random::Random;
use deltaglider_vcdiff::encode::DjwLevel;
use deltaglider_vcdiff::{
    DecodeOptions, EncodeError, EncodeOptions, FileSource, Level, Secondary, decode, encode_stream,
};

const VERSION: &str = "Xdelta version 3.0.11";

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn generated_input_matches() {
    let dir = WorkDir::new("generated");
    let count = number_from("DGTEST_COMPARISONS", 300);
    let seed = number_from("DGTEST_SEED", 1);
    let mut tally = Tally::default();
    let mut random = Random::new(seed);
    for number in 0..count {
        let case = random.next();
        let large = number % 8 == 7;
        tally.compare(&format!("case {case} large {large}"), &dir, &Case::new(case, large));
    }
    tally.report();
}

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn skewed_bytes_match() {
    let dir = WorkDir::new("skewed");
    let mut tally = Tally::default();
    let mut random = Random::new(number_from("DGTEST_SEED", 1));
    for _ in 0..number_from("DGTEST_COMPARISONS", 300) {
        let case = random.next();
        tally.compare(&format!("skewed case {case}"), &dir, &Case::of_skewed_bytes(case));
    }
    tally.report();
}

/// Bytes that hardly compress.
#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn even_bytes_match() {
    let dir = WorkDir::new("even");
    let mut tally = Tally::default();
    let mut random = Random::new(number_from("DGTEST_SEED", 1));
    for _ in 0..number_from("DGTEST_COMPARISONS", 300) {
        let case = random.next();
        tally.compare(&format!("even case {case}"), &dir, &Case::of_even_bytes(case));
    }
    tally.report();
}

/// The bytes match if xdelta3 can decode its own delta.
#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH"]
fn outgrown_djw_codes_match() {
    let dir = WorkDir::new("outgrown");
    let mut tally = Tally::default();
    for seed in 0..number_from("DGTEST_COMPARISONS", 12) {
        tally.compare(&format!("outgrown case {seed}"), &dir, &Case::of_outgrown_codes(seed));
    }
    tally.report();
    assert!(tally.undecodable > 0 && tally.undecodable < tally.comparisons);
}

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH, and pairs of files in DGTEST_PAIRS"]
fn real_pairs_match() {
    let dir = WorkDir::new("pairs");
    let pairs = env::var_os("DGTEST_PAIRS").expect("DGTEST_PAIRS names a directory");
    let mut files: Vec<PathBuf> =
        fs::read_dir(pairs).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 1, "there are pairs");
    let differences: usize =
        files.windows(2).map(|pair| compare_files(&dir, &pair[0], &pair[1])).sum();
    assert_eq!(differences, 0);
}

/// Compares the deltas of two files at four levels and with three secondary compressors; returns
/// the number of differences.
fn compare_files(dir: &WorkDir, old: &Path, new: &Path) -> usize {
    let secondaries = [
        ("none", Secondary::None),
        ("lzma", Secondary::Lzma),
        ("djw", Secondary::Djw(DjwLevel::DEFAULT)),
    ];
    let (mut comparisons, mut differences) = (0, 0);
    for level in [1, 3, 6, 9] {
        for (name, secondary) in secondaries {
            let theirs = dir.path("theirs");
            let status = xdelta3()
                .args(["-e", "-f", "-D", "-A=", &format!("-{level}"), &format!("-S{name}"), "-s"])
                .args([old, new, &theirs])
                .status()
                .unwrap();
            assert!(status.success());
            let mut options = EncodeOptions::at_level(Level::new(level).unwrap());
            options.secondary = secondary;
            let ours = encode_file(old, new, options);
            comparisons += 1;
            if ours != fs::read(&theirs).unwrap() {
                differences += 1;
                println!(
                    "{} to {} at level {level}, {name}: differs",
                    old.display(),
                    new.display()
                );
            }
        }
    }
    println!(
        "{} to {}: {comparisons} comparisons, {differences} differences",
        old.display(),
        new.display()
    );
    differences
}

/// Sparse edits in a large file, and a dump of a database with rows inserted, changed and removed.
/// `DGTEST_MEGABYTES` is the size of the first in MB, 1024 by default.
#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH, and minutes"]
fn generated_large_pairs_match() {
    let dir = WorkDir::new("large");
    let mut random = Random::new(16);
    let megabytes = number_from("DGTEST_MEGABYTES", 1024) as usize;
    let mut old: Vec<u8> = (0..megabytes << 17).flat_map(|_| random.next().to_le_bytes()).collect();
    fs::write(dir.path("sparse-1"), &old).unwrap();
    // Some edits change bytes, and a few the length.
    for edit in 0..megabytes {
        let at = random.below(old.len() - 100);
        old[at..at + 40].iter_mut().for_each(|byte| *byte = random.next() as u8);
        if edit % 300 == 7 {
            old.splice(at..at + 3, *b"another length");
        }
    }
    fs::write(dir.path("sparse-2"), &old).unwrap();
    drop(old);
    let row = |random: &mut Random, id: usize| {
        let (name, at) = (random.next(), random.below(1_700_000_000));
        format!(
            "INSERT INTO `orders` VALUES ({id},'customer-{:08x}',{at},{}.{:02},'shipped',NULL);\n",
            name as u32,
            random.below(999),
            random.below(100)
        )
    };
    let rows: Vec<String> = (0..megabytes * 900).map(|id| row(&mut random, id)).collect();
    fs::write(dir.path("dump-1"), rows.concat()).unwrap();
    let mut changed = String::new();
    for (id, old) in rows.iter().enumerate() {
        match random.below(500) {
            0 => {}
            1 => changed.push_str(&row(&mut random, id)),
            2 => changed.extend([old.as_str(), &row(&mut random, rows.len() + id)]),
            _ => changed.push_str(old),
        }
    }
    fs::write(dir.path("dump-2"), changed).unwrap();
    let mut differences = 0;
    for (old, new) in [("sparse-1", "sparse-2"), ("dump-1", "dump-2")] {
        differences += compare_files(&dir, &dir.path(old), &dir.path(new));
    }
    assert_eq!(differences, 0);
}

/// Files with holes of more than 4 GiB, whose content the target has elsewhere, with source windows
/// that do and do not include it.
#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH, and a minute"]
fn source_beyond_4_gib_matches() {
    let dir = WorkDir::new("beyond");
    let (source, target, theirs) = (dir.path("source"), dir.path("target"), dir.path("delta"));
    let mut random = Random::new(4);
    let (mut old, mut new) = (File::create(&source).unwrap(), File::create(&target).unwrap());
    const GIB: u64 = 1 << 30;
    for (at, moved) in [
        (GIB, 3),
        (4 * GIB - 5000, 0),
        (4 * GIB - 70_000, 100),
        (4 * GIB + 300_000, -9),
        (4 * GIB + 50_000_000, 1_000_003),
    ] {
        let island: Vec<u8> = (0..40_000).map(|_| random.next() as u8).collect();
        old.seek(SeekFrom::Start(at)).unwrap();
        old.write_all(&island).unwrap();
        new.seek(SeekFrom::Start(at.checked_add_signed(moved).unwrap())).unwrap();
        new.write_all(&island[100..]).unwrap();
    }
    old.set_len(4 * GIB + 80_000_000).unwrap();
    new.set_len(4 * GIB + 70_000_000).unwrap();
    for level in [1, 6] {
        let status = xdelta3()
            .args(["-e", "-f", "-D", "-A=", &format!("-{level}"), "-s"])
            .args([&source, &target, &theirs])
            .status();
        assert!(status.unwrap().success());
        let theirs = fs::read(&theirs).unwrap();
        let options = EncodeOptions::at_level(Level::new(level).unwrap());
        assert!(encode_file(&source, &target, options) == theirs, "level {level}");
        assert!(theirs.len() < 30_000, "the islands beyond 4 GiB are found: {}", theirs.len());
    }
    println!("2 comparisons, 0 differences");
}

#[test]
#[ignore = "needs xdelta3 3.0.11 on PATH; writes tests/data/golden.txt"]
fn regenerate_the_golden_table() {
    let dir = WorkDir::new("golden");
    let mut table = String::new();
    for (number, kind) in crate::support::golden::cases() {
        let case = kind.case(number);
        let delta = match dir.encode(&case) {
            Some(delta) if dir.decodes(&case) => crate::support::golden::digest(&delta),
            _ => crate::support::golden::REFUSED.to_owned(),
        };
        table.push_str(&crate::support::golden::line(number, kind, &case, &delta));
    }
    fs::write(crate::support::golden::path(), table).unwrap();
}

/// The results of the comparisons.
#[derive(Default)]
struct Tally {
    comparisons: usize,
    differences: usize,
    /// Rejected by our encoder, written by xdelta3 in a form that it cannot decode.
    buffer_exhausted: usize,
    undecodable: usize,
}

impl Tally {
    /// Compares the bytes and decodes them on both sides. Cases that our encoder rejects can be
    /// decoded neither by xdelta3 nor by us.
    fn compare(&mut self, name: &str, dir: &WorkDir, case: &Case) {
        let theirs = dir.encode(case);
        let ours = case.encode(100_003);
        self.comparisons += 1;
        let agreed = match (&ours, &theirs) {
            (Ok(ours), Some(theirs)) => {
                ours == theirs && dir.decodes(case) && decodes(case, theirs)
            }
            (Err(error), Some(theirs)) => {
                match error {
                    EncodeError::InstructionBufferExhausted => self.buffer_exhausted += 1,
                    EncodeError::Undecodable { .. } => self.undecodable += 1,
                    _ => panic!("{name}: {error}"),
                }
                let mut case = case.clone();
                case.options.undecodable = true;
                case.encode(100_003).unwrap() == *theirs
                    && !dir.decodes(&case)
                    && !decodes(&case, theirs)
            }
            _ => false,
        };
        if !agreed {
            self.differences += 1;
            println!(
                "{name}: differs, {:?}, ours {:?}",
                case.arguments,
                ours.map(|delta| delta.len())
            );
        }
    }

    fn report(&self) {
        let Self { comparisons, differences, buffer_exhausted, undecodable } = self;
        println!(
            "{comparisons} comparisons, {differences} differences; rejected because xdelta3 \
             cannot decode its own delta: \
             {buffer_exhausted} for the instruction buffer, {undecodable} for FGK or DJW"
        );
        assert!(*comparisons > 0, "nothing was compared");
        assert_eq!(*differences, 0);
    }
}

/// Returns whether our decoder makes the target of a delta. It never makes other bytes.
fn decodes(case: &Case, delta: &[u8]) -> bool {
    match decode(case.source.as_deref(), delta, &DecodeOptions::default()) {
        Ok(target) => {
            assert!(target == case.target || !case.options.checksum, "wrong bytes");
            target == case.target
        }
        Err(_) => false,
    }
}

/// A temporary directory for the files of one test.
struct WorkDir(PathBuf);

impl WorkDir {
    fn new(name: &str) -> Self {
        let version = xdelta3().arg("-V").output().expect("xdelta3 is on PATH").stderr;
        assert!(String::from_utf8_lossy(&version).starts_with(VERSION), "xdelta3 is not 3.0.11");
        let dir = env::temp_dir().join(format!("vcdiff-live-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns xdelta3's delta, `None` if it fails.
    fn encode(&self, case: &Case) -> Option<Vec<u8>> {
        let (source, target, delta) =
            (self.path("source"), self.path("target"), self.path("delta"));
        for stale in [&source, &target, &delta] {
            let _ = fs::remove_file(stale);
        }
        let mut command = xdelta3();
        command.args(["-e", "-f", "-q", "-D"]).args(&case.arguments);
        let served = thread::scope(|scope| {
            if let Some(bytes) = &case.source {
                if case.source_piped {
                    assert!(Command::new("mkfifo").arg(&source).status().unwrap().success());
                    let source = &source;
                    // xdelta3 may stop reading before the end.
                    scope.spawn(move || File::create(source).unwrap().write_all(bytes));
                } else {
                    fs::write(&source, bytes).unwrap();
                }
                command.arg("-s").arg(&source);
            }
            if case.target_piped {
                let mut child = command
                    .arg("-c")
                    .stdin(Stdio::piped())
                    .stdout(File::create(&delta).unwrap())
                    .spawn()
                    .unwrap();
                let mut input = child.stdin.take().unwrap();
                scope.spawn(move || input.write_all(&case.target));
                child.wait().unwrap()
            } else {
                fs::write(&target, &case.target).unwrap();
                command.args([&target, &delta]).status().unwrap()
            }
        });
        served.success().then(|| fs::read(&delta).unwrap())
    }

    /// Returns whether xdelta3 makes the target of the delta it wrote last.
    fn decodes(&self, case: &Case) -> bool {
        let (source, decoded) = (self.path("source"), self.path("decoded"));
        let mut command = xdelta3();
        // The names in the header must not be used.
        command.args(["-d", "-A", "-f", "-q", "-D"]);
        if let Some(bytes) = &case.source {
            let _ = fs::remove_file(&source);
            fs::write(&source, bytes).unwrap();
            command.arg("-s").arg(&source);
            command.arg(format!("-B{}", 1 << 26));
        }
        let _ = fs::remove_file(&decoded);
        let done = command
            .args([self.path("delta"), decoded.clone()])
            .stderr(Stdio::null())
            .status()
            .unwrap();
        done.success() && fs::read(&decoded).unwrap_or_default() == case.target
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn xdelta3() -> Command {
    let mut command = Command::new("xdelta3");
    command.env_remove("XDELTA");
    command
}

fn encode_file(source: &Path, target: &Path, mut options: EncodeOptions) -> Vec<u8> {
    let target = File::open(target).unwrap();
    options.target_len = Some(target.metadata().unwrap().len());
    let source = FileSource::new(File::open(source).unwrap()).unwrap();
    let mut delta = Vec::new();
    encode_stream(Some(source), target, &mut delta, &options).unwrap();
    delta
}

fn number_from(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}
