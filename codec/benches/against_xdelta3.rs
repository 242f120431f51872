//! Measures encoding and decoding beside the `xdelta3` 3.0.11 on PATH: whole processes, from file
//! to file, on the same files in the same run.
//!
//! `cargo bench -p deltaglider-vcdiff --bench against_xdelta3 [-- FILTER]`: levels 1, 3, 6 and 9,
//! without a secondary compressor and with LZMA; the encoder on one and on two threads. A FILTER
//! selects the settings whose line contains it, `opencv encode -9` for instance. Each figure is the
//! median of alternating runs. Each ratio is xdelta3's figure divided by this codec's: above 1 this
//! codec is better. Every output is compared, and a difference ends the benchmark. Without xdelta3
//! it measures only this codec. Python 3 measures the processes.
//!
//! Two threads have something to share from two windows on, 8 MiB each.
//!
//! | variable | meaning |
//! |---|---|
//! | `DGTEST_PAIRS` | a directory with further pairs, `NAME.old` and `NAME.new` |
//! | `DGTEST_RUNS` | the number of runs of each program in each setting, 5 by default |
//! | `DGTEST_MIB` | the size of the generated pairs in MiB, 12 by default, 0 for none |
//!
//! `scripts/bench-codec` runs it on real versions.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, missing_docs)]

use std::fs::{self, File};
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use deltaglider_vcdiff::{
    DecodeOptions, EncodeOptions, FileSource, Level, Secondary, decode_stream, encode_stream,
};

#[path = "support/process.rs"]
mod process;
mod support;
use process::Usage;
use support::inputs::{noise, text, with_edits, with_insertions};
use support::random::Random;

const LEVELS: [u8; 4] = [1, 3, 6, 9];
const SECONDARIES: [&str; 2] = ["none", "lzma"];
/// The numbers of threads of the encoder. The decoder has one.
const THREADS: [usize; 2] = [1, 2];
/// The first argument of a process that encodes or decodes one file.
const WORKER: &str = "worker";

/// Two versions of a file.
struct Pair {
    name: String,
    old: PathBuf,
    new: PathBuf,
}

fn variable(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name}={value}: not a number"))
    })
}

fn generated(directory: &Path, len: usize) -> Vec<Pair> {
    if len == 0 {
        return Vec::new();
    }
    let random = &mut Random::new(1);
    let (binary, tree) = (noise(random, len), text(random, len));
    let edited = with_edits(random, &binary, 60);
    let changed = with_edits(random, &tree, 2000);
    let shifted = with_insertions(random, &binary);
    let other = noise(random, len);
    [
        ("small-edits", &binary, &edited),
        ("text-tree", &tree, &changed),
        ("shifts", &binary, &shifted),
        ("dissimilar", &binary, &other),
        ("identical", &binary, &binary),
    ]
    .map(|(name, old, new)| {
        let pair = pair(directory, name);
        fs::write(&pair.old, old).unwrap();
        fs::write(&pair.new, new).unwrap();
        pair
    })
    .into()
}

fn pair(directory: &Path, name: &str) -> Pair {
    let path = |version| directory.join(format!("{name}.{version}"));
    Pair { name: name.to_owned(), old: path("old"), new: path("new") }
}

/// Returns the pairs of a directory by name.
fn found(directory: &Path) -> Vec<Pair> {
    let directory = directory
        .canonicalize()
        .unwrap_or_else(|error| panic!("DGTEST_PAIRS={}: {error}", directory.display()));
    let mut pairs: Vec<Pair> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "old"))
        .map(|path| pair(&directory, path.file_stem().unwrap().to_str().unwrap()))
        .filter(|pair| pair.new.exists())
        .collect();
    assert!(!pairs.is_empty(), "no NAME.old and NAME.new in {}", directory.display());
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    pairs
}

