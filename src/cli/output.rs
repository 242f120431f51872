//! What is printed on standard output, and how sizes and times look.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::SystemTime;

use serde_json::Value;

use super::failure::Failure;
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
        self.line(if self.json { json.to_string() } else { text })
    }

    /// Prints a line.
    pub(super) fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.quiet {
            return Ok(());
        }
        writeln!(io::stdout().lock(), "{}", printable(text.as_ref())).map_err(Failure::output)
    }
}

/// Control characters, which keys may have, as escapes: they would move the cursor or fake a line.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for c in text.chars() {
        if control(c) {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// A key on one line: its line breaks and tabs as escapes too.
pub(super) fn on_one_line(text: &str) -> String {
    text.replace('\n', "\\n").replace('\t', "\\t")
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
    if whole == 0 { "0.0 %".to_owned() } else { format!("{:.1} %", part as f64 * 100.0 / whole as f64) }
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

    #[test]
    fn keys_cannot_steer_a_terminal() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("plain é"), "plain é");
        assert_eq!(on_one_line("a\nb"), "a\\nb");
    }
}
