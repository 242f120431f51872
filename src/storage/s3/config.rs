//! The caller's settings of the S3 client; everything unset comes from the environment and the
//! profile files, as in every AWS SDK.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::AddressingStyle;
use crate::storage::CustomerKey;

/// The size in bytes from which objects are sent in parts.
///
/// A single PUT allows 5 GiB, but it has only one connection's speed and restarts from the first
/// byte if that connection breaks. At 64 MiB, the three additional requests of a multipart upload
/// are negligible.
pub const MULTIPART_THRESHOLD: u64 = 64 << 20;

/// The size of a part in bytes, which is held in memory to be sent again. 10,000 parts, the most
/// that S3 accepts, hold 156 GiB; larger objects have larger parts.
pub const PART_SIZE: u64 = 16 << 20;

/// The size in bytes above which objects are copied inside the store in parts of this size.
///
/// One request may copy 5 GiB (S3 API reference, CopyObject), but the store is then silent for
/// minutes. Parts of 512 MiB are copied in parallel, each within the patience for a copy, and
/// 10,000 of them suffice for the largest object of S3.
pub const COPY_PART_SIZE: u64 = 512 << 20;

/// The user's knowledge whether the conditions of a store's writes hold among concurrent writers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConditionalWrites {
    /// They hold.
    Yes,
    /// They do not hold, or it is unknown.
    No,
    /// They hold on AWS and nowhere else: a store can document this, but a test cannot prove it.
    #[default]
    Auto,
}

impl ConditionalWrites {
    /// Returns whether conditions hold among concurrent writers at `endpoint`; `None` is AWS.
    pub(super) fn are_atomic_at(self, endpoint: Option<&str>) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::Auto => endpoint.is_none_or(is_aws),
        }
    }
}

impl FromStr for ConditionalWrites {
    type Err = UnknownConditionalWrites;

    /// Parses `yes`, `no` or `auto`.
    fn from_str(text: &str) -> Result<Self, UnknownConditionalWrites> {
        match text {
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            "auto" => Ok(Self::Auto),
            _ => Err(UnknownConditionalWrites(text.to_owned())),
        }
    }
}

/// The error for a text that is not one of the three values of [`ConditionalWrites`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of yes, no and auto")]
pub struct UnknownConditionalWrites(String);

/// Returns whether a URL leads to AWS: the endpoints of its services, including those in China (AWS
/// General Reference, "Service endpoints").
pub(super) fn is_aws(endpoint: &str) -> bool {
    let host =
        endpoint.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
    host.is_some_and(|host| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}

/// The time limits of requests to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The limit for an answer, in addition to the transfer time of a body. A slow store takes
    /// seconds to list 1000 keys.
    pub answer: Duration,
    /// The limit for calls that the store answers after some work: a copy of 512 MiB on a slow
    /// disk, several at a time, or the assembly of an object from its parts.
    pub copy: Duration,
    /// The maximum delay before a request is sent for the second time; doubled for each further
    /// attempt.
    pub before_retry: Duration,
    /// The limit from the first rejection of a request while the store asks for fewer requests
    /// (503, 429).
    pub busy: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            copy: Duration::from_secs(600),
            // The same as in every AWS SDK.
            before_retry: Duration::from_secs(1),
            busy: Duration::from_secs(300),
        }
    }
}

/// The minimum rate at which the body of an answer must arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinRate {
    /// The rate in bytes per second.
    pub bytes_per_second: u64,
    /// The time over which the rate is measured. Only time spent waiting for the store counts.
    pub over: Duration,
}

impl Default for MinRate {
    /// Returns 1 KiB a second over a minute.
    fn default() -> Self {
        Self { bytes_per_second: 1 << 10, over: Duration::from_secs(60) }
    }
}

