//! The pure decision of what a put does, from what is known before a byte is sent.

use std::fmt;

use super::locate::Places;
use crate::domain::policy::{Compression, DeltaExtensions, MIN_REFERENCE_BYTES, MaxRatio};
use crate::domain::{ObjectName, Total, deltaspace, escaped};

/// Why a file was stored as it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DirectReason {
    /// The caller asked for it.
    Asked,
    /// Its extension is not one of those kept as deltas.
    Extension,
    /// DeltaGlider has objects of its name, so its key is escaped.
    Escaped,
    /// Its key leaves no room for `.delta`.
    NameTooLong,
    /// Somebody's own file stands where the delta would.
    Occupied(ObjectName),
    /// It is too short to be a reference, and there is none it could be a delta against.
    Short,
    /// It is packed, so it cannot be a reference that every reader understands, and there is none it could be a delta against.
    Packed(Compression),
    /// What it could be a delta against is encrypted with another customer's key, or with one and the file is not.
    OtherKey,
    /// The delta would be longer than allowed.
    Ratio(MaxRatio),
    /// It would be a reference that is about to be removed.
    Condemned,
    /// A plain object of its name is too young to be removed beside other writers on this store.
    Young,
}

impl fmt::Display for DirectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("as asked"),
            Self::Extension => f.write_str("by its extension"),
            Self::Escaped => f.write_str("under an escaped key, since DeltaGlider has objects of its name"),
            Self::NameTooLong => f.write_str("its name leaves no room for .delta"),
            Self::Occupied(object) => write!(f, "{object} stands where its delta would"),
            Self::Short => write!(f, "shorter than {MIN_REFERENCE_BYTES} bytes and without a reference"),
            Self::Packed(compression) => write!(f, "{compression} cannot be a reference, and there is none yet"),
            Self::OtherKey => f.write_str("its reference is encrypted with another customer's key, or without one"),
            Self::Ratio(ratio) => write!(f, "its delta would exceed {ratio} of it"),
            Self::Condemned => f.write_str("`repair` is about to remove a reference of the same content"),
            Self::Young => f.write_str("its name was stored as it is less than an hour ago"),
        }
    }
}

/// Whether the file may become a delta at all, by its name and what stands at its two keys.
pub(crate) fn delta_allowed(
    object: &ObjectName,
    asked: bool,
    extensions: &DeltaExtensions,
    places: &Places,
) -> Result<(), DirectReason> {
    if !asked {
        return Err(DirectReason::Asked);
    }
    if escaped::is_needed(&object.key) {
        return Err(DirectReason::Escaped);
    }
    if !extensions.covers(object.key.base_name()) {
        return Err(DirectReason::Extension);
    }
    if deltaspace::delta_of(object).is_err() {
        return Err(DirectReason::NameTooLong);
    }
    match &places.delta {
        Some(found) if !found.is_delta() => Err(DirectReason::Occupied(found.name.clone())),
        _ => Ok(()),
    }
}

/// Whether a file may be a reference that every reader understands and that is worth having.
pub(crate) fn reference_allowed(len: u64, compression: Option<Compression>) -> Result<(), DirectReason> {
    match compression {
        Some(compression) => Err(DirectReason::Packed(compression)),
        None if len < MIN_REFERENCE_BYTES => Err(DirectReason::Short),
        None => Ok(()),
    }
}

/// More references than this are not made in one deltaspace: each is one more to choose from, for every later put.
pub(crate) const MAX_REFERENCES: usize = 64;

/// A delta below one in so many bytes of its file is no reason to look for a better reference.
const SMALL_DELTA: u64 = 20;

/// What is stored of an earlier version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relative {
    pub(crate) kind: RelativeKind,
    /// Bytes stored.
    pub(crate) size: u64,
}

/// How an earlier version is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelativeKind {
    /// As it is.
    Plain,
    /// As a delta that is younger than the best reference there is.
    Delta,
    /// As a delta older than that.
    OlderDelta,
}

/// Whether what a delta of this size costs is worth a look at [`outgrown`].
pub(crate) fn may_be_outgrown(file_len: u64, delta_len: u64) -> bool {
    file_len >= MIN_REFERENCE_BYTES && delta_len > file_len / SMALL_DELTA
}

