//! `decode`: applies a delta.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use deltaglider_vcdiff::decode::{DecodeSummary, Part};
use deltaglider_vcdiff::inspect::{FileName, Header, inspect};
use deltaglider_vcdiff::{DecodeError, DecodeErrorKind, DecodeLimits, DecodeOptions, Decoder};

use super::app_header::STANDARD;
use super::external::{self, Program, VARIABLE};
use super::failure::Failure;
use super::flags::Invocation;
use super::input::{Input, PIECE};
use super::output::Output;
use super::progress::{Progress, size};
use super::source::NamedSource;
use super::verbosity::Verbosity;

/// Applies a delta.
pub(super) fn run(invocation: &Invocation) -> Result<(), Failure> {
    let voice = invocation.voice;
    let mut input = Input::open(invocation.input.as_deref())?;
    voice.very_verbose(|| {
        let len = input.len().unwrap_or(u64::MAX).clamp(1 << 14, invocation.encode.window as u64);
        format!("input {} window size {}", input.name().display(), size(len))
    });
    let (header, beginning) = read_header(&mut input, invocation)?;
    let plan = Plan::new(invocation, &header)?;
    let source = match invocation.source.as_ref().or(plan.source.as_ref()) {
        Some(path) => Some(NamedSource::open(path, plan.unpack, invocation)?),
        None => None,
    };
    if let Some(source) = &source {
        source.tell(invocation, "");
    }
    let output = Output::new(invocation, plan.output).packed(plan.pack, invocation.force_programs);
    let verify = invocation.encode.checksum;
    let options = DecodeOptions::from(invocation.limits.clone());
    let options = options.with_verify_checksum(verify).with_verify_digests(verify);
    let decoder = Decoder::new(source.as_ref().map(NamedSource::bytes), &options);
    let mut windows = Windows {
        decoder,
        output,
        progress: Progress::new(voice),
        target: Vec::new(),
        read: 0,
        source: source.as_ref().map(NamedSource::name),
        delta: input.name().to_owned(),
    };
    windows.push(&beginning)?;
    let mut piece = vec![0; PIECE];
    loop {
        let len = input.read(&mut piece)?;
        if len == 0 {
            let summary = windows.finish(input.bytes_read())?;
            if verify {
                warn_unverified(&summary, voice);
            }
            return Ok(());
        }
        windows.push(piece.get(..len).unwrap_or_default())?;
    }
}

/// Warns, as xdelta3 3.2.0 does, if no checksum verifies that the output is the file that the delta
/// was made of.
fn warn_unverified(summary: &DecodeSummary, voice: Verbosity) {
    let (windows, unverified) = (summary.windows, summary.windows - summary.verified_windows);
    if unverified > 0 && !summary.verified_digest {
        voice.remark(|| {
            format!(
                "warning: {unverified} of {windows} windows have no checksum; the output is not \
                 verified"
            )
        });
    }
}

/// Reads until the file header is complete; returns it with all bytes read.
fn read_header(input: &mut Input, invocation: &Invocation) -> Result<(Header, Vec<u8>), Failure> {
    let limits: &DecodeLimits = &invocation.limits;
    let mut beginning = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let len = input.read(&mut piece)?;
        beginning.extend_from_slice(piece.get(..len).unwrap_or_default());
        match inspect(beginning.as_slice(), limits) {
            Ok(inspection) => {
                let header = inspection.header().clone();
                return Ok((header, beginning));
            }
            Err(error) if !matches!(error.kind(), DecodeErrorKind::Truncated(_)) => {
                return Err(Failure::decode(&error, invocation.source.as_deref()));
            }
            Err(_) if len == 0 => return Err(Failure::nothing_to_output(input.name())),
            Err(_) => {}
        }
    }
}

/// The defaults from the application header that the command line does not override.
#[derive(Debug, Default)]
struct Plan {
    output: Option<PathBuf>,
    source: Option<PathBuf>,
    unpack: Option<&'static Program>,
    pack: Option<&'static Program>,
}

