//! The progress that `-v` prints for every window and at the end.
//!
//! Of the additions of `-vv` in xdelta3, the position in the source, the name of the scanner and
//! the sizes of its hash tables are left out: they describe the insides of xdelta3.

use std::time::Instant;

use super::verbosity::Verbosity;

/// The counts of windows and bytes so far.
#[derive(Debug)]
pub(super) struct Progress {
    voice: Verbosity,
    windows: u64,
    read: u64,
    written: u64,
    begun: Instant,
    window_begun: Instant,
}

impl Progress {
    pub(super) fn new(voice: Verbosity) -> Self {
        let now = Instant::now();
        Self { voice, windows: 0, read: 0, written: 0, begun: now, window_begun: now }
    }

    /// Counts and prints a window of `read` input and `written` output bytes.
    pub(super) fn window(&mut self, read: u64, written: u64) {
        self.read += read;
        self.written += written;
        let number = self.windows;
        let millis = self.window_begun.elapsed().as_millis();
        let rate = |bytes: u64| {
            let per_second = u128::from(bytes) * 1000 / millis.max(1);
            if self.voice.is_very_verbose() {
                format!(" ({}/s)", size(per_second as u64))
            } else {
                String::new()
            }
        };
        self.voice.verbose(|| {
            format!(
                "{number}: in {}{}: out {}{}: total in {}: out {}: {millis} ms",
                size(read),
                rate(read),
                size(written),
                rate(written),
                size(self.read),
                size(self.written),
            )
        });
        self.windows += 1;
        self.window_begun = Instant::now();
    }

    /// Prints the summary; `read` and `written` are the sizes of input and output.
    pub(super) fn finished(&self, read: u64, written: u64) {
        self.voice.verbose(|| {
            let millis = self.begun.elapsed().as_millis();
            let percent = written as f64 * 100.0 / read as f64;
            let percent = if percent.is_finite() { percent } else { 0.0 };
            format!("finished in {millis} ms; input {read} output {written} bytes ({percent:.2}%)")
        });
    }
}

/// Formats a number of bytes as xdelta3 does, with three significant digits.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes == 0 {
        return "0 B".to_owned();
    }
    let mut whole = bytes;
    let mut value = bytes as f64;
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    while value >= 1000.0 {
        let Some(larger) = units.next() else { break };
        // The remainder of the previous unit is dropped, as in xdelta3.
        value = whole as f64 / 1024.0;
        whole /= 1024;
        unit = larger;
    }
    match value {
        ..10.0 => format!("{value:.2} {unit}"),
        10.0..100.0 => format!("{value:.1} {unit}"),
        _ => format!("{} {unit}", value.trunc()),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_match_xdelta3() {
        let sizes = [
            0,
            1,
            99,
            122,
            999,
            1000,
            1025,
            9_999,
            10_239,
            10_240,
            102_399,
            102_463,
            199_720,
            1_400_000,
            1 << 26,
        ];
        let written = [
            "0 B",
            "1.00 B",
            "99.0 B",
            "122 B",
            "999 B",
            "0.98 KiB",
            "1.00 KiB",
            "9.76 KiB",
            "10.00 KiB",
            "10.0 KiB",
            "100.0 KiB",
            "100 KiB",
            "195 KiB",
            "1.33 MiB",
            "64.0 MiB",
        ];
        assert_eq!(sizes.map(size), written);
    }
}
