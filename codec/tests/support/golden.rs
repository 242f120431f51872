//! The stored results: the list of cases, and a line of the table for each.

use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::case::Case;

/// The entry in place of a digest if xdelta3 fails or cannot decode its own delta, and our encoder
/// reports an error.
pub const REFUSED: &str = "refused";

/// The kind of the case of a line.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Small,
    Large,
    Skewed,
    Even,
}

impl Kind {
    pub fn case(self, number: u64) -> Case {
        match self {
            Self::Small => Case::new(number, false),
            Self::Large => Case::new(number, true),
            Self::Skewed => Case::of_skewed_bytes(number),
            Self::Even => Case::of_even_bytes(number),
        }
    }
}

/// Returns the kinds and numbers of the stored cases.
pub fn cases() -> impl Iterator<Item = (u64, Kind)> {
    let kind = |number| match number % 16 {
        0 => Kind::Large,
        5 | 15 => Kind::Skewed,
        10 => Kind::Even,
        _ => Kind::Small,
    };
    (1..=600).map(move |number| (number, kind(number)))
}

/// Returns the path of the table.
pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden.txt")
}

pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a line with number, a summary of input and options, and the digest of the delta.
pub fn line(number: u64, kind: Kind, case: &Case, delta: &str) -> String {
    let kind = format!("{kind:?}").to_lowercase();
    let source = match &case.source {
        None => "none".to_owned(),
        Some(bytes) => format!("{}{}", bytes.len(), if case.source_piped { " piped" } else { "" }),
    };
    let target = format!("{}{}", case.target.len(), if case.target_piped { " piped" } else { "" });
    format!(
        "{number} {kind} | source {source} | target {target} | {} | {delta}\n",
        case.arguments.join(" ")
    )
}
