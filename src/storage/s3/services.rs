//! The services that issue credentials: STS, IAM Identity Center, the sign-in of the console.

use aws_config::provider_config::ProviderConfig;
use aws_config::{ConfigLoader, Region};
use aws_runtime::env_config::file::EnvConfigFiles;
use aws_sdk_s3::config::SharedHttpClient;

use super::settings::behavior;

/// The settings of connections to the services.
#[derive(Debug, Clone)]
pub(super) struct Services {
    pub(super) http: SharedHttpClient,
    /// The region of the services.
    pub(super) region: Region,
    /// The profile files, which may name the endpoint of a service.
    pub(super) files: EnvConfigFiles,
}

impl Services {
    /// Returns the configuration of the SDK's providers.
    pub(super) fn config(&self) -> ProviderConfig {
        ProviderConfig::without_region()
            .with_http_client(self.http.clone())
            .with_behavior_version(Some(behavior()))
            .with_region(Some(self.region.clone()))
    }

    /// Returns the configuration of our own client, with the settings of a profile.
    pub(super) fn client_config(&self, profile: &str) -> ConfigLoader {
        aws_config::defaults(behavior())
            .http_client(self.http.clone())
            .region(self.region.clone())
            .profile_files(self.files.clone())
            .profile_name(profile)
    }
}
