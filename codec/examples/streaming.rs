//! Encodes and decodes in one process without a whole file in memory: `streaming`.
#![allow(missing_docs)]

use std::error::Error;
use std::io::{Read, Write};

use deltaglider_vcdiff::{DecodeOptions, DecodeReader, EncodeOptions, EncodeWriter};

fn main() -> Result<(), Box<dyn Error>> {
    let old: Vec<u8> =
        (0..1_000_000u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();

    // The target arrives in pieces, from any reader.
    let mut encoder = EncodeWriter::new(Some(old.clone()), Vec::new(), &EncodeOptions::default())?;
    for piece in old.chunks(100_000).rev() {
        encoder.write_all(piece)?;
    }
    let delta = encoder.finish()?;

    // It is written in pieces, each of them verified.
    let mut decoder =
        DecodeReader::new(Some(old.clone()), delta.as_slice(), &DecodeOptions::default());
    let mut piece = vec![0; 100_000];
    for expected in old.chunks(100_000).rev() {
        decoder.read_exact(&mut piece)?;
        assert_eq!(piece, expected);
    }
    assert_eq!(decoder.read(&mut piece)?, 0);
    println!("{} bytes encoded to a delta of {} and decoded", old.len(), delta.len());
    Ok(())
}
