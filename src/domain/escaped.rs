//! Escaped keys, for files whose names are keys of DeltaGlider's own objects: `reference.bin`, and
//! everything in a folder `.deltaglider`.
//!
//! Such a file is stored below `.deltaglider/files/` of the folder in which its name becomes a
//! reserved one. The rest of the name is percent-encoded byte by byte: exactly the bytes from `%`
//! to `.`, with upper-case digits. Encoding keeps the byte order, so keys sort like names; `/`
//! stays, so folders remain folders; and no key has the ending of a delta or a reference.

use super::deltaspace::INTERNAL_FOLDER;
use super::key::{Key, NameError};
use super::metadata::REFERENCE_NAME;

/// The folder, below any folder, of the files that need an escaped key.
const FILES_FOLDER: &str = ".deltaglider/files/";

/// The bytes that are encoded: `%`, which begins a code, `.`, and all between them, to keep the
/// order.
const ENCODED: std::ops::RangeInclusive<char> = '%'..='.';

/// Returns whether a file of this name is stored under an escaped key.
pub fn is_needed(name: &Key) -> bool {
    split(name.as_str()).is_some()
}

/// Returns the escaped key that a file of this name is stored under; `None` if it needs none.
///
/// # Errors
///
/// Fails if the key would be too long.
pub fn key_of(name: &Key) -> Result<Option<Key>, NameError> {
    split(name.as_str()).map(|(folder, rest)| Key::new(escaped(folder, rest))).transpose()
}

/// Returns the name of the file that is stored under an escaped key; `None` for any other key.
pub fn file_at(key: &Key) -> Option<Key> {
    Key::new(unescaped(key.as_str())?).ok()
}

/// Returns the common prefix of the escaped keys of all names that begin with `names`; `None`
/// unless every such name needs an escaped key.
pub fn prefix_within(names: &str) -> Option<String> {
    let (folder, rest) = split(names)?;
    is_internal(rest).then(|| escaped(folder, rest))
}

/// Returns the common prefix of the names of files whose escaped keys begin with `prefix`: the
/// inverse of [`prefix_within`].
pub fn names_from(prefix: &str) -> Option<String> {
    unescaped(prefix).filter(|names| split(names).is_some_and(|(_, rest)| is_internal(rest)))
}

/// The places of the names in a folder that begin with a given text, some of which need an escaped
/// key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// The prefix of their escaped keys.
    pub prefix: String,
    /// The folder there that is reserved for DeltaGlider.
    pub internal: String,
}

impl Beside {
    /// Returns the places of files whose names begin with `names`; `None` unless some of these
    /// names need an escaped key and some do not.
    pub fn of(names: &str) -> Option<Self> {
        if split(names).is_some_and(|(_, rest)| is_internal(rest)) {
            return None;
        }
        let (folder, begun) = names.split_at(names.rfind('/').map_or(0, |at| at.saturating_add(1)));
        let internal = format!("{INTERNAL_FOLDER}/");
        let may_be = REFERENCE_NAME.starts_with(begun) || internal.starts_with(begun);
        may_be.then(|| Self {
            prefix: escaped(folder, begun),
            internal: format!("{folder}{internal}"),
        })
    }
}

/// Percent-encodes a text, which may be a part of a name.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        if ENCODED.contains(&c) {
            encoded.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            encoded.push(c);
        }
    }
    encoded
}

/// Decodes the output of [`encode`]; returns `None` for anything else.
fn decode(encoded: &str) -> Option<String> {
    let mut text = String::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some(c) = rest.chars().next() {
        let (c, len) = match c {
            '%' => {
                let code = rest.get(1..3)?;
                let is_upper = code.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
                let byte = u8::from_str_radix(code, 16).ok().filter(|_| is_upper)?;
                (Some(char::from(byte)).filter(|c| ENCODED.contains(c))?, 3)
            }
            c if ENCODED.contains(&c) => return None,
            c => (c, c.len_utf8()),
        };
        text.push(c);
        rest = rest.get(len..)?;
    }
    Some(text)
}

fn escaped(folder: &str, rest: &str) -> String {
    format!("{folder}{FILES_FOLDER}{}", encode(rest))
}

/// Returns the name of the file stored under an escaped key, or a prefix of such names.
fn unescaped(key: &str) -> Option<String> {
    let (folder, rest) = split(key)?;
    let name = format!("{folder}{}", decode(rest.strip_prefix(FILES_FOLDER)?)?);
    // A name of another form would be stored elsewhere.
    split(&name).is_some_and(|(of_name, _)| of_name == folder).then_some(name)
}

/// Splits a name into the folder up to which it is an ordinary one, and the rest, which begins with
/// the reserved part.
fn split(name: &str) -> Option<(&str, &str)> {
    let mut at: usize = 0;
    loop {
        let rest = name.get(at..)?;
        if rest == REFERENCE_NAME || is_internal(rest) {
            return Some((name.get(..at)?, rest));
        }
        at = at.checked_add(rest.find('/')?)?.checked_add(1)?;
    }
}

