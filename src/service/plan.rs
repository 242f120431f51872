//! The decisions of a put, as a pure function of the facts about the file, its name and the
//! references.

use std::fmt;

use super::references::{Relative, RelativeKind};
use crate::domain::policy::{MIN_REFERENCE_BYTES, MaxRatio};
use crate::domain::{Compression, ObjectName, Total};

/// The reason why a file was stored as it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DirectReason {
    /// The caller asked for it.
    Asked,
    /// The extension is not one of those that are stored as deltas.
    Extension,
    /// DeltaGlider has objects of its name, so its key is escaped.
    Escaped,
    /// The key is too long to append `.delta`.
    NameTooLong,
    /// A file of another tool has the key of its delta.
    Occupied(ObjectName),
    /// The file is too short to be a reference, and there is none it could be a delta against.
    Short,
    /// The file is compressed, so not every reader understands it as a reference, and there is
    /// none it could be a delta against.
    Packed(Compression),
    /// The references are encrypted with another customer's key, or with one where the file has
    /// none.
    OtherKey,
    /// The delta would be longer than allowed.
    Ratio(MaxRatio),
    /// The content is that of a tombstoned reference.
    Tombstoned,
    /// A plain object of its name is too young to be deleted safely beside concurrent writers on
    /// this store.
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
            Self::Occupied(object) => write!(f, "{object} has the key of its delta"),
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

/// The facts about a file's name, before its content is read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NameFacts {
    /// The user allows a delta.
    pub(crate) asked: bool,
    /// DeltaGlider has objects of this name.
    pub(crate) is_escaped: bool,
    /// Files with this extension are stored as deltas.
    pub(crate) is_covered: bool,
    /// The key leaves enough bytes for `.delta`.
    pub(crate) has_room: bool,
    /// A file of another tool has the key of the delta.
    pub(crate) occupied_by: Option<ObjectName>,
    /// A plain object of this name is too young to be deleted.
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

/// The facts about the references of a deltaspace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReferenceFacts {
    /// A delta can be made against one of them.
    pub(crate) is_usable: bool,
    /// One of them needs another customer's key.
    pub(crate) needs_other_key: bool,
    /// The number of references.
    pub(crate) count: usize,
    /// The share of its content's size that the best reference takes, 0 to 1: what a new one will
    /// take.
    pub(crate) stored_share: f64,
}

/// The delta of a file against the best reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum DeltaFacts {
    /// The delta is longer than the ratio allows.
    TooLong,
    /// The length of the delta in bytes.
    Len(u64),
}

/// The facts about a put. A `None` is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) name: NameFacts,
    /// Bytes of the file.
    pub(crate) len: u64,
    pub(crate) max_ratio: MaxRatio,
    /// The compression of the file, if any.
    pub(crate) compression: Option<Option<Compression>>,
    pub(crate) references: Option<ReferenceFacts>,
    pub(crate) delta: Option<DeltaFacts>,
    /// The earlier versions of the file.
    pub(crate) relatives: Option<Vec<Relative>>,
    /// The share of the file's content that the best reference contains, 0 to 1.
    pub(crate) share: Option<f64>,
    /// The file's content is that of a tombstoned reference.
    pub(crate) is_tombstoned: Option<bool>,
    /// The file has become a reference.
    pub(crate) is_reference: bool,
}

/// The next step of a put: to learn a fact, or to store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Find the compression of the file.
    FindCompression,
    /// Find the references, and the best usable one.
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
    /// Creates facts of which only the name and the length are known.
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

    /// Forgets all facts that depend on the references, after concurrent writers changed them.
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
                    Some(relatives)
                        if outgrown((self.len, references.stored_share), delta, relatives) =>
                    {
                        self.reference()
                    }
                    Some(_) => Step::StoreDelta,
                }
            }
            DeltaFacts::Len(_) => Step::StoreDelta,
        }
    }

    /// Decides to make the file a reference, unless its content is tombstoned.
    fn reference(&self) -> Step {
        match self.is_tombstoned {
            None => Step::EncodeItself,
            Some(true) => Step::StoreDirect(DirectReason::Tombstoned),
            Some(false) => Step::StoreReference,
        }
    }

    /// Decides whether a file without a short enough delta becomes a further reference: similar
    /// files are to be expected if there are earlier versions, or if it shares content with a
    /// reference.
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

/// The minimum share of a file's content in a reference to count as similar.
const MIN_SHARE: f64 = 0.02;

/// Checks that a file may be a reference: every reader understands it, and it is long enough.
fn reference_allowed(len: u64, compression: Option<Compression>) -> Result<(), DirectReason> {
    match compression {
        Some(compression) => Err(DirectReason::Packed(compression)),
        None if len < MIN_REFERENCE_BYTES => Err(DirectReason::Short),
        None => Ok(()),
    }
}

