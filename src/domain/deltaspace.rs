//! Deltaspaces, whose files share references, and the names reserved for DeltaGlider.

use super::digest::Sha256Digest;
use super::key::{BucketName, Key, NameError, ObjectName};
use super::metadata::{DELTA_SUFFIX, REFERENCE_NAME};

/// The name of a folder, at any depth, that is reserved for DeltaGlider's own objects.
pub const INTERNAL_FOLDER: &str = ".deltaglider";

/// The prefix, in every bucket, of the temporary copies of files that presigned URLs lead to.
pub const TEMPORARIES: &str = ".deltaglider/tmp/";

/// The folder, below a deltaspace, of its content-addressed references, each in a folder named by
/// its SHA-256.
const REFERENCES_FOLDER: &str = ".deltaglider/references/";

/// The last part of the key of a [`Sketch`](super::Sketch).
const SKETCH_NAME: &str = "sketch";

/// The last part of the key of the tombstone of an unneeded reference.
const TOMBSTONE_NAME: &str = "condemned";

/// The folder, below any folder, of the index that caches listings of everything below it.
const INDEX_FOLDER: &str = ".deltaglider/index/";

/// The folder, at the root of a bucket, of cached bucket statistics.
const STATS_FOLDER: &str = ".deltaglider/stats/";

/// The name of the index object that lists the other objects of the index.
pub const INDEX_CONTENTS: &str = "contents.json";

/// A folder of a bucket whose files share references.
///
/// A reference has one of two keys: the classic one, `reference.bin` in the folder, which the
/// Python tool writes and finds; and the content-addressed one,
/// `.deltaglider/references/<sha256>/reference.bin` below it, which can hold only the right
/// content. The Python tool reads deltas of both, since it honours the folder in `dg-ref-key`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Deltaspace {
    bucket: BucketName,
    /// The folder: empty, or with a `/` at the end.
    folder: String,
}

/// An object below [`Deltaspace::references_prefix`], by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressed {
    /// The reference of this SHA-256.
    Reference(Sha256Digest),
    /// The sketch of the reference of this SHA-256.
    Sketch(Sha256Digest),
    /// The tombstone of the reference of this SHA-256, which will be deleted: no new delta may be
    /// made against it.
    Tombstone(Sha256Digest),
}

/// The reason why a folder cannot be the deltaspace of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeltaspaceError {
    /// The file is not in the folder; a delta's reference must be in a folder above it.
    #[error("the deltaspace {folder:?} does not contain {object}")]
    Elsewhere {
        /// The requested folder.
        folder: String,
        /// The file.
        object: ObjectName,
    },
    /// The folder cannot be written into the metadata of deltas, which hold their reference's key.
    #[error(
        "the deltaspace {0:?} cannot be stored in a header: \
         it must be printable ASCII of at most {MAX_FOLDER_BYTES} bytes"
    )]
    Unnameable(String),
}

/// The maximum length of a folder in bytes, so that its content-addressed references have keys of
/// at most 1024 bytes.
const MAX_FOLDER_BYTES: usize = 1024 - REFERENCES_FOLDER.len() - 64 - 1 - REFERENCE_NAME.len();

impl Deltaspace {
    /// Returns the deltaspace of a file: its folder, or the nearest folder above it whose
    /// references can be named in the metadata of a delta.
    ///
    /// Header values are printable ASCII, so the files of `日本/` share the reference of the folder
    /// above `日本/`, which the Python tool reads as well.
    pub fn of(object: &ObjectName) -> Self {
        let mut folder = object.key.folder();
        while !is_nameable(folder) {
            folder = above(folder);
        }
        Self { bucket: object.bucket.clone(), folder: folder.to_owned() }
    }

    /// Returns the deltaspace that versions of this one share: the parent folder, if the folder's
    /// own name has a digit in it (`releases/1.2.3/app.zip` and `releases/1.2.4/app.zip` share the
    /// references of `releases/`).
    pub fn shared(&self) -> Option<Self> {
        let parent = above(&self.folder);
        let own = self.folder.strip_prefix(parent)?;
        own.contains(|c: char| c.is_ascii_digit())
            .then(|| Self { bucket: self.bucket.clone(), folder: parent.to_owned() })
    }

