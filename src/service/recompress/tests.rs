use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deltaglider_vcdiff::{DecodeOptions, decode};

use super::{Packer, Setting, candidates, unpack};
use crate::domain::Compression;
use crate::domain::Sha256Digest;

const ALL: [Compression; 3] = [Compression::Gzip, Compression::Bzip2, Compression::Xz];
const SETTINGS: [Setting; 4] = [Setting::Gzip6, Setting::Gzip9, Setting::Bzip2, Setting::Xz];

/// xorshift64*; the goldens were made from its numbers.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, length: usize, values: usize) -> Vec<u8> {
        (0..length).map(|_| self.below(values) as u8).collect()
    }

    fn text(&mut self, length: usize) -> Vec<u8> {
        let words: Vec<Vec<u8>> = (0..800).map(|_| self.word()).collect();
        let mut text = Vec::new();
        while text.len() < length {
            let range = 1 << self.below(10);
            text.extend(&words[self.below(range).min(799)]);
            text.push(if self.below(12) == 0 { b'\n' } else { b' ' });
        }
        text.truncate(length);
        text
    }

    fn word(&mut self) -> Vec<u8> {
        let length = 1 + self.below(10);
        self.bytes(length, 26).iter().map(|byte| byte + b'a').collect()
    }

    fn rows(&mut self, length: usize) -> Vec<u8> {
        let mut rows = String::new();
        for row in 0.. {
            if rows.len() >= length {
                break;
            }
            writeln!(
                rows,
                "INSERT INTO t VALUES ({row}, '{:x}', {});",
                self.next() % 4096,
                self.next()
            )
            .unwrap();
        }
        rows.truncate(length);
        rows.into_bytes()
    }

    /// Returns a motif that is repeated with a changed byte here and there, as in tables of
    /// records.
    fn motif(&mut self, length: usize) -> Vec<u8> {
        let period = 3 + self.below(3000);
        let mut motif = self.bytes(period, 256);
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend(&motif);
            let at = self.below(2 * period);
            if let Some(byte) = motif.get_mut(at) {
                *byte ^= 0x55;
            }
        }
        bytes.truncate(length);
        bytes
    }

    /// Returns three bytes repeated at the maximum distance at which a match of three is used.
    fn three_at_4096(&mut self) -> Vec<u8> {
        let piece = |noise: &mut Self| [noise.bytes(4093, 64), vec![200, 201, 202]].concat();
        (0..20).flat_map(|_| piece(self)).collect()
    }

    fn mixed(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let piece = 10 + self.below(50_000);
            let kind = self.below(6);
            bytes.extend(self.of_kind(kind, piece));
        }
        bytes.truncate(length);
        bytes
    }

    fn of_kind(&mut self, kind: usize, length: usize) -> Vec<u8> {
        match kind {
            0 => self.text(length),
            1 => self.bytes(length, 256),
            2 => self.rows(length),
            3 => self.bytes(length, 4),
            4 => vec![0; length],
            5 => self.motif(length),
            _ => self.mixed(length),
        }
    }
}

/// Returns the inputs of the goldens, by name.
fn golden_inputs() -> Vec<(&'static str, Vec<u8>)> {
    let mut noise = Noise(42);
    vec![
        ("empty", Vec::new()),
        ("byte", vec![b'x']),
        ("text", noise.text(200_000)),
        ("noise", noise.bytes(100_000, 256)),
        ("rows", noise.rows(150_000)),
        ("four", noise.bytes(120_000, 4)),
        ("zeros", vec![0; 300_000]),
        ("motif", noise.motif(200_000)),
        ("mixed", noise.mixed(400_000)),
        ("window", noise.text(65_536)),
        ("short-of-window", noise.mixed(65_500)),
        // The window is rebuilt at the end of the input only because a match jumps to the last
        // bytes.
        ("zeros-of-window", vec![0; 65_530]),
        ("three-at-4096", noise.three_at_4096()),
        // There is no match: the two distance codes that deflate requires decide between fixed and
        // dynamic codes.
        ("literals-35", Noise(265).bytes(35, 20)),
        ("literals-58", Noise(446).bytes(58, 40)),
    ]
}

