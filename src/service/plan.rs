//! The decisions of a put, as a pure function of what is known of the file, its name and the
//! references.

use std::fmt;

use super::references::{Relative, RelativeKind};
use crate::domain::policy::{Compression, MIN_REFERENCE_BYTES, MaxRatio};
use crate::domain::{ObjectName, Total};

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
    /// It is packed, so it cannot be a reference that every reader understands, and there is none
    /// it could be a delta against.
    Packed(Compression),
    /// What it could be a delta against is encrypted with another customer's key, or with one and
    /// the file is not.
    OtherKey,
    /// The delta would be longer than allowed.
    Ratio(MaxRatio),
    /// It would be a reference that is about to be removed.
    Tombstoned,
    /// A plain object of its name is too young to be removed beside other writers on this store.
    Young,
}

impl fmt::Display for DirectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("as asked"),
            Self::Extension => f.write_str("by its extension"),
            Self::Escaped => {
                f.write_str("under an escaped key, since DeltaGlider has objects of its name")
            }
            Self::NameTooLong => f.write_str("its name leaves no room for .delta"),
            Self::Occupied(object) => write!(f, "{object} stands where its delta would"),
            Self::Short => {
                write!(f, "shorter than {MIN_REFERENCE_BYTES} bytes and without a reference")
            }
            Self::Packed(compression) => {
                write!(f, "{compression} cannot be a reference, and there is none yet")
            }
            Self::OtherKey => f.write_str(
                "its reference is encrypted with another customer's key, or without one",
            ),
            Self::Ratio(ratio) => write!(f, "its delta would exceed {ratio} of it"),
            Self::Tombstoned => {
                f.write_str("`repair` is about to remove a reference of the same content")
            }
            Self::Young => f.write_str("its name was stored as it is less than an hour ago"),
        }
    }
}

/// What is known of a file's name before its content is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NameFacts {
    /// The user allows a delta.
    pub(crate) asked: bool,
    /// DeltaGlider has objects of this name.
    pub(crate) is_escaped: bool,
    /// Files with this extension are kept as deltas.
    pub(crate) is_covered: bool,
    /// The key leaves room for `.delta`.
    pub(crate) has_room: bool,
    /// A file of another tool has the key of the delta.
    pub(crate) occupied_by: Option<ObjectName>,
    /// A plain object of this name is too young to be removed.
    pub(crate) is_young: bool,
}

impl NameFacts {
    /// Decides whether the file may become a delta.
    pub(crate) fn delta_allowed(&self) -> Result<(), DirectReason> {
        match self {
            Self { asked: false, .. } => Err(DirectReason::Asked),
            Self { is_escaped: true, .. } => Err(DirectReason::Escaped),
            Self { is_covered: false, .. } => Err(DirectReason::Extension),
            Self { has_room: false, .. } => Err(DirectReason::NameTooLong),
            Self { occupied_by: Some(object), .. } => Err(DirectReason::Occupied(object.clone())),
            Self { is_young: true, .. } => Err(DirectReason::Young),
            _ => Ok(()),
        }
    }
}

/// What is known of the references of a deltaspace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReferenceFacts {
    /// A delta can be made against one of them.
    pub(crate) is_usable: bool,
    /// One of them needs another customer's key.
    pub(crate) needs_other_key: bool,
    /// How many there are.
    pub(crate) count: usize,
}

/// The delta of a file against the best reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum DeltaFacts {
    /// It is longer than the ratio allows.
    TooLong,
    /// Its length in bytes.
    Len(u64),
}

/// What is known of a put. What is `None` has not been looked at yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) name: NameFacts,
    /// Bytes of the file.
    pub(crate) len: u64,
    pub(crate) max_ratio: MaxRatio,
    /// What the file is packed with, if anything.
    pub(crate) compression: Option<Option<Compression>>,
    pub(crate) references: Option<ReferenceFacts>,
    pub(crate) delta: Option<DeltaFacts>,
    /// The earlier versions of the file.
    pub(crate) relatives: Option<Vec<Relative>>,
    /// The share of the file's content that the best reference has.
    pub(crate) share: Option<f64>,
    /// Whether `repair` is about to remove a reference of the same content.
    pub(crate) is_tombstoned: Option<bool>,
    /// The file has become a reference.
    pub(crate) is_reference: bool,
}

