//! What a store takes beside the bytes: the rules of S3 for user metadata and header values.

use super::{Attributes, StorageError, StorageErrorKind};

/// User metadata of one object: names and values together (Amazon S3 User Guide, "Working with object metadata"). More is
/// `MetadataTooLarge` there, so it is refused by the stores made here too: what they take can move to S3.
pub const MAX_USER_METADATA_BYTES: usize = 2048;

impl Attributes {
    /// Bytes of user metadata as S3 counts them: names and values.
    pub fn user_metadata_bytes(&self) -> usize {
        self.metadata.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Refuses what could not be sent as the headers of an S3 request.
    pub(super) fn check(&self, operation: &'static str, target: impl std::fmt::Display) -> Result<(), StorageError> {
        let refuse = |why: String| Err(StorageError::new(StorageErrorKind::Invalid, operation, target).because(why));
        let size = self.user_metadata_bytes();
        if size > MAX_USER_METADATA_BYTES {
            return refuse(format!("user metadata of {size} bytes; at most {MAX_USER_METADATA_BYTES} are taken"));
        }
        if let Some(name) = self.metadata.keys().find(|name| !is_metadata_name(name)) {
            return refuse(format!("{name:?} is no name of user metadata"));
        }
        let headers = [
            &self.content_type,
            &self.cache_control,
            &self.content_disposition,
            &self.content_encoding,
            &self.content_language,
            &self.expires,
        ];
        let mut values = self.metadata.values().chain(headers.into_iter().flatten());
        if let Some(value) = values.find(|value| !is_header_value(value)) {
            return refuse(format!("{value:?} is no header value: it is not printable ASCII"));
        }
        Ok(())
    }
}

/// A token of RFC 9110, section 5.6.2, in lower case: names come back in lower case from every store.
fn is_metadata_name(name: &str) -> bool {
    let lawful = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&c);
    !name.is_empty() && name.bytes().all(lawful)
}

/// Other values come back changed: stores answer RFC 2047 words for non-ASCII text.
fn is_header_value(value: &str) -> bool {
    value.bytes().all(|c| c == b'\t' || (b' '..=b'~').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Attributes {
        Attributes { metadata: [(name.to_owned(), value.to_owned())].into(), ..Attributes::default() }
    }

    #[test]
    fn metadata_is_counted_in_names_and_values() {
        assert!(with("ab", &"v".repeat(2046)).check("PutObject", "x").is_ok());
        let error = with("ab", &"v".repeat(2047)).check("PutObject", "x").unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Invalid);
    }

    #[test]
    fn what_no_header_can_carry_is_refused() {
        for (name, value) in [("", "v"), ("Upper", "v"), ("a b", "v"), ("a", "line\nbreak"), ("a", "é"), ("a", "\0")] {
            assert!(with(name, value).check("PutObject", "x").is_err(), "{name:?}: {value:?}");
        }
        assert!(with("dg-tool", "deltaglider/6.1.1").check("PutObject", "x").is_ok());
    }
}
