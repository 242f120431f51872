//! The stored results: which cases there are, and a line of the table for each.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::case::Case;

/// In place of a digest: xdelta3 fails here, or cannot decode its own delta, and we refuse.
pub const REFUSED: &str = "refused";

/// Numbers of the stored cases, and whether they are large ones.
pub fn cases() -> impl Iterator<Item = (u64, bool)> {
    (1..=400).map(|number| (number, number % 16 == 0))
}

/// Where the table is stored.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden.txt")
}

pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Number, input and options in short, digest of the delta.
pub fn line(number: u64, large: bool, case: &Case, delta: &str) -> String {
    let size = if large { "large" } else { "small" };
    let source = match &case.source {
        None => "none".to_owned(),
        Some(bytes) => format!("{}{}", bytes.len(), if case.source_piped { " piped" } else { "" }),
    };
    let target = format!("{}{}", case.target.len(), if case.target_piped { " piped" } else { "" });
    format!("{number} {size} | source {source} | target {target} | {} | {delta}\n", case.arguments.join(" "))
}
