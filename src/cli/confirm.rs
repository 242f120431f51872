//! The confirmation on the terminal before a costly or destructive action.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::error::Failure;
use super::printable::one_line;

/// Returns whether the user answers yes to `question`.
///
/// # Errors
///
/// Fails if standard input is not a terminal.
pub(super) fn confirmed(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("not a terminal; pass --yes to skip the confirmation"));
    }
    let mut error = io::stderr().lock();
    write!(error, "{} [y/N] ", one_line(question))
        .and_then(|()| error.flush())
        .map_err(Failure::system)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::system)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
