//! The regions of buckets, learned from the store's answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::config::endpoint::{DefaultResolver, EndpointFuture, Params, ResolveEndpoint};
/// The regions of buckets that are not in the configured one. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(Arc<Mutex<BTreeMap<String, String>>>);

impl Places {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the region of a bucket.
    pub(super) fn learn(&self, bucket: &str, region: String) {
        tracing::debug!(bucket, region, "the bucket is in this region");
        self.known().insert(bucket.to_owned(), region);
    }
}

/// Resolves each request to the region of its bucket.
#[derive(Debug)]
pub(super) struct ByBucket {
    places: Places,
    resolver: DefaultResolver,
}

impl ByBucket {
    pub(super) fn new(places: Places) -> Self {
        Self { places, resolver: DefaultResolver::new() }
    }

    /// Returns the same parameters with the region of the bucket, if another is known.
    fn elsewhere(&self, params: &Params) -> Option<Params> {
        let region = self.places.known().get(params.bucket()?).cloned()?;
        let text = |text: Option<&str>| text.map(str::to_owned);
        let moved = Params::builder()
            .region(region)
            .set_bucket(text(params.bucket()))
            .set_use_fips(params.use_fips())
            .set_use_dual_stack(params.use_dual_stack())
            .set_endpoint(text(params.endpoint()))
            .set_force_path_style(params.force_path_style())
            .set_accelerate(params.accelerate())
            .set_use_global_endpoint(params.use_global_endpoint())
            .set_use_object_lambda_endpoint(params.use_object_lambda_endpoint())
            .set_key(text(params.key()))
            .set_prefix(text(params.prefix()))
            .set_copy_source(text(params.copy_source()))
            .set_disable_access_points(params.disable_access_points())
            .set_disable_multi_region_access_points(params.disable_multi_region_access_points())
            .set_use_arn_region(params.use_arn_region())
            .set_use_s3_express_control_endpoint(params.use_s3_express_control_endpoint())
            .set_disable_s3_express_session_auth(params.disable_s3_express_session_auth());
        moved.build().ok()
    }
}

impl ResolveEndpoint for ByBucket {
    fn resolve_endpoint<'a>(&'a self, params: &'a Params) -> EndpointFuture<'a> {
        match self.elsewhere(params) {
            Some(moved) => {
                EndpointFuture::new(async move { self.resolver.resolve_endpoint(&moved).await })
            }
            None => self.resolver.resolve_endpoint(params),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bucket_region_is_used() {
        let places = Places::default();
        let resolver = ByBucket::new(places.clone());
        for endpoint in [None, Some("http://127.0.0.1:9000")] {
            let params = |bucket: &str| {
                let params = Params::builder()
                    .region("us-east-1")
                    .bucket(bucket)
                    .set_endpoint(endpoint.map(str::to_owned));
                params.force_path_style(endpoint.is_some()).build().unwrap()
            };
            places.known().clear();
            for (bucket, region) in
                [("far", "us-east-1"), ("far", "eu-west-3"), ("near", "us-east-1")]
            {
                let resolved = resolver.resolve_endpoint(&params(bucket)).await.unwrap();
                assert!(format!("{resolved:?}").contains(&format!("{region:?}")), "{resolved:?}");
                assert_eq!(resolved.url().contains(region), endpoint.is_none(), "{resolved:?}");
                places.learn("far", "eu-west-3".to_owned());
            }
        }
    }
}
