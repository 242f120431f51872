//! Creates SDK clients from the settings of the caller, the environment and the profile files.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::endpoint::ResolveEndpoint as _;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use rustls::ClientConfig;

use super::answer::LimitAnswers;
use super::attempts::Attempts;
use super::connector::Connections;
use super::place::{ByBucket, Places};
use super::services::Services;
use super::settings::{self, Profiles, S3SettingError};
use super::{S3Config, credentials};

/// The time limit of each of the attempts to connect to a store.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The lowest expected rate of a body in bytes per second, while many others are sent.
const SLOWEST_LINE: u64 = 4 << 10;

/// The SDK clients for one store, over one pool of connections and one cache of credentials.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    /// For short requests; each attempt is limited by the patience for an answer.
    pub(super) calls: Client,
    /// For listings: the answer must begin within the patience for an answer, and may then take as
    /// long as the lowest rate allows.
    pub(super) lists: Client,
    /// For transfers of objects: limited by the stall detection and, where a body is sent, by [a
    /// time of its own](Self::time_to_send).
    pub(super) transfers: Client,
    /// For copies inside the store; each attempt is limited by the patience for a copy.
    pub(super) copies: Client,
    /// The sender of all clients' requests, with retries.
    pub(super) attempts: Attempts,
    /// Set if a setting asks the SDK for checksums.
    pub(super) sdk_adds_checksums: bool,
    /// The region that requests are signed for.
    pub(super) region: String,
    timeouts: TimeoutConfig,
    patience: Duration,
}

impl Clients {
    /// Returns the settings of a request with a body of `len` bytes. The SDK only detects a stall
    /// while a body is in transfer: without a limit it would wait forever for a store that has the
    /// whole body and never answers.
    pub(super) fn time_to_send(&self, len: u64) -> aws_sdk_s3::config::Builder {
        let time = self.patience.saturating_add(Duration::from_secs(len.div_ceil(SLOWEST_LINE)));
        let timeouts = self.timeouts.to_builder().operation_attempt_timeout(time).build();
        aws_sdk_s3::config::Builder::new().timeout_config(timeouts)
    }
}

/// Creates the clients, without a request to the store.
pub(super) async fn connect(config: &S3Config) -> Result<Clients, S3SettingError> {
    let profiles = Profiles::read(config).await?;
    let http = Http::of(config, &profiles)?;
    let region = profiles.region(config)?;
    let most = profiles.attempts(config.max_attempts)?;
    let sdk = sdk_config(config, &profiles, &region, http).await?;

    let mut builder =
        aws_sdk_s3::config::Builder::from(&sdk).interceptor(LimitAnswers(config.min_rate));
    // `Attempts` sends requests again, not the SDK.
    builder.set_retry_config(Some(RetryConfig::disabled()));
    let places = Places::default();
    builder.set_endpoint_resolver(Some(ByBucket::new(places.clone()).into_shared_resolver()));
    // Set even if it is `None`: the endpoint was chosen before, and the SDK would skip an invalid
    // setting and use AWS.
    builder.set_endpoint_url(config.endpoint.clone());
    let style = profiles.addressing_style(config.addressing_style)?;
    builder.set_force_path_style(Some(style.is_path(config.endpoint.as_deref())));
    // CRC trailers, the SDK's default, break many stores. They can be enabled by the SDK's usual
    // settings.
    let sdk_adds_checksums = is_set("AWS_REQUEST_CHECKSUM_CALCULATION")
        || profiles.get("request_checksum_calculation").is_some();
    if !sdk_adds_checksums {
        builder.set_request_checksum_calculation(Some(RequestChecksumCalculation::WhenRequired));
    }
    if !is_set("AWS_RESPONSE_CHECKSUM_VALIDATION")
        && profiles.get("response_checksum_validation").is_none()
    {
        builder.set_response_checksum_validation(Some(ResponseChecksumValidation::WhenRequired));
    }
    if config.no_sign_request {
        builder = builder.allow_no_auth();
    }
    let timeouts = |answer| {
        let mut timeouts =
            sdk.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        timeouts.set_operation_attempt_timeout(answer);
        timeouts.build()
    };
    let client =
        |answer| Client::from_conf(builder.clone().timeout_config(timeouts(answer)).build());
    // A store that works on a copy may have started its answer, and pauses longer than a stalled
    // download.
    let copies = builder
        .clone()
        .timeout_config(timeouts(Some(config.patience.copy)))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let first_byte = timeouts(None).to_builder().read_timeout(config.patience.answer).build();
    let calls = client(Some(config.patience.answer));
    let (endpoint, patience) = (config.endpoint.clone(), config.patience);
    Ok(Clients {
        sdk_adds_checksums,
        attempts: Attempts::new(calls.clone(), endpoint, most, patience, places),
        calls,
        lists: Client::from_conf(builder.clone().timeout_config(first_byte).build()),
        transfers: client(None),
        copies: Client::from_conf(copies.build()),
        region,
        timeouts: timeouts(None),
        patience: config.patience.answer,
    })
}

/// Returns connections with these settings for services other than the store.
pub(super) async fn http_of(config: &S3Config) -> Result<SharedHttpClient, S3SettingError> {
    Ok(Http::of(config, &Profiles::read(config).await?)?.others)
}

async fn sdk_config(
    config: &S3Config,
    profiles: &Profiles,
    region: &str,
    http: Http,
) -> Result<SdkConfig, S3SettingError> {
    let region = Region::new(region.to_owned());
    let mut loader = aws_config::defaults(settings::behavior())
        .http_client(http.store)
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .profile_files(profiles.files_with(""))
        .profile_name(&profiles.chosen)
        .retry_config(RetryConfig::standard())
        .region(region.clone());
    if config.no_sign_request {
        loader = loader.no_credentials();
    } else if let Some(keys) = &config.credentials {
        loader = loader.credentials_provider(credentials::of_caller(keys));
    } else if let Some(provider) = &config.provider {
        loader = loader.credentials_provider(credentials::of_provider(provider));
    } else {
        let services = Services { http: http.others, region, files: profiles.files_with("") };
        loader = loader.credentials_provider(credentials::chain(profiles, &services)?);
        loader = loader.identity_cache(
            IdentityCache::lazy().load_timeout(credentials::patience(profiles)).build(),
        );
    }
    Ok(loader.load().await)
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// The HTTP clients for the store and for all other services.
struct Http {
    store: SharedHttpClient,
    /// The client for services that issue credentials. It always verifies certificates: an
    /// unverified store gets a signature, but these services would get the secret itself.
    others: SharedHttpClient,
}

impl Http {
    fn of(config: &S3Config, profiles: &Profiles) -> Result<Self, S3SettingError> {
        let named = |why| S3SettingError::new("the certificates to trust", why);
        let others =
            http_client(super::tls::verified(bundle(config, profiles).as_deref()).map_err(named)?);
        let store = if config.no_verify_ssl {
            http_client(super::tls::unverified().map_err(named)?)
        } else {
            others.clone()
        };
        Ok(Self { store, others })
    }
}

/// Returns the file with the certificates to trust: that of the option, of the environment or of
/// the profile.
fn bundle(config: &S3Config, profiles: &Profiles) -> Option<PathBuf> {
    let of_environment =
        || std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
    config
        .ca_bundle
        .clone()
        .or_else(of_environment)
        .or_else(|| profiles.get("ca_bundle").map(PathBuf::from))
}

fn http_client(tls: ClientConfig) -> SharedHttpClient {
    SharedHttpClient::new(Connections::new(tls, settings::proxies()))
}
