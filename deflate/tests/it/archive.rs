//! Scans of gzip and zip files.

use deltaglider_deflate::Limits;
use deltaglider_deflate::archive::{Format, Scan};
use proptest::prelude::*;

use crate::support::properties;

/// A stream of "a".
const STREAM: [u8; 3] = [0x4b, 0x04, 0x00];

struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    fn new(prefix: &[u8]) -> Self {
        Self { bytes: prefix.to_vec(), directory: Vec::new(), entries: 0 }
    }

    /// Adds an entry; `wide` states its offset in a field of zip64.
    fn entry(&mut self, flags: u16, method: u16, data: &[u8], wide: bool) -> usize {
        let offset = self.bytes.len() as u64;
        self.bytes.extend(b"PK\x03\x04\x14\0");
        self.bytes.extend(flags.to_le_bytes());
        self.bytes.extend(method.to_le_bytes());
        self.bytes.extend([0; 16]);
        self.bytes.extend([1, 0, 2, 0, b'n', 7, 7]);
        let at = self.bytes.len();
        self.bytes.extend(data);
        self.directory.extend(b"PK\x01\x02\x14\0\x14\0");
        self.directory.extend(flags.to_le_bytes());
        self.directory.extend(method.to_le_bytes());
        self.directory.extend([0; 16]);
        self.directory.extend([1, 0, if wide { 12 } else { 0 }, 0, 0, 0]);
        self.directory.extend([0; 8]);
        let narrow = if wide { u32::MAX } else { offset as u32 };
        self.directory.extend(narrow.to_le_bytes());
        self.directory.push(b'n');
        if wide {
            self.directory.extend([1, 0, 8, 0]);
            self.directory.extend(offset.to_le_bytes());
        }
        self.entries += 1;
        at
    }

    fn finish(mut self, comment: &[u8]) -> Vec<u8> {
        let offset = self.bytes.len() as u32;
        self.bytes.extend(&self.directory);
        self.bytes.extend(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend(self.entries.to_le_bytes());
        self.bytes.extend(self.entries.to_le_bytes());
        self.bytes.extend((self.directory.len() as u32).to_le_bytes());
        self.bytes.extend(offset.to_le_bytes());
        self.bytes.extend((comment.len() as u16).to_le_bytes());
        self.bytes.extend(comment);
        self.bytes
    }
}

/// Returns where streams are proposed, each taken to be [`STREAM`].
fn starts(file: &[u8]) -> Vec<usize> {
    let mut scan = Scan::new(file, &Limits::default()).unwrap();
    let mut found = Vec::new();
    while let Some(start) = scan.next(file).unwrap() {
        found.push(start.offset as usize);
        scan.end_stream(start.offset + STREAM.len() as u64);
    }
    found
}

#[test]
fn deflated_entries_are_found() {
    let mut zip = Zip::new(b"");
    let first = zip.entry(0, 8, &STREAM, false);
    zip.entry(0, 0, b"stored", false);
    zip.entry(1, 8, b"encrypted", false);
    let second = zip.entry(8, 8, &[&STREAM[..], b"PK\x07\x08............"].concat(), true);
    assert_eq!(starts(&zip.finish(b"a comment")), [first, second]);
}

#[test]
fn prefixed_archive_is_found() {
    let mut zip = Zip::new(b"");
    let first = zip.entry(0, 8, &STREAM, false);
    let file = [b"#!/bin/sh\n".as_slice(), &zip.finish(b"")].concat();
    assert_eq!(starts(&file), [10 + first]);
}

#[test]
fn wide_directory_is_found() {
    let mut zip = Zip::new(b"");
    let first = zip.entry(0, 8, &STREAM, true);
    let (start, len) = (zip.bytes.len() as u64, zip.directory.len() as u64);
    let mut file = zip.bytes;
    file.extend(&zip.directory);
    let record = file.len() as u64;
    file.extend(b"PK\x06\x06");
    file.extend([0; 36]);
    file.extend(len.to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend(b"PK\x06\x07\0\0\0\0");
    file.extend(record.to_le_bytes());
    file.extend([1, 0, 0, 0]);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([0xff; 12]);
    file.extend([0; 2]);
    assert_eq!(starts(&file), [first]);
}

#[test]
fn overlapping_entries_are_skipped() {
    let mut zip = Zip::new(b"");
    let first = zip.entry(0, 8, &STREAM, false);
    let second = zip.entry(0, 8, &STREAM, false);
    let mut file = zip.finish(b"");
    // The second entry of the directory points to the first one's header.
    let place = file.windows(4).rposition(|four| four == b"PK\x01\x02").unwrap();
    file[place + 42..place + 46].fill(0);
    assert_eq!(starts(&file), [first]);
    assert!(second > first);
}

#[test]
fn entry_limit_leaves_the_archive() {
    let mut zip = Zip::new(b"");
    for _ in 0..5 {
        zip.entry(0, 8, &STREAM, false);
    }
    let file = zip.finish(b"");
    let limits = Limits::default().with_zip_entries(4);
    assert_eq!(Scan::new(&file[..], &limits).unwrap().format(), None);
    let scan = Scan::new(&file[..], &limits.with_zip_entries(5)).unwrap();
    assert_eq!(scan.format(), Some(Format::Zip));
}

proptest! {
    #[test]
    fn damaged_archives_hold_properties(places: Vec<(usize, u8)>, cut: usize) {
        let mut zip = Zip::new(b"");
        for wide in [false, true, false] {
            zip.entry(0, 8, &STREAM, wide);
        }
        let mut file = zip.finish(b"comment");
        for (at, byte) in places {
            let len = file.len();
            file[at % len] = byte;
        }
        properties::scan(&file);
        properties::scan(&file[..cut % file.len()]);
    }
}
