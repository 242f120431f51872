//! S3's rules for user metadata, header values and tags.

use super::{Attributes, StorageError, StorageErrorKind};

/// The maximum size of an object's user metadata in bytes, names and values together (Amazon S3
/// User Guide, "Working with object metadata"). S3 rejects more with `MetadataTooLarge`; the other
/// stores of this crate do too, so that their objects can be moved to S3.
pub const MAX_USER_METADATA_BYTES: usize = 2048;

/// The maximum number of tags of one object (Amazon S3 User Guide, "Categorizing objects using
/// tags").
pub const MAX_TAGS: usize = 10;
/// The maximum lengths of a tag's name and value, in characters (same page).
const MAX_TAG: (usize, usize) = (128, 256);

impl Attributes {
    /// Returns the attributes that a head reports: no tags, no ACL, no default storage class.
    pub(super) fn told(&self) -> Self {
        let storage_class = self.storage_class.clone().filter(|class| !class.is_standard());
        Self { storage_class, tags: Default::default(), acl: None, ..self.clone() }
    }

    /// Returns the size of the user metadata in bytes as S3 counts it: names and values.
    pub fn user_metadata_bytes(&self) -> usize {
        self.metadata
            .iter()
            .fold(0, |bytes: usize, (name, value)| bytes.saturating_add(name.len() + value.len()))
    }

    /// Rejects attributes that cannot be sent as headers of an S3 request.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`], with the offending attribute and the limit. `operation` and
    /// `target` only appear in its text.
    pub fn check(
        &self,
        operation: &'static str,
        target: impl std::fmt::Display,
    ) -> Result<(), StorageError> {
        let refuse = |why: String| {
            Err(StorageError::new(StorageErrorKind::Invalid, operation, target).because(why))
        };
        let size = self.user_metadata_bytes();
        if size > MAX_USER_METADATA_BYTES {
            return refuse(format!(
                "user metadata of {size} bytes; at most {MAX_USER_METADATA_BYTES} are taken"
            ));
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
            return refuse(format!(
                "{value:?} is no header value: it is not printable ASCII without blanks at its ends"
            ));
        }
        let (most_name, most_value) = MAX_TAG;
        let is_tag = |(name, value): (&String, &String)| {
            (1..=most_name).contains(&name.chars().count()) && value.chars().count() <= most_value
        };
        if self.tags.len() > MAX_TAGS {
            return refuse(format!("{} tags; at most {MAX_TAGS} are taken", self.tags.len()));
        }
        if let Some((name, _)) = self.tags.iter().find(|tag| !is_tag(*tag)) {
            return refuse(format!(
                "the tag {name:?} is too long or empty: a name has 1 to {most_name} characters, \
                 a value at most {most_value}"
            ));
        }
        Ok(())
    }
}

/// Returns whether `name` is a token of RFC 9110, section 5.6.2, in lower case: every store returns
/// names in lower case.
fn is_metadata_name(name: &str) -> bool {
    let is_allowed =
        |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&c);
    !name.is_empty() && name.bytes().all(is_allowed)
}

/// Returns whether a store returns `value` unchanged. Stores answer non-ASCII text as RFC 2047
/// encoded words, and HTTP strips blanks at the ends of a value.
fn is_header_value(value: &str) -> bool {
    value.bytes().all(|c| c == b'\t' || (b' '..=b'~').contains(&c)) && value.trim_ascii() == value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: &str) -> Attributes {
        Attributes {
            metadata: [(name.to_owned(), value.to_owned())].into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn metadata_size_includes_names() {
        assert!(with("ab", &"v".repeat(2046)).check("PutObject", "x").is_ok());
        let error = with("ab", &"v".repeat(2047)).check("PutObject", "x").unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Invalid);
    }

    #[test]
    fn bad_header_values_are_refused() {
        for (name, value) in [
            ("", "v"),
            ("Upper", "v"),
            ("a b", "v"),
            ("a", "line\nbreak"),
            ("a", "é"),
            ("a", "\0"),
            ("a", " v"),
        ] {
            assert!(with(name, value).check("PutObject", "x").is_err(), "{name:?}: {value:?}");
        }
        assert!(with("dg-tool", "deltaglider/6.1.1").check("PutObject", "x").is_ok());
    }

    #[test]
    fn tags_are_limited() {
        let tagged = |tags: &[(&str, &str)]| {
            let tags = tags
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            Attributes { tags, ..Attributes::default() }.check("PutObject", "x")
        };
        let names: Vec<String> = (0..11).map(|n| format!("é{n}")).collect();
        let tags: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert!(tagged(&tags[..10]).is_ok());
        assert_eq!(tagged(&tags).unwrap_err().kind, StorageErrorKind::Invalid);
        let long = "é".repeat(257);
        assert!(tagged(&[(&long[..256], &long[..512])]).is_ok());
        for (name, value) in [("", "v"), (&long[..258], "v"), ("n", long.as_str())] {
            assert_eq!(
                tagged(&[(name, value)]).unwrap_err().kind,
                StorageErrorKind::Invalid,
                "{name:?}: {value:?}"
            );
        }
    }

    /// It also omits the default storage class.
    #[test]
    fn head_omits_tags_and_acl() {
        let attributes = Attributes {
            storage_class: Some("STANDARD".parse().unwrap()),
            tags: [("t".to_owned(), "v".to_owned())].into(),
            acl: Some(crate::storage::CannedAcl::Private),
            ..with("a", "b")
        };
        assert_eq!(attributes.told(), with("a", "b"));
        let archived =
            Attributes { storage_class: Some("GLACIER".parse().unwrap()), ..with("a", "b") };
        assert_eq!(archived.told(), archived);
    }
}
