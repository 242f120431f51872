//! What is logged on standard error.

use std::io::{self, Write};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::args::GlobalOptions;
use super::error::Failure;
use super::printable::one_line;

/// Starts logging: `--debug`, else `DG_LOG_LEVEL`, else warnings. Of the libraries below, errors
/// only: what they log beyond that may hold headers with credentials, and says nothing to a user
/// that our own errors do not.
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

/// The names of the Python tool's levels are taken too.
fn level(name: Option<&str>) -> Result<LevelFilter, Failure> {
    match name.unwrap_or("warning").to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "critical" | "error" => Ok(LevelFilter::ERROR),
        "warning" | "warn" | "" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        other => Err(Failure::usage(format!(
            "DG_LOG_LEVEL={other:?} is no level; it is one of off, error, warning, info, debug, trace"
        ))),
    }
}

/// Standard error, which is given one event at a time, with the end of its line.
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
