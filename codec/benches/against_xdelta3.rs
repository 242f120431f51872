//! Measures encoding and decoding from file to file, together with the `xdelta3` on PATH on the
//! same files in the same run.
//!
//! `cargo bench -p deltaglider-vcdiff [-- FILTER]`. At the end it prints the best times of both and
//! their ratio; xdelta3's include the start of a process, about two milliseconds. Without xdelta3
//! it measures only this codec.
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode};
use deltaglider_vcdiff::{
    DecodeOptions, EncodeOptions, FileSource, Level, Secondary, decode_stream, encode_stream,
};

#[path = "../tests/support/random.rs"]
#[allow(dead_code, unreachable_pub)] // shared with the tests, which use all of it
mod random;
use random::Random;

const LEN: usize = 8 << 20;
const LEVELS: [u8; 4] = [1, 3, 6, 9];
const SECONDARIES: [(&str, Secondary); 2] = [("none", Secondary::None), ("lzma", Secondary::Lzma)];

fn noise(random: &mut Random, len: usize) -> Vec<u8> {
    (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).take(len).collect()
}

/// Returns code-like text of many short files one after the other.
fn text(random: &mut Random, len: usize) -> Vec<u8> {
    let words: Vec<String> = (0..4000)
        .map(|_| {
            (0..random.within(2, 10)).map(|_| char::from(b'a' + random.below(26) as u8)).collect()
        })
        .collect();
    let mut text = String::with_capacity(len + 100);
    while text.len() < len {
        let rank = random.length(words.len() - 1);
        text.push_str(&words[rank]);
        let separator: &&str = random.pick(&[" ", " ", " ", ", ", "(", ") ", ";\n    ", "\n\n"]);
        text.push_str(separator);
    }
    text.truncate(len);
    text.into_bytes()
}

fn with_edits(random: &mut Random, old: &[u8], edits: usize) -> Vec<u8> {
    let mut new = old.to_vec();
    for _ in 0..edits {
        let at = random.below(new.len() - 100);
        let end = at + random.below(40);
        let len = random.below(40);
        let piece = noise(random, len);
        new.splice(at..end, piece);
    }
    new
}

fn corpora() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let random = &mut Random::new(1);
    let binary = noise(random, LEN);
    let edited = with_edits(random, &binary, 60);
    let tree = text(random, LEN);
    let changed = with_edits(random, &tree, 2000);
    let mut shifted: Vec<Vec<u8>> = Vec::new();
    for block in binary.chunks(100_003) {
        let len = random.below(3000);
        shifted.push([block, &noise(random, len)].concat());
    }
    let shifted = shifted.concat();
    vec![
        ("small-edits", binary.clone(), edited),
        ("text-tree", tree, changed),
        ("shifts", binary.clone(), shifted),
        ("identical", binary.clone(), binary),
    ]
}

struct Files {
    folder: PathBuf,
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn encode(&self, level: u8, secondary: Secondary) {
        let target = File::open(self.path("new")).unwrap();
        let mut options = EncodeOptions::at_level(Level::new(level).unwrap());
        options.secondary = secondary;
        options.target_len = Some(target.metadata().unwrap().len());
        let mut delta = BufWriter::new(File::create(self.path("ours")).unwrap());
        encode_stream(Some(source(&self.path("old"))), target, &mut delta, &options).unwrap();
        delta.flush().unwrap();
    }

    fn decode(&self) {
        let delta = File::open(self.path("ours")).unwrap();
        let mut target = BufWriter::new(File::create(self.path("decoded")).unwrap());
        decode_stream(
            Some(source(&self.path("old"))),
            delta,
            &mut target,
            &DecodeOptions::default(),
        )
        .unwrap();
        target.flush().unwrap();
    }

    fn xdelta3(&self, arguments: &[&str]) {
        let mut command = Command::new("xdelta3");
        command.env_remove("XDELTA").args(arguments).current_dir(&self.folder);
        assert!(command.status().unwrap().success());
    }
}

fn source(path: &Path) -> FileSource {
    FileSource::new(File::open(path).unwrap()).unwrap()
}

/// The best time of each measurement, by its name and by codec (`true` for this one).
type Best = RefCell<BTreeMap<(String, bool), Duration>>;

fn measure(criterion: &mut Criterion, best: &Best, name: &str, ours: bool, run: impl Fn()) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(300));
    group.bench_function(if ours { "ours" } else { "xdelta3" }, |bencher| {
        bencher.iter_custom(|times| {
            let start = Instant::now();
            (0..times).for_each(|_| run());
            let all = start.elapsed();
            let one = all / u32::try_from(times).unwrap_or(u32::MAX);
            let mut best = best.borrow_mut();
            let entry = best.entry((name.to_owned(), ours)).or_insert(one);
            *entry = one.min(*entry);
            all
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let with_xdelta3 = Command::new("xdelta3").arg("-V").stderr(Stdio::null()).status().is_ok();
    let best = Best::default();
    let files =
        Files { folder: std::env::temp_dir().join(format!("vcdiff-bench-{}", std::process::id())) };
    fs::create_dir_all(&files.folder).unwrap();
    for (corpus, old, new) in corpora() {
        fs::write(files.path("old"), &old).unwrap();
        fs::write(files.path("new"), &new).unwrap();
        for level in LEVELS {
            for (name, secondary) in SECONDARIES {
                let level_argument = format!("-{level}");
                let encode = [
                    "-e",
                    "-f",
                    "-D",
                    "-A=",
                    &level_argument,
                    "-S",
                    name,
                    "-s",
                    "old",
                    "new",
                    "theirs",
                ];
                files.encode(level, secondary);
                if with_xdelta3 {
                    files.xdelta3(&encode);
                    assert!(
                        fs::read(files.path("ours")).unwrap()
                            == fs::read(files.path("theirs")).unwrap()
                    );
                }
                files.decode();
                assert!(fs::read(files.path("decoded")).unwrap() == new);
                let encoding = format!("encode/{corpus}/{level}/{name}");
                measure(&mut criterion, &best, &encoding, true, || files.encode(level, secondary));
                let decoding = format!("decode/{corpus}/{level}/{name}");
                measure(&mut criterion, &best, &decoding, true, || files.decode());
                if with_xdelta3 {
                    measure(&mut criterion, &best, &encoding, false, || files.xdelta3(&encode));
                    let decode = ["-d", "-f", "-D", "-s", "old", "theirs", "decoded"];
                    measure(&mut criterion, &best, &decoding, false, || files.xdelta3(&decode));
                }
            }
        }
    }
    fs::remove_dir_all(&files.folder).unwrap();
    println!(
        "{:<34} {:>10} {:>10} {:>12}",
        "best of all samples", "ours, ms", "xdelta3", "xdelta3/ours"
    );
    let best = best.borrow();
    for ((name, _), ours) in best.iter().filter(|((_, ours), _)| *ours) {
        let ms = |time: &Duration| time.as_secs_f64() * 1e3;
        match best.get(&(name.clone(), false)) {
            Some(theirs) => {
                println!(
                    "{name:<34} {:>10.1} {:>10.1} {:>12.2}",
                    ms(ours),
                    ms(theirs),
                    ms(theirs) / ms(ours)
                );
            }
            None => println!("{name:<34} {:>10.1}", ms(ours)),
        }
    }
    criterion.final_summary();
}
