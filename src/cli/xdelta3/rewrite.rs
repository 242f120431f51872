//! `recode` and `merge`

use std::path::{Path, PathBuf};

use deltaglider_vcdiff::{DecodeErrorKind, RecodeError, RecodeOptions};

use super::failure::Failure;
use super::flags::Invocation;
use super::input::Input;
use super::output::Output;
use super::progress::Progress;

/// Rewrites a delta with another secondary compressor or application header.
pub(super) fn recode(invocation: &Invocation) -> Result<(), Failure> {
    rewrite(invocation, &[], |deltas, options| deltaglider_vcdiff::recode(deltas.first().unwrap_or(&&[][..]), options))
}

/// Makes one delta of several, those of `-m` first.
pub(super) fn merge(invocation: &Invocation) -> Result<(), Failure> {
    rewrite(invocation, &invocation.merged, deltaglider_vcdiff::merge)
}

fn rewrite(
    invocation: &Invocation,
    before: &[PathBuf],
    by: impl FnOnce(&[&[u8]], &RecodeOptions) -> Result<Vec<u8>, RecodeError>,
) -> Result<(), Failure> {
    let mut deltas = Vec::new();
    for path in before.iter().map(Some).chain([invocation.input.as_ref()]) {
        let input = Input::open(path.map(PathBuf::as_path))?;
        let name = input.name().to_owned();
        let delta = input.read_to_end()?;
        if delta.is_empty() {
            return Err(Failure::nothing_to_output(&name));
        }
        deltas.push(delta);
    }
    let mut options = RecodeOptions::default();
    options.secondary = invocation.encode.secondary;
    options.drop_checksums = !invocation.encode.checksum;
    options.application_header = invocation.application_header.clone();
    let mut progress = Progress::new(invocation.voice);
    let slices: Vec<&[u8]> = deltas.iter().map(Vec::as_slice).collect();
    let rewritten = by(&slices, &options).map_err(|error| match &error {
        RecodeError::Decode(cause) if is_without_window(cause) => {
            Failure::nothing_to_output(invocation.input.as_deref().unwrap_or(Path::new("/dev/stdin")))
        }
        _ => Failure::recode(&error),
    })?;
    let read = slices.last().map_or(0, |delta| delta.len() as u64);
    progress.window(read, rewritten.len() as u64);
    let mut output = Output::new(invocation, None);
    output.write(&rewritten)?;
    progress.finished(read, output.finish()?);
    Ok(())
}

/// Whether a delta ends before its first window does.
fn is_without_window(error: &deltaglider_vcdiff::DecodeError) -> bool {
    matches!(error.kind(), DecodeErrorKind::Truncated(_)) && error.window().is_none_or(|window| window == 0)
}
