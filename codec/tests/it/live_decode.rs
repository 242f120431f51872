//! Decodes the output of the xdelta3 3.0.11 on this machine. Ignored by plain `cargo test`; run it
//! by name where xdelta3 is installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::decode_inputs::{FIXTURES, INPUTS, Pair, Random, fixture, fixture_path, input};
use deltaglider_vcdiff::encode::identical;
use deltaglider_vcdiff::{DecodeOptions, Decoder, EncodeOptions, FileSource, decode};

/// A temporary directory, removed at the end.
struct WorkDir(PathBuf);

impl WorkDir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vcdiff-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Returns the delta xdelta3 makes from a pair; with `piped` it cannot know the length of the
    /// source.
    fn encode(&self, pair: &Pair, arguments: &[&str], piped: bool) -> Vec<u8> {
        std::fs::write(self.0.join("target"), &pair.target).unwrap();
        let mut command = Command::new(if piped { "sh" } else { "xdelta3" });
        if piped {
            let script = r#"cat source | xdelta3 -e -D -f "$@" -s /dev/stdin target delta"#;
            command.args(["-c", script, "sh"]).args(arguments);
        } else {
            command.args(["-e", "-D", "-f"]).args(arguments);
        }
        if let Some(source) = &pair.source {
            std::fs::write(self.0.join("source"), source).unwrap();
            if !piped {
                command.args(["-s", "source"]);
            }
        }
        if !piped {
            command.args(["target", "delta"]);
        }
        let status = command
            .current_dir(&self.0)
            .stdin(Stdio::null())
            .status()
            .expect("xdelta3 on the path");
        assert!(status.success(), "xdelta3 {arguments:?}");
        std::fs::read(self.0.join("delta")).unwrap()
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn assert_decodes(pair: &Pair, delta: &[u8], what: &str) {
    let target = decode(pair.source.as_deref(), delta, &DecodeOptions::default());
    assert!(target.unwrap_or_else(|error| panic!("{what}: {error}")) == pair.target, "{what}");
}

#[test]
#[ignore = "needs xdelta3 3.0.11"]
fn live_output_is_decoded() {
    let dir = WorkDir::new("live");
    let mut decoded = 0;
    for scale in [1, 12] {
        for name in INPUTS {
            let pair = input(name, scale);
            for level in ["-1", "-3", "-6", "-9"] {
                for secondary in ["none", "lzma"] {
                    for window in ["16384", "8388608"] {
                        let arguments = [level, "-S", secondary, "-W", window];
                        for piped in [false, true] {
                            if piped && (pair.source.is_none() || level != "-6") {
                                continue;
                            }
                            let delta = dir.encode(&pair, &arguments, piped);
                            assert_decodes(
                                &pair,
                                &delta,
                                &format!("{name} x{scale} {arguments:?} piped: {piped}"),
                            );
                            decoded += 1;
                        }
                    }
                }
            }
        }
    }
    println!("{decoded} deltas decoded");
    assert!(decoded > 0);
}

/// Sections of several hundred kilobytes: many LZMA2 chunks, with and without a new state.
#[test]
#[ignore = "needs xdelta3 3.0.11"]
fn long_lzma_sections_decode() {
    let dir = WorkDir::new("long");
    let mut random = Random::new(77);
    let mut target = Vec::new();
    for part in 0..60 {
        let len = 20_000 + random.below(150_000);
        match part % 4 {
            0 => target.extend(random.bytes(len)),
            3 => target.resize(target.len() + len, part as u8),
            _ => target.extend(random.text(len)),
        }
    }
    let mut decoded = 0;
    for source in [None, Some(random.text(100_000))] {
        let pair = Pair { source, target: target.clone() };
        for arguments in [&["-9"][..], &["-1", "-W", "700000"], &["-0", "-W", "16384"]] {
            assert_decodes(&pair, &dir.encode(&pair, arguments, false), &format!("{arguments:?}"));
            decoded += 1;
        }
    }
    println!("{decoded} deltas decoded");
    assert!(decoded > 0);
}

/// The copies of one window are spread over a source that is larger than the decoder's cache, and
/// the source is read from a file.
#[test]
#[ignore = "needs xdelta3 3.0.11"]
fn source_beyond_cache_decodes() {
    let dir = WorkDir::new("large");
    let mut random = Random::new(5);
    let source = random.bytes(80 << 20);
    let mut blocks: Vec<&[u8]> = source.chunks(1_000_003).collect();
    blocks.reverse();
    let pair = Pair { target: blocks.concat(), source: Some(source) };
    let delta = dir.encode(&pair, &["-1", "-B", "134217728"], false);
    assert!(delta.len() < 1 << 20, "xdelta3 found the blocks");
    assert!(decode_from_file(&dir.0.join("source"), &delta) == pair.target);
    println!("1 delta decoded");
}

fn decode_from_file(source: &Path, delta: &[u8]) -> Vec<u8> {
    let source = FileSource::new(std::fs::File::open(source).unwrap()).unwrap();
    let mut decoder = Decoder::new(Some(source), &DecodeOptions::default());
    let mut target = Vec::new();
    for piece in delta.chunks(1000) {
        let mut rest = piece;
        while !rest.is_empty() {
            let taken = decoder.push(rest, &mut target).unwrap();
            rest = &rest[taken..];
        }
    }
    assert_eq!(decoder.finish().unwrap().target_len, target.len() as u64);
    target
}

/// Compares the committed fixtures; with `UPDATE_FIXTURES=1` in the environment it writes them.
#[test]
#[ignore = "needs xdelta3 3.0.11"]
fn fixtures_match_xdelta3() {
    let dir = WorkDir::new("fixtures");
    let update = std::env::var_os("UPDATE_FIXTURES").is_some();
    let mut compared = 0;
    for (file, name, arguments) in FIXTURES {
        let delta = dir.encode(&input(name, 1), arguments, false);
        if update {
            std::fs::write(fixture_path(file), &delta).unwrap();
        }
        assert!(delta == fixture(file), "{file}");
        compared += 1;
    }
    println!("{compared} fixtures compared");
    assert!(compared > 0);
}

/// xdelta3 decodes deltas of files against themselves.
#[test]
#[ignore = "needs xdelta3 3.0.11"]
fn xdelta3_reads_identical_deltas() {
    let dir = WorkDir::new("identical");
    let mut random = Random::new(6);
    let window = 8 << 20;
    let mut read = 0;
    for len in [0, 1, 3, 4, window - 1, window, window + 1, 65 << 20] {
        let file = random.bytes(len);
        std::fs::write(dir.0.join("file"), &file).unwrap();
        std::fs::write(dir.0.join("delta"), identical(&file, &EncodeOptions::default()).unwrap())
            .unwrap();
        let mut command = Command::new("xdelta3");
        command.args(["-d", "-f", "-s", "file", "delta", "decoded"]).current_dir(&dir.0);
        assert!(command.stdin(Stdio::null()).status().unwrap().success(), "{len} bytes");
        assert!(std::fs::read(dir.0.join("decoded")).unwrap() == file, "{len} bytes");
        read += 1;
    }
    println!("{read} deltas read");
}
