//! The objects that share a reference, and the names DeltaGlider keeps for itself.

use super::digest::Sha256Digest;
use super::key::{BucketName, Key, NameError, ObjectName};
use super::metadata::{DELTA_SUFFIX, REFERENCE_NAME};

/// A folder of this name, at any depth, holds what DeltaGlider keeps for itself.
pub const INTERNAL_FOLDER: &str = ".deltaglider";

/// Where the copies of files are that are made for URLs, in every bucket.
pub const TEMPORARIES: &str = ".deltaglider/tmp/";

/// Below a folder, where its content-addressed references are, each in a folder called by its
/// SHA-256.
const REFERENCES_FOLDER: &str = ".deltaglider/references/";

/// The last part of the key of a [`Sketch`](super::Sketch).
const SKETCH_NAME: &str = "sketch";

/// The last part of the key of the mark on a reference that nobody needs.
const TOMBSTONE_NAME: &str = "condemned";

/// Below a folder, where listings keep what they learnt of all that is below it.
const INDEX_FOLDER: &str = ".deltaglider/index/";

/// At the root of a bucket, where results of counting it are kept.
const STATS_FOLDER: &str = ".deltaglider/stats/";

/// The object of an index that says which others there are.
pub const INDEX_CONTENTS: &str = "contents.json";

/// A folder of a bucket as the home of references.
///
/// A reference has one of two keys: the classic one, `reference.bin` in the folder, which the
/// Python tool makes and finds; and the content-addressed one,
/// `.deltaglider/references/<sha256>/reference.bin` below it, under which nothing but the right
/// content can stand. The Python tool reads deltas of both, since it honours the folder in
/// `dg-ref-key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Deltaspace {
    bucket: BucketName,
    /// Empty, or with a `/` at the end.
    folder: String,
}

/// What a key below [`Deltaspace::references_prefix`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressed {
    /// The reference of this SHA-256.
    Reference(Sha256Digest),
    /// The sketch of the reference of this SHA-256.
    Sketch(Sha256Digest),
    /// The mark that the reference of this SHA-256 is to be removed: no new delta may be made
    /// against it.
    Tombstone(Sha256Digest),
}

/// Why a folder cannot be the deltaspace of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaspaceError {
    /// A delta's reference stands in a folder above it.
    #[error("the deltaspace {folder:?} is no folder that {object} is in")]
    Elsewhere {
        /// The folder asked for.
        folder: String,
        /// The file.
        object: ObjectName,
    },
    /// The key of a reference is written into the metadata of its deltas.
    #[error(
        "the deltaspace {0:?} cannot be named in a header: only printable ASCII of at most {MAX_FOLDER_BYTES} bytes can"
    )]
    Unnameable(String),
}

/// The longest folder whose content-addressed references have keys of at most 1024 bytes.
const MAX_FOLDER_BYTES: usize = 1024 - REFERENCES_FOLDER.len() - 64 - 1 - REFERENCE_NAME.len();

impl Deltaspace {
    /// The deltaspace of a file: its folder, or the nearest folder above it whose references can be
    /// named in the metadata of a delta. Header values are printable ASCII, so the files of `日本/`
    /// share the reference of the folder that `日本/` is in, which the Python tool reads as well.
    pub fn of(object: &ObjectName) -> Self {
        let mut folder = object.key.folder();
        while !is_nameable(folder) {
            folder = above(folder);
        }
        Self { bucket: object.bucket.clone(), folder: folder.to_owned() }
    }

    /// The folder that versions of this one share: the one it is in, if its own name has a digit in
    /// it (`releases/1.2.3/app.zip` and `releases/1.2.4/app.zip` share the references of
    /// `releases/`).
    pub fn shared(&self) -> Option<Self> {
        let parent = above(&self.folder);
        let own = self.folder.strip_prefix(parent)?;
        own.contains(|c: char| c.is_ascii_digit())
            .then(|| Self { bucket: self.bucket.clone(), folder: parent.to_owned() })
    }

    /// The folder a user wants the references of a file in; with or without a `/` at its end.
    pub fn chosen(object: &ObjectName, folder: &str) -> Result<Self, DeltaspaceError> {
        let folder = match folder {
            "" | "/" => String::new(),
            _ => format!("{}/", folder.strip_suffix('/').unwrap_or(folder)),
        };
        if !is_nameable(&folder) {
            return Err(DeltaspaceError::Unnameable(folder));
        }
        if !object.key.folder().starts_with(&folder) {
            return Err(DeltaspaceError::Elsewhere { folder, object: object.clone() });
        }
        Ok(Self { bucket: object.bucket.clone(), folder })
    }

    /// The home of the reference at `name`, by either of its keys.
    pub fn home_of(name: &ObjectName) -> Self {
        let own = name.key.folder();
        let addressed =
            own.strip_suffix('/').and_then(|own| own.rsplit_once('/')).and_then(|(above, last)| {
                last.parse::<Sha256Digest>().ok()?;
                format!("{above}/").strip_suffix(REFERENCES_FOLDER).map(str::to_owned)
            });
        Self { bucket: name.bucket.clone(), folder: addressed.unwrap_or_else(|| own.to_owned()) }
    }

