//! Finds the content of a lost reference: in another reference, or in a file that has it.

use super::Repair;
use super::placement::Recovered;
use super::scan::{Need, Scan};
use crate::domain::metadata::Kind;
use crate::domain::packing::StoredForm;
use crate::domain::{ObjectName, Sha256Digest};
use crate::service::error::ServiceError;
use crate::service::get::GetOptions;
use crate::service::list::Listed;
use crate::service::objects::StoredObject;
use crate::service::payload::Payload;
use crate::service::references::Keep;

impl Repair<'_> {
    /// Returns the needed bytes, verified; `None` if nothing in the bucket has them, nor the
    /// content that they pack.
    pub(super) async fn bytes_of(
        &self,
        scan: &Scan,
        need: &Need,
    ) -> Result<Option<Recovered>, ServiceError> {
        let references = &self.service.references;
        let form =
            StoredForm { digest: need.digest, packing: scan.packings.get(&need.digest).copied() };
        let named = self.object(&need.key);
        let candidates = std::iter::once(named).chain(self.claiming(scan, &need.digest));
        for name in candidates {
            match references.fetch_stored(&name, &need.digest).await {
                Ok(bytes) => return Ok(Some(Recovered { bytes, form, origin: name })),
                Err(error) if error.is_absent() => {}
                Err(ServiceError::ReferenceDamaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Some((content, origin)) = self.content_of(scan, need, &form).await? else {
            return Ok(None);
        };
        let bytes = references.stored_bytes(&content, &form).await?;
        Ok(Some(Recovered { bytes, form, origin }))
    }

    /// Returns the references with these stored bytes, by their metadata.
    fn claiming<'a>(
        &'a self,
        scan: &'a Scan,
        digest: &'a Sha256Digest,
    ) -> impl Iterator<Item = ObjectName> + 'a {
        let claiming =
            scan.references.iter().filter(|(_, reference)| reference.digest == Some(*digest));
        claiming.map(|(key, _)| self.object(key))
    }

    /// Returns the content of a lost reference: from a reference in another form, or from a file.
    async fn content_of(
        &self,
        scan: &Scan,
        need: &Need,
        form: &StoredForm,
    ) -> Result<Option<(Payload, ObjectName)>, ServiceError> {
        let content = form.content_digest();
        let plain = StoredForm::plain(content);
        let packed = scan.packings.iter().filter(|(_, packing)| packing.content_sha256 == content);
        let packed =
            packed.map(|(digest, packing)| StoredForm { digest: *digest, packing: Some(*packing) });
        for other in std::iter::once(plain).chain(packed).filter(|other| other != form) {
            for name in self.claiming(scan, &other.digest) {
                match self.service.references.fetch_for(&name, &other, Keep::WhileHeld).await {
                    Ok(content) => return Ok(Some((content.to_payload(), name))),
                    Err(error) if error.is_absent() => {}
                    Err(ServiceError::ReferenceDamaged { .. } | ServiceError::Unpack { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        self.file_with(&content, &need.digest).await
    }

    /// Returns a file with this content that is stored against another reference than the lost one.
    ///
    /// # Errors
    ///
    /// Returns the first error if such files exist and none can be read.
    async fn file_with(
        &self,
        digest: &Sha256Digest,
        lost: &Sha256Digest,
    ) -> Result<Option<(Payload, ObjectName)>, ServiceError> {
        let mut failure = None;
        let mut listing = self.service.list(self.bucket, "", None).without_index();
        while let Some(page) = listing.next().await? {
            for file in page.files {
                let has_it = match (&file.listed, file.kind.as_deref()) {
                    (Listed::Delta, Some(Kind::Delta(delta))) => {
                        delta.file_sha256 == *digest && delta.ref_sha256 != *lost
                    }
                    (Listed::Plain, _) => {
                        self.is_direct(&self.object(&file.stored.key), digest).await?
                    }
                    _ => false,
                };
                if !has_it {
                    continue;
                }
                let origin = self.object(&file.key);
                match self.restored(&origin, digest).await {
                    Ok(bytes) => return Ok(Some((bytes, origin))),
                    // Deleted, or lost as well.
                    Err(error) if error.is_absent() => {}
                    Err(ServiceError::ReferenceMissing { .. }) => {}
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Returns whether the object is a file with this content, stored without a delta.
    async fn is_direct(
        &self,
        name: &ObjectName,
        digest: &Sha256Digest,
    ) -> Result<bool, ServiceError> {
        let found = StoredObject::look(self.service.store(), name.clone()).await?;
        Ok(found.is_some_and(
            |found| matches!(&found.kind, Kind::Direct(direct) if direct.file_sha256 == *digest),
        ))
    }

    /// Restores a file and verifies its SHA-256.
    async fn restored(
        &self,
        file: &ObjectName,
        digest: &Sha256Digest,
    ) -> Result<Payload, ServiceError> {
        let spool = self.service.objects.spool();
        let options = GetOptions { from_store: true, ..GetOptions::default() };
        let (spool, _) = self.service.get(file, spool, &options).await?;
        let failed = || ServiceError::local(file);
        let len = spool.len();
        let bytes = Payload::of(
            &file.to_string(),
            len,
            std::sync::Arc::new(spool.finish().map_err(failed())?),
        );
        let actual = bytes.digest().await?;
        if actual != *digest {
            return Err(ServiceError::Changed(file.to_string()));
        }
        Ok(bytes)
    }
}
