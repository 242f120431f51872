//! The position of the bucket's name in a URL.

use std::str::FromStr;

use super::config::is_aws;

/// Domains of stores that only support a host for each bucket: Alibaba Cloud OSS
/// ("SecondLevelDomainForbidden"), Tencent Cloud COS and Volcano Engine TOS, according to their
/// documentation of S3 compatibility.
const VIRTUAL_ONLY: [&str; 4] = [".aliyuncs.com", ".myqcloud.com", ".volces.com", ".ivolces.com"];

/// The position of the bucket's name in the URL of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressingStyle {
    /// In the host on AWS and on stores that are known to need it, else in the path.
    #[default]
    Auto,
    /// In the path: `https://store/bucket/key`.
    Path,
    /// In the host: `https://bucket.store/key`. With an IP address as the endpoint, in the path.
    Virtual,
}

impl AddressingStyle {
    /// Returns whether the bucket is in the path of requests to `endpoint`; `None` is AWS.
    pub(super) fn is_path(self, endpoint: Option<&str>) -> bool {
        let host = endpoint
            .and_then(|url| url.parse::<http::Uri>().ok()?.host().map(str::to_ascii_lowercase));
        match self {
            Self::Path => true,
            Self::Virtual => false,
            Self::Auto if endpoint.is_some_and(is_aws) => false,
            Self::Auto => {
                host.is_some_and(|host| !VIRTUAL_ONLY.iter().any(|domain| host.ends_with(domain)))
            }
        }
    }
}

/// The error for a text that names no style.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of auto, path and virtual")]
pub struct NoAddressingStyle(String);

impl FromStr for AddressingStyle {
    type Err = NoAddressingStyle;

    fn from_str(text: &str) -> Result<Self, NoAddressingStyle> {
        match text {
            "auto" => Ok(Self::Auto),
            "path" => Ok(Self::Path),
            "virtual" => Ok(Self::Virtual),
            _ => Err(NoAddressingStyle(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_style_depends_on_host() {
        let is_path = |endpoint| AddressingStyle::Auto.is_path(endpoint);
        assert!(!is_path(None));
        for endpoint in [
            "http://127.0.0.1:9000",
            "https://minio.example.com",
            "https://aliyuncs.com.example.com",
        ] {
            assert!(is_path(Some(endpoint)), "{endpoint}");
            assert!(!AddressingStyle::Virtual.is_path(Some(endpoint)));
        }
        for endpoint in [
            "https://oss-cn-hangzhou.aliyuncs.com",
            "https://COS.ap-guangzhou.MyQCloud.com:443/",
            "https://s3.eu-west-1.amazonaws.com",
        ] {
            assert!(!is_path(Some(endpoint)), "{endpoint}");
            assert!(AddressingStyle::Path.is_path(Some(endpoint)));
        }
    }
}
