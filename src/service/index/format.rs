//! How an index is written: JSON, one object that says which leaves there are, and the leaves.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::Known;
use crate::domain::Sha256Digest;
use crate::storage::ListedObject;

/// What another number says is of no use to this version.
const VERSION: u32 = 1;

/// Which leaves there are.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Contents {
    version: u32,
    /// Each leaf begins at this key, without the folder, and ends where the next one begins. The
    /// first one's is empty.
    pub(super) leaves: Vec<String>,
}

/// What is known of the objects between two keys.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Leaf {
    version: u32,
    pub(super) entries: Vec<Entry>,
}

/// What is known of an object, for as long as tag and time are these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Its key without the folder.
    #[serde(rename = "k")]
    pub(super) key: String,
    #[serde(rename = "e")]
    etag: String,
    /// Nanoseconds since 1970.
    #[serde(rename = "m")]
    modified: u64,
    #[serde(rename = "w")]
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    #[serde(rename = "d")]
    Delta(u64, String),
    #[serde(rename = "r")]
    Reference,
    /// A file, as earlier versions wrote it: that an object is one is not believed.
    #[serde(rename = "p")]
    Plain,
}

impl Contents {
    pub(super) fn of(leaves: Vec<String>) -> Self {
        Self { version: VERSION, leaves }
    }

    /// `None` for what this version did not write.
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

    /// `None` for what this version did not write.
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
    /// `None` where nothing would tell that the object is another one.
    pub(super) fn new(key: &str, stored: &ListedObject, known: &Known) -> Option<Self> {
        let modified = nanoseconds(stored.last_modified)?;
        let what = match known {
            Known::Delta { size, sha256 } => What::Delta(*size, sha256.to_string()),
            Known::Reference => What::Reference,
        };
        (!stored.etag.0.is_empty()).then(|| Self {
            key: key.to_owned(),
            etag: stored.etag.0.clone(),
            modified,
            what,
        })
    }

    /// What is known of an object, if it is still the one this is about.
    pub(super) fn of(&self, stored: &ListedObject) -> Option<Known> {
        if self.etag != stored.etag.0 || Some(self.modified) != nanoseconds(stored.last_modified) {
            return None;
        }
        Some(match &self.what {
            What::Delta(size, sha256) => {
                Known::Delta { size: *size, sha256: sha256.parse::<Sha256Digest>().ok()? }
            }
            What::Reference => Known::Reference,
            What::Plain => return None,
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
    fn what_is_known_of_an_object_holds_while_tag_and_time_are_the_same() {
        let entry = Entry::new("a.zip.delta", &stored(), &delta()).unwrap();
        let leaf = Leaf::of(vec![entry]).write().unwrap();
        let read = &Leaf::read(&leaf).unwrap()["a.zip.delta"];
        assert_eq!(read.of(&stored()), Some(delta()));
        assert_eq!(read.of(&ListedObject { etag: ETag("other".into()), ..stored() }), None);
        let later = stored().last_modified + Duration::from_millis(1);
        assert_eq!(read.of(&ListedObject { last_modified: later, ..stored() }), None);
    }

    #[test]
    fn an_object_that_the_store_lists_without_a_tag_is_not_remembered() {
        assert_eq!(
            Entry::new("a", &ListedObject { etag: ETag(String::new()), ..stored() }, &delta()),
            None
        );
    }

    #[test]
    fn what_another_version_wrote_or_nobody_can_read_is_no_index() {
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
