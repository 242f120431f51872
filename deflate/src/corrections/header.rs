//! Headers that differ from what the rule expects.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::varint::{Fields, put};
use crate::error::RebuildError;
use crate::header::{Header, MAX_DISTANCES, MAX_LITERALS, Run};
use crate::rules::plan::Trees;

/// A header as a difference from the expected one, or whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderForm {
    /// Other code lengths, cut into runs as the rule does.
    Lengths {
        literals: usize,
        distances: usize,
        /// The number of equal lengths before each other one, and that one.
        changes: Vec<(usize, u8)>,
    },
    /// Other runs. Without lengths of the code for them, it is the one that the rule makes.
    Runs { literals: usize, distances: usize, runs: Vec<Run>, run_lengths: Option<Vec<u8>> },
}

/// Returns the shorter form of a header, given the expected one.
pub(crate) fn header_form(trees: Trees, expected: &Header, header: &Header) -> HeaderForm {
    let (literals, distances) = (header.literal_lengths().len(), header.distance_lengths().len());
    let runs = header.runs.clone();
    let by_rule = trees.header_of(header.literal_lengths(), header.distance_lengths());
    if by_rule == *header {
        let changes = changes(&resized(expected, literals, distances), &header.lengths);
        if changes.len().saturating_mul(2) < runs.len() {
            return HeaderForm::Lengths { literals, distances, changes };
        }
    }
    let run_lengths =
        (trees.run_lengths(&runs) != header.run_lengths).then(|| header.run_lengths.clone());
    HeaderForm::Runs { literals, distances, runs, run_lengths }
}

/// Returns the lengths of `header` cut or filled with zeros to these numbers.
fn resized(header: &Header, literals: usize, distances: usize) -> Vec<u8> {
    let mut lengths = header.literal_lengths().to_vec();
    lengths.resize(literals, 0);
    let mut far = header.distance_lengths().to_vec();
    far.resize(distances, 0);
    lengths.extend(far);
    lengths
}

fn changes(expected: &[u8], lengths: &[u8]) -> Vec<(usize, u8)> {
    let mut changes = Vec::new();
    let mut equal = 0usize;
    for (expected, &length) in expected.iter().zip(lengths) {
        if *expected == length {
            equal = equal.saturating_add(1);
        } else {
            changes.push((equal, length));
            equal = 0;
        }
    }
    changes
}

/// Returns the header of a form.
pub(crate) fn header_from(
    trees: Trees,
    expected: &Header,
    form: &HeaderForm,
) -> Result<Header, RebuildError> {
    match form {
        HeaderForm::Lengths { literals, distances, changes } => {
            let mut lengths = resized(expected, *literals, *distances);
            let mut left = lengths.as_mut_slice();
            for &(equal, length) in changes {
                let rest = left.get_mut(equal..).and_then(|rest| rest.split_first_mut());
                let (to, rest) = rest.ok_or(RebuildError::Header)?;
                *to = length;
                left = rest;
            }
            let (literals, distances) =
                lengths.split_at_checked(*literals).ok_or(RebuildError::Header)?;
            Ok(trees.header_of(literals, distances))
        }
        HeaderForm::Runs { literals, distances, runs, run_lengths } => {
            let mut lengths: Vec<u8> = Vec::new();
            for run in runs {
                let (count, length) = run.expand();
                let length = length.or(lengths.last().copied()).ok_or(RebuildError::Header)?;
                lengths.extend(std::iter::repeat_n(length, count));
            }
            if lengths.len() != literals.saturating_add(*distances) {
                return Err(RebuildError::Header);
            }
            let run_lengths = run_lengths.clone().unwrap_or_else(|| trees.run_lengths(runs));
            Ok(Header { lengths, literals: *literals, runs: runs.clone(), run_lengths })
        }
    }
}

const CHANGES: u8 = 0;
const RUNS: u8 = 1;
const RUNS_AND_CODE: u8 = 2;

/// Appends a form.
pub(super) fn write_header(to: &mut Vec<u8>, form: &HeaderForm) {
    let put_numbers = |to: &mut Vec<u8>, literals: usize, distances: usize, count: usize| {
        put(to, literals.saturating_sub(257) as u64);
        put(to, distances as u64);
        put(to, count as u64);
    };
    match form {
        HeaderForm::Lengths { literals, distances, changes } => {
            to.push(CHANGES);
            put_numbers(to, *literals, *distances, changes.len());
            for &(equal, length) in changes {
                put(to, equal as u64);
                to.push(length);
            }
        }
        HeaderForm::Runs { literals, distances, runs, run_lengths } => {
            to.push(if run_lengths.is_none() { RUNS } else { RUNS_AND_CODE });
            put_numbers(to, *literals, *distances, runs.len());
            to.extend(runs.iter().map(|run| run.0));
            if let Some(lengths) = run_lengths {
                put(to, lengths.len() as u64);
                to.extend(lengths);
            }
        }
    }
}

/// Reads a form.
pub(super) fn read_header(fields: &mut Fields<'_>) -> Result<HeaderForm, RebuildError> {
    let form = fields.byte()?;
    let literals = fields.size()?.saturating_add(257);
    let distances = fields.size()?;
    let count = fields.size()?;
    let fits = literals <= MAX_LITERALS && (1..=MAX_DISTANCES).contains(&distances);
    if !fits || count > MAX_LITERALS.saturating_add(MAX_DISTANCES) {
        return Err(RebuildError::Header);
    }
    if form == CHANGES {
        let mut changes = Vec::new();
        for _ in 0..count {
            changes.push((fields.size()?, fields.byte()?));
        }
        let fits = changes.iter().all(|&(_, length)| length <= 15);
        let form = HeaderForm::Lengths { literals, distances, changes };
        return if fits { Ok(form) } else { Err(RebuildError::Header) };
    }
    let bytes = fields.bytes(count)?;
    let runs = bytes.iter().map(|&byte| Run(byte)).collect();
    let run_lengths = match form {
        RUNS => None,
        RUNS_AND_CODE => {
            let count = fields.size()?;
            Some(fields.bytes(count)?.to_vec())
        }
        _ => return Err(RebuildError::Header),
    };
    let code_fits = run_lengths.as_ref().is_none_or(|lengths: &Vec<u8>| {
        (4..=19).contains(&lengths.len()) && lengths.iter().all(|&length| length <= 7)
    });
    if !code_fits || bytes.iter().any(|&byte| byte > Run::MAX) {
        return Err(RebuildError::Header);
    }
    Ok(HeaderForm::Runs { literals, distances, runs, run_lengths })
}
