//! The `deltaglider` binary: parses the command line, runs the command, and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    deltaglider::cli::main(std::env::args_os())
}
