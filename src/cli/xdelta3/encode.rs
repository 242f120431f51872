//! `encode`: makes a delta.

use deltaglider_vcdiff::{Encoder, StreamError};

use super::app_header::application_header;
use super::failure::Failure;
use super::flags::Invocation;
use super::input::Input;
use super::output::Output;
use super::progress::Progress;
use super::source::NamedSource;

/// The greatest number of threads that the encoder has work for.
const MAX_USEFUL: usize = 2;

const UNPACKED: &str = "\
    WARNING: the input is decompressed before it is encoded, and what decodes from the delta is \
    compressed anew, seldom to the same bytes; -D takes inputs as they are";

/// Makes a delta.
pub(super) fn run(invocation: &Invocation) -> Result<(), Failure> {
    let voice = invocation.voice;
    let input = Input::open(invocation.input.as_deref())?;
    input.tell(invocation);
    let source = match &invocation.source {
        Some(path) => Some(NamedSource::open(path, None, invocation)?),
        None => None,
    };
    if let Some(source) = &source {
        source.tell(invocation, " (FIFO)");
    }
    let mut input = input.unpacked(invocation)?;
    if input.program().is_some() {
        voice.remark(|| UNPACKED.to_owned());
    }
    let named = source.as_ref().map(|source| (source.name(), source.program()));
    let mut options = invocation.encode.clone();
    // The sizes that `-v` prints for a window are known only if it is written before the next one.
    options.threads = if voice.is_verbose() { 1 } else { threads()? };
    options.target_len = input.len();
    options.application_header = match &invocation.application_header {
        Some(given) => given.clone(),
        None => Some(application_header((input.name(), input.program()), named)),
    };
    let mut output = Output::new(invocation, None);
    let mut progress = Progress::new(voice);
    let failed = |error| Failure::encode(&error, named.map(|(path, _)| path));
    let mut encoder =
        Encoder::new(source.as_ref().map(NamedSource::bytes), &options).map_err(failed)?;
    let mut delta = Vec::new();
    let mut in_window = 0;
    loop {
        let len = encoder.push_from(&mut input, &mut delta).map_err(|error| match error {
            StreamError::Input(error) => Failure::read(input.name(), &error),
            StreamError::Codec(error) => failed(error),
            error => Failure::new(error.to_string()),
        })?;
        in_window += len as u64;
        if !delta.is_empty() {
            output.write(&delta)?;
            progress.window(in_window, delta.len() as u64);
            in_window = 0;
            delta.clear();
        }
        if len == 0 {
            break;
        }
    }
    encoder.finish(&mut delta).map_err(failed)?;
    if !delta.is_empty() {
        output.write(&delta)?;
        progress.window(in_window, delta.len() as u64);
    }
    let read = input.bytes_read();
    progress.finished(read, output.finish()?);
    Ok(())
}

/// Returns the number of threads: that of `DG_THREADS`, or one, or two where there are two cores.
fn threads() -> Result<usize, Failure> {
    let given = crate::cli::threads::threads().map_err(Failure::new)?;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Ok(given.map_or_else(|| cores().min(MAX_USEFUL), usize::from))
}
