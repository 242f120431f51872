//! Presigned URLs.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;

use crate::domain::ObjectName;
use crate::storage::{Presigned, StorageError, StorageErrorKind};

use super::S3Store;
use super::error::Failed;

impl S3Store {
    pub(super) async fn presigned(
        &self,
        object: &ObjectName,
        allowed: &Presigned,
        expires_in: Duration,
    ) -> Result<String, StorageError> {
        let refused = |why: String| {
            StorageError::new(StorageErrorKind::Invalid, "Presign", object).because(why)
        };
        if self.customer_key.is_some() {
            return Err(refused("a URL cannot carry a customer's key".to_owned()));
        }
        let lasting =
            PresigningConfig::expires_in(expires_in).map_err(|error| refused(error.to_string()))?;
        let (bucket, key) = (object.bucket.as_str(), object.key.as_str());
        let failed = |failed: Failed| failed.at("Presign", object);
        let request = match allowed {
            Presigned::Get(disposition) => {
                let get = self.clients.transfers.get_object().bucket(bucket).key(key);
                let get = get.set_response_content_disposition(disposition.clone());
                get.presigned(lasting).await.map_err(Failed::from).map_err(failed)?
            }
            Presigned::Put => {
                let put = self.clients.transfers.put_object().bucket(bucket).key(key);
                put.presigned(lasting).await.map_err(Failed::from).map_err(failed)?
            }
        };
        // The holder of the URL sends no header but the host.
        if let Some((name, _)) =
            request.headers().find(|(name, _)| !name.eq_ignore_ascii_case("host"))
        {
            return Err(refused(format!(
                "the request would need the header {name} in addition to the URL"
            )));
        }
        Ok(request.uri().to_owned())
    }
}