/// The maximum number of references made in one deltaspace; each is one more candidate for every
/// later put.
const MAX_REFERENCES: usize = 64;

/// The divisor of the size of a small delta: one below this fraction of its file is no reason to
/// look for a better reference.
const SMALL_DELTA: u64 = 20;

/// Returns whether a delta of this size is large enough to check [`outgrown`].
fn may_be_outgrown(file_len: u64, delta_len: u64) -> bool {
    file_len >= MIN_REFERENCE_BYTES && delta_len > file_len / SMALL_DELTA
}

/// Returns whether a file is better stored as a further reference than as its delta against the
/// best reference.
///
/// A reference costs the file's size once, or the stored share of it if references are packed, and
/// deltas against an old reference grow with each version. The function adds up what the deltas
/// cost beyond the usual size; when the sum reaches half the cost of a reference, a new one is due.
/// (If deltas grow evenly, the cheapest moment is a sum of the whole cost, and half of it costs at
/// most six per cent more; after a sudden change, an earlier one is cheaper.) The usual size is the
/// smallest delta of the family. Until a second reference has shown that a new one does not help,
/// it is at most an eighth of the file.
fn outgrown((file_len, stored_share): (u64, f64), delta_len: u64, relatives: &[Relative]) -> bool {
    let deltas = relatives.iter().filter(|relative| relative.kind != RelativeKind::Plain);
    // References are stored with a tiny delta against themselves.
    let (trifles, deltas): (Vec<&Relative>, Vec<&Relative>) =
        deltas.partition(|delta| delta.size <= file_len / 1000);
    let smallest = deltas.iter().map(|delta| delta.size).min().unwrap_or(delta_len).min(delta_len);
    let usual = if trifles.len() < 2 { smallest.min(file_len / 8) } else { smallest };
    let since =
        deltas.iter().filter(|delta| delta.kind == RelativeKind::Delta).map(|delta| delta.size);
    let excess = Total::of(since.chain([delta_len]).map(|size| size.saturating_sub(usual)));
    excess.bytes() >= (file_len as f64 * stored_share) as u64 / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the total bytes and the number of references of `versions` versions of 1,000,000
    /// bytes, where `delta_at` gives the bytes of a delta by the versions of its reference and its
    /// file.
    fn cost(versions: usize, delta_at: impl Fn(usize, usize) -> u64) -> (u64, usize) {
        const LEN: u64 = 1_000_000;
        let (mut total, mut references) = (LEN, vec![0]);
        let mut relatives = vec![Relative { kind: RelativeKind::Delta, size: 100 }];
        for version in 1..versions {
            let reference = *references.last().unwrap();
            let delta = delta_at(reference, version);
            if delta > LEN / 2
                || may_be_outgrown(LEN, delta) && outgrown((LEN, 1.0), delta, &relatives)
            {
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
    fn steady_deltas_keep_reference() {
        assert_eq!(cost(200, |_, _| 30_000).1, 1);
        assert_eq!(cost(200, |_, _| 110_000).1, 1);
        // A new reference is tried only once.
        assert_eq!(cost(200, |_, _| 300_000).1, 2);
    }

    /// A packed reference pays sooner than one that takes the whole file.
    #[test]
    fn packed_reference_pays_sooner() {
        let deltas = [100, 200_000, 200_000, 200_000];
        let relatives = deltas.map(|size| Relative { kind: RelativeKind::Delta, size });
        let outgrown = |share| outgrown((1_000_000, share), 200_000, &relatives);
        assert_eq!([1.0, 0.62, 0.6, 0.2].map(outgrown), [false, false, true, true]);
    }

    #[test]
    fn growing_deltas_near_optimum() {
        for step in [5_000, 20_000, 60_000] {
            let delta_at = |reference: usize, version: usize| step * (version - reference) as u64;
            let (total, _) = cost(60, delta_at);
            // The optimum among references at even distances.
            let best = (1..60).map(|distance: u64| {
                let chains = 60u64.div_ceil(distance);
                chains * 1_000_000 + step * chains * (distance * (distance - 1) / 2)
            });
            let best = best.min().unwrap();
            assert!(total as f64 <= 1.3 * best as f64, "{step}: {total} of {best}");
        }
    }

    #[test]
    fn jump_gets_new_reference() {
        let delta_at = |reference: usize, version: usize| {
            if reference < 10 && version >= 10 { 400_000 } else { 20_000 }
        };
        let (total, references) = cost(40, delta_at);
        assert_eq!(references, 2);
        assert!(total < 3_600_000, "{total}");
    }

    /// Returns the facts of a file of 1,000,000 bytes whose name allows a delta.
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
            Some(ReferenceFacts { is_usable, needs_other_key, count, stored_share: 1.0 })
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
            // With a reference that is too different.
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