/// The next step of a put: to find something out, or to store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Find out what the file is packed with.
    FindCompression,
    /// Find the references, and the best that can be used.
    FindReferences,
    /// Encode the file against the best reference.
    Encode,
    /// Find the earlier versions of the file.
    FindRelatives,
    /// Compare the sketches of the file and of the best reference.
    CompareSketches,
    /// Encode the file against itself.
    EncodeItself,
    /// Store the file as a reference.
    StoreReference,
    /// Store the delta.
    StoreDelta,
    /// Store the file as it is.
    StoreDirect(DirectReason),
}

impl Facts {
    /// Returns what is known before anything but the name was looked at.
    pub(crate) fn new(name: NameFacts, len: u64, max_ratio: MaxRatio) -> Self {
        Self {
            name,
            len,
            max_ratio,
            compression: None,
            references: None,
            delta: None,
            relatives: None,
            share: None,
            is_tombstoned: None,
            is_reference: false,
        }
    }

    /// Forgets what depends on the references, since others have changed them.
    pub(crate) fn without_references(self) -> Self {
        let compression = self.compression;
        Self { compression, ..Self::new(self.name, self.len, self.max_ratio) }
    }

    /// Decides the next step.
    pub(crate) fn next(&self) -> Step {
        if let Err(reason) = self.name.delta_allowed() {
            return Step::StoreDirect(reason);
        }
        if self.is_reference {
            return Step::StoreDelta;
        }
        let Some(compression) = self.compression else { return Step::FindCompression };
        let Some(references) = self.references else { return Step::FindReferences };
        let allowed = reference_allowed(self.len, compression);
        if !references.is_usable {
            return match allowed {
                Err(reason) => Step::StoreDirect(reason),
                Ok(()) if references.needs_other_key => Step::StoreDirect(DirectReason::OtherKey),
                Ok(()) => self.reference(),
            };
        }
        let Some(delta) = self.delta else { return Step::Encode };
        let may_be_reference = allowed.is_ok() && references.count < MAX_REFERENCES;
        match delta {
            DeltaFacts::TooLong if may_be_reference => self.start_over(),
            DeltaFacts::TooLong => Step::StoreDirect(DirectReason::Ratio(self.max_ratio)),
            DeltaFacts::Len(delta) if may_be_reference && may_be_outgrown(self.len, delta) => {
                match &self.relatives {
                    None => Step::FindRelatives,
                    Some(relatives) if outgrown(self.len, delta, relatives) => self.reference(),
                    Some(_) => Step::StoreDelta,
                }
            }
            DeltaFacts::Len(_) => Step::StoreDelta,
        }
    }

    /// Makes the file a reference, unless that is about to be removed.
    fn reference(&self) -> Step {
        match self.is_tombstoned {
            None => Step::EncodeItself,
            Some(true) => Step::StoreDirect(DirectReason::Tombstoned),
            Some(false) => Step::StoreReference,
        }
    }

    /// Decides whether a file without a delta that is short enough had better become a further
    /// reference: others like it are to be expected where there was one before it, or where it has
    /// something in common with what is there.
    fn start_over(&self) -> Step {
        let Some(relatives) = &self.relatives else { return Step::FindRelatives };
        if !relatives.is_empty() {
            return self.reference();
        }
        match self.share {
            None => Step::CompareSketches,
            Some(share) if share >= MIN_SHARE => self.reference(),
            Some(_) => Step::StoreDirect(DirectReason::Ratio(self.max_ratio)),
        }
    }
}

/// A file with less of its content in a reference has nothing in common with it.
const MIN_SHARE: f64 = 0.02;

/// Whether a file may be a reference that every reader understands and that is worth having.
fn reference_allowed(len: u64, compression: Option<Compression>) -> Result<(), DirectReason> {
    match compression {
        Some(compression) => Err(DirectReason::Packed(compression)),
        None if len < MIN_REFERENCE_BYTES => Err(DirectReason::Short),
        None => Ok(()),
    }
}

