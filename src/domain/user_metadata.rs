//! Storage of a user's own metadata beside DeltaGlider's: fields whose name is reserved or that a
//! header cannot carry are escaped, and restored on read.
//!
//! Escaped metadata is stored under `dg-user-NAME`, name and value percent-encoded.
//! docs/decisions.md explains why it is not RFC 2047.

use std::fmt::Write as _;

use super::metadata::{Field, UserMetadata};

/// The prefix of the stored names of escaped fields.
const ESCAPED: &str = "dg-user-";
/// The encoding of an empty value, which some servers would treat as an absent header. No other
/// value has it, since `%` itself is encoded.
const EMPTY: &str = "%";

/// The reason why metadata cannot be stored, even escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserMetadataError {
    /// An empty name.
    #[error("a name of user metadata is empty")]
    NoName,
    /// A name given twice; stores keep names in lower case.
    #[error("the user metadata name {0:?} is given twice; names are case-insensitive")]
    Twice(String),
}

/// Returns a user's metadata as it is stored beside DeltaGlider's.
///
/// # Errors
///
/// Fails on an empty name, and on names that differ only in case.
pub fn escape(own: &UserMetadata) -> Result<UserMetadata, UserMetadataError> {
    let mut stored = UserMetadata::new();
    for (name, value) in own {
        let name = name.to_ascii_lowercase();
        if name.is_empty() {
            return Err(UserMetadataError::NoName);
        }
        let (stored_name, stored_value) = if is_ours(&name) || !is_token(&name) || !is_plain(value)
        {
            (format!("{ESCAPED}{}", encode_name(&name)), encode_value(value))
        } else {
            (name.clone(), value.clone())
        };
        if stored.insert(stored_name, stored_value).is_some() {
            return Err(UserMetadataError::Twice(name));
        }
    }
    Ok(stored)
}

/// Returns the user's part of an object's stored metadata, under the user's own names.
pub fn unescape(stored: &UserMetadata) -> UserMetadata {
    let own = |(name, value): (&String, &String)| match name.strip_prefix(ESCAPED) {
        Some(escaped) => Some(match (decode(escaped), decode_value(value)) {
            (Some(name), Some(value)) => (name, value),
            // Not written by DeltaGlider.
            _ => (name.clone(), value.clone()),
        }),
        None if is_ours(name) => None,
        None => Some((name.clone(), value.clone())),
    };
    stored.iter().filter_map(own).collect()
}

/// Returns whether a version of DeltaGlider reads or may write a field of this name.
fn is_ours(name: &str) -> bool {
    name.starts_with("dg-")
        || name.starts_with("dg_")
        || Field::ALL.iter().any(|field| field.has_alias(name))
}

/// Returns whether a name is a token of RFC 9110, section 5.6.2, in lower case.
fn is_token(name: &str) -> bool {
    let is_valid =
        |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&c);
    name.bytes().all(is_valid)
}

/// Returns whether every server returns this header value unchanged. Some decode values that look
/// like an encoded word of RFC 2047.
fn is_plain(value: &str) -> bool {
    let printable = value.bytes().all(|c| (b' '..=b'~').contains(&c));
    printable && !value.is_empty() && value.trim_ascii() == value && !value.contains("=?")
}

/// Percent-encodes a name with lower-case digits, since servers return names in lower case.
fn encode_name(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte) {
            out.push(byte.into());
        } else {
            // Writing to a `String` does not fail.
            let _ = write!(out, "%{byte:02x}");
        }
    }
    out
}

fn encode_value(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if (b'!'..=b'~').contains(&byte) && byte != b'%' && byte != b'=' {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    if out.is_empty() { EMPTY.to_owned() } else { out }
}

fn decode_value(text: &str) -> Option<String> {
    if text == EMPTY { Some(String::new()) } else { decode(text) }
}

/// Decodes percent-encoded UTF-8; returns `None` if it is malformed.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (rest.next().and_then(digit)?, rest.next().and_then(digit)?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> UserMetadata {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reserved_names_are_escaped() {
        let own: UserMetadata = Field::ALL
            .iter()
            .flat_map(|field| field.aliases())
            .chain(["dg-user-x", "dg-new", "dg_new"].map(str::to_owned))
            .map(|name| (name, "none".to_owned()))
            .collect();
        // Names of one word have three aliases; `dg-ref-packing` has none.
        assert_eq!(own.len(), 12 * 4 - 3 + 1 + 3);
        let stored = escape(&own).unwrap();
        assert_eq!(stored["dg-user-compression"], "none");
        assert_eq!(stored["dg-user-dg-user-x"], "none");
        assert!(stored.keys().all(|name| name.starts_with("dg-user-")), "{stored:?}");
        assert_eq!(unescape(&stored), own);
    }

    #[test]
    fn plain_metadata_is_unchanged() {
        let own = metadata(&[("team", "a b;c=\"d\", 100%"), ("x-y_z.1", "=%41")]);
        assert_eq!(escape(&own).unwrap(), own);
        assert_eq!(unescape(&own), own);
    }

    /// Values that no header can carry are stored in printable ASCII and restored.
    #[test]
    fn unsafe_values_are_escaped() {
        for (name, value) in [
            ("value", "naïve 日本"),
            ("日本 name", "x"),
            ("a b", "x"),
            ("a:b", "x"),
            ("empty", ""),
            ("percent", " %"),
            ("lines", "a\r\nx-amz-acl: public-read\n"),
            ("blanks", " a\t"),
            ("control", "\0\u{7f}"),
            ("word", "=?UTF-8?B?w6k=?="),
            ("é%", "é%20"),
        ] {
            let own = metadata(&[(name, value)]);
            let stored = escape(&own).unwrap();
            let (stored_name, stored_value) = stored.first_key_value().unwrap();
            assert!(
                stored_name.starts_with("dg-user-") && is_token(stored_name),
                "{stored_name:?}"
            );
            assert!(is_plain(stored_value), "{stored_value:?}");
            assert_eq!(unescape(&stored), own);
        }
        assert_eq!(
            escape(&metadata(&[("é", "é")])).unwrap(),
            metadata(&[("dg-user-%c3%a9", "%C3%A9")])
        );
    }

    #[test]
    fn names_are_case_insensitive() {
        assert_eq!(escape(&metadata(&[("Team", "A")])).unwrap(), metadata(&[("team", "A")]));
        for twice in [[("Team", "a"), ("team", "b")], [("Note", "a"), ("note", "b")]] {
            assert_eq!(
                escape(&metadata(&twice)),
                Err(UserMetadataError::Twice(twice[1].0.to_owned()))
            );
        }
        assert_eq!(escape(&metadata(&[("", "a")])), Err(UserMetadataError::NoName));
    }

    #[test]
    fn our_own_fields_are_no_users() {
        let stored = metadata(&[
            ("dg-tool", "deltaglider/1"),
            ("file_size", "3"),
            ("dg-later", "x"),
            ("team", "a"),
        ]);
        assert_eq!(unescape(&stored), metadata(&[("team", "a")]));
        // Malformed escapes are not DeltaGlider's; they stay visible.
        let odd = metadata(&[("dg-user-a", "%zz"), ("dg-user-%", "b"), ("dg-user-c", "%ff")]);
        assert_eq!(unescape(&odd), odd);
    }
}
