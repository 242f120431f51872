//! Options of stored objects, as in `aws s3 cp`: metadata, headers, storage class, encryption,
//! tags and ACL.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read as _;
use std::iter::Peekable;
use std::str::{Chars, FromStr};

use clap::Args;
use zeroize::Zeroizing;

use super::error::Failure;
use crate::domain::Timestamp;
use crate::service::ServiceError;
use crate::storage::{Attributes, CannedAcl, CustomerKey, Encryption, KmsKey, StorageClass};

/// The object options of commands that store files.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Object metadata")]
pub(super) struct ObjectOptionArgs {
    /// User metadata: NAME=VALUE,NAME2=VALUE2, with quotes around values that hold a comma, or a
    /// JSON object
    #[arg(long, value_name = "MAP")]
    metadata: Option<Map>,
    /// Content-Type [default: guessed from the name]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Do not guess the type; use application/octet-stream
    #[arg(long)]
    no_guess_mime_type: bool,
    /// Cache-Control
    #[arg(long, value_name = "VALUE")]
    cache_control: Option<String>,
    /// Content-Disposition
    #[arg(long, value_name = "VALUE")]
    content_disposition: Option<String>,
    /// Content-Encoding
    #[arg(long, value_name = "VALUE")]
    content_encoding: Option<String>,
    /// Content-Language
    #[arg(long, value_name = "VALUE")]
    content_language: Option<String>,
    /// Expires: an HTTP date, a date and time as in ISO 8601, or seconds since 1970
    #[arg(long, value_name = "TIME")]
    expires: Option<HttpDate>,
    /// Storage class of the file or its delta; a reference always has the bucket's default
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<StorageClass>,
    /// Server-side encryption: AES256 (the default without a value), aws:kms or aws:kms:dsse; a
    /// reference made of the file has it too
    #[arg(long, value_name = "ALGORITHM", num_args = 0..=1, default_missing_value = "AES256")]
    sse: Option<String>,
    /// Key for aws:kms
    #[arg(long, value_name = "ID", requires = "sse")]
    sse_kms_key_id: Option<String>,
    /// Canned ACL of the file or its delta; a reference is always private, except that
    /// bucket-owner-full-control applies to every object
    #[arg(long, value_name = "CANNED-ACL")]
    acl: Option<CannedAcl>,
    /// Tags of the file or its delta, in the form of --metadata; a reference has none
    #[arg(long, value_name = "MAP")]
    tags: Option<Map>,
}

impl ObjectOptionArgs {
    /// Returns whether the ACL gives the bucket's owner full control of every object.
    pub(super) fn gives_owner_control(&self) -> bool {
        self.acl == Some(CannedAcl::BucketOwnerFullControl)
    }

    /// Returns whether no option is set.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            metadata,
            content_type,
            cache_control,
            content_disposition,
            content_encoding,
            ..
        } = self;
        let Self { content_language, expires, storage_class, sse, acl, tags, .. } = self;
        let headers = [
            content_type,
            cache_control,
            content_disposition,
            content_encoding,
            content_language,
            sse,
        ];
        headers.into_iter().all(Option::is_none)
            && [metadata, tags].into_iter().all(Option::is_none)
            && expires.is_none()
            && storage_class.is_none()
            && acl.is_none()
    }

    /// Returns the attributes of a file of this name.
    pub(super) fn attributes(&self, name: &str) -> Result<Attributes, Failure> {
        let guessed = || mime_guess::from_path(name).first_raw().map(str::to_owned);
        let guessed = if self.no_guess_mime_type { None } else { guessed() };
        let map = |map: &Option<Map>| map.clone().unwrap_or_default().0;
        Ok(Attributes {
            metadata: map(&self.metadata),
            content_type: self.content_type.clone().or(guessed),
            cache_control: self.cache_control.clone(),
            content_disposition: self.content_disposition.clone(),
            content_encoding: self.content_encoding.clone(),
            content_language: self.content_language.clone(),
            expires: self.expires.clone().map(|HttpDate(date)| date),
            storage_class: self.storage_class.clone(),
            encryption: self.encryption()?,
            tags: map(&self.tags),
            acl: self.acl,
        })
    }

    fn encryption(&self) -> Result<Option<Encryption>, Failure> {
        let Some(algorithm) = &self.sse else { return Ok(None) };
        let key = KmsKey { id: self.sse_kms_key_id.clone(), bucket_key: false };
        let known = Encryption::named(algorithm, key).ok_or_else(|| {
            Failure::usage(format!(
                "--sse {algorithm:?} is none of AES256, aws:kms and aws:kms:dsse"
            ))
        })?;
        if self.sse_kms_key_id.is_some() && known.kms_key().is_none() {
            return Err(Failure::usage("--sse-kms-key-id needs --sse aws:kms"));
        }
        Ok(Some(known))
    }
}

/// Names and their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Map(BTreeMap<String, String>);

/// The error for a text that is neither form of a map.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseMapError {
    #[error("after {0:?} a = is missing: the form is NAME=VALUE,NAME2=VALUE2")]
    NoValue(String),
    #[error("the quotes around the value of {0:?} are not closed or not followed by a comma")]
    Quotes(String),
    #[error("{0:?} is given twice")]
    Twice(String),
    #[error("not a JSON object of strings: {0}")]
    Json(String),
}

impl FromStr for Map {
    type Err = ParseMapError;

