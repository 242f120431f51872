//! The objects that share a reference.

use super::key::{BucketName, Key, NameError, ObjectName};
use super::metadata::{DELTA_SUFFIX, REFERENCE_NAME};

/// One folder of a bucket: the deltas in it share one reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Deltaspace {
    bucket: BucketName,
    folder: String,
}

impl Deltaspace {
    /// The deltaspace a file of this name belongs to.
    pub fn of(object: &ObjectName) -> Self {
        Self { bucket: object.bucket.clone(), folder: object.key.folder().to_owned() }
    }

    /// Where its reference stands; an error when the folder leaves no room for its name.
    pub fn reference(&self) -> Result<ObjectName, NameError> {
        let key = Key::new(format!("{}{REFERENCE_NAME}", self.folder))?;
        Ok(ObjectName::new(self.bucket.clone(), key))
    }
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
        let reference = |key| Deltaspace::of(&object(key)).reference().unwrap().key.as_str().to_owned();
        assert_eq!(reference("a.zip"), "reference.bin");
        assert_eq!(reference("a/b/c.zip"), "a/b/reference.bin");
        assert_eq!(reference("a//c.zip"), "a//reference.bin");
    }

    #[test]
    fn a_name_without_room_for_the_suffix_has_no_delta() {
        assert!(delta_of(&object(&"k".repeat(1018))).is_ok());
        assert_eq!(delta_of(&object(&"k".repeat(1019))), Err(NameError::KeyTooLong(1025)));
        assert_eq!(file_of(&Key::new("a.delta.delta").unwrap()), Some(Key::new("a.delta").unwrap()));
        assert_eq!(file_of(&Key::new(".delta").unwrap()), None);
    }
}
