//! The time and memory of whole processes.

use std::path::Path;
use std::process::Command;

/// Runs a command and prints its seconds of wall time, its seconds of CPU and its peak of resident
/// memory in KiB. The standard library cannot ask for the last two without `unsafe`.
const MEASURE: &str = "
import os, sys, time
begun = time.perf_counter()
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - begun
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
";

/// One process from its start to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of CPU, user and system, of all threads.
    pub(crate) cpu: f64,
    /// The peak of resident memory in MiB. Below about 10 MiB it is that of the process which
    /// measures.
    pub(crate) memory: f64,
}

impl Usage {
    /// Runs a command in `directory`.
    ///
    /// # Panics
    ///
    /// If the command fails, or python3 is not on PATH.
    pub(crate) fn of(command: &[String], directory: &Path) -> Self {
        let output = Command::new("python3")
            .args(["-ISc", MEASURE])
            .args(command)
            .current_dir(directory)
            .env_remove("XDELTA")
            .output()
            .expect("python3 measures processes, and must be on PATH");
        assert!(
            output.status.success(),
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let printed = String::from_utf8(output.stdout).unwrap();
        let figures: Vec<f64> =
            printed.split_whitespace().map(|figure| figure.parse().unwrap()).collect();
        let [wall, cpu, memory] = figures.try_into().unwrap();
        Self { wall, cpu, memory: memory / 1024.0 }
    }

    /// Returns the median of each figure.
    ///
    /// # Panics
    ///
    /// If `runs` is empty.
    pub(crate) fn median(runs: &[Self]) -> Self {
        Self {
            wall: median(runs.iter().map(|run| run.wall)),
            cpu: median(runs.iter().map(|run| run.cpu)),
            memory: median(runs.iter().map(|run| run.memory)),
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    (figures[middle] + figures[figures.len() - 1 - middle]) / 2.0
}
