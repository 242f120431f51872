//! Writes the delta between two files: `encode OLD NEW DELTA`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};

use deltaglider_vcdiff::{EncodeOptions, FileSource, Level, encode_stream};

fn main() -> Result<(), Box<dyn Error>> {
    let [old, new, delta] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "OLD NEW DELTA")?;
    let target = File::open(new)?;
    let options = EncodeOptions::at_level(Level::BEST).with_target_len(target.metadata()?.len());
    let mut out = BufWriter::new(File::create_new(delta)?);
    let source = FileSource::new(File::open(old)?)?;
    let (target_len, delta_len) =
        encode_stream(Some(source), BufReader::new(target), &mut out, &options)?;
    out.flush()?;
    println!("{target_len} bytes in {delta_len}");
    Ok(())
}
