//! Standard input and output, which may be closed when the process starts.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use deltaglider_stdio::Stream;

use super::args::Command;
use super::error::Failure;
use super::special_files::Special;

/// Returns standard input, or an error if the process was started without one.
pub(super) fn input() -> Result<io::Stdin, Failure> {
    Stream::Input.check().map_err(|why| {
        let text =
            format!("cannot read standard input: {why}; pass < /dev/null to store an empty file");
        Failure::system(io::Error::other(text))
    })?;
    Ok(io::stdin())
}

/// Returns an error if the process was started without standard output.
pub(super) fn check_output() -> Result<(), Failure> {
    Stream::Output.check().map_err(|why| {
        let text =
            format!("cannot write to standard output: {why}; pass > /dev/null to discard it");
        Failure::system(io::Error::other(text))
    })
}

/// Returns an error if a path names a standard stream that the process was started without.
pub(super) fn check_path(path: &Path) -> io::Result<()> {
    match path.as_os_str().as_encoded_bytes() {
        b"/dev/stdin" | b"/dev/fd/0" | b"/proc/self/fd/0" => Stream::Input.check(),
        b"/dev/stdout" | b"/dev/fd/1" | b"/proc/self/fd/1" => Stream::Output.check(),
        _ => Ok(()),
    }
}

/// Returns whether a destination is standard output.
fn is_output(destination: &OsStr) -> bool {
    Special::destination(Path::new(destination)) == Some(Special::Standard)
}

impl Command {
    /// Returns whether the command writes to standard output when it succeeds.
    pub(super) fn prints(&self) -> bool {
        match self {
            Self::Cp(args) | Self::Mv(args) => !args.store.quiet || is_output(&args.destination),
            Self::Sync(args) => !args.store.quiet,
            Self::Migrate(args) => !args.store.quiet,
            Self::Rm(args) => !args.quiet,
            Self::Verify(args) => !args.quiet,
            _ => true,
        }
    }
}