/// More references than this are not made in one deltaspace: each is one more to choose from, for
/// every later put.
const MAX_REFERENCES: usize = 64;

/// A delta below one in so many bytes of its file is no reason to look for a better reference.
const SMALL_DELTA: u64 = 20;

/// Whether what a delta of this size costs is worth a look at [`outgrown`].
fn may_be_outgrown(file_len: u64, delta_len: u64) -> bool {
    file_len >= MIN_REFERENCE_BYTES && delta_len > file_len / SMALL_DELTA
}

/// Whether a file had better become a further reference than be kept as the delta it has against
/// the best reference there is.
///
/// A reference costs the file's size once; the deltas against an old one cost more with each
/// version. What they cost beyond what such deltas usually cost is added up; when it has come to
/// half a file, a new reference is due. (With deltas that grow evenly the cheapest moment is when
/// it has come to a whole one, and half is within six per cent of it; where much changed at once,
/// sooner is cheaper.) What is usual is the smallest delta of the family, but until a second
/// reference has shown that a new one does not help, no more than an eighth of the file.
fn outgrown(file_len: u64, delta_len: u64, relatives: &[Relative]) -> bool {
    let deltas = relatives.iter().filter(|relative| relative.kind != RelativeKind::Plain);
    // The deltas of references against themselves.
    let (trifles, deltas): (Vec<&Relative>, Vec<&Relative>) =
        deltas.partition(|delta| delta.size <= file_len / 1000);
    let smallest = deltas.iter().map(|delta| delta.size).min().unwrap_or(delta_len).min(delta_len);
    let usual = if trifles.len() < 2 { smallest.min(file_len / 8) } else { smallest };
    let since =
        deltas.iter().filter(|delta| delta.kind == RelativeKind::Delta).map(|delta| delta.size);
    let excess = Total::of(since.chain([delta_len]).map(|size| size.saturating_sub(usual)));
    excess.bytes() >= file_len / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What twenty versions cost whose deltas have these shares of 1,000,000 bytes, by their
    /// distance from their reference.
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
        let delta_at = |reference: usize, version: usize| {
            if reference < 10 && version >= 10 { 400_000 } else { 20_000 }
        };
        let (total, references) = cost(40, delta_at);
        assert_eq!(references, 2);
        assert!(total < 3_600_000, "{total}");
    }

    /// Facts of a file of 1,000,000 bytes whose name allows a delta.
    fn facts() -> Facts {
        let name = NameFacts {
            asked: true,
            is_escaped: false,
            is_covered: true,
            has_room: true,
            occupied_by: None,
            is_young: false,
        };
        Facts::new(name, 1_000_000, MaxRatio::default())
    }

    #[test]
    fn name_decides_first() {
        let other: crate::domain::S3Uri = "s3://bucket/a.zip.delta".parse().unwrap();
        let other = other.object().unwrap();
        let all = NameFacts {
            asked: false,
            is_escaped: true,
            is_covered: false,
            has_room: false,
            occupied_by: Some(other.clone()),
            is_young: true,
        };
        type Change = fn(&mut NameFacts);
        let table: [(Change, DirectReason); 6] = [
            (|_| {}, DirectReason::Asked),
            (|name| name.asked = true, DirectReason::Escaped),
            (|name| name.is_escaped = false, DirectReason::Extension),
            (|name| name.is_covered = true, DirectReason::NameTooLong),
            (|name| name.has_room = true, DirectReason::Occupied(other)),
            (|name| name.occupied_by = None, DirectReason::Young),
        ];
        let mut facts = Facts { name: all, is_reference: true, ..facts() };
        for (change, reason) in table {
            change(&mut facts.name);
            assert_eq!(facts.next(), Step::StoreDirect(reason));
        }
        facts.name.is_young = false;
        assert_eq!(facts.next(), Step::StoreDelta);
    }

    #[test]
    fn content_and_references_decide() {
        const GZIP: Option<Option<Compression>> = Some(Some(Compression::Gzip));
        const PLAIN: Option<Option<Compression>> = Some(None);
        let references = |is_usable, needs_other_key, count| {
            Some(ReferenceFacts { is_usable, needs_other_key, count })
        };
        let (none, one, full) =
            (references(false, false, 0), references(true, false, 1), references(true, false, 64));
        let foreign = references(false, true, 1);
        let (long, large, small) = (
            Some(DeltaFacts::TooLong),
            Some(DeltaFacts::Len(400_000)),
            Some(DeltaFacts::Len(50_000)),
        );
        let alone = || Some(Vec::new());
        let kin = |size| Some(vec![Relative { kind: RelativeKind::Delta, size }]);
        let ratio = Step::StoreDirect(DirectReason::Ratio(MaxRatio::default()));
        let base = facts();
        let table = [
            (Facts { ..base.clone() }, Step::FindCompression),
            (Facts { compression: PLAIN, ..base.clone() }, Step::FindReferences),
            // Without a reference.
            (Facts { compression: PLAIN, references: none, ..base.clone() }, Step::EncodeItself),
            (
                Facts {
                    compression: PLAIN,
                    references: none,
                    is_tombstoned: Some(false),
                    ..base.clone()
                },
                Step::StoreReference,
            ),
            (
                Facts {
                    compression: PLAIN,
                    references: none,
                    is_tombstoned: Some(true),
                    ..base.clone()
                },
                Step::StoreDirect(DirectReason::Tombstoned),
            ),
            (
                Facts { compression: PLAIN, references: foreign, ..base.clone() },
                Step::StoreDirect(DirectReason::OtherKey),
            ),
            (
                Facts {
                    compression: PLAIN,
                    references: none,
                    len: MIN_REFERENCE_BYTES - 1,
                    ..base.clone()
                },
                Step::StoreDirect(DirectReason::Short),
            ),
            (
                Facts { compression: GZIP, references: foreign, ..base.clone() },
                Step::StoreDirect(DirectReason::Packed(Compression::Gzip)),
            ),
            // With one.
            (Facts { compression: GZIP, references: one, ..base.clone() }, Step::Encode),
            (
                Facts { compression: PLAIN, references: one, delta: small, ..base.clone() },
                Step::StoreDelta,
            ),
            (
                Facts { compression: PLAIN, references: one, delta: large, ..base.clone() },
                Step::FindRelatives,
            ),
            (
                Facts {
                    compression: PLAIN,
                    references: one,
                    delta: large,
                    relatives: alone(),
                    ..base.clone()
                },
                Step::StoreDelta,
            ),
            (
                Facts {
                    compression: PLAIN,
                    references: one,
                    delta: large,
                    relatives: kin(400_000),
                    ..base.clone()
                },
                Step::EncodeItself,
            ),
            (
                Facts { compression: GZIP, references: one, delta: large, ..base.clone() },
                Step::StoreDelta,
            ),
            (
                Facts { compression: PLAIN, references: full, delta: large, ..base.clone() },
                Step::StoreDelta,
            ),
            // With one that it is too far from.
            (
                Facts { compression: PLAIN, references: one, delta: long, ..base.clone() },
                Step::FindRelatives,
            ),
            (
                Facts {
                    compression: PLAIN,
                    references: one,
                    delta: long,
                    relatives: kin(9),
                    ..base.clone()
                },
                Step::EncodeItself,
            ),
            (
                Facts {
                    compression: PLAIN,
                    references: one,
                    delta: long,
                    relatives: alone(),
                    ..base.clone()
                },
                Step::CompareSketches,
            ),
            (
                Facts {
                    compression: PLAIN,
                    references: one,
                    delta: long,
                    relatives: alone(),
                    share: Some(0.3),
                    ..base.clone()
                },
                Step::EncodeItself,
            ),
            (
                Facts {
                    compression: PLAIN,
                    references: one,
                    delta: long,
                    relatives: alone(),
                    share: Some(0.0),
                    ..base.clone()
                },
                ratio.clone(),
            ),
            (
                Facts { compression: GZIP, references: one, delta: long, ..base.clone() },
                ratio.clone(),
            ),
            (Facts { compression: PLAIN, references: full, delta: long, ..base.clone() }, ratio),
            (Facts { is_reference: true, ..base }, Step::StoreDelta),
        ];
        for (facts, step) in table {
            assert_eq!(facts.next(), step, "{facts:?}");
        }
    }
}
