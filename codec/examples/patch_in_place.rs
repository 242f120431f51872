//! Replaces a file by its new version, so that a crash leaves either the old or the new one:
//! `patch_in_place FILE DELTA LENGTH`.
//!
//! The new version is written to a file beside the old one, compared with the expected length,
//! synced, and only then renamed.
#![allow(missing_docs)]

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use deltaglider_vcdiff::{DecodeOptions, FileSource, decode_stream};

fn main() -> Result<(), Box<dyn Error>> {
    let [file, delta, len] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "FILE DELTA LENGTH")?;
    let file = PathBuf::from(file);
    let mut beside = file.clone().into_os_string();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // Fails if another process is writing the same file.
    let out = File::create_new(&beside)?;
    let patched = patch(&file, Path::new(&delta), len.parse()?, out, &beside);
    if patched.is_err() {
        let _ = fs::remove_file(&beside);
    }
    patched
}

fn patch(
    file: &Path,
    delta: &Path,
    len: u64,
    out: File,
    beside: &Path,
) -> Result<(), Box<dyn Error>> {
    let source = FileSource::new(File::open(file)?)?;
    let mut out = BufWriter::new(out);
    let summary =
        decode_stream(Some(source), File::open(delta)?, &mut out, &DecodeOptions::default())?;
    // A delta cut at the end of a window is a valid shorter delta, so the caller has to supply the
    // length.
    if summary.target_len != len {
        return Err(format!("the delta makes {} bytes and not {len}", summary.target_len).into());
    }
    let out = out.into_inner()?;
    out.set_permissions(fs::metadata(file)?.permissions())?;
    out.sync_all()?;
    fs::rename(beside, file)?;
    // The rename is durable only once the directory is synced as well.
    #[cfg(unix)]
    if let Some(folder) = file.parent() {
        File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?
            .sync_all()?;
    }
    Ok(())
}
