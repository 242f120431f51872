//! Messages on standard error, and their verbosity.

use std::io::{self, Write as _};

use super::NAME;
use crate::cli::printable::one_line;

/// The verbosity: -1 with `-q`, 0 by default, one more with every `-v`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Verbosity {
    loudness: i8,
}

impl Verbosity {
    /// Applies `-q`, which suppresses warnings and hints too.
    pub(super) fn quiet(&mut self) {
        self.loudness = -1;
    }

    /// Applies `-v`.
    pub(super) fn louder(&mut self) {
        self.loudness = self.loudness.max(0).saturating_add(1);
    }

    /// Prints an error at any verbosity.
    pub(super) fn error(self, text: &str) {
        // A failure to print cannot be reported.
        let _ = writeln!(io::stderr().lock(), "{NAME}: {}", one_line(text));
    }

    /// Prints a remark, except with `-q`.
    pub(super) fn remark(self, text: impl FnOnce() -> String) {
        self.at_least(0, text);
    }

    /// Prints a message with `-v`.
    pub(super) fn verbose(self, text: impl FnOnce() -> String) {
        self.at_least(1, text);
    }

    /// Prints a message with `-vv`.
    pub(super) fn very_verbose(self, text: impl FnOnce() -> String) {
        self.at_least(2, text);
    }

    /// Returns whether `-v` was given.
    pub(super) fn is_verbose(self) -> bool {
        self.loudness >= 1
    }

    /// Returns whether `-vv` was given.
    pub(super) fn is_very_verbose(self) -> bool {
        self.loudness >= 2
    }

    fn at_least(self, loudness: i8, text: impl FnOnce() -> String) {
        if self.loudness >= loudness {
            self.error(&text());
        }
    }
}