/// The settings of an S3 store.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The `http://` or `https://` URL of the store; `None` for AWS. The SDK's own endpoint
    /// settings are not used.
    pub endpoint: Option<String>,
    /// The region; else `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile, and `us-east-1`.
    pub region: Option<String>,
    /// The profile of `~/.aws/config` and `~/.aws/credentials`, which then supplies the
    /// credentials, whatever the environment has; else `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// The keys to sign with; else the whole credential chain of AWS (environment, profile with
    /// `credential_process`, sign-in or role, web identity, ECS, IMDS).
    pub credentials: Option<S3Credentials>,
    /// The caller's own source of keys, used if there are no `credentials`.
    pub provider: Option<Arc<dyn CredentialsProvider>>,
    /// Sends anonymous requests, for public buckets.
    pub no_sign_request: bool,
    /// A PEM file with the only certificates to trust: authorities, or the certificate of the store
    /// itself; else `AWS_CA_BUNDLE`, else the profile's `ca_bundle`, else `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`, else those of the system and the compiled-in ones of Mozilla.
    pub ca_bundle: Option<PathBuf>,
    /// Accepts every certificate of the store, so that anyone on the path to it can read and change
    /// the traffic. The services that issue credentials are still verified.
    pub no_verify_ssl: bool,
    /// The size in bytes from which objects are sent in parts.
    pub multipart_threshold: u64,
    /// The size of a part in bytes, at least 5 MiB on AWS; larger if 10,000 parts do not suffice.
    pub part_size: u64,
    /// The size in bytes above which objects are copied in parts of this size, at least 5 MiB and
    /// at most 5 GiB on AWS; larger if 10,000 parts do not suffice.
    pub copy_part_size: u64,
    /// The setting whether the conditions of writes hold among concurrent writers.
    pub conditional_writes: ConditionalWrites,
    /// The customer's key that encrypts every written object and decrypts those encrypted with it.
    pub customer_key: Option<CustomerKey>,
    /// The position of the bucket's name in a URL; else `addressing_style` of the profile's `s3`.
    pub addressing_style: Option<AddressingStyle>,
    /// Gives every object that is written without an ACL of its own, including references and
    /// indexes, to the owner of the bucket (`bucket-owner-full-control`), which some buckets of
    /// other accounts require.
    pub owner_control: bool,
    /// The maximum number of attempts of a request; else `AWS_MAX_ATTEMPTS`, else the profile's
    /// `max_attempts`, else 3, and as many as [`Patience::busy`] allows while the store asks for
    /// fewer requests.
    pub max_attempts: Option<NonZeroU32>,
    /// The time limits of requests.
    pub patience: Patience,
    /// The minimum rate of a body; a slower one is requested again as after a broken connection.
    pub min_rate: MinRate,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            profile: None,
            credentials: None,
            provider: None,
            no_sign_request: false,
            ca_bundle: None,
            no_verify_ssl: false,
            multipart_threshold: MULTIPART_THRESHOLD,
            part_size: PART_SIZE,
            copy_part_size: COPY_PART_SIZE,
            conditional_writes: ConditionalWrites::default(),
            customer_key: None,
            addressing_style: None,
            owner_control: false,
            max_attempts: None,
            patience: Patience::default(),
            min_rate: MinRate::default(),
        }
    }
}

/// A caller's own source of credentials, such as a secrets manager.
///
/// The store asks it before the first request, and again shortly before the time at which the keys
/// expire.
#[async_trait::async_trait]
pub trait CredentialsProvider: fmt::Debug + Send + Sync {
    /// Returns the keys and the time at which they expire; `None` if they do not.
    ///
    /// # Errors
    ///
    /// Any error makes the request fail whose keys were asked for.
    async fn credentials(&self) -> Result<(S3Credentials, Option<SystemTime>), ProviderError>;
}

/// The error of a [`CredentialsProvider`].
pub type ProviderError = Box<dyn std::error::Error + Send + Sync>;

/// An access key, which never shows its secret.
#[derive(Clone)]
pub struct S3Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// The session token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elsewhere the setting decides.
    #[test]
    fn conditions_are_atomic_on_aws() {
        let at = |endpoint| ConditionalWrites::Auto.are_atomic_at(endpoint);
        assert!(at(None));
        for aws in [
            "https://s3.eu-west-3.amazonaws.com",
            "https://S3.AMAZONAWS.COM:443/",
            "https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com",
            "https://s3.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(at(Some(aws)), "{aws}");
        }
        for other in [
            "http://127.0.0.1:9000",
            "https://minio.example.com",
            "https://s3.amazonaws.com.example.com",
            "https://notamazonaws.com",
            "https://example.com/.amazonaws.com",
        ] {
            assert!(!at(Some(other)), "{other}");
            assert!(ConditionalWrites::Yes.are_atomic_at(Some(other)));
        }
        assert!(!ConditionalWrites::No.are_atomic_at(None));
    }

    #[test]
    fn conditional_writes_is_parsed() {
        for (text, read) in [
            ("yes", ConditionalWrites::Yes),
            ("no", ConditionalWrites::No),
            ("auto", ConditionalWrites::Auto),
        ] {
            assert_eq!(text.parse(), Ok(read));
        }
        for odd in ["", "Yes", "true", "1", " auto"] {
            let error = odd.parse::<ConditionalWrites>().unwrap_err().to_string();
            assert!(
                error.contains("yes, no and auto") && error.contains(&format!("{odd:?}")),
                "{error}"
            );
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = S3Credentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: "hush-key".to_owned(),
            session_token: Some("hush-token".to_owned()),
        };
        let customer_key = CustomerKey::new(b"hush hush hush hush hush hush ab").ok();
        let shown = format!(
            "{:?}",
            S3Config { credentials: Some(credentials), customer_key, ..S3Config::default() }
        );
        assert!(
            shown.contains("AKID") && shown.contains("CustomerKey") && !shown.contains("hush"),
            "{shown}"
        );
    }
}
