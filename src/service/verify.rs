//! Reading a file back to see whether it is what was stored.

use super::DeltaService;
use super::error::ServiceError;
use super::get::{GetOptions, GetReport};
use crate::domain::ObjectName;

impl DeltaService {
    /// Does all that a get does, but for keeping the bytes and for believing the cache: an error is the one a get has.
    pub async fn verify(&self, object: &ObjectName) -> Result<GetReport, ServiceError> {
        let (_, report) =
            self.get(object, std::io::sink(), &GetOptions { from_store: true, ..GetOptions::default() }).await?;
        Ok(report)
    }
}
