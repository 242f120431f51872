//! Sources of credentials, in the order of `aws`.

use std::sync::Arc;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};

use super::services::Services;
use super::settings::{Profiles, S3SettingError, keys_of_environment, variable};
use super::{
    CredentialsProvider, S3Credentials, credential_process, profile_sources, role_with_code,
};

const PROFILE: &str = "Profile";
const WEB_IDENTITY: &str = "WebIdentityToken";

/// Returns the time limit for credentials: a process has its own limit, and so has a prompt for a
/// code.
pub(super) fn patience(profiles: &Profiles) -> Duration {
    let is_asked = profile_sources::ask_for_code(profiles);
    let time = if is_asked { role_with_code::TIMEOUT } else { credential_process::TIMEOUT };
    time.saturating_add(Duration::from_secs(5))
}

/// Returns the chain of providers. A profile chosen by an option excludes the credentials of the
/// environment.
pub(super) fn chain(
    profiles: &Profiles,
    services: &Services,
) -> Result<SharedCredentialsProvider, S3SettingError> {
    if !profiles.by_option
        && let Some(keys) = keys_of_environment()?
    {
        return Ok(SharedCredentialsProvider::new(keys));
    }
    let of_profiles = profile_sources::of_profiles(profiles, services);
    let conf = &services.config();
    let mut chain = match !profiles.by_option && variable("AWS_WEB_IDENTITY_TOKEN_FILE")?.is_some()
    {
        false => CredentialsProviderChain::first_try(PROFILE, of_profiles),
        true => {
            let token = WebIdentityTokenCredentialsProvider::builder().configure(conf).build();
            match profile_sources::is_role(profiles) {
                true => CredentialsProviderChain::first_try(PROFILE, of_profiles)
                    .or_else(WEB_IDENTITY, token),
                false => CredentialsProviderChain::first_try(WEB_IDENTITY, token)
                    .or_else(PROFILE, of_profiles),
            }
        }
    };
    let of_container =
        ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    for name in of_container {
        if variable(name)?.is_some() {
            chain = chain
                .or_else("EcsContainer", EcsCredentialsProvider::builder().configure(conf).build());
            break;
        }
    }
    let chain = chain
        .or_else("Ec2InstanceMetadata", ImdsCredentialsProvider::builder().configure(conf).build());
    Ok(SharedCredentialsProvider::new(chain))
}

/// Returns a provider of keys given by the caller.
pub(super) fn of_caller(keys: &S3Credentials) -> SharedCredentialsProvider {
    let (id, secret, token) =
        (&keys.access_key_id, &keys.secret_access_key, keys.session_token.clone());
    SharedCredentialsProvider::new(Credentials::new(id, secret, token, None, "settings"))
}

/// A provider that asks the caller's own source.
#[derive(Debug)]
struct Provided(Arc<dyn CredentialsProvider>);

impl ProvideCredentials for Provided {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let (keys, expiry) =
                self.0.credentials().await.map_err(CredentialsError::provider_error)?;
            let (id, secret) = (keys.access_key_id, keys.secret_access_key);
            Ok(Credentials::new(id, secret, keys.session_token, expiry, "provider"))
        })
    }
}

/// Returns a provider of the keys that a caller's own source gives.
pub(super) fn of_provider(provider: &Arc<dyn CredentialsProvider>) -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Provided(provider.clone()))
}