/// Returns whether a name begins with the folder reserved for DeltaGlider.
fn is_internal(rest: &str) -> bool {
    rest.strip_prefix(INTERNAL_FOLDER).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::metadata::DELTA_SUFFIX;

    fn key(text: &str) -> Key {
        Key::new(text).unwrap()
    }

    /// Returns the key that a file of this name is stored under.
    fn stored(name: &str) -> String {
        key_of(&key(name)).unwrap().map_or_else(|| name.to_owned(), |key| key.to_string())
    }

    #[test]
    fn names_of_ours_are_escaped() {
        for (name, expected) in [
            ("reference.bin", ".deltaglider/files/reference%2Ebin"),
            ("a/b-c/reference.bin", "a/b-c/.deltaglider/files/reference%2Ebin"),
            (".deltaglider/a", ".deltaglider/files/%2Edeltaglider/a"),
            ("a/.deltaglider/index/a-1", "a/.deltaglider/files/%2Edeltaglider/index/a%2D1"),
            (".deltaglider/x.delta", ".deltaglider/files/%2Edeltaglider/x%2Edelta"),
            (".deltaglider/files/x%2F", ".deltaglider/files/%2Edeltaglider/files/x%252F"),
            (
                ".deltaglider/files/reference%2Ebin",
                ".deltaglider/files/%2Edeltaglider/files/reference%252Ebin",
            ),
            (
                "a/.deltaglider/b/.deltaglider/reference.bin",
                "a/.deltaglider/files/%2Edeltaglider/b/%2Edeltaglider/reference%2Ebin",
            ),
            (".deltaglider/", ".deltaglider/files/%2Edeltaglider/"),
            (".deltaglider/é //", ".deltaglider/files/%2Edeltaglider/é //"),
        ] {
            assert_eq!(stored(name), expected);
            assert!(is_needed(&key(name)));
        }
        for name in [
            "a.reference.bin",
            "reference.bin/a",
            "reference.bin.delta",
            ".deltaglider",
            "x.deltaglider/y",
            "a/.deltaglider.zip",
        ] {
            assert_eq!(stored(name), name);
            assert!(!is_needed(&key(name)) && file_at(&key(name)).is_none());
        }
    }

    #[test]
    fn other_keys_are_no_escaped_ones() {
        for text in [
            ".deltaglider/files/reference.bin",
            ".deltaglider/files/reference%2ebin",
            ".deltaglider/files/a",
            ".deltaglider/files/a/reference%2Ebin",
            ".deltaglider/files/%2Edeltaglider",
            ".deltaglider/files/%2Edeltaglider/%41",
            ".deltaglider/files/%2Edeltaglider/%2F",
            ".deltaglider/files/%2Edeltaglider/%",
            ".deltaglider/files/%2Edeltaglider/%2é",
            ".deltaglider/file/%2Edeltaglider/a",
            "files/reference%2Ebin",
        ] {
            assert_eq!(file_at(&key(text)), None, "{text}");
        }
    }

    #[test]
    fn escaped_keys_have_their_limit() {
        let longest = 1024 - ".deltaglider/files/%2Edeltaglider/".len();
        let name = |len: usize| key(&format!(".deltaglider/{}", "k".repeat(len)));
        assert!(key_of(&name(longest)).is_ok());
        assert_eq!(key_of(&name(longest + 1)), Err(NameError::KeyTooLong(1025)));
    }

    /// Generates names of few parts, many of them reserved ones, encoded or not.
    fn names() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just(".deltaglider".to_owned()),
            Just("reference.bin".to_owned()),
            Just("files".to_owned()),
            Just("%2Edeltaglider".to_owned()),
            Just("reference%2Ebin".to_owned()),
            "[%./é a0F2E-]{0,4}",
        ];
        prop::collection::vec(part, 1..6)
            .prop_map(|parts| parts.join("/"))
            .prop_filter("empty", |name| !name.is_empty())
    }

    proptest! {
        #[test]
        fn names_and_keys_are_one_to_one(names in prop::collection::btree_set(names(), 1..60)) {
            let keys: BTreeSet<String> = names.iter().map(|name| stored(name)).collect();
            prop_assert_eq!(keys.len(), names.len());
            for name in &names {
                let at = key_of(&key(name)).unwrap();
                let last_is_ours = name.rsplit('/').next() == Some(REFERENCE_NAME);
                let in_ours = format!("/{name}").contains("/.deltaglider/");
                prop_assert_eq!(at.is_some(), last_is_ours || in_ours);
                let Some(at) = at else {
                    prop_assert_eq!(file_at(&key(name)), None);
                    continue;
                };
                prop_assert_eq!(file_at(&at), Some(key(name)));
                prop_assert!(at.base_name() != REFERENCE_NAME);
                prop_assert!(!at.as_str().ends_with(DELTA_SUFFIX));
                prop_assert!(crate::domain::deltaspace::is_internal(&at));
            }
        }

        #[test]
        fn keys_keep_the_order_of_names(
            names in prop::collection::btree_set("[%./é !-0a]{0,5}", 2..20),
        ) {
            let names = names.iter().map(|name| stored(&format!(".deltaglider/{name}")));
            let names: Vec<String> = names.collect();
            prop_assert!(names.is_sorted());
        }

        #[test]
        fn only_exact_keys_are_decoded(key in names()) {
            if let Some(name) = file_at(&Key::new(&key).unwrap()) {
                prop_assert_eq!(stored(name.as_str()), key);
            }
        }

        #[test]
        fn prefixes_reach_all_names(name in names(), at in any::<prop::sample::Index>()) {
            let starts = name.char_indices().map(|(at, _)| at);
            let ends: Vec<usize> = starts.chain([name.len()]).collect();
            let names = &name[..*at.get(&ends)];
            let Some(key) = key_of(&key(&name)).unwrap() else { return Ok(()) };
            let key = key.as_str();
            if let Some(prefix) = prefix_within(names) {
                prop_assert!(key.starts_with(&prefix));
                prop_assert!(names_from(&prefix).as_deref() == Some(names));
            } else if let Some(beside) = Beside::of(names).filter(|_| !key.starts_with(names)) {
                prop_assert!(key.starts_with(&beside.prefix));
            } else {
                prop_assert!(key.starts_with(names), "{} does not reach {}", names, key);
            }
        }
    }
}
