//! Checks the properties of the fuzz targets on their seeds, and on every input that once violated
//! one (`tests/corpus/TARGET/crash-*`).

use std::fs;
use std::path::PathBuf;

use crate::support::properties;

type Property = fn(&[u8]);

const TARGETS: [(&str, Property); 5] = [
    ("deflate_parse", properties::parse),
    ("deflate_rebuild", properties::rebuild_any_parse),
    ("deflate_corrections", properties::rebuild_any_corrections),
    ("deflate_tokens", properties::rebuild_any_token_form),
    ("deflate_scan", properties::scan),
];

#[test]
fn stored_inputs_hold_properties() {
    for (target, property) in TARGETS {
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
        let mut files: Vec<PathBuf> =
            fs::read_dir(corpus).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(files.len() >= 3, "{target} has seeds");
        for file in files {
            println!("{}", file.display());
            property(&fs::read(file).unwrap());
        }
    }
}

/// Every stream among the seeds is rebuilt by every rule.
#[test]
fn seeds_are_rebuilt_by_every_rule() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/deflate_parse");
    for file in fs::read_dir(corpus).unwrap() {
        let stream = fs::read(file.unwrap().path()).unwrap();
        properties::rebuild_token_form(&stream);
        for choice in 0..=u8::MAX {
            properties::rebuild_any_parse(&[&[choice][..], &stream].concat());
        }
    }
}