    /// Returns the deltaspace that the user chose for a file; `folder` may end with a `/` or not.
    ///
    /// # Errors
    ///
    /// Fails if the file is not in the folder, or the folder cannot be named in metadata.
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

    /// Returns the deltaspace of the reference at `name`, which is either of its keys.
    pub fn of_reference(name: &ObjectName) -> Self {
        let own = name.key.folder();
        let addressed =
            own.strip_suffix('/').and_then(|own| own.rsplit_once('/')).and_then(|(above, last)| {
                last.parse::<Sha256Digest>().ok()?;
                format!("{above}/").strip_suffix(REFERENCES_FOLDER).map(str::to_owned)
            });
        Self { bucket: name.bucket.clone(), folder: addressed.unwrap_or_else(|| own.to_owned()) }
    }

    /// Returns the bucket.
    pub fn bucket(&self) -> &BucketName {
        &self.bucket
    }

    /// Returns the folder: empty, or with a `/` at its end.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Returns the name of the classic reference; an error if the key would be too long.
    pub fn classic(&self) -> Result<ObjectName, NameError> {
        self.name(REFERENCE_NAME)
    }

    /// Returns the name of the content-addressed reference of this SHA-256.
    pub fn addressed(&self, digest: &Sha256Digest) -> Result<ObjectName, NameError> {
        self.name(&format!("{REFERENCES_FOLDER}{digest}/{REFERENCE_NAME}"))
    }

    /// Returns the name of the sketch of the reference of this SHA-256, whichever its key is.
    pub fn sketch(&self, digest: &Sha256Digest) -> Result<ObjectName, NameError> {
        self.name(&format!("{REFERENCES_FOLDER}{digest}/{SKETCH_NAME}"))
    }

    /// Returns the name of the tombstone of the content-addressed reference of this SHA-256.
    pub fn tombstone(&self, digest: &Sha256Digest) -> Result<ObjectName, NameError> {
        self.name(&format!("{REFERENCES_FOLDER}{digest}/{TOMBSTONE_NAME}"))
    }

    /// Returns the key prefix of content-addressed references, their sketches and tombstones.
    pub fn references_prefix(&self) -> String {
        format!("{}{REFERENCES_FOLDER}", self.folder)
    }

    /// Classifies the object at `key`; `None` unless it is a content-addressed reference of this
    /// folder, or the sketch or tombstone of one.
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

/// Returns whether the references of a folder can be named in the metadata of a delta.
fn is_nameable(folder: &str) -> bool {
    folder.len() <= MAX_FOLDER_BYTES
        && folder.bytes().all(|c| (b' '..=b'~').contains(&c))
        && !folder.starts_with(' ')
}

/// Returns the parent of `folder`: up to and including the last `/` but one.
fn above(folder: &str) -> &str {
    let inner = folder.strip_suffix('/').unwrap_or(folder);
    inner.rfind('/').and_then(|at| folder.get(..=at)).unwrap_or_default()
}

/// Returns whether the key is in a folder reserved for DeltaGlider.
pub fn is_internal(key: &Key) -> bool {
    key.folder().split('/').any(|folder| folder == INTERNAL_FOLDER)
}

/// Returns the index object `name` of a folder, which is empty or has a `/` at its end.
pub fn index_object(
    bucket: &BucketName,
    folder: &str,
    name: &str,
) -> Result<ObjectName, NameError> {
    Ok(ObjectName::new(bucket.clone(), Key::new(format!("{folder}{INDEX_FOLDER}{name}"))?))
}

/// Returns the object that caches the bucket statistics `name`.
pub fn stats_object(bucket: &BucketName, name: &str) -> Result<ObjectName, NameError> {
    Ok(ObjectName::new(bucket.clone(), Key::new(format!("{STATS_FOLDER}{name}"))?))
}

/// Returns whether the object at a key is only a cache: part of an index, or bucket statistics.
pub fn is_derived(key: &Key) -> bool {
    let folder = key.folder();
    let of_index = folder == INDEX_FOLDER
        || folder.strip_suffix(INDEX_FOLDER).is_some_and(|above| above.ends_with('/'));
    of_index || folder == STATS_FOLDER
}

/// Returns the name of the delta of a file; an error if its key would be too long.
pub fn delta_of(object: &ObjectName) -> Result<ObjectName, NameError> {
    Ok(object.sibling(Key::new(format!("{}{DELTA_SUFFIX}", object.key))?))
}

/// Returns the key of the file whose delta is stored at `key`; `None` for the key of no delta.
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
    fn reference_is_beside_file() {
        let reference =
            |key| Deltaspace::of(&object(key)).classic().unwrap().key.as_str().to_owned();
        assert_eq!(reference("a.zip"), "reference.bin");
        assert_eq!(reference("a/b/c.zip"), "a/b/reference.bin");
        assert_eq!(reference("a//c.zip"), "a//reference.bin");
        assert_eq!(reference("a b+%/c.zip"), "a b+%/reference.bin");
    }

