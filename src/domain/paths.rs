//! What a name becomes on the other side: keys from paths, and paths from keys, which stay in their
//! folder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A prefix as a folder: `v1` means what is in `v1/`, and never `v10`.
pub fn folder(path: &str) -> String {
    if path.is_empty() || path.ends_with('/') { path.to_owned() } else { format!("{path}/") }
}

/// Why a key has no place in a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A part that means no file of its own.
    #[error(
        "a part of the key, {0:?}, cannot be the name of a file; copy it alone, to a name you choose"
    )]
    Part(String),
    /// A name that files have while they are written.
    #[error(
        "{0:?} is the name of a draft, which is removed when it is old; copy it alone, to a name you choose"
    )]
    Draft(String),
}

/// How the names of drafts begin.
const DRAFT_PREFIX: &str = ".deltaglider-";
/// How the names of drafts end.
const DRAFT_SUFFIX: &str = ".part";

/// Returns the name of a draft: a local file that is being written, and is renamed when it is
/// complete.
pub fn draft_name(random: u128) -> String {
    format!("{DRAFT_PREFIX}{random:032x}{DRAFT_SUFFIX}")
}

/// Whether a file name is one that only a draft has.
pub fn is_draft_name(name: &OsStr) -> bool {
    is_name_of_ours(name, DRAFT_SUFFIX)
}

fn is_name_of_ours(name: &OsStr, suffix: &str) -> bool {
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let middle = name.as_encoded_bytes().strip_prefix(DRAFT_PREFIX.as_bytes());
    let middle = middle.and_then(|rest| rest.strip_suffix(suffix.as_bytes()));
    middle.is_some_and(|middle| middle.len() == 32 && middle.iter().all(hex))
}

/// How the names of directories end that hold what was renamed aside.
const SET_ASIDE_SUFFIX: &str = ".aside";

/// Returns the name of a directory for what is in the way of a download and is renamed aside.
pub fn set_aside_name(random: u128) -> String {
    format!("{DRAFT_PREFIX}{random:032x}{SET_ASIDE_SUFFIX}")
}

/// Whether a name is one that only such a directory has.
pub fn is_set_aside_name(name: &OsStr) -> bool {
    is_name_of_ours(name, SET_ASIDE_SUFFIX)
}

/// Where below a folder the file of this key goes.
pub fn relative_path(key: &str) -> Result<PathBuf, PathError> {
    key.split('/').try_fold(PathBuf::new(), |path, part| Ok(path.join(file_name(part)?)))
}

/// A part of a key as the name of a file.
pub fn file_name(part: &str) -> Result<&str, PathError> {
    let elsewhere = matches!(part, "" | "." | "..") || part.contains(['/', '\0']);
    // There a part may also name a drive, a device or a stream.
    let elsewhere =
        elsewhere || cfg!(windows) && (part.contains(['\\', ':']) || part.ends_with(['.', ' ']));
    if is_draft_name(OsStr::new(part)) || is_set_aside_name(OsStr::new(part)) {
        return Err(PathError::Draft(part.to_owned()));
    }
    if elsewhere { Err(PathError::Part(part.to_owned())) } else { Ok(part) }
}

/// The key of a path below a folder; `None` when it is not UTF-8.
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
    fn a_prefix_never_matches_its_neighbour() {
        assert_eq!(folder("v1"), "v1/");
        assert_eq!(folder("v1/"), "v1/");
        assert_eq!(folder(""), "");
    }
}
