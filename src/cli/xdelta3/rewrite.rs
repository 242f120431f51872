//! `recode` and `merge`: rewrite deltas.

use std::path::PathBuf;

use deltaglider_vcdiff::DecodeErrorKind;
use deltaglider_vcdiff::rewrite::{Merger, RecodeError, RecodeOptions, Recoder};

use super::failure::Failure;
use super::flags::Invocation;
use super::input::Input;
use super::output::Output;
use super::progress::Progress;

/// Rewrites a delta with another secondary compressor or application header.
pub(super) fn recode(invocation: &Invocation) -> Result<(), Failure> {
    let mut input = Input::open(invocation.input.as_deref())?;
    input.tell(invocation);
    let name = input.name().to_owned();
    let failed = |error| failure(&error, &name);
    let mut progress = Progress::new(invocation.voice);
    let mut output = Output::new(invocation, None);
    let mut recoder = Recoder::new(&mut input, &options(invocation)).map_err(failed)?;
    let (mut out, mut before) = (Vec::new(), 0);
    while recoder.window(&mut out).map_err(failed)? {
        output.write(&out)?;
        progress.window(recoder.delta_offset() - before, out.len() as u64);
        before = recoder.delta_offset();
        out.clear();
    }
    if before == 0 {
        return Err(Failure::nothing_to_output(&name));
    }
    progress.finished(before, output.finish()?);
    Ok(())
}

/// Merges several deltas into one, those of `-m` first.
pub(super) fn merge(invocation: &Invocation) -> Result<(), Failure> {
    let mut merger = Merger::new(&options(invocation));
    let progress = Progress::new(invocation.voice);
    for path in &invocation.merged {
        let read = merged(invocation, Some(path), &mut merger)?;
        progress.finished(read, 0);
    }
    let read = merged(invocation, invocation.input.as_ref(), &mut merger)?;
    let whole = merger.finish().map_err(|error| Failure::recode(&error))?;
    let mut output = Output::new(invocation, None);
    output.write(&whole)?;
    progress.finished(read, output.finish()?);
    Ok(())
}

/// Reads the next delta to merge and returns its length in bytes.
fn merged(
    invocation: &Invocation,
    path: Option<&PathBuf>,
    merger: &mut Merger,
) -> Result<u64, Failure> {
    let mut input = Input::open(path.map(PathBuf::as_path))?;
    input.tell(invocation);
    let name = input.name().to_owned();
    merger.push(&mut input).map_err(|error| failure(&error, &name))?;
    Ok(input.bytes_read())
}

fn options(invocation: &Invocation) -> RecodeOptions {
    let mut options = RecodeOptions::default();
    options.limits = invocation.limits.clone();
    options.secondary = invocation.encode.secondary;
    options.drop_checksums = !invocation.encode.checksum;
    options.application_header = invocation.application_header.clone();
    options
}

fn failure(error: &RecodeError, name: &std::path::Path) -> Failure {
    match error {
        // xdelta3 has another message for a delta without a complete window.
        RecodeError::Decode(cause)
            if matches!(cause.kind(), DecodeErrorKind::Truncated(_))
                && cause.window().is_none_or(|window| window == 0) =>
        {
            Failure::nothing_to_output(name)
        }
        RecodeError::Decode(cause) => Failure::delta(cause, name),
        _ => Failure::recode(error),
    }
}