    /// A folder that no header can name uses the reference of the nearest folder above it.
    #[test]
    fn unnameable_folder_uses_parent() {
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
    fn versions_share_a_deltaspace() {
        let shared = |key: &str| Deltaspace::of(&object(key)).shared().map(|shared| shared.folder);
        assert_eq!(shared("releases/1.2.3/app.zip").as_deref(), Some("releases/"));
        assert_eq!(shared("v2/app.zip").as_deref(), Some(""));
        assert_eq!(shared("a1/releases/app.zip"), None);
        assert_eq!(shared("app-1.zip"), None);
    }

    #[test]
    fn chosen_space_contains_file() {
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
    fn reference_keys_map_to_home() {
        let digest = Sha256Digest::of(b"x");
        for folder in ["", "a/", "a//b/"] {
            let space = Deltaspace::of(&object(&format!("{folder}c.zip")));
            assert_eq!(space.folder, folder);
            for name in [space.classic().unwrap(), space.addressed(&digest).unwrap()] {
                assert_eq!(Deltaspace::of_reference(&name), space, "{name}");
            }
            let addressed = space.addressed(&digest).unwrap();
            assert_eq!(space.addressed_at(&addressed.key), Some(Addressed::Reference(digest)));
            let sketch = space.sketch(&digest).unwrap();
            assert_eq!(space.addressed_at(&sketch.key), Some(Addressed::Sketch(digest)));
            let tombstone = space.tombstone(&digest).unwrap();
            assert_eq!(space.addressed_at(&tombstone.key), Some(Addressed::Tombstone(digest)));
            assert_eq!(Deltaspace::of_reference(&tombstone), space);
            assert_eq!(space.addressed_at(&space.classic().unwrap().key), None);
        }
        let lookalike = object("a/.deltaglider/references/b/reference.bin");
        assert_eq!(Deltaspace::of_reference(&lookalike).folder, "a/.deltaglider/references/b/");
    }

    #[test]
    fn index_and_stats_are_recognized() {
        let bucket = BucketName::new("bucket").unwrap();
        for folder in ["", "a/", "a//b/"] {
            assert!(is_derived(&index_object(&bucket, folder, INDEX_CONTENTS).unwrap().key));
        }
        assert!(is_derived(&stats_object(&bucket, "detailed.json").unwrap().key));
        for key in [
            "a.deltaglider/index/x",
            ".deltaglider/references/x",
            ".deltaglider/tmp/x",
            ".deltaglider/index",
        ] {
            assert!(!is_derived(&Key::new(key).unwrap()), "{key}");
        }
    }

    #[test]
    fn overlong_name_has_no_delta() {
        assert!(delta_of(&object(&"k".repeat(1018))).is_ok());
        assert_eq!(delta_of(&object(&"k".repeat(1019))), Err(NameError::KeyTooLong(1025)));
        assert_eq!(
            file_of(&Key::new("a.delta.delta").unwrap()),
            Some(Key::new("a.delta").unwrap())
        );
        assert_eq!(file_of(&Key::new(".delta").unwrap()), None);
    }
}
