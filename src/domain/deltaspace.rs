//! The objects that share a reference, and the names DeltaGlider keeps for itself.

use super::key::{BucketName, Key, NameError, ObjectName};
use super::metadata::{DELTA_SUFFIX, REFERENCE_NAME};

/// A folder of this name, at any depth, holds what DeltaGlider keeps for itself.
pub const INTERNAL_FOLDER: &str = ".deltaglider";

/// One folder of a bucket: the deltas in it share one reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Deltaspace {
    bucket: BucketName,
    reference: Key,
}

impl Deltaspace {
    /// The deltaspace a file of this name belongs to: its folder, or the nearest folder above it whose reference can be
    /// named in the metadata of a delta. Header values are printable ASCII, so the files of `日本/` share the reference of
    /// the folder that `日本/` is in, which the Python tool reads as well.
    pub fn of(object: &ObjectName) -> Self {
        let mut folder = object.key.folder();
        let reference = loop {
            match Key::new(format!("{folder}{REFERENCE_NAME}")) {
                Ok(key) if is_header_text(key.as_str()) => break key,
                _ if folder.is_empty() => break Key::literal(REFERENCE_NAME),
                _ => folder = above(folder),
            }
        };
        Self { bucket: object.bucket.clone(), reference }
    }

    /// Where its reference stands.
    pub fn reference(&self) -> ObjectName {
        ObjectName::new(self.bucket.clone(), self.reference.clone())
    }
}

/// The folder that `folder` is in: up to and including the last `/` but one.
fn above(folder: &str) -> &str {
    let inner = folder.strip_suffix('/').unwrap_or(folder);
    inner.rfind('/').and_then(|at| folder.get(..=at)).unwrap_or_default()
}

/// Whether the text comes back as it is from a header: printable ASCII with no space at an end.
fn is_header_text(text: &str) -> bool {
    text.bytes().all(|c| (b' '..=b'~').contains(&c)) && text.trim() == text
}

/// Whether no file can be stored under this key, since DeltaGlider keeps it for itself.
pub fn is_reserved(key: &Key) -> bool {
    key.base_name() == REFERENCE_NAME || is_internal(key)
}

/// Whether the key lies in a folder that DeltaGlider keeps for itself.
pub fn is_internal(key: &Key) -> bool {
    key.folder().split('/').any(|folder| folder == INTERNAL_FOLDER)
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
        let reference = |key| Deltaspace::of(&object(key)).reference().key.as_str().to_owned();
        assert_eq!(reference("a.zip"), "reference.bin");
        assert_eq!(reference("a/b/c.zip"), "a/b/reference.bin");
        assert_eq!(reference("a//c.zip"), "a//reference.bin");
        assert_eq!(reference("a b+%/c.zip"), "a b+%/reference.bin");
    }

    #[test]
    fn a_folder_that_no_header_can_name_shares_the_reference_above_it() {
        let reference = |key: &str| Deltaspace::of(&object(key)).reference().key.as_str().to_owned();
        assert_eq!(reference("a/日本/c.zip"), "a/reference.bin");
        assert_eq!(reference("日本/v1/c.zip"), "reference.bin");
        assert_eq!(reference("a/b\n/c.zip"), "a/reference.bin");
        assert_eq!(reference(" a/c.zip"), "reference.bin");
        assert_eq!(reference(&format!("a/{}/c", "k".repeat(1015))), "a/reference.bin");
    }

    #[test]
    fn names_of_our_own_are_reserved_and_names_like_them_are_not() {
        let reserved = |key| is_reserved(&Key::new(key).unwrap());
        for key in ["reference.bin", "a/reference.bin", ".deltaglider/x", "a/.deltaglider/references/x"] {
            assert!(reserved(key), "{key}");
        }
        for key in ["a.reference.bin", "reference.bin/a", ".deltaglider", "a/.deltaglider.zip", "x.deltaglider/y"] {
            assert!(!reserved(key), "{key}");
        }
    }

    #[test]
    fn a_name_without_room_for_the_suffix_has_no_delta() {
        assert!(delta_of(&object(&"k".repeat(1018))).is_ok());
        assert_eq!(delta_of(&object(&"k".repeat(1019))), Err(NameError::KeyTooLong(1025)));
        assert_eq!(file_of(&Key::new("a.delta.delta").unwrap()), Some(Key::new("a.delta").unwrap()));
        assert_eq!(file_of(&Key::new(".delta").unwrap()), None);
    }
}
