//! The log on standard error.

use std::io::{self, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::GlobalOptions;
use super::error::Failure;
use super::printable::one_line;

/// Starts logging at the level of `--debug`, else `DG_LOG_LEVEL`, else warnings.
///
/// Libraries log errors only: their other events may hold headers with credentials, and add
/// nothing to our own errors.
pub(super) fn start(options: &GlobalOptions) -> Result<(), Failure> {
    let level =
        if options.debug { LevelFilter::DEBUG } else { level(options.log_level.as_deref())? };
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::ERROR))
        .with_target("deltaglider", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(|| Lines).with_ansi(false);
    // A second start in one process keeps the first.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
    Ok(())
}

/// Parses a level; the names of the Python tool's levels are accepted too.
fn level(name: Option<&str>) -> Result<LevelFilter, Failure> {
    match name.unwrap_or("warning").to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "critical" | "error" => Ok(LevelFilter::ERROR),
        "warning" | "warn" | "" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        other => Err(Failure::usage(format!(
            "DG_LOG_LEVEL={other:?} is no level; pass one of off, error, warning, info, debug, \
             trace"
        ))),
    }
}

/// Standard error as a writer of events; each write is one event with its line end.
struct Lines;

impl Write for Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        writeln!(io::stderr().lock(), "{}", one_line(line))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
