//! Resolution of the endpoint of the store, before any SDK reads its configuration.
//!
//! The first of these that is set decides: `--endpoint-url`, `AWS_ENDPOINT_URL_S3`,
//! `AWS_ENDPOINT_URL`, the `s3` endpoint of the profile's `services` section, the profile's
//! `endpoint_url`; else AWS. `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true`, or the same in the
//! profile, leaves only the first. An invalid value is an error: the SDKs would warn and send the
//! data to AWS, which the user did not intend.

mod profile_file;
mod sources;
mod url;

use std::fmt;
use std::path::PathBuf;

pub use sources::Sources;

/// The location of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Amazon S3, in the region of the configuration.
    Aws,
    /// An S3-compatible store at this `http://` or `https://` URL, as given.
    Url(String),
    /// The embedded store in this directory.
    Embedded(PathBuf),
}

impl Endpoint {
    /// Returns the endpoint of the first source that is set.
    ///
    /// # Errors
    ///
    /// Fails if the first value that is set is not an endpoint, or if a profile file exists but
    /// cannot be read.
    pub fn resolve(sources: &Sources<'_>) -> Result<Self, EndpointError> {
        match sources.first()? {
            Some((text, origin)) => Self::parse(&text, origin),
            None => Ok(Self::Aws),
        }
    }

    /// Parses `file:PATH`, `http://…` or `https://…`.
    fn parse(text: &str, origin: String) -> Result<Self, EndpointError> {
        let endpoint = match text.strip_prefix("file:") {
            Some(path) => folder(path).map(Self::Embedded),
            None => url::check(text).map(|()| Self::Url(text.to_owned())),
        };
        endpoint.map_err(|why| EndpointError { given: url::without_secrets(text), origin, why })
    }
}

/// Returns the path after `file:`, taken literally: `%20` and `~` are not expanded.
fn folder(path: &str) -> Result<PathBuf, WhyNot> {
    let path = match path.strip_prefix("//") {
        Some(path) if path.is_empty() || path.starts_with('/') => path,
        Some(rest) => {
            return Err(WhyNot::Host(rest.split('/').next().unwrap_or_default().to_owned()));
        }
        None => path,
    };
    if path.is_empty() { Err(WhyNot::NoPath) } else { Ok(path.into()) }
}

/// A setting that is not an endpoint, and its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointError {
    /// The value, without the credentials that may be in it.
    given: String,
    /// The option, variable or file it comes from.
    origin: String,
    why: WhyNot,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { given, origin, why } = self;
        match why {
            WhyNot::File(error) => write!(f, "{origin} {given} cannot be read: {error}"),
            why => write!(f, "invalid endpoint {given:?} from {origin}: {why}"),
        }
    }
}

impl std::error::Error for EndpointError {}

/// The reason why a value is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum WhyNot {
    #[error("endpoints look like https://s3.example.com, http://127.0.0.1:9000 or file:/srv/store")]
    Form,
    #[error("the URL has no host")]
    NoHost,
    #[error("the host or port is invalid")]
    Authority,
    #[error(
        "credentials do not belong in the URL; \
         set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or choose a profile"
    )]
    Credentials,
    #[error("the URL has a query or fragment")]
    Query,
    #[error("the path is missing")]
    NoPath,
    #[error(
        "the embedded store is on this machine, not on {0:?}; \
         three slashes start an absolute path"
    )]
    Host(String),
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("{0}")]
    File(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(text, "--endpoint-url".to_owned())
    }

    #[test]
    fn file_endpoint_is_literal_path() {
        for (text, path) in [
            ("file:///srv/store", "/srv/store"),
            ("file:/srv/store", "/srv/store"),
            ("file:store", "store"),
            ("file:../a store%20b?c#d", "../a store%20b?c#d"),
            ("file:~/store", "~/store"),
            ("file:////srv", "//srv"),
        ] {
            assert_eq!(parse(text), Ok(Endpoint::Embedded(path.into())), "{text}");
        }
    }

    #[test]
    fn file_endpoint_rejects_host() {
        for text in ["file://nas/store", "file://nas"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("\"nas\"") && error.contains(text), "{error}");
        }
        for text in ["file:", "file://"] {
            assert_eq!(parse(text).unwrap_err().why, WhyNot::NoPath, "{text}");
        }
    }

    #[test]
    fn urls_are_kept_verbatim() {
        for text in [
            "http://127.0.0.1:9000",
            "https://s3.eu-west-3.example.com/",
            "http://[::1]:9000",
            "http://localhost/prefix",
            "HTTPS://minio_1.local:443",
        ] {
            assert_eq!(parse(text), Ok(Endpoint::Url(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn error_names_value_and_origin() {
        for (text, why) in [
            ("", WhyNot::Form),
            ("localhost:9000", WhyNot::Form),
            ("ftp://host", WhyNot::Form),
            ("http:/host", WhyNot::Form),
            ("http:host", WhyNot::Form),
            (" http://host", WhyNot::Form),
            ("File:/srv", WhyNot::Form),
            ("/srv/store", WhyNot::Form),
            ("http://", WhyNot::NoHost),
            ("http:///bucket", WhyNot::NoHost),
            ("http://:9000", WhyNot::NoHost),
            ("http://host:", WhyNot::Authority),
            ("http://host:0", WhyNot::Authority),
            ("http://host:65536", WhyNot::Authority),
            ("http://host:+1", WhyNot::Authority),
            ("http://ho st", WhyNot::Authority),
            ("http://[::1", WhyNot::Authority),
            ("http://a:b:c", WhyNot::Authority),
            ("http://host/a b", WhyNot::Form),
            ("http://host?x=1", WhyNot::Query),
            ("http://host/#x", WhyNot::Query),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.why, why, "{text:?}");
            assert!(error.to_string().contains("--endpoint-url"), "{error}");
        }
        assert!(parse("ftp://host").unwrap_err().to_string().contains("ftp://host"));
    }

    /// Credentials in a URL are rejected, and neither displayed nor debugged.
    #[test]
    fn url_credentials_are_not_shown() {
        for text in [
            "https://AKID:hush@host/x",
            "https://hush@host",
            "https://a:hush@b@host?token=hush",
            "ftp://u:hush@h",
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                !error.to_string().contains("hush") && !format!("{error:?}").contains("hush"),
                "{error:?}"
            );
            assert!(
                error.to_string().contains("host") || error.to_string().contains("@h"),
                "{error}"
            );
        }
        assert_eq!(parse("https://AKID:hush@host").unwrap_err().why, WhyNot::Credentials);
    }
}
