//! From the settings of the caller, the environment and the profile files to a client of the SDK.

use std::path::PathBuf;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::identity::IdentityCache;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileRegionProvider, ProfileSet};
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext};
use aws_smithy_http_client::{Builder, Connector};

use super::answer::LimitAnswers;
use super::retry::TooManyRequests;
use super::{S3Config, credential_process};

/// A store that cannot be reached is given up after this, three times.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes a second of a body that is on its way beside many others.
const SLOWEST_LINE: u64 = 4 << 10;
/// Where stores that know no regions are signed for, as everyone does.
const REGION_OF_CUSTOM_ENDPOINTS: &str = "us-east-1";

/// The ways to call a store, over one pool of connections and one cache of credentials.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    /// For what is answered at once; each attempt has the patience for an answer.
    pub(super) calls: Client,
    /// For lists: the answer must begin within the patience, and may then take as long as the lowest rate allows.
    pub(super) lists: Client,
    /// For what takes as long as its body, which a stall ends, and, where one is sent, [a time of its own](Self::time_to_send).
    pub(super) transfers: Client,
    /// For copies inside the store; each attempt has the patience for a copy.
    pub(super) copies: Client,
    /// Signed for.
    pub(super) region: String,
    timeouts: TimeoutConfig,
    patience: Duration,
}

impl Clients {
    /// The settings of a request with a body of so many bytes. A stall is only seen while a body is on its way: a store that has it all
    /// and never answers would be waited for for ever.
    pub(super) fn time_to_send(&self, len: u64) -> aws_sdk_s3::config::Builder {
        let time = self.patience.saturating_add(Duration::from_secs(len.div_ceil(SLOWEST_LINE)));
        let timeouts = self.timeouts.to_builder().operation_attempt_timeout(time).build();
        aws_sdk_s3::config::Builder::new().timeout_config(timeouts)
    }
}

/// Makes the clients, without a request to the store.
pub(super) async fn connect(config: &S3Config) -> Result<Clients, String> {
    let profiles = profiles(config).await?;
    let profile = |key: &str| profiles.get(key).map(str::to_owned);
    let tls = super::tls::context(ca_bundle(config, profile("ca_bundle")).as_deref())?;
    let sdk = sdk_config(config, &profiles, http_client(tls)).await;
    let region = sdk.region().map(|region| region.as_ref().to_owned()).ok_or(
        "no region is configured: name the one of the bucket by --region, AWS_REGION or `region` in the profile",
    )?;

    let mut builder = aws_sdk_s3::config::Builder::from(&sdk)
        .retry_classifier(TooManyRequests)
        .interceptor(LimitAnswers(config.min_rate));
    let retries = sdk.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
    builder.set_retry_config(Some(retries.with_initial_backoff(config.patience.before_retry)));
    // Also when there is none: it was decided before, and the SDK would pass over a bad setting and go on to AWS.
    builder.set_endpoint_url(config.endpoint.clone());
    // Few stores behind custom endpoints have a name for each bucket.
    builder.set_force_path_style(Some(config.endpoint.is_some()));
    // CRC trailers, the SDK's default, break many stores. Who wants them says so where every SDK looks.
    if !is_set("AWS_REQUEST_CHECKSUM_CALCULATION") && profile("request_checksum_calculation").is_none() {
        builder.set_request_checksum_calculation(Some(RequestChecksumCalculation::WhenRequired));
    }
    if !is_set("AWS_RESPONSE_CHECKSUM_VALIDATION") && profile("response_checksum_validation").is_none() {
        builder.set_response_checksum_validation(Some(ResponseChecksumValidation::WhenRequired));
    }
    if config.no_sign_request {
        builder = builder.allow_no_auth();
    }
    let timeouts = |answer| {
        let mut timeouts = sdk.timeout_config().map_or_else(TimeoutConfig::builder, TimeoutConfig::to_builder);
        timeouts.set_operation_attempt_timeout(answer);
        timeouts.build()
    };
    let client = |answer| Client::from_conf(builder.clone().timeout_config(timeouts(answer)).build());
    // A store that is at work on a copy may have begun its answer, and is silent for longer than a stalled download is.
    let copies = builder
        .clone()
        .timeout_config(timeouts(Some(config.patience.copy)))
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let first_byte = timeouts(None).to_builder().read_timeout(config.patience.answer).build();
    Ok(Clients {
        calls: client(Some(config.patience.answer)),
        lists: Client::from_conf(builder.clone().timeout_config(first_byte).build()),
        transfers: client(None),
        copies: Client::from_conf(copies.build()),
        region,
        timeouts: timeouts(None),
        patience: config.patience.answer,
    })
}

/// The connections that these settings lead to.
pub(super) async fn http_of(config: &S3Config) -> Result<SharedHttpClient, String> {
    let profiles = profiles(config).await?;
    Ok(http_client(super::tls::context(ca_bundle(config, profiles.get("ca_bundle").map(str::to_owned)).as_deref())?))
}

async fn sdk_config(config: &S3Config, profiles: &ProfileSet, http: SharedHttpClient) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build());
    if let Some(profile) = &config.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    } else if config.endpoint.is_some() {
        // Not the SDK's whole chain: off AWS its last link waits seconds for an instance's metadata.
        let mut of_profile = ProfileFileRegionProvider::builder();
        if let Some(profile) = &config.profile {
            of_profile = of_profile.profile_name(profile);
        }
        let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(of_profile.build())
            .or_else(REGION_OF_CUSTOM_ENDPOINTS);
        loader = loader.region(chain);
    }
    if config.no_sign_request {
        loader = loader.no_credentials();
    } else if let Some(keys) = &config.credentials {
        let (id, secret, token) = (&keys.access_key_id, &keys.secret_access_key, keys.session_token.clone());
        loader = loader.credentials_provider(Credentials::new(id, secret, token, None, "settings"));
    } else {
        // The region is that of roles, which a process may be the base of.
        let region = config.region.clone().map(Region::new);
        let region = RegionProviderChain::first_try(region)
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(profiles.get("region").map(|region| Region::new(region.to_owned())))
            .or_else(REGION_OF_CUSTOM_ENDPOINTS);
        let conf = ProviderConfig::without_region()
            .with_http_client(http)
            .with_behavior_version(Some(BehaviorVersion::v2026_01_12()))
            .with_region(region.region().await);
        if let Some(chain) = credential_process::chain(profiles, config.profile.as_deref(), &conf) {
            let patience = credential_process::TIMEOUT + CONNECT_TIMEOUT;
            loader = loader.credentials_provider(chain);
            loader = loader.identity_cache(IdentityCache::lazy().load_timeout(patience).build());
        }
    }
    loader.load().await
}

/// The profile files, read as the SDK reads them.
async fn profiles(config: &S3Config) -> Result<ProfileSet, String> {
    let chosen = config.profile.clone().map(Into::into);
    let loaded = aws_config::profile::load(&Default::default(), &Default::default(), &Default::default(), chosen).await;
    loaded.map_err(|error| super::error::Cause::of(&error).to_string())
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn ca_bundle(config: &S3Config, of_profile: Option<String>) -> Option<PathBuf> {
    let of_environment = || std::env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()).map(PathBuf::from);
    config.ca_bundle.clone().or_else(of_environment).or(of_profile.map(PathBuf::from))
}

fn http_client(tls: TlsContext) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls.clone()).build()
    })
}
