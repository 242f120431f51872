//! Storage classes.

use std::fmt;
use std::str::FromStr;

/// The default class, which every store has.
const STANDARD: &str = "STANDARD";

/// A storage class by its S3 name: `STANDARD_IA`, `GLACIER`, … The store decides which names are
/// valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageClass(String);

/// The error for a text that cannot be the name of a storage class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no storage class; it is a name such as \
     STANDARD, STANDARD_IA, INTELLIGENT_TIERING or GLACIER_IR"
)]
pub struct ParseStorageClassError(String);

impl StorageClass {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the default class, which stores omit from a head.
    pub fn is_standard(&self) -> bool {
        self.0 == STANDARD
    }
}

impl FromStr for StorageClass {
    type Err = ParseStorageClassError;

    /// Accepts 1 to 40 capital letters, digits and `_`, which covers the names of all stores.
    fn from_str(text: &str) -> Result<Self, ParseStorageClassError> {
        let is_allowed = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
        let is_name = (1..=40).contains(&text.len()) && text.bytes().all(is_allowed);
        if is_name {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseStorageClassError(text.to_owned()))
        }
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_are_upper_case() {
        for name in ["STANDARD", "GLACIER_IR", "EXPRESS_ONEZONE", "CLASS2"] {
            assert_eq!(name.parse::<StorageClass>().unwrap().to_string(), name);
        }
        for odd in ["", "glacier", "A B", "A\nB", "É"] {
            assert!(
                odd.parse::<StorageClass>().unwrap_err().to_string().contains(&format!("{odd:?}"))
            );
        }
    }
}
