//! Errors of a run, in the messages that scripts know from xdelta3.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use deltaglider_vcdiff::decode::Section;
use deltaglider_vcdiff::rewrite::RecodeError;
use deltaglider_vcdiff::{DecodeError, DecodeErrorKind, EncodeError, Limit};

use super::external::CommandsFailed;
use super::verbosity::Verbosity;
use super::{help, limits};

/// 128 and the number of SIGPIPE: the exit code that a shell gives to a program ended by it.
const BROKEN_PIPE: u8 = 128 + 13;

/// The error of a run.
#[derive(Debug)]
pub(super) struct Failure {
    /// Lines that are always printed.
    lines: Vec<String>,
    /// Lines that are printed unless `-q` is given.
    hints: Vec<String>,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Printed,
    Help,
    BrokenPipe,
}

impl Failure {
    /// Creates a failure with one line.
    pub(super) fn new(line: impl Into<String>) -> Self {
        Self { lines: vec![line.into()], hints: Vec::new(), kind: Kind::Printed }
    }

    /// Creates a failure with one line, printed unless `-q` is given.
    pub(super) fn unless_quiet(line: impl Into<String>) -> Self {
        Self { lines: Vec::new(), hints: vec![line.into()], kind: Kind::Printed }
    }

    /// Adds a line, which `-q` suppresses.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds a line that is always printed.
    pub(super) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// Creates a failure that prints the help: the command line makes no sense, or `-h` was given.
    pub(super) fn help() -> Self {
        Self { lines: Vec::new(), hints: Vec::new(), kind: Kind::Help }
    }

    /// Creates the failure to open a file; `purpose` is `read` or `write`.
    pub(super) fn open(purpose: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(format!("file open failed: {purpose}: {}: {}", path.display(), reason(error)))
    }

    /// Creates the failure to read an input.
    pub(super) fn read(path: &Path, error: &io::Error) -> Self {
        if let Some(failed) =
            error.get_ref().and_then(|inner| inner.downcast_ref::<CommandsFailed>())
        {
            return failed.into();
        }
        Self::new(format!("input read failed: {}: {}", path.display(), reason(error)))
    }

    /// Creates the failure to read a source.
    pub(super) fn source(path: &Path, error: &io::Error) -> Self {
        Self::read(path, error).line(format!(
            "error reading source: {}: {}",
            path.display(),
            reason(error)
        ))
    }

    /// Creates the failure to write an output.
    pub(super) fn write(path: &Path, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { lines: Vec::new(), hints: Vec::new(), kind: Kind::BrokenPipe };
        }
        Self::new(format!("write failed: {}: {}", path.display(), reason(error)))
    }

    /// Creates the failure of a delta that holds no window.
    pub(super) fn nothing_to_output(delta: &Path) -> Self {
        Self::new(format!("nothing to output: {}", delta.display()))
    }

    /// Creates the failure of a delta that is invalid or does not belong to the `source`, if any.
    pub(super) fn decode(error: &DecodeError, source: Option<&Path>) -> Self {
        if let (DecodeErrorKind::SourceRead(_), Some(path)) = (error.kind(), source) {
            let cause = error.source().and_then(|cause| cause.downcast_ref());
            let why = cause.map_or_else(|| error.to_string(), reason);
            return Self::new(format!("error reading source: {}: {why}", path.display()));
        }
        let failure = match words(error.kind()) {
            Some(words) => Self::new(format!("{words}: XD3_INVALID_INPUT")).hint(error.to_string()),
            None => Self::new(format!("{error}: XD3_INVALID_INPUT")),
        };
        if let DecodeErrorKind::Limit { limit, asked, .. } = *error.kind() {
            // A limit says nothing about the source.
            return match limits::advice(limit, asked) {
                Some(advice) => failure.hint(advice),
                None => failure,
            };
        }
        let cut_short = matches!(
            error.kind(),
            DecodeErrorKind::Truncated(_)
                | DecodeErrorKind::SourceMissing
                | DecodeErrorKind::OutOfMemory { .. }
        );
        if source.is_none() || cut_short {
            return failure;
        }
        failure
            .hint("normally this indicates that the source file is incorrect")
            .hint("please verify the source file with sha1sum or equivalent")
    }

    /// Creates the failure of a delta of this name that is invalid or cannot be read.
    pub(super) fn delta(error: &DecodeError, delta: &Path) -> Self {
        let cause = error.source().and_then(|cause| cause.downcast_ref());
        match (error.kind(), cause) {
            (DecodeErrorKind::DeltaRead(_), Some(cause)) => Self::read(delta, cause),
            _ => Self::decode(error, None),
        }
    }

    /// Creates the failure to make a delta.
    pub(super) fn encode(error: &EncodeError, source: Option<&Path>) -> Self {
        match (error, source) {
            (EncodeError::Source(error), Some(path)) => Self::source(path, error),
            (EncodeError::Matcher(_), _) => {
                Self::new("invalid soft string-match config: XD3_INVALID").hint(error.to_string())
            }
            (EncodeError::HistoryNotPowerOfTwo { .. }, _) => {
                Self::new("sprevsz is required to be a power of two: XD3_INTERNAL")
                    .hint(error.to_string())
            }
            _ => Self::new(error.to_string()),
        }
    }

    /// Creates the failure to rewrite a delta.
    pub(super) fn recode(error: &RecodeError) -> Self {
        match error {
            RecodeError::Decode(error) => Self::decode(error, None),
            RecodeError::Encode(error) => Self::encode(error, None),
            RecodeError::Apart { .. } => {
                Self::new("Invalid copy offset in merge: XD3_INVALID_INPUT").hint(error.to_string())
            }
            _ => Self::new(error.to_string()),
        }
    }

    /// Prints the failure and returns the exit code.
    pub(super) fn tell(self, voice: Verbosity) -> ExitCode {
        match self.kind {
            Kind::Printed => {
                self.lines.iter().for_each(|line| voice.error(line));
                self.hints.into_iter().for_each(|hint| voice.remark(|| hint));
            }
            Kind::Help => help::help(),
            Kind::BrokenPipe => return BROKEN_PIPE.into(),
        }
        ExitCode::FAILURE
    }
}

