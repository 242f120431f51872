//! A question on the terminal, before something is done that nobody may have meant.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::error::Failure;
use super::printable::one_line;

/// Whether somebody says yes; where there is no terminal, nobody can.
pub(super) fn confirmed(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(
            "nobody is there to be asked: --yes goes on without a question",
        ));
    }
    let mut error = io::stderr().lock();
    write!(error, "{} [y/N] ", one_line(question))
        .and_then(|()| error.flush())
        .map_err(Failure::system)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::system)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