    /// The bucket.
    pub fn bucket(&self) -> &BucketName {
        &self.bucket
    }

    /// The folder: empty, or with a `/` at its end.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Where its classic reference stands; an error if the folder is too long for one.
    pub fn classic(&self) -> Result<ObjectName, NameError> {
        self.name(REFERENCE_NAME)
    }

    /// Where the reference of this SHA-256 stands.
    pub fn addressed(&self, digest: &Sha256Digest) -> Result<ObjectName, NameError> {
        self.name(&format!("{REFERENCES_FOLDER}{digest}/{REFERENCE_NAME}"))
    }

    /// Where the sketch of the reference of this SHA-256 stands, whichever key that has.
    pub fn sketch(&self, digest: &Sha256Digest) -> Result<ObjectName, NameError> {
        self.name(&format!("{REFERENCES_FOLDER}{digest}/{SKETCH_NAME}"))
    }

    /// Where the mark stands that the content-addressed reference of this SHA-256 is to be removed.
    pub fn tombstone(&self, digest: &Sha256Digest) -> Result<ObjectName, NameError> {
        self.name(&format!("{REFERENCES_FOLDER}{digest}/{TOMBSTONE_NAME}"))
    }

    /// What the keys of all its content-addressed references, their sketches and marks start with.
    pub fn references_prefix(&self) -> String {
        format!("{}{REFERENCES_FOLDER}", self.folder)
    }

    /// What the object at `key` is, if it is a content-addressed reference of this folder, or a
    /// sketch or mark of one.
    pub fn addressed_at(&self, key: &Key) -> Option<Addressed> {
        let rest = key.as_str().strip_prefix(&self.references_prefix())?;
        let (digest, name) = rest.split_once('/')?;
        let digest = digest.parse().ok()?;
        match name {
            REFERENCE_NAME => Some(Addressed::Reference(digest)),
            SKETCH_NAME => Some(Addressed::Sketch(digest)),
            TOMBSTONE_NAME => Some(Addressed::Tombstone(digest)),
            _ => None,
        }
    }

    fn name(&self, below: &str) -> Result<ObjectName, NameError> {
        Ok(ObjectName::new(self.bucket.clone(), Key::new(format!("{}{below}", self.folder))?))
    }
}

impl std::fmt::Display for Deltaspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.folder)
    }
}

/// Whether the references of a folder can be named in the metadata of a delta.
fn is_nameable(folder: &str) -> bool {
    folder.len() <= MAX_FOLDER_BYTES
        && folder.bytes().all(|c| (b' '..=b'~').contains(&c))
        && !folder.starts_with(' ')
}

/// The folder that `folder` is in: up to and including the last `/` but one.
fn above(folder: &str) -> &str {
    let inner = folder.strip_suffix('/').unwrap_or(folder);
    inner.rfind('/').and_then(|at| folder.get(..=at)).unwrap_or_default()
}

/// Whether the key lies in a folder that DeltaGlider keeps for itself.
pub fn is_internal(key: &Key) -> bool {
    key.folder().split('/').any(|folder| folder == INTERNAL_FOLDER)
}

/// Where the object of this name stands in the index of a folder, which is empty or has a `/` at
/// its end.
pub fn index_object(
    bucket: &BucketName,
    folder: &str,
    name: &str,
) -> Result<ObjectName, NameError> {
    Ok(ObjectName::new(bucket.clone(), Key::new(format!("{folder}{INDEX_FOLDER}{name}"))?))
}

/// Where the result of this name, of counting a bucket, is kept.
pub fn stats_object(bucket: &BucketName, name: &str) -> Result<ObjectName, NameError> {
    Ok(ObjectName::new(bucket.clone(), Key::new(format!("{STATS_FOLDER}{name}"))?))
}

/// Whether what stands there was only written to be faster next time: an index, or a result of
/// counting.
pub fn is_memory(key: &Key) -> bool {
    let folder = key.folder();
    let of_index = folder == INDEX_FOLDER
        || folder.strip_suffix(INDEX_FOLDER).is_some_and(|above| above.ends_with('/'));
    of_index || folder == STATS_FOLDER
}

/// Where the delta of a file is stored; an error when the name is too long for it.
pub fn delta_of(object: &ObjectName) -> Result<ObjectName, NameError> {
    Ok(object.sibling(Key::new(format!("{}{DELTA_SUFFIX}", object.key))?))
}