impl From<&CommandsFailed> for Failure {
    fn from(failed: &CommandsFailed) -> Self {
        Self::new("external compression commands failed").hint(failed.to_string())
    }
}

/// Returns the operating system's message, without the error number.
fn reason(error: &io::Error) -> String {
    let mut message = error.to_string();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    // Libraries wrap the error to add the path, which is printed before it already.
    while let Some(error) = cause {
        if let Some(error) =
            error.downcast_ref::<io::Error>().filter(|error| error.raw_os_error().is_some())
        {
            message = error.to_string();
        }
        cause = error.source();
    }
    message.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Returns the exact message of xdelta3, since scripts look for it; `None` if xdelta3 has no such
/// error.
fn words(kind: &DecodeErrorKind) -> Option<&'static str> {
    Some(match kind {
        DecodeErrorKind::NotVcdiff => "not a VCDIFF input",
        DecodeErrorKind::Version(_) => "VCDIFF input version > 0 is not supported",
        DecodeErrorKind::HeaderIndicator(_) => "unrecognized header indicator bits set",
        DecodeErrorKind::UnknownSecondary(_) => "unknown secondary compressor ID",
        DecodeErrorKind::WindowIndicator(_) => "unrecognized window indicator bits set",
        DecodeErrorKind::NoCompressor(_) => "invalid delta indicator bits set",
        DecodeErrorKind::TargetWindow { .. }
        | DecodeErrorKind::Limit { limit: Limit::TargetHistory, .. } => {
            "VCD_TARGET not implemented"
        }
        DecodeErrorKind::Limit { limit: Limit::Window, .. } => "hard window size exceeded",
        DecodeErrorKind::EncodingLength { .. } => "incorrect encoding length (redundent)",
        DecodeErrorKind::SectionEnds(Section::Data) => "data underflow",
        DecodeErrorKind::SectionEnds(Section::Instructions) => "instruction underflow",
        DecodeErrorKind::SectionEnds(Section::Addresses) => "address underflow",
        DecodeErrorKind::SectionLeft { section: Section::Data, .. } => "extra data section",
        DecodeErrorKind::SectionLeft { section: Section::Addresses, .. } => "extra address section",
        DecodeErrorKind::WindowShort { .. } | DecodeErrorKind::WindowExceeded { .. } => {
            "wrong window length"
        }
        DecodeErrorKind::Address { .. } => "address too large",
        DecodeErrorKind::CopyBeyondSource { .. } => "size too large",
        DecodeErrorKind::Checksum { .. } => "target window checksum mismatch",
        DecodeErrorKind::SourceMissing => "source input required",
        DecodeErrorKind::SourceTooShort { .. } => "source file too short",
        DecodeErrorKind::Truncated(_) => "eof in decode",
        _ => return None,
    })
}
