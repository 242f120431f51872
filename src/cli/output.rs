//! What is printed on standard output, and how sizes and times look.

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

    /// Prints nothing from now on.
    pub(super) fn quieted(self, quiet: bool) -> Self {
        Self { quiet: self.quiet || quiet, ..self }
    }

    /// Prints events as JSON, one object on each line.
    pub(super) fn in_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// Prints something that happened, as text or as JSON.
    pub(super) fn event(&self, text: String, json: Value) -> Result<(), Failure> {
        if self.json { self.print(&json_line(&json.to_string())) } else { self.line(text) }
    }

    /// Prints JSON that is made to be read, on several lines.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(Failure::usage)?;
        text.lines().try_for_each(|line| self.print(&json_line(line)))
    }

    /// Prints a line on standard error that is no warning.
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

/// As `aws s3 ls --human-readable`: powers of 1024, one decimal.
pub(super) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} Bytes");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    // What would be printed as 1024.0 is one of the next unit.
    while size >= 1023.95 {
        let Some(larger) = units.next() else { break };
        size /= 1024.0;
        unit = larger;
    }
    format!("{size:.1} {unit}")
}

/// A time as `YYYY-MM-DD HH:MM:SS`, UTC.
pub(super) fn date(at: SystemTime) -> String {
    Timestamp::from(at).to_date()
}

/// A share in percent, with one decimal.
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