/// Whether a file had better become a further reference than be kept as the delta it has against the best reference there is.
///
/// A reference costs the file's size once; the deltas against an old one cost more with each version. What they
/// cost beyond what such deltas usually cost is added up; when it has come to half a file, a new reference is due. (With
/// deltas that grow evenly the cheapest moment is when it has come to a whole one, and half is within six per cent of it; where
/// much changed at once, sooner is cheaper.) What is usual is the smallest delta of the family, but until a second reference has
/// shown that a new one does not help, no more than an eighth of the file.
pub(crate) fn outgrown(file_len: u64, delta_len: u64, relatives: &[Relative]) -> bool {
    let deltas = relatives.iter().filter(|relative| relative.kind != RelativeKind::Plain);
    // The deltas of references against themselves.
    let (trifles, deltas): (Vec<&Relative>, Vec<&Relative>) = deltas.partition(|delta| delta.size <= file_len / 1000);
    let smallest = deltas.iter().map(|delta| delta.size).min().unwrap_or(delta_len).min(delta_len);
    let usual = if trifles.len() < 2 { smallest.min(file_len / 8) } else { smallest };
    let since = deltas.iter().filter(|delta| delta.kind == RelativeKind::Delta).map(|delta| delta.size);
    let excess = Total::of(since.chain([delta_len]).map(|size| size.saturating_sub(usual)));
    excess.bytes() >= file_len / 2
}

/// Whether a file of which no delta could be made that is short enough had better become a further reference: others like it
/// are to be expected where there was one before it, or where it has something in common with what is there.
pub(crate) fn starts_over(share: f64, relatives: &[Relative]) -> bool {
    share >= 0.02 || !relatives.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What twenty versions cost whose deltas have these shares of 1,000,000 bytes, by their distance from their reference.
    fn cost(versions: usize, delta_at: impl Fn(usize, usize) -> u64) -> (u64, usize) {
        const LEN: u64 = 1_000_000;
        let (mut total, mut references) = (LEN, vec![0]);
        let mut relatives = vec![Relative { kind: RelativeKind::Delta, size: 100 }];
        for version in 1..versions {
            let reference = *references.last().unwrap();
            let delta = delta_at(reference, version);
            if delta > LEN / 2 || may_be_outgrown(LEN, delta) && outgrown(LEN, delta, &relatives) {
                references.push(version);
                total += LEN;
                relatives.iter_mut().for_each(|relative| relative.kind = RelativeKind::OlderDelta);
                relatives.push(Relative { kind: RelativeKind::Delta, size: 100 });
            } else {
                total += delta;
                relatives.push(Relative { kind: RelativeKind::Delta, size: delta });
            }
        }
        (total, references.len())
    }

    #[test]
    fn small_or_even_deltas_never_ask_for_another_reference() {
        assert_eq!(cost(200, |_, _| 30_000).1, 1);
        assert_eq!(cost(200, |_, _| 110_000).1, 1);
        // Only once is it tried whether a new reference helps.
        assert_eq!(cost(200, |_, _| 300_000).1, 2);
    }

    #[test]
    fn growing_deltas_cost_little_more_than_with_the_best_moments() {
        for step in [5_000, 20_000, 60_000] {
            let delta_at = |reference: usize, version: usize| step * (version - reference) as u64;
            let (total, _) = cost(60, delta_at);
            // The best there is with references at even distances.
            let best = (1..60).map(|distance: u64| {
                let chains = 60u64.div_ceil(distance);
                chains * 1_000_000 + step * chains * (distance * (distance - 1) / 2)
            });
            let best = best.min().unwrap();
            assert!(total as f64 <= 1.3 * best as f64, "{step}: {total} of {best}");
        }
    }

    #[test]
    fn a_jump_is_followed_soon() {
        let delta_at =
            |reference: usize, version: usize| if reference < 10 && version >= 10 { 400_000 } else { 20_000 };
        let (total, references) = cost(40, delta_at);
        assert_eq!(references, 2);
        assert!(total < 3_600_000, "{total}");
    }

    #[test]
    fn a_file_without_kin_does_not_start_over() {
        assert!(!starts_over(0.0, &[]));
        assert!(starts_over(0.3, &[]));
        assert!(starts_over(0.0, &[Relative { kind: RelativeKind::Plain, size: 9 }]));
    }
}
