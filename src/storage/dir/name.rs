//! File names for keys: a reversible escape, split into directories where it exceeds the length of
//! a file name.

use std::path::PathBuf;

/// The maximum number of escaped bytes in one file name. File systems allow 255 bytes, some fewer
/// for names they encrypt or pad, and one byte of the name marks its type.
pub(super) const PIECE: usize = 240;

/// The first byte of the name of an object's file (its last piece), of a leaf and of a bucket.
pub(super) const WHOLE: char = '=';
/// The first byte of the name of a directory that holds the rest of longer names.
pub(super) const CUT: char = '~';

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Escapes bytes for a file name. Lower-case letters, digits, `.`, `-` and `_` stand for
/// themselves, `,` for `/`, and `%` with two digits for every other byte. Capitals are escaped too,
/// so that file systems which fold case or normalise Unicode keep all keys apart.
pub(super) fn escape(bytes: &[u8]) -> String {
    let mut name = String::with_capacity(bytes.len() + 16);
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' => name.push(byte.into()),
            b'/' => name.push(','),
            _ => {
                name.push('%');
                name.extend(hex_digits(byte));
            }
        }
    }
    name
}

/// Returns a byte as two lower-case hexadecimal digits.
pub(super) fn hex_digits(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 15]
        .map(|nibble| HEX.get(usize::from(nibble)).copied().map_or('0', char::from))
}

/// Returns the bytes that `escape` turns into this name; `None` if there are none.
pub(super) fn unescape(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b',' => b'/',
            b'%' => {
                let mut nibble = || {
                    HEX.iter().position(|&digit| Some(digit) == rest.clone().next()).inspect(|_| {
                        rest.next();
                    })
                };
                (nibble()? << 4 | nibble()?) as u8
            }
            _ => byte,
        });
    }
    // Two names for one key would make it two objects.
    (escape(&bytes) == name).then_some(bytes)
}

/// Returns the name of a leaf or bucket; `None` if it does not fit one piece.
pub(super) fn folder_name(bytes: &[u8]) -> Option<String> {
    let escaped = escape(bytes);
    (escaped.len() <= PIECE).then(|| format!("{WHOLE}{escaped}"))
}

/// Returns the bytes that `folder_name` turns into this name; `None` if there are none.
pub(super) fn of_folder_name(name: &str) -> Option<Vec<u8>> {
    unescape(name.strip_prefix(WHOLE)?)
}

/// Returns the path of the key's object relative to its leaf.
pub(super) fn path_of(key: &str) -> PathBuf {
    let escaped = escape(key.as_bytes());
    let mut rest = escaped.as_str();
    let mut path = PathBuf::new();
    while let Some((piece, more)) =
        rest.split_at_checked(PIECE).filter(|(_, more)| !more.is_empty())
    {
        path.push(format!("{CUT}{piece}"));
        rest = more;
    }
    path.push(format!("{WHOLE}{rest}"));
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    #[test]
    fn plain_characters_stay_readable() {
        assert_eq!(escape(b"releases/v1.0/App_x-1.zip"), "releases,v1.0,%41pp_x-1.zip");
        assert_eq!(escape("é,%~= ".as_bytes()), "%c3%a9%2c%25%7e%3d%20");
        assert_eq!(path_of(".."), PathBuf::from("=.."));
        assert_eq!(path_of("/"), PathBuf::from("=,"));
    }

    #[test]
    fn invalid_names_have_no_key() {
        for name in ["%", "%4", "%61", "%zz", "%C3", "A", "a b", "é", "%2f", "a%"] {
            assert_eq!(unescape(name), None, "{name:?}");
        }
    }

    #[test]
    fn long_names_round_trip() {
        for len in [1, 239, 240, 241, 480, 481, 1024] {
            for letter in ["k", "K"] {
                let key = letter.repeat(len);
                let path = path_of(&key);
                let pieces: Vec<&str> = path.iter().map(|piece| piece.to_str().unwrap()).collect();
                assert!(pieces.iter().all(|piece| (2..=241).contains(&piece.len())), "{pieces:?}");
                let joined: String = pieces.iter().map(|piece| &piece[1..]).collect();
                assert_eq!(unescape(&joined).unwrap(), key.into_bytes());
            }
        }
    }

    proptest! {
        #[test]
        fn escape_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }

        #[test]
        fn escaped_names_are_canonical(name in "[a-c,%0-9A.]{0,12}") {
            if let Some(bytes) = unescape(&name) {
                prop_assert_eq!(escape(&bytes), name);
            }
        }

        #[test]
        fn paths_stay_in_their_leaf(key in "\\PC{1,300}") {
            let path = path_of(&key);
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
        }
    }
}
