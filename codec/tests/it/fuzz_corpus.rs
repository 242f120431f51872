//! Checks the properties of the fuzz targets on their seeds, and on every input that once violated
//! one (`tests/corpus/TARGET/crash-*`).

use std::fs;
use std::path::PathBuf;

use deltaglider_vcdiff::{EncodeOptions, Level, Secondary, encode};

use crate::support::decode_inputs::{FIXTURES, Random, fixture, input};
use crate::support::properties;

type Property = fn(&[u8]);

const TARGETS: [(&str, Property); 8] = [
    ("decode_any", properties::decode_any),
    ("decode_within_limits", properties::decode_within_limits),
    ("round_trip", properties::round_trip),
    ("chunking", properties::chunking),
    ("lzma", properties::lzma),
    ("djw", properties::djw),
    ("fgk", properties::fgk),
    ("header", properties::header),
];

fn corpus(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target)
}

#[test]
fn stored_inputs_hold_properties() {
    for (target, property) in TARGETS {
        let mut files: Vec<PathBuf> =
            fs::read_dir(corpus(target)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{target} has seeds");
        for file in files {
            println!("{}", file.display());
            property(&fs::read(file).unwrap());
        }
    }
}

/// Small deltas of xdelta3 with their sources, and a few targets; `UPDATE_SEEDS=1` writes them.
#[test]
fn stored_seeds_are_current() {
    let mut seeds: Vec<(&str, String, Vec<u8>)> = Vec::new();
    for (file, name, _) in FIXTURES {
        let (pair, delta) = (input(name, 1), fixture(file));
        let source = pair.source.unwrap_or_default();
        if delta.len() + source.len() < 1500 {
            let whole = [&(source.len() as u16).to_le_bytes()[..], &source, &delta].concat();
            seeds.push(("decode_any", file.to_owned(), whole.clone()));
            seeds.push(("decode_within_limits", file.to_owned(), whole));
            seeds.push(("header", file.to_owned(), delta[3..].to_vec()));
        }
    }
    let mut random = Random::new(6);
    for number in 0..6u8 {
        let source = random.text(300);
        let target = random.edited(&source, 5);
        let whole = [&(source.len() as u16).to_le_bytes()[..], &source, &target].concat();
        seeds.push(("chunking", number.to_string(), whole.clone()));
        seeds.push((
            "round_trip",
            number.to_string(),
            [&[number * 2, number * 2, number][..], &whole].concat(),
        ));
    }
    for (target, fixture_name) in [
        ("lzma", "few_letters-0-lzma"),
        ("djw", "few_letters-0-djw9"),
        ("fgk", "few_letters-0-fgk"),
    ] {
        // The compressed data section of the first window: the bytes after its length.
        let delta = fixture(fixture_name);
        let at = delta.windows(2).position(|bytes| bytes == [0x87, 0x68]).map_or(0, |first| {
            first
                + 2
                + delta[first + 2..].windows(2).position(|bytes| bytes == [0x87, 0x68]).unwrap()
                + 2
        });
        let stored = &delta[at..];
        seeds.push((target, "section".to_owned(), [&1000u16.to_le_bytes()[..], stored].concat()));
        seeds.push((target, "text".to_owned(), random.text(400)));
        seeds.push((target, "random".to_owned(), random.bytes(100)));
    }
    // Long enough for several codes.
    seeds.push(("djw", "long_text".to_owned(), random.text(1503)));
    // Within the limits of their target, in one window and in two.
    let mut plain = EncodeOptions::at_level(Level::FASTEST);
    (plain.secondary, plain.checksum) = (Secondary::None, false);
    let one = encode(Some(b"a short source"), b"a short target of a short source", &plain).unwrap();
    let other = encode(Some(b"a short source"), b"of a short target", &plain).unwrap();
    for (name, delta) in
        [("one_window", one.clone()), ("two_windows", [&one[..], &other[5..]].concat())]
    {
        seeds.push((
            "decode_within_limits",
            name.to_owned(),
            [b"\x0e\x00a short source".as_slice(), &delta].concat(),
        ));
    }
    for (target, name, bytes) in seeds {
        let path = corpus(target).join(name);
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            fs::create_dir_all(corpus(target)).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        assert!(fs::read(&path).unwrap() == bytes, "{}", path.display());
    }
}