fn pack(setting: Setting, bytes: &[u8]) -> Vec<u8> {
    let mut packer = Packer::new(setting, Vec::new()).unwrap();
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn unpack_all(compression: Compression, packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    unpack(compression, io::Cursor::new(packed.to_vec()))?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn first(compression: Compression) -> Setting {
    candidates(compression)[0]
}

/// Compares every golden with the digest of what `by` makes of its input.
fn compare_goldens(by: impl Fn(Setting, &[u8]) -> Vec<u8>) {
    let mut compared = 0;
    let inputs = golden_inputs();
    for line in include_str!("../../../tests/data/packed-sha256.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let [input, setting, digest] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (_, bytes) =
            inputs.iter().find(|(name, _)| *name == input).expect("the golden's input");
        let setting = SETTINGS
            .into_iter()
            .find(|known| known.to_string() == setting)
            .expect("the golden's setting");
        assert_eq!(
            Sha256Digest::of(&by(setting, bytes)).to_string(),
            digest,
            "{input} by {setting}"
        );
        compared += 1;
    }
    assert_eq!(compared, inputs.len() * SETTINGS.len());
}

/// Packed bytes have the digests of those that the real programs write.
#[test]
fn packed_bytes_match_goldens() {
    compare_goldens(pack);
}

#[test]
fn packed_content_round_trips() {
    for compression in ALL {
        for &setting in candidates(compression) {
            for (name, bytes) in golden_inputs() {
                let packed = pack(setting, &bytes);
                assert_eq!(Compression::of(&packed), Some(compression));
                assert!(unpack_all(compression, &packed).unwrap() == bytes, "{name} by {setting}");
            }
        }
    }
}

#[test]
fn write_size_keeps_packed_bytes() {
    let mut noise = Noise(7);
    let bytes = noise.mixed(200_000);
    for setting in SETTINGS {
        let mut packer = Packer::new(setting, Vec::new()).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + noise.below(9000)));
            packer.write_all(piece).unwrap();
            packer.flush().unwrap();
            rest = after;
        }
        assert!(packer.finish().unwrap() == pack(setting, &bytes), "{setting}");
    }
}

#[test]
fn all_members_and_streams_read() {
    for compression in ALL {
        let mut packed = pack(first(compression), b"one ");
        packed.extend(pack(first(compression), b""));
        packed.extend(pack(first(compression), b"two"));
        assert_eq!(unpack_all(compression, &packed).unwrap(), b"one two", "{compression}");
    }
}

/// Zeros after the end are skipped for the formats whose programs skip them.
#[test]
fn trailing_zeros_are_accepted() {
    for compression in [Compression::Gzip, Compression::Xz] {
        let mut packed = pack(first(compression), b"text");
        packed.resize(packed.len() + 10_240, 0);
        assert_eq!(unpack_all(compression, &packed).unwrap(), b"text", "{compression}");
    }
}

#[test]
fn other_trailing_bytes_fail() {
    for compression in ALL {
        for garbage in [&b"x"[..], b"\0\0\0\0x", b"garbage, quite a lot of it", &[0x1f], &[0xfd]] {
            let mut packed = pack(first(compression), b"text");
            packed.extend(garbage);
            let error = unpack_all(compression, &packed).expect_err("garbage");
            assert!(error.to_string().contains(&compression.to_string()), "{compression}: {error}");
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    let bytes = Noise(3).text(3000);
    for compression in ALL {
        let packed = pack(first(compression), &bytes);
        for length in 0..packed.len() {
            let error = unpack_all(compression, &packed[..length]).expect_err("cut short");
            assert_eq!(
                error.to_string(),
                format!("the {compression} data is cut short"),
                "at {length}"
            );
        }
    }
}

/// Damaged data either fails, and then fails on every further read, or gives the right bytes.
#[test]
fn damage_fails_or_is_harmless() {
    let bytes = Noise(5).mixed(3000);
    for compression in ALL {
        let packed = pack(first(compression), &bytes);
        let mut failed = 0;
        for at in 0..packed.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = packed.clone();
                damaged[at] ^= flip;
                let mut reader = unpack(compression, io::Cursor::new(damaged)).unwrap();
                let mut found = Vec::new();
                match reader.read_to_end(&mut found) {
                    Ok(_) => assert!(found == bytes, "{compression} damaged at {at}"),
                    Err(_) => {
                        failed += 1;
                        assert!(reader.read(&mut [0; 10]).is_err());
                    }
                }
            }
        }
        assert!(
            failed > packed.len() * 2,
            "{compression}: only {failed} of {} found",
            packed.len() * 3
        );
    }
}

/// The dictionary is rejected before it is allocated.
#[test]
fn oversized_xz_dictionary_fails() {
    // The header of one block with a dictionary of 2^(code/2 + 12) bytes or half as much again: 28
    // is 64 MiB.
    let with_dictionary = |code: u8| {
        let mut packed = pack(Setting::Xz, b"text");
        packed[16] = code;
        let mut crc = flate2::Crc::new();
        crc.update(&packed[12..20]);
        packed[20..24].copy_from_slice(&crc.sum().to_le_bytes());
        packed
    };
    assert_eq!(unpack_all(Compression::Xz, &with_dictionary(28)).unwrap(), b"text");
    for code in [29, 40] {
        let error = unpack_all(Compression::Xz, &with_dictionary(code)).expect_err("too long");
        assert_eq!(error.to_string(), "unpacking xz would take more than the 65 MiB allowed");
    }
}

