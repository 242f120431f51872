//! What a caller may choose about the S3 client; everything left open comes from the environment and the profile files, as in
//! every AWS SDK.

use std::fmt;
use std::path::PathBuf;

/// Objects of at least this many bytes are sent in parts, in bytes.
///
/// A single PUT may have 5 GiB, but it is one connection's worth of speed and starts from the first byte again when that
/// connection breaks: at 64 MiB the three requests a multipart upload costs more are lost in the time of the transfer.
pub const MULTIPART_THRESHOLD: u64 = 64 << 20;

/// Bytes of one part: what is held in memory to be sent again, and enough for 156 GiB in the 10,000 parts S3 takes. Larger
/// objects have larger parts.
pub const PART_SIZE: u64 = 16 << 20;

/// How to reach an S3 store.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// `http://` or `https://` URL of the store; AWS when absent. The SDK's own settings of an endpoint are not asked.
    pub endpoint: Option<String>,
    /// Region; else `AWS_REGION`, the profile, and, at a custom endpoint, `us-east-1`.
    pub region: Option<String>,
    /// Profile of `~/.aws/config` and `~/.aws/credentials`; else `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// Keys to sign with; else the whole credential chain of AWS (environment, profile with `credential_process`, web
    /// identity, ECS, IMDS).
    pub credentials: Option<S3Credentials>,
    /// Send anonymous requests: for buckets that are public.
    pub no_sign_request: bool,
    /// PEM file with the only certificate authorities to trust; else `AWS_CA_BUNDLE`, else the profile's `ca_bundle`, else
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR`, else those of the system and the compiled-in ones of Mozilla.
    pub ca_bundle: Option<PathBuf>,
    /// Objects of at least this many bytes are sent in parts.
    pub multipart_threshold: u64,
    /// Bytes of one part, at least 5 MiB on AWS; more where 10,000 parts would not do.
    pub part_size: u64,
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
            multipart_threshold: MULTIPART_THRESHOLD,
            part_size: PART_SIZE,
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
        f.debug_struct("S3Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let credentials = S3Credentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: "hush-key".to_owned(),
            session_token: Some("hush-token".to_owned()),
        };
        let shown = format!("{:?}", S3Config { credentials: Some(credentials), ..S3Config::default() });
        assert!(shown.contains("AKID") && !shown.contains("hush"), "{shown}");
    }
}
