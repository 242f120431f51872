//! The JSON format of an index: one object that lists the leaves, and one for each leaf.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Known;
use crate::domain::Sha256Digest;
use crate::storage::ListedObject;

/// The format version. Objects of any other version are ignored.
const VERSION: u32 = 1;

/// The table of contents: the leaves of an index.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    version: u32,
    /// The first key of each leaf, relative to the folder; a leaf ends where the next one begins.
    /// The first one's is empty.
    pub(super) leaves: Vec<String>,
}

/// The entries of the objects between two keys.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Leaf {
    version: u32,
    pub(super) entries: Vec<Entry>,
}

/// The cached kind of an object, valid while its ETag and time are unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// The key relative to the folder.
    #[serde(rename = "k")]
    pub(super) key: String,
    #[serde(rename = "e")]
    etag: String,
    /// Nanoseconds since 1970.
    #[serde(rename = "m")]
    modified: u64,
    #[serde(rename = "w")]
    kind: CachedKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum CachedKind {
    #[serde(rename = "d")]
    Delta(u64, String),
    #[serde(rename = "r")]
    Reference,
    /// A plain file, as earlier versions wrote it. Ignored: an index is not trusted on this.
    #[serde(rename = "p")]
    Plain,
}

impl Contents {
    pub(super) fn of(leaves: Vec<String>) -> Self {
        Self { version: VERSION, leaves }
    }

    /// Parses the JSON; `None` if it is invalid or of another version.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let contents: Self = serde_json::from_slice(bytes).ok()?;
        let sound = contents.version == VERSION
            && contents.leaves.first().is_some_and(String::is_empty)
            && contents.leaves.is_sorted_by(|a, b| a < b);
        sound.then_some(contents)
    }

    pub(super) fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }
}

impl Leaf {
    pub(super) fn of(entries: Vec<Entry>) -> Self {
        Self { version: VERSION, entries }
    }

    /// Parses the JSON; `None` if it is invalid or of another version.
    pub(super) fn read(bytes: &[u8]) -> Option<BTreeMap<String, Entry>> {
        let leaf: Self = serde_json::from_slice(bytes).ok()?;
        (leaf.version == VERSION)
            .then(|| leaf.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect())
    }

    pub(super) fn write(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }
}

impl Entry {
    /// Creates an entry; `None` if no ETag would show that the object was replaced.
    pub(super) fn new(key: &str, stored: &ListedObject, known: &Known) -> Option<Self> {
        let modified = nanoseconds(stored.last_modified)?;
        let kind = match known {
            Known::Delta { size, sha256 } => CachedKind::Delta(*size, sha256.to_string()),
            Known::Reference => CachedKind::Reference,
        };
        (!stored.etag.0.is_empty()).then(|| Self {
            key: key.to_owned(),
            etag: stored.etag.0.clone(),
            modified,
            kind,
        })
    }

    /// Returns the cached kind of an object, if the entry is still valid for it.
    pub(super) fn of(&self, stored: &ListedObject) -> Option<Known> {
        if self.etag != stored.etag.0 || Some(self.modified) != nanoseconds(stored.last_modified) {
            return None;
        }
        Some(match &self.kind {
            CachedKind::Delta(size, sha256) => {
                Known::Delta { size: *size, sha256: sha256.parse::<Sha256Digest>().ok()? }
            }
            CachedKind::Reference => Known::Reference,
            CachedKind::Plain => return None,
        })
    }
}

fn nanoseconds(at: SystemTime) -> Option<u64> {
    let since: Duration = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Key;
    use crate::storage::ETag;

    fn stored() -> ListedObject {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_millis(seconds);
        let key = Key::new("f/a.zip.delta").unwrap();
        ListedObject {
            key,
            size: 9,
            etag: ETag("tag".into()),
            last_modified: at(1_764_000_000_123),
        }
    }

    fn delta() -> Known {
        Known::Delta { size: 7, sha256: Sha256Digest::of(b"a") }
    }

    #[test]
    fn entry_depends_on_etag_and_time() {
        let entry = Entry::new("a.zip.delta", &stored(), &delta()).unwrap();
        let leaf = Leaf::of(vec![entry]).write().unwrap();
        let read = &Leaf::read(&leaf).unwrap()["a.zip.delta"];
        assert_eq!(read.of(&stored()), Some(delta()));
        assert_eq!(read.of(&ListedObject { etag: ETag("other".into()), ..stored() }), None);
        let later = stored().last_modified + Duration::from_millis(1);
        assert_eq!(read.of(&ListedObject { last_modified: later, ..stored() }), None);
    }

    #[test]
    fn object_without_etag_is_skipped() {
        assert_eq!(
            Entry::new("a", &ListedObject { etag: ETag(String::new()), ..stored() }, &delta()),
            None
        );
    }

    /// Input of another version and input that is no valid index are both ignored.
    #[test]
    fn foreign_index_is_ignored() {
        for odd in
            ["", "{}", "[]", r#"{"version":2,"leaves":[""]}"#, r#"{"version":1,"leaves":["a"]}"#]
        {
            assert!(Contents::read(odd.as_bytes()).is_none(), "{odd}");
        }
        assert!(Contents::read(br#"{"version":1,"leaves":["","b","a"]}"#).is_none());
        assert!(
            Contents::read(&Contents::of(vec![String::new(), "a".into()]).write().unwrap())
                .is_some()
        );
        for odd in ["", r#"{"version":2,"entries":[]}"#, r#"{"version":1,"entries":[{"k":"a"}]}"#] {
            assert!(Leaf::read(odd.as_bytes()).is_none(), "{odd}");
        }
    }
}