    fn from_str(text: &str) -> Result<Self, ParseMapError> {
        if text.trim_start().starts_with('{') {
            return serde_json::from_str(text)
                .map(Self)
                .map_err(|error| ParseMapError::Json(error.to_string()));
        }
        let mut map = BTreeMap::new();
        let mut rest = text.chars().peekable();
        while rest.peek().is_some() {
            let mut name = String::new();
            loop {
                match rest.next() {
                    Some('=') => break,
                    Some(c) => name.push(c),
                    None => return Err(ParseMapError::NoValue(name)),
                }
            }
            let value = value(&mut rest).ok_or_else(|| ParseMapError::Quotes(name.clone()))?;
            if map.insert(name.clone(), value).is_some() {
                return Err(ParseMapError::Twice(name));
            }
        }
        Ok(Self(map))
    }
}

/// Reads a value and the comma after it; `None` if its quotes are not closed before that.
fn value(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut value = String::new();
    let Some(quote) = rest.next_if(|c| matches!(c, '"' | '\'')) else {
        for c in rest.by_ref().take_while(|&c| c != ',') {
            value.push(c);
        }
        return Some(value);
    };
    loop {
        match rest.next()? {
            '\\' => value.push(rest.next()?),
            c if c == quote => break,
            c => value.push(c),
        }
    }
    matches!(rest.next(), None | Some(',')).then_some(value)
}

/// A time in the format of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpDate(String);

/// The error for a text that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an HTTP date (Wed, 21 Oct 2026 07:28:00 GMT), ISO 8601 time (2026-10-21T07:28:00Z) or \
     number of seconds"
)]
pub(super) struct ParseTimeError;

impl FromStr for HttpDate {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        if Timestamp::is_http(text) {
            return Ok(Self(text.to_owned()));
        }
        Timestamp::parse_typed(text).map(|at| Self(at.to_http())).ok_or(ParseTimeError)
    }
}

/// A customer's key as typed, which is never printed.
#[derive(Clone)]
pub(super) struct KeyArgument(OsString);

impl From<OsString> for KeyArgument {
    fn from(typed: OsString) -> Self {
        Self(typed)
    }
}

impl fmt::Debug for KeyArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyArgument(..)")
    }
}

impl KeyArgument {
    /// Returns the key: the typed bytes, or the content of the file named by `fileb://`.
    pub(super) fn read(&self) -> Result<CustomerKey, Failure> {
        let typed = self.0.as_encoded_bytes();
        let refused = |error| Failure::usage(format!("--sse-c-key: {error}"));
        match self.0.to_str().and_then(|text| text.strip_prefix("fileb://")) {
            Some(path) => {
                // One byte more than a key has shows that the file is not one, however long it is.
                let mut bytes = Zeroizing::new(Vec::with_capacity(CustomerKey::LEN + 1));
                let file = std::fs::File::open(path);
                let read = file.and_then(|file| {
                    file.take(CustomerKey::LEN as u64 + 1).read_to_end(&mut bytes)
                });
                if read.map_err(ServiceError::local(path))? > CustomerKey::LEN {
                    let text = format!(
                        "--sse-c-key: a customer's key has {} bytes; {path} has more",
                        CustomerKey::LEN
                    );
                    return Err(Failure::usage(text));
                }
                CustomerKey::new(&bytes).map_err(refused)
            }
            None => CustomerKey::new(typed).map_err(refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> Map {
        Map(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_map_is_typed_as_for_aws() {
        for (text, read) in [
            ("a=1", map(&[("a", "1")])),
            ("a=1,b=x=y", map(&[("a", "1"), ("b", "x=y")])),
            ("a=,b=", map(&[("a", ""), ("b", "")])),
            (r#"a="1,2",b='it"s',c="\"\\""#, map(&[("a", "1,2"), ("b", "it\"s"), ("c", "\"\\")])),
            (r#" {"a": "1,2", "é": "日本"}"#, map(&[("a", "1,2"), ("é", "日本")])),
            ("", map(&[])),
        ] {
            assert_eq!(text.parse(), Ok(read), "{text}");
        }
        for odd in ["a", "a=1,b", r#"a="1"#, r#"a="1"2"#, "a=1,a=2", r#"{"a": 1}"#, "{a=1}"] {
            assert!(odd.parse::<Map>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_time_becomes_an_http_date() {
        for text in [
            "Wed, 21 Oct 2026 07:28:00 GMT",
            "2026-10-21T07:28:00Z",
            "2026-10-21T09:28:00+02:00",
            "2026-10-21T07:28:00",
            "1792567680",
        ] {
            assert_eq!(
                text.parse(),
                Ok(HttpDate("Wed, 21 Oct 2026 07:28:00 GMT".to_owned())),
                "{text}"
            );
        }
        assert_eq!("2026-10-21".parse(), Ok(HttpDate("Wed, 21 Oct 2026 00:00:00 GMT".to_owned())));
        for odd in ["", "tomorrow", "Thu, 21 Oct 2026 07:28:00 GMT", "2026-13-01"] {
            assert_eq!(odd.parse::<HttpDate>(), Err(ParseTimeError), "{odd}");
        }
    }

    #[test]
    fn a_typed_key_is_never_shown() {
        let typed = KeyArgument::from(OsString::from("hush hush hush hush hush hush ab"));
        assert_eq!(format!("{typed:?}"), "KeyArgument(..)");
        assert!(typed.read().is_ok());
        let short = KeyArgument::from(OsString::from("hush")).read().unwrap_err();
        assert!(!format!("{short:?}").contains("hush"), "{short:?}");
    }
}