#[test]
fn compress_is_refused_by_name() {
    assert!(candidates(Compression::Compress).is_empty());
    let error = unpack(Compression::Compress, io::empty()).err().expect("refused");
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/python-bucket")
}

/// Restores the file that the Python tool stored under `key`; returns whether its digest is right.
fn restores(key: &str) -> bool {
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture().join("manifest.json")).unwrap()).unwrap();
    let object = |key: &str| {
        let objects = manifest["objects"].as_array().unwrap();
        let found =
            objects.iter().find(|object| object["key"] == key).expect("the object of the fixture");
        (found.clone(), std::fs::read(fixture().join(found["file"].as_str().unwrap())).unwrap())
    };
    let (delta, delta_bytes) = object(&format!("{key}.delta"));
    let folder = key.rsplit_once('/').unwrap().0;
    let (_, mut source) = object(&format!("{folder}/reference.bin"));
    let header: Vec<&str> = delta["vcdiff_app_header"].as_str().unwrap().split('/').collect();
    let [_, target_letter, _, source_letter] = header[..] else { panic!("{header:?}") };
    if let Some(compression) = Compression::of_letter(source_letter) {
        source = unpack_all(compression, &source).unwrap();
    }
    let target = decode(Some(&source), &delta_bytes, &DecodeOptions::default()).unwrap();
    let packed = match Compression::of_letter(target_letter) {
        Some(compression) => pack(first(compression), &target),
        None => target,
    };
    Sha256Digest::of(&packed).to_string() == delta["expected_plaintext_sha256"].as_str().unwrap()
}

#[test]
fn python_fixture_is_restored() {
    for key in [
        "bz2/pkg.tar.bz2",
        "bz2/pkg2.tar.bz2",
        "xz/pkg.tar.xz",
        "xz/pkg2.tar.xz",
        "gz6n/dump.sql.gz",
        "gz6n/dump2.sql.gz",
        "mix1/dump2.sql.gz",
        "mix1/raw.tar",
        "mix2/dump.sql.gz",
        "mix2/raw2.tar",
    ] {
        assert!(restores(key), "{key}");
    }
}

/// Returns the program's output for `input`, given through a pipe as xdelta3 gives it.
fn by_program(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program}");
    output.stdout
}

fn by_real_program(setting: Setting, input: &[u8]) -> Vec<u8> {
    match setting {
        Setting::Gzip6 => by_program("gzip", &["-cf"], input),
        Setting::Gzip9 => by_program("gzip", &["-9cf"], input),
        Setting::Bzip2 => by_program("bzip2", &["-cf"], input),
        Setting::Xz => by_program("xz", &["-cf", "-T1"], input),
    }
}

/// Lengths around the size of gzip's window, where the end of the input meets its rebuilding.
const WINDOW_LENGTHS: [usize; 14] =
    [1, 2, 3, 262, 32_767, 32_768, 65_273, 65_274, 65_275, 65_400, 65_534, 65_535, 65_536, 98_304];

#[test]
#[ignore = "runs this machine's gzip, bzip2 and xz; DGTEST_COMPARISONS inputs (default 200)"]
fn live_packing() {
    let wanted =
        std::env::var("DGTEST_COMPARISONS").map_or(200, |count| count.parse::<usize>().unwrap());
    assert!(wanted > 0, "no comparison was asked for");
    compare_goldens(by_real_program);
    let mut noise = Noise(0x5eed);
    let mut compared = 0;
    for round in 0..wanted {
        let length = match round % 3 {
            0 => WINDOW_LENGTHS[noise.below(WINDOW_LENGTHS.len())] + noise.below(3),
            1 => noise.below(300_000),
            _ => 1 << noise.below(22),
        };
        let bytes = noise.of_kind(round % 7, length);
        for setting in SETTINGS {
            let real = by_real_program(setting, &bytes);
            assert!(
                pack(setting, &bytes) == real,
                "round {round}: {length} bytes of kind {} by {setting}",
                round % 7
            );
            let compression = Compression::of(&real).unwrap();
            assert!(
                unpack_all(compression, &real).unwrap() == bytes,
                "round {round}: unpacking {setting}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, wanted * SETTINGS.len());
    println!("{compared} comparisons of {wanted} inputs, all equal");
}