/// The key of the file whose delta is stored at `key`, if it is the key of a delta.
pub fn file_of(key: &Key) -> Option<Key> {
    Key::new(key.as_str().strip_suffix(DELTA_SUFFIX)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str) -> ObjectName {
        ObjectName::new(BucketName::new("bucket").unwrap(), Key::new(key).unwrap())
    }

    #[test]
    fn the_reference_stands_beside_the_file() {
        let reference =
            |key| Deltaspace::of(&object(key)).classic().unwrap().key.as_str().to_owned();
        assert_eq!(reference("a.zip"), "reference.bin");
        assert_eq!(reference("a/b/c.zip"), "a/b/reference.bin");
        assert_eq!(reference("a//c.zip"), "a//reference.bin");
        assert_eq!(reference("a b+%/c.zip"), "a b+%/reference.bin");
    }

    #[test]
    fn a_folder_that_no_header_can_name_shares_the_reference_above_it() {
        let reference =
            |key: &str| Deltaspace::of(&object(key)).classic().unwrap().key.as_str().to_owned();
        assert_eq!(reference("a/日本/c.zip"), "a/reference.bin");
        assert_eq!(reference("日本/v1/c.zip"), "reference.bin");
        assert_eq!(reference("a/b\n/c.zip"), "a/reference.bin");
        assert_eq!(reference(" a/c.zip"), "reference.bin");
        assert_eq!(reference(&format!("a/{}/c", "k".repeat(921))), "a/reference.bin");
        assert!(reference(&format!("a/{}/c", "k".repeat(919))).starts_with("a/kkk"));
    }

    #[test]
    fn versions_share_the_references_of_the_folder_they_are_in() {
        let shared = |key: &str| Deltaspace::of(&object(key)).shared().map(|shared| shared.folder);
        assert_eq!(shared("releases/1.2.3/app.zip").as_deref(), Some("releases/"));
        assert_eq!(shared("v2/app.zip").as_deref(), Some(""));
        assert_eq!(shared("a1/releases/app.zip"), None);
        assert_eq!(shared("app-1.zip"), None);
    }

    #[test]
    fn a_chosen_deltaspace_is_a_folder_above_the_file() {
        let chosen = |folder: &str| {
            Deltaspace::chosen(&object("a/b/c.zip"), folder).map(|space| space.folder)
        };
        assert_eq!(chosen("a/b"), Ok("a/b/".to_owned()));
        assert_eq!(chosen("a/"), Ok("a/".to_owned()));
        assert_eq!(chosen(""), Ok(String::new()));
        assert!(matches!(chosen("a/x/"), Err(DeltaspaceError::Elsewhere { .. })));
        assert!(matches!(chosen("a/b/c.zip"), Err(DeltaspaceError::Elsewhere { .. })));
        assert!(matches!(chosen("日本"), Err(DeltaspaceError::Unnameable(_))));
    }

    #[test]
    fn both_keys_of_a_reference_lead_to_its_home() {
        let digest = Sha256Digest::of(b"x");
        for folder in ["", "a/", "a//b/"] {
            let space = Deltaspace::of(&object(&format!("{folder}c.zip")));
            assert_eq!(space.folder, folder);
            for name in [space.classic().unwrap(), space.addressed(&digest).unwrap()] {
                assert_eq!(Deltaspace::home_of(&name), space, "{name}");
            }
            let addressed = space.addressed(&digest).unwrap();
            assert_eq!(space.addressed_at(&addressed.key), Some(Addressed::Reference(digest)));
            let sketch = space.sketch(&digest).unwrap();
            assert_eq!(space.addressed_at(&sketch.key), Some(Addressed::Sketch(digest)));
            let condemned = space.tombstone(&digest).unwrap();
            assert_eq!(space.addressed_at(&condemned.key), Some(Addressed::Tombstone(digest)));
            assert_eq!(Deltaspace::home_of(&condemned), space);
            assert_eq!(space.addressed_at(&space.classic().unwrap().key), None);
        }
        let lookalike = object("a/.deltaglider/references/b/reference.bin");
        assert_eq!(Deltaspace::home_of(&lookalike).folder, "a/.deltaglider/references/b/");
    }

    #[test]
    fn an_index_and_results_of_counting_are_known_by_their_keys() {
        let bucket = BucketName::new("bucket").unwrap();
        for folder in ["", "a/", "a//b/"] {
            assert!(is_memory(&index_object(&bucket, folder, INDEX_CONTENTS).unwrap().key));
        }
        assert!(is_memory(&stats_object(&bucket, "detailed.json").unwrap().key));
        for key in [
            "a.deltaglider/index/x",
            ".deltaglider/references/x",
            ".deltaglider/tmp/x",
            ".deltaglider/index",
        ] {
            assert!(!is_memory(&Key::new(key).unwrap()), "{key}");
        }
    }

    #[test]
    fn a_name_without_room_for_the_suffix_has_no_delta() {
        assert!(delta_of(&object(&"k".repeat(1018))).is_ok());
        assert_eq!(delta_of(&object(&"k".repeat(1019))), Err(NameError::KeyTooLong(1025)));
        assert_eq!(
            file_of(&Key::new("a.delta.delta").unwrap()),
            Some(Key::new("a.delta").unwrap())
        );
        assert_eq!(file_of(&Key::new(".delta").unwrap()), None);
    }
}
