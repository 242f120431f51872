//! `--limit` and `--no-limits`: bounds on what a delta may request.

use std::ffi::OsStr;

use deltaglider_vcdiff::{DecodeLimits, Limit};

/// The maximum dictionary size of all LZMA sections together, in bytes.
const DICTIONARY: u64 = 256 << 20;

/// Returns the limits that apply without a flag.
pub(super) fn default() -> DecodeLimits {
    DecodeLimits::default().with_dictionary(DICTIONARY)
}

/// Returns unlimited limits, except for the target history, which would hold all of the target in
/// memory.
pub(super) fn none() -> DecodeLimits {
    let mut limits = default();
    for (name, _) in NAMES {
        if name != TARGET_HISTORY
            && let Some(field) = field(&mut limits, name)
        {
            *field = u64::MAX;
        }
    }
    limits
}

const TARGET_HISTORY: &str = "target-history";

/// The names of the limits.
const NAMES: [(&str, &[Limit]); 9] = [
    ("window", &[Limit::Window]),
    ("sections", &[Limit::StoredSections, Limit::DecompressedSections]),
    ("source-span", &[Limit::SourceSpan]),
    ("instructions", &[Limit::Instructions]),
    ("source-reads", &[Limit::SourceReads]),
    ("dictionary", &[Limit::Dictionary]),
    ("application-header", &[Limit::ApplicationHeader]),
    ("code-table", &[Limit::CodeTable]),
    (TARGET_HISTORY, &[Limit::TargetHistory]),
];

fn field<'a>(limits: &'a mut DecodeLimits, name: &str) -> Option<&'a mut u64> {
    Some(match name {
        "window" => &mut limits.window,
        "sections" => &mut limits.sections,
        "source-span" => &mut limits.source_span,
        "instructions" => &mut limits.instructions,
        "source-reads" => &mut limits.source_reads,
        "dictionary" => &mut limits.dictionary,
        "application-header" => &mut limits.application_header,
        "code-table" => &mut limits.code_table,
        TARGET_HISTORY => &mut limits.target_history,
        _ => return None,
    })
}

/// Sets the limit that `NAME=NUMBER` gives.
///
/// # Errors
///
/// Returns the message for an unknown name or an invalid number.
pub(super) fn set(limits: &mut DecodeLimits, given: &OsStr) -> Result<(), String> {
    let given = given.to_string_lossy();
    let (name, number) = given.split_once('=').unwrap_or((&given, ""));
    let Some(field) = field(limits, name) else {
        let names = NAMES.map(|(name, _)| name).join(", ");
        return Err(format!("--limit: unknown limit: {name}; pass one of {names}"));
    };
    *field = number.parse().map_err(|_| format!("--limit {name}: invalid integer: {number}"))?;
    Ok(())
}

/// Returns the hint that names the flags to raise a limit.
pub(super) fn advice(limit: Limit, asked: u64) -> Option<String> {
    let (name, _) = NAMES.into_iter().find(|(_, limits)| limits.contains(&limit))?;
    let or_all = if name == TARGET_HISTORY { "" } else { " or --no-limits" };
    Some(format!("pass --limit {name}={asked}{or_all} to decode a delta that you trust"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_field() {
        for (number, (name, _)) in (5..).zip(NAMES) {
            let mut limits = default();
            set(&mut limits, OsStr::new(&format!("{name}={number}"))).unwrap();
            assert_ne!(limits, default(), "{name}");
            assert_eq!(field(&mut limits, name).copied(), Some(number));
        }
        assert!(set(&mut default(), OsStr::new("windows=1")).is_err());
        assert!(set(&mut default(), OsStr::new("window=many")).is_err());
    }
}
