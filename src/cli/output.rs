//! Standard output, and the formats of sizes and times.

use std::io::{self, Write as _};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use super::error::{Failure, warn};
use super::printable::{json_line, one_line};
use crate::domain::Timestamp;

/// Standard output, line by line.
#[derive(Debug)]
pub(super) struct Output {
    quiet: bool,
    json: bool,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { quiet: false, json: false }
    }

    /// Suppresses output if `quiet` is set.
    pub(super) fn quieted(self, quiet: bool) -> Self {
        Self { quiet: self.quiet || quiet, ..self }
    }

    /// Prints events as JSON, one object per line, if `json` is set.
    pub(super) fn in_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// Prints an event, as text or as JSON.
    pub(super) fn event(&self, text: String, json: Value) -> Result<(), Failure> {
        if self.json { self.print(&json_line(&json.to_string())) } else { self.line(text) }
    }

    /// Prints indented JSON on several lines.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(Failure::usage)?;
        text.lines().try_for_each(|line| self.print(&json_line(line)))
    }

    /// Prints a note, which is not a warning, on standard error.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            warn(&format!("note: {text}"));
        }
    }

    /// Prints a line.
    pub(super) fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.print(&one_line(text.as_ref()))
    }

    fn print(&self, line: &str) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        writeln!(io::stdout().lock(), "{line}").map_err(Failure::output)
    }
}

/// Formats a size as `aws s3 ls --human-readable` does: powers of 1024, one decimal.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} Bytes");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    // A size that would print as 1024.0 moves to the next unit.
    while size >= 1023.95 {
        let Some(larger) = units.next() else { break };
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// Formats a time as `YYYY-MM-DD HH:MM:SS`, UTC.
pub(super) fn date(at: SystemTime) -> String {
    Timestamp::from(at).to_date()
}

/// Formats a share in percent, with one decimal.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        "0.0 %".to_owned()
    } else {
        format!("{:.1} %", part as f64 * 100.0 / whole as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_aws() {
        for (bytes, text) in [
            (0, "0 Bytes"),
            (1023, "1023 Bytes"),
            (1024, "1.0 KiB"),
            (1_048_524, "1023.9 KiB"),
            (1_048_570, "1.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
