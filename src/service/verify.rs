//! Verification of a stored file: reads it back and discards the bytes.

use super::DeltaService;
use super::error::ServiceError;
use super::get::{GetOptions, GetReport, StatedChecksums};
use super::list::ListedFile;
use crate::domain::{BucketName, ObjectName};

impl DeltaService {
    /// Reads a file as a get does, with the reference from the store instead of the cache, and
    /// discards the bytes. Fails as that get would.
    pub async fn verify(
        &self,
        object: &ObjectName,
        stated: StatedChecksums,
    ) -> Result<GetReport, ServiceError> {
        let options = GetOptions { from_store: true, stated, ..GetOptions::default() };
        let (_, report) = self.get(object, std::io::sink(), &options).await?;
        Ok(report)
    }

    /// Verifies a file of an [unresolved](crate::service::Listing::unresolved) listing: under the
    /// name shown, else under its own key. Returns the name that was verified.
    pub async fn verify_listed(
        &self,
        bucket: &BucketName,
        file: &ListedFile,
        stated: StatedChecksums,
    ) -> (ObjectName, Result<GetReport, ServiceError>) {
        let object = ObjectName::new(bucket.clone(), file.key.clone());
        match self.verify(&object, stated).await {
            Err(error) if !file.is_resolved() && error.is_no_file() => {
                let own = ObjectName::new(bucket.clone(), file.stored.key.clone());
                let report = self.verify(&own, stated).await;
                (own, report)
            }
            report => (object, report),
        }
    }
}
