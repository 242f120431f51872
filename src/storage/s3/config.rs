//! What a caller may choose about the S3 client; everything left open comes from the environment
//! and the profile files, as in every AWS SDK.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::AddressingStyle;
use crate::storage::CustomerKey;

/// Objects of at least this many bytes are sent in parts, in bytes.
///
/// A single PUT may have 5 GiB, but it is one connection's worth of speed and starts from the first
/// byte again when that connection breaks: at 64 MiB the three requests a multipart upload costs
/// more are lost in the time of the transfer.
pub const MULTIPART_THRESHOLD: u64 = 64 << 20;

/// Bytes of one part: what is held in memory to be sent again, and enough for 156 GiB in the 10,000
/// parts S3 takes. Larger objects have larger parts.
pub const PART_SIZE: u64 = 16 << 20;

/// Objects of more bytes than this are copied inside the store in parts of it, in bytes.
///
/// One request may copy 5 GiB (S3 API reference, CopyObject), for which a store is silent for
/// minutes: parts of 512 MiB are copied side by side, each in a time that can be waited for, and
/// 10,000 of them are enough for the largest object S3 takes.
pub const COPY_PART_SIZE: u64 = 512 << 20;

/// Whether the conditions of a store's writes hold among racing writers, as far as its user knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ConditionalWrites {
    /// They do.
    Yes,
    /// They do not, or nobody knows.
    No,
    /// They do on AWS and nowhere else: that can be promised by a store, and cannot be seen by
    /// trying.
    #[default]
    Auto,
}

impl ConditionalWrites {
    /// Whether conditions hold among racing writers at this endpoint; AWS when absent.
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

    /// `yes`, `no` or `auto`.
    fn from_str(text: &str) -> Result<Self, UnknownConditionalWrites> {
        match text {
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            "auto" => Ok(Self::Auto),
            _ => Err(UnknownConditionalWrites(text.to_owned())),
        }
    }
}

/// A text that is not one of the three values of [`ConditionalWrites`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of yes, no and auto")]
pub struct UnknownConditionalWrites(String);

/// Whether a URL leads to AWS: the endpoints of its services, those in China among them (AWS
/// General Reference, "Service endpoints").
pub(super) fn is_aws(endpoint: &str) -> bool {
    let host =
        endpoint.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
    host.is_some_and(|host| host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
}

/// How long a store is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For an answer, beside the time that a body takes on its way. Listing 1000 keys takes a slow
    /// store seconds.
    pub answer: Duration,
    /// For what the store is at work on until it answers: a copy of 512 MiB on a slow disk, several
    /// at a time, or an object put together from its parts.
    pub copy: Duration,
    /// At most before a request is sent for the second time; twice as long each time after that.
    pub before_retry: Duration,
    /// From the first refusal of a request, while the store asks for fewer requests (503, 429).
    pub busy: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(60),
            copy: Duration::from_secs(600),
            // As every SDK of AWS does.
            before_retry: Duration::from_secs(1),
            busy: Duration::from_secs(300),
        }
    }
}

/// The lowest rate at which the body of an answer is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinRate {
    /// Bytes per second.
    pub bytes_per_second: u64,
    /// The time that the rate is measured over. Only time spent waiting for the store counts.
    pub over: Duration,
}

impl Default for MinRate {
    /// 1 KiB a second over a minute.
    fn default() -> Self {
        Self { bytes_per_second: 1 << 10, over: Duration::from_secs(60) }
    }
}

/// How to reach an S3 store.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// `http://` or `https://` URL of the store; AWS when absent. The SDK's own settings of an
    /// endpoint are not asked.
    pub endpoint: Option<String>,
    /// Region; else `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile, and `us-east-1`.
    pub region: Option<String>,
    /// Profile of `~/.aws/config` and `~/.aws/credentials`, which then gives the credentials,
    /// whatever the environment has; else `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// Keys to sign with; else the whole credential chain of AWS (environment, profile with
    /// `credential_process`, sign-in or role, web identity, ECS, IMDS).
    pub credentials: Option<S3Credentials>,
    /// Send anonymous requests: for buckets that are public.
    pub no_sign_request: bool,
    /// PEM file with the only certificates to trust: authorities, or the very certificate of the
    /// store; else `AWS_CA_BUNDLE`, else the profile's `ca_bundle`, else `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR`, else those of the system and the compiled-in ones of Mozilla.
    pub ca_bundle: Option<PathBuf>,
    /// Accept every certificate of the store, so that anyone on the way to it may read and change
    /// what is sent. The services that give credentials are verified all the same.
    pub no_verify_ssl: bool,
    /// Objects of at least this many bytes are sent in parts.
    pub multipart_threshold: u64,
    /// Bytes of one part, at least 5 MiB on AWS; more where 10,000 parts would not do.
    pub part_size: u64,
    /// Objects of more bytes than this are copied in parts of it, at least 5 MiB and at most 5 GiB
    /// on AWS; more where 10,000 parts would not do.
    pub copy_part_size: u64,
    /// Whether the conditions of writes hold among racing writers.
    pub conditional_writes: ConditionalWrites,
    /// The customer's key that every object is written with, and read by where it was.
    pub customer_key: Option<CustomerKey>,
    /// Which part of a URL holds the name of the bucket; else `addressing_style` of the profile's
    /// `s3`.
    pub addressing_style: Option<AddressingStyle>,
    /// Whether every object that is written without an ACL of its own, references and indexes
    /// included, is given to the owner of the bucket (`bucket-owner-full-control`), which some
    /// buckets of other accounts demand.
    pub owner_control: bool,
    /// Times a request is sent that goes on failing; else `AWS_MAX_ATTEMPTS`, else the profile's
    /// `max_attempts`, else 3, and as often as [`Patience::busy`] allows where the store asks for
    /// fewer requests.
    pub max_attempts: Option<NonZeroU32>,
    /// How long the store is waited for.
    pub patience: Patience,
    /// A body that comes more slowly is given up, and asked for again as after a broken connection.
    pub min_rate: MinRate,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            profile: None,
            credentials: None,
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

/// An access key, which never shows its secret.
#[derive(Clone)]
pub struct S3Credentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
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

    #[test]
    fn conditions_are_atomic_on_aws_and_where_somebody_says_so() {
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
    fn what_is_said_of_conditional_writes_is_one_of_three_words() {
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
