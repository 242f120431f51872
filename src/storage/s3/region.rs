//! The region of the requests and that of this machine: AWS charges for traffic between regions.

use std::time::Duration;

use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::provider_config::ProviderConfig;

use super::connect;
use super::{S3Config, S3SettingError};

/// The timeout of the instance metadata service, which does not answer outside EC2.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The regions of both ends of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Regions {
    /// The region that requests are signed for.
    pub requests: String,
    /// The region of the EC2 instance this runs on (IMDSv2); `None` if there is no answer within a
    /// second, or if `AWS_EC2_METADATA_DISABLED` is `true`.
    pub instance: Option<String>,
}

impl Regions {
    /// Queries the settings and the instance metadata service.
    ///
    /// # Errors
    ///
    /// The same as [`S3Store::connect`](super::S3Store::connect).
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
