//! Reading a file back to see whether it is what was stored.

use super::DeltaService;
use super::error::ServiceError;
use super::get::{GetOptions, GetReport, StatedChecksums};
use super::list::ListedFile;
use crate::domain::{BucketName, ObjectName};

impl DeltaService {
    /// Does all that a get does, but for keeping the bytes and for believing the cache: an error is
    /// the one a get has.
    pub async fn verify(
        &self,
        object: &ObjectName,
        stated: StatedChecksums,
    ) -> Result<GetReport, ServiceError> {
        let options = GetOptions { from_store: true, stated, ..GetOptions::default() };
        let (_, report) = self.get(object, std::io::sink(), &options).await?;
        Ok(report)
    }

    /// The same of what an [undecided](crate::service::Listing::undecided) listing showed, as the
    /// file that it is.
    pub async fn verify_listed(
        &self,
        bucket: &BucketName,
        file: &ListedFile,
        stated: StatedChecksums,
    ) -> (ObjectName, Result<GetReport, ServiceError>) {
        let object = ObjectName::new(bucket.clone(), file.key.clone());
        match self.verify(&object, stated).await {
            Err(error) if !file.is_decided() && error.is_no_file() => {
                let own = ObjectName::new(bucket.clone(), file.stored.key.clone());
                let report = self.verify(&own, stated).await;
                (own, report)
            }
            report => (object, report),
        }
    }
}
