//! The drop-in replacement for xdelta3 3.0.11: takes the same arguments and does the same with our
//! own codec.
//!
//! Every difference is on purpose: see docs/xdelta3.md.

mod app_header;
mod atomic_file;
mod decode;
mod encode;
mod external;
mod failure;
mod flags;
mod help;
mod input;
mod limits;
mod output;
mod print;
mod progress;
mod rewrite;
mod source;
mod verbosity;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use failure::Failure;
use flags::{Command, Invocation};
use verbosity::Verbosity;

/// The name of the binary, or of its first argument, that selects this face.
const NAME: &str = "xdelta3";

/// Returns the arguments for this face, if the command line selects it.
pub(super) fn arguments(line: &[OsString]) -> Option<&[OsString]> {
    let (program, arguments) = line.split_first()?;
    if Path::new(program).file_name().is_some_and(|name| name == NAME) {
        return Some(arguments);
    }
    let (first, arguments) = arguments.split_first()?;
    (first == NAME).then_some(arguments)
}

/// Runs a command line and returns its exit code.
pub(super) fn main(arguments: &[OsString]) -> ExitCode {
    let words = flags::words(std::env::var_os("XDELTA"), arguments);
    let (voice, done) = match flags::parse(words) {
        Ok(invocation) => (invocation.voice, run(&invocation)),
        Err(failure) => (Verbosity::default(), Err(failure)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(voice),
    }
}

fn run(invocation: &Invocation) -> Result<(), Failure> {
    match invocation.command {
        Command::Encode => encode::run(invocation),
        Command::Decode => decode::run(invocation),
        Command::PrintHeader | Command::PrintHeaders | Command::PrintDelta => {
            print::run(invocation)
        }
        Command::Recode => rewrite::recode(invocation),
        Command::Merge => rewrite::merge(invocation),
        Command::Config => {
            // Opened but not read, as by xdelta3.
            invocation.input.as_deref().map(|path| input::Input::open(Some(path))).transpose()?;
            help::config();
            Ok(())
        }
        Command::Version => {
            help::version();
            Ok(())
        }
        Command::Test => Err(Failure::new("test: this program has no tests built in")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name is that of the binary or its first argument.
    #[test]
    fn face_is_chosen_by_name() {
        let line = |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
        let of = |words: &[&str]| arguments(&line(words)).map(<[OsString]>::to_vec);
        assert_eq!(of(&["/usr/bin/xdelta3", "-d"]), Some(line(&["-d"])));
        assert_eq!(of(&["xdelta3", "xdelta3"]), Some(line(&["xdelta3"])));
        assert_eq!(of(&["deltaglider", "xdelta3", "-V"]), Some(line(&["-V"])));
        assert_eq!(of(&["deltaglider", "cp", "xdelta3"]), None);
        assert_eq!(of(&["deltaglider"]), None);
        assert_eq!(of(&[]), None);
    }
}