impl Plan {
    fn new(invocation: &Invocation, header: &Header) -> Result<Self, Failure> {
        let mut plan = Self::default();
        let Some((target, source)) = header.files() else { return Ok(plan) };
        // Used even with -A: without it, the delta would copy from another file than it was made
        // for.
        if let Some(source) = source.as_ref().filter(|_| invocation.unpack) {
            plan.unpack = required(&source.compression, "source", "-D")?;
        }
        if invocation.application_header.is_some() {
            return Ok(plan);
        }
        if invocation.repack {
            plan.pack = required(&target.compression, "target", "-R")?;
        }
        // A piped delta has no directory to look in or write to.
        let Some(delta) = &invocation.input else { return Ok(plan) };
        if invocation.output.is_none() && !invocation.to_stdout {
            plan.output = beside(delta, &target);
            if let Some(name) = &plan.output {
                invocation
                    .voice
                    .remark(|| format!("using default output filename: {}", name.display()));
            }
        }
        if invocation.source.is_none() {
            plan.source = source.and_then(|source| beside(delta, &source));
            if let Some(name) = &plan.source {
                invocation
                    .voice
                    .remark(|| format!("using default source filename: {}", name.display()));
            }
        }
        Ok(plan)
    }
}

/// Returns the file of that name in the directory of the delta, if the header names one.
fn beside(delta: &Path, file: &FileName) -> Option<PathBuf> {
    let named = !file.name.is_empty() && file.name != STANDARD;
    named.then(|| delta.with_file_name(OsStr::from_bytes(&file.name)))
}

/// Passes decoded windows to the output.
struct Windows<'a, S> {
    decoder: Decoder<S>,
    output: Output,
    progress: Progress,
    target: Vec<u8>,
    /// The number of bytes of the delta since the last window.
    read: u64,
    source: Option<&'a Path>,
    delta: PathBuf,
}

impl<S: deltaglider_vcdiff::Source> Windows<'_, S> {
    fn push(&mut self, delta: &[u8]) -> Result<(), Failure> {
        let mut rest = delta;
        while !rest.is_empty() {
            let windows = self.decoder.summary().windows;
            let taken =
                self.decoder.push(rest, &mut self.target).map_err(|error| self.failure(&error))?;
            rest = rest.get(taken..).unwrap_or_default();
            self.read += taken as u64;
            if self.decoder.summary().windows > windows {
                self.output.write(&self.target)?;
                self.progress.window(self.read, self.target.len() as u64);
                self.read = 0;
                self.target.clear();
            }
        }
        Ok(())
    }

    fn finish(self, read: u64) -> Result<DecodeSummary, Failure> {
        let Self { decoder, mut output, progress, delta, source, .. } = self;
        let cut_in_first = decoder.summary().windows == 0;
        let summary = decoder.finish().map_err(|error| match error.kind() {
            DecodeErrorKind::Truncated(Part::NoWindow | Part::Header) => {
                Failure::nothing_to_output(&delta)
            }
            DecodeErrorKind::Truncated(_) if cut_in_first => Failure::nothing_to_output(&delta),
            _ => Failure::decode(&error, source),
        })?;
        // open-vcdiff writes deltas without a window; they decode to an empty file.
        output.open()?;
        progress.finished(read, output.finish()?);
        Ok(summary)
    }

    fn failure(&self, error: &DecodeError) -> Failure {
        Failure::decode(error, self.source)
    }
}

/// Returns the program that the header of a delta names for a file, if it has to run here.
///
/// # Errors
///
/// Fails if the program is unknown, or external programs are not allowed.
fn required(letters: &[u8], file: &str, flag: &str) -> Result<Option<&'static Program>, Failure> {
    if letters.is_empty() {
        return Ok(None);
    }
    let Some(program) = Program::lettered(letters) else {
        let letters = String::from_utf8_lossy(letters);
        return Err(Failure::new(format!(
            "the {file} was unpacked by an unknown program: {letters}"
        )));
    };
    if external::allowed() {
        return Ok(Some(program));
    }
    let name = program.name;
    Err(Failure::new(format!(
        "the delta was made after the {file} was unpacked by {name}; set {VARIABLE}=1 to have \
         {name} run here too"
    ))
    .hint(format!("or pass the unpacked {file} with {flag}")))
}