/// Runs one encoding or decoding: `encode LEVEL SECONDARY THREADS OLD NEW DELTA` or
/// `decode OLD DELTA NEW`.
fn work(arguments: &[String]) {
    let open = |path: &String| File::open(path).unwrap();
    let source = |path| Some(FileSource::new(open(path)).unwrap());
    let create = |path| BufWriter::new(File::create(path).unwrap());
    match arguments {
        [command, level, secondary, threads, old, new, delta] if command == "encode" => {
            let target = open(new);
            let secondary = if secondary == "lzma" { Secondary::Lzma } else { Secondary::None };
            let options = EncodeOptions::at_level(Level::new(level.parse().unwrap()).unwrap())
                .with_secondary(secondary)
                .with_threads(threads.parse().unwrap())
                .with_target_len(target.metadata().unwrap().len());
            let mut delta = create(delta);
            encode_stream(source(old), target, &mut delta, &options).unwrap();
            delta.flush().unwrap();
        }
        [command, old, delta, new] if command == "decode" => {
            let mut target = create(new);
            decode_stream(source(old), open(delta), &mut target, &DecodeOptions::default())
                .unwrap();
            target.flush().unwrap();
        }
        _ => panic!("{arguments:?}: not the arguments of a worker"),
    }
}

/// One row of the table.
struct Setting<'a> {
    pair: &'a Pair,
    level: u8,
    secondary: &'a str,
    /// The number of threads of an encoding; `None` is a decoding.
    threads: Option<usize>,
}

impl Setting<'_> {
    fn name(&self) -> String {
        let Self { pair, level, secondary, threads } = self;
        let name = &pair.name;
        match threads {
            Some(threads) => format!("{name} encode -{level} {secondary} {threads}t"),
            None => format!("{name} decode -{level} {secondary}"),
        }
    }

    fn ours(&self, out: &Path) -> Vec<String> {
        let program = std::env::current_exe().unwrap();
        let (old, new) = (text_of(&self.pair.old), text_of(&self.pair.new));
        let (level, out) = (self.level.to_string(), text_of(out));
        let mut command = vec![text_of(&program), WORKER.to_owned()];
        command.extend(match self.threads {
            Some(threads) => {
                let settings = [level, self.secondary.to_owned(), threads.to_string()];
                [&["encode".to_owned()], &settings[..], &[old, new, out]].concat()
            }
            None => ["decode", &old, "delta", &out].map(str::to_owned).into(),
        });
        command
    }

    fn theirs(&self, out: &Path) -> Vec<String> {
        let (old, new, out) = (text_of(&self.pair.old), text_of(&self.pair.new), text_of(out));
        let level = format!("-{}", self.level);
        let arguments = match self.threads {
            Some(_) => {
                let settings = ["-e", "-f", "-D", "-A=", &level, "-S", self.secondary];
                [&settings[..], &["-s", &old, &new, &out]].concat()
            }
            None => vec!["-d", "-f", "-D", "-s", &old, "delta", &out],
        };
        ["xdelta3"].into_iter().chain(arguments).map(str::to_owned).collect()
    }
}

fn text_of(path: &Path) -> String {
    path.to_str().expect("paths are UTF-8").to_owned()
}

fn equal(a: &Path, b: &Path) -> bool {
    let (mut a, mut b) = (File::open(a).unwrap(), File::open(b).unwrap());
    if a.metadata().unwrap().len() != b.metadata().unwrap().len() {
        return false;
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let len = a.read(&mut left).unwrap();
        if len == 0 {
            return true;
        }
        b.read_exact(&mut right[..len]).unwrap();
        if left[..len] != right[..len] {
            return false;
        }
    }
}

/// The programs and the directory of a benchmark.
struct Bench {
    directory: PathBuf,
    runs: usize,
    with_xdelta3: bool,
    filter: String,
}

