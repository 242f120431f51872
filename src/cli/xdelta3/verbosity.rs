//! What is said on standard error, and how much of it.

use std::io::{self, Write as _};

use super::NAME;
use crate::cli::printable::one_line;

/// How much is said: less than nothing with `-q`, more with every `-v`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Voice {
    loudness: i8,
}

impl Voice {
    /// `-q`: warnings and hints too are kept back.
    pub(super) fn quiet(&mut self) {
        self.loudness = -1;
    }

    /// `-v`.
    pub(super) fn louder(&mut self) {
        self.loudness = self.loudness.max(0).saturating_add(1);
    }

    /// Says what went wrong, whatever was asked for.
    pub(super) fn error(self, text: &str) {
        // Nobody is left to be told.
        let _ = writeln!(io::stderr().lock(), "{NAME}: {}", one_line(text));
    }

    /// Says what is worth knowing, but for `-q`.
    pub(super) fn remark(self, text: impl FnOnce() -> String) {
        self.at_least(0, text);
    }

    /// Says what `-v` asks for.
    pub(super) fn verbose(self, text: impl FnOnce() -> String) {
        self.at_least(1, text);
    }

    /// Says what `-vv` asks for.
    pub(super) fn very_verbose(self, text: impl FnOnce() -> String) {
        self.at_least(2, text);
    }

    /// Whether `-vv` was given.
    pub(super) fn is_very_verbose(self) -> bool {
        self.loudness >= 2
    }

    fn at_least(self, loudness: i8, text: impl FnOnce() -> String) {
        if self.loudness >= loudness {
            self.error(&text());
        }
    }
}
