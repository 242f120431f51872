//! Conversion between local paths and keys. A path made from a key stays in its directory.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Returns a prefix as a folder: `v1` becomes `v1/`, which does not match `v10`.
pub fn folder(path: &str) -> String {
    if path.is_empty() || path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}

/// The reason why a key cannot become a local path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A part of the key cannot be a file name.
    #[error(
        "a part of the key, {0:?}, cannot be the name of a file; \
         copy it alone, to a name you choose"
    )]
    Part(String),
    /// A part of the key is the name of a file that is being written.
    #[error(
        "{0:?} is the name of a draft, which is removed when it is old; \
         copy it alone, to a name you choose"
    )]
    Draft(String),
}

/// The prefix of the names of drafts.
const DRAFT_PREFIX: &str = ".deltaglider-";
/// The suffix of the names of drafts.
const DRAFT_SUFFIX: &str = ".part";

/// Returns the name of a draft: a local file that is being written, and renamed when complete.
pub fn draft_name(random: u128) -> String {
    format!("{DRAFT_PREFIX}{random:032x}{DRAFT_SUFFIX}")
}

/// Returns whether a file name is that of a draft.
pub fn is_draft_name(name: &OsStr) -> bool {
    is_name_of_ours(name, DRAFT_SUFFIX)
}

fn is_name_of_ours(name: &OsStr, suffix: &str) -> bool {
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let middle = name.as_encoded_bytes().strip_prefix(DRAFT_PREFIX.as_bytes());
    let middle = middle.and_then(|rest| rest.strip_suffix(suffix.as_bytes()));
    middle.is_some_and(|middle| middle.len() == 32 && middle.iter().all(hex))
}

/// The suffix of the names of directories for files that were renamed aside.
const SET_ASIDE_SUFFIX: &str = ".aside";

/// Returns the name of a directory for a file that is in the way of a download and renamed aside.
pub fn set_aside_name(random: u128) -> String {
    format!("{DRAFT_PREFIX}{random:032x}{SET_ASIDE_SUFFIX}")
}

/// Returns whether a name is that of a directory for files renamed aside.
pub fn is_set_aside_name(name: &OsStr) -> bool {
    is_name_of_ours(name, SET_ASIDE_SUFFIX)
}

/// Returns the local path, relative to a directory, of the file of this key.
pub fn relative_path(key: &str) -> Result<PathBuf, PathError> {
    key.split('/').try_fold(PathBuf::new(), |path, part| Ok(path.join(file_name(part)?)))
}

/// Validates a part of a key as the name of a file.
pub fn file_name(part: &str) -> Result<&str, PathError> {
    let elsewhere = matches!(part, "" | "." | "..") || part.contains(['/', '\0']);
    // On Windows a part may also name a drive, a device or a stream.
    let elsewhere =
        elsewhere || cfg!(windows) && (part.contains(['\\', ':']) || part.ends_with(['.', ' ']));
    if is_draft_name(OsStr::new(part)) || is_set_aside_name(OsStr::new(part)) {
        return Err(PathError::Draft(part.to_owned()));
    }
    if elsewhere { Err(PathError::Part(part.to_owned())) } else { Ok(part) }
}

/// Returns the key of a relative path; `None` if it is not UTF-8.
pub fn relative_key(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leaves_its_folder() {
        for key in ["../x", "a/../x", "/x", "a//b", ".", "..", "a/", "", "a\0b", "a/."] {
            assert!(relative_path(key).is_err(), "{key:?}");
        }
        assert_eq!(relative_path("a/b c/.x"), Ok(PathBuf::from("a/b c/.x")));
        assert_eq!(relative_path("..."), Ok(PathBuf::from("...")));
    }

    #[test]
    fn folder_ends_with_slash() {
        assert_eq!(folder("v1"), "v1/");
        assert_eq!(folder("v1/"), "v1/");
        assert_eq!(folder(""), "");
    }
}
