//! The order of versions in file names: `app-1.9.tar` before `app-1.10-rc1.tar` before
//! `app-1.10.tar` before `app-1.10.1.tar`.

/// Words that mark a prerelease.
const PRERELEASES: &[&str] = &["dev", "alpha", "a", "beta", "b", "pre", "preview", "rc"];

/// A part of a name; the variants are in sort order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Prerelease(String),
    End,
    Text(String),
    /// The number of digits, and the digits without leading zeros.
    Number(usize, String),
}

/// Returns the sort key of a name, without its `extensions`.
pub(crate) fn by_version(name: &str, extensions: &[&str]) -> (Vec<Part>, String) {
    let lower = name.to_ascii_lowercase();
    let mut stem = lower.as_str();
    while let Some(shorter) = extensions.iter().find_map(|extension| stem.strip_suffix(extension)) {
        stem = shorter;
    }
    let runs = stem.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit());
    let mut parts: Vec<Part> = runs.map(|run| part(&String::from_utf8_lossy(run))).collect();
    parts.push(Part::End);
    (parts, name.to_owned())
}

fn part(run: &str) -> Part {
    if run.starts_with(|c: char| c.is_ascii_digit()) {
        let digits = run.trim_start_matches('0');
        return Part::Number(digits.len(), digits.to_owned());
    }
    let word = run.trim_matches(['-', '.', '_', '~', '+']);
    if PRERELEASES.contains(&word) {
        Part::Prerelease(word.to_owned())
    } else {
        Part::Text(run.to_owned())
    }
}
