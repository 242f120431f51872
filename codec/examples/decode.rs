//! Writes the new file from the old one and the delta: `decode OLD DELTA NEW`.
#![allow(missing_docs)]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

use deltaglider_vcdiff::{DecodeOptions, FileSource, decode_stream};

fn main() -> Result<(), Box<dyn Error>> {
    let [old, delta, new] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "OLD DELTA NEW")?;
    let source = FileSource::new(File::open(old)?)?;
    let mut out = BufWriter::new(File::create_new(new)?);
    let summary =
        decode_stream(Some(source), File::open(delta)?, &mut out, &DecodeOptions::default())?;
    out.flush()?;
    println!(
        "{} bytes in {} windows, {} of them verified",
        summary.target_len, summary.windows, summary.verified_windows
    );
    Ok(())
}
