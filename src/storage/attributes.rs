//! What a store takes beside the bytes: the rules of S3 for user metadata and header values.

use super::{Attributes, StorageError, StorageErrorKind};

/// User metadata of one object: names and values together (Amazon S3 User Guide, "Working with
/// object metadata"). More is `MetadataTooLarge` there, so it is refused by the stores made here
/// too: what they take can move to S3.
pub const MAX_USER_METADATA_BYTES: usize = 2048;

/// Most tags of one object (Amazon S3 User Guide, "Categorizing objects using tags").
pub const MAX_TAGS: usize = 10;
/// Longest name and value of a tag, in characters (the same).
const MAX_TAG: (usize, usize) = (128, 256);

impl Attributes {
    /// What a head has of them.
    pub(super) fn told(&self) -> Self {
        let storage_class = self.storage_class.clone().filter(|class| !class.is_standard());
        Self { storage_class, tags: Default::default(), acl: None, ..self.clone() }
    }

    /// Bytes of user metadata as S3 counts them: names and values.
    pub fn user_metadata_bytes(&self) -> usize {
        self.metadata
            .iter()
            .fold(0, |bytes: usize, (name, value)| bytes.saturating_add(name.len() + value.len()))
    }

    /// Refuses what could not be sent as the headers of an S3 request.
    ///
    /// # Errors
    ///
    /// [`StorageErrorKind::Invalid`], which names what it is and the limit; `operation` and
    /// `target` are for its text.
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
                "the tag {name:?} has not 1 to {most_name} characters in its name and at most {most_value} in its value"
            ));
        }
        Ok(())
    }
}

/// A token of RFC 9110, section 5.6.2, in lower case: names come back in lower case from every
/// store.
fn is_metadata_name(name: &str) -> bool {
    let lawful =
        |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&c);
    !name.is_empty() && name.bytes().all(lawful)
}

/// Other values come back changed: stores answer RFC 2047 words for non-ASCII text, and HTTP takes
/// blanks at the ends for none of the value.
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
    fn metadata_is_counted_in_names_and_values() {
        assert!(with("ab", &"v".repeat(2046)).check("PutObject", "x").is_ok());
        let error = with("ab", &"v".repeat(2047)).check("PutObject", "x").unwrap_err();
        assert_eq!(error.kind, StorageErrorKind::Invalid);
    }

    #[test]
    fn what_no_header_can_carry_is_refused() {
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
    fn tags_are_ten_at_most_and_of_limited_length() {
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

    #[test]
    fn a_head_has_neither_tags_nor_an_acl_nor_the_class_of_all() {
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
