//! Where the requests go and where this machine is: between regions AWS charges for every byte.

use std::time::Duration;

use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;

use super::connect;
use super::{S3Config, S3SettingError};

/// Off EC2 nobody answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The regions of both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    /// Requests are signed for it.
    pub requests: String,
    /// The EC2 instance this runs on says so (IMDSv2); `None` when there is no answer within a
    /// second, or when `AWS_EC2_METADATA_DISABLED` is `true`.
    pub instance: Option<String>,
}

impl Regions {
    /// Asks the machine.
    ///
    /// # Errors
    ///
    /// As of [`S3Store::connect`](super::S3Store::connect).
    pub async fn of(config: &S3Config) -> Result<Self, S3SettingError> {
        let requests = connect::connect(config).await?.region;
        let http = connect::http_of(config).await?;
        let provider = ProviderConfig::without_region().with_http_client(http);
        let client = imds::Client::builder()
            .configure(&provider)
            .max_attempts(1)
            .connect_timeout(ANSWER_TIMEOUT)
            .read_timeout(ANSWER_TIMEOUT)
            .build();
        let asked = ImdsRegionProvider::builder().imds_client(client).build();
        let instance = tokio::time::timeout(ANSWER_TIMEOUT, asked.region()).await.ok().flatten();
        Ok(Self { requests, instance: instance.map(|region| region.as_ref().to_owned()) })
    }
}