impl Bench {
    fn new(filter: String) -> Self {
        let runs = variable("DGTEST_RUNS", 5).max(1);
        let with_xdelta3 = has_xdelta3();
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let directory = parent.join(format!("vcdiff-bench-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self { directory, runs, with_xdelta3, filter }
    }

    /// Measures all settings of a pair at a level and with a secondary compressor.
    fn pair(&self, pair: &Pair, level: u8, secondary: &str) {
        let selected = |setting: &Setting<'_>| setting.name().contains(&self.filter);
        let setting = |threads| Setting { pair, level, secondary, threads };
        let encodings: Vec<_> =
            THREADS.into_iter().map(|n| setting(Some(n))).filter(selected).collect();
        let decoding = setting(None);
        if encodings.is_empty() && !selected(&decoding) {
            return;
        }
        // What each run must give, and what is decoded.
        let delta = self.directory.join("delta");
        let first = setting(Some(1));
        let command = if self.with_xdelta3 { first.theirs(&delta) } else { first.ours(&delta) };
        Usage::of(&command, &self.directory);
        if !encodings.is_empty() {
            self.measure(&encodings, &delta);
        }
        if selected(&decoding) {
            self.measure(&[decoding], &pair.new);
        }
        fs::remove_file(delta).unwrap();
    }

    /// Measures settings that xdelta3 does not distinguish, in alternation with it.
    fn measure(&self, settings: &[Setting<'_>], expected: &Path) {
        let out = self.directory.join("out");
        let run = |command: Vec<String>, what: &str| {
            let usage = Usage::of(&command, &self.directory);
            assert!(
                equal(&out, expected),
                "{what}: the output of {command:?} differs from {}",
                expected.display()
            );
            fs::remove_file(&out).unwrap();
            usage
        };
        let mut ours = vec![Vec::new(); settings.len()];
        let mut theirs = Vec::new();
        for _ in 0..self.runs {
            for (setting, ours) in settings.iter().zip(&mut ours) {
                ours.push(run(setting.ours(&out), &setting.name()));
            }
            if let Some(first) = settings.first().filter(|_| self.with_xdelta3) {
                theirs.push(run(first.theirs(&out), "xdelta3"));
            }
        }
        let theirs = (!theirs.is_empty()).then(|| Usage::median(&theirs));
        for (setting, ours) in settings.iter().zip(&ours) {
            print_row(&setting.name(), Usage::median(ours), theirs);
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn has_xdelta3() -> bool {
    let Ok(output) = Command::new("xdelta3").arg("-V").output() else {
        eprintln!("no xdelta3 on PATH: only this codec is measured");
        return false;
    };
    let version = String::from_utf8_lossy(&output.stderr);
    assert!(version.contains("version 3.0.11"), "the xdelta3 on PATH is not 3.0.11: {version}");
    true
}

fn print_row(name: &str, ours: Usage, theirs: Option<Usage>) {
    let figures = |usage: Usage| [usage.wall * 1e3, usage.cpu * 1e3, usage.memory];
    print!("{name:<32}");
    for (at, ours) in figures(ours).into_iter().enumerate() {
        match theirs.map(|theirs| figures(theirs)[at]) {
            Some(theirs) => print!(" {ours:>7.0} {theirs:>7.0} {:>6.2}", theirs / ours),
            None => print!(" {ours:>7.0} {:>7} {:>6}", "-", "-"),
        }
    }
    println!();
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((WORKER, rest)) = arguments.split_first().map(|(first, rest)| (&**first, rest)) {
        return work(rest);
    }
    // `cargo test --benches` runs benchmarks without it; then there is nothing to measure.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let filter = arguments.into_iter().find(|argument| !argument.starts_with("--"));
    let bench = Bench::new(filter.unwrap_or_default());
    let mut pairs = generated(&bench.directory, variable("DGTEST_MIB", 12) << 20);
    if let Some(directory) = std::env::var_os("DGTEST_PAIRS") {
        pairs.extend(found(Path::new(&directory)));
    }
    println!(
        "medians of {} runs; ours, xdelta3 and xdelta3/ours\n{:<32} {:^22} {:^22} {:^22}",
        bench.runs, "setting", "wall, ms", "CPU, ms", "memory, MiB"
    );
    for pair in &pairs {
        for level in LEVELS {
            SECONDARIES.iter().for_each(|secondary| bench.pair(pair, level, secondary));
        }
    }
}
