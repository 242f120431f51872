//! `delete`, `delete_many` and `delete_prefix`.

use futures::StreamExt as _;

use super::DeltaGlider;
use super::error::{Error, ErrorKind, FileAction, Summary};
use super::location::Location;
use super::progress::{Meter, Progress};
use crate::domain::ObjectName;
use crate::service::{Deletion, ListedRemoval, ReferenceWarning, ServiceError};

const DELETE: &str = "delete";

impl DeltaGlider {
    /// Deletes a file, and its reference if no other delta needs that. Succeeds if there is no file
    /// of this name, as S3 does.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// dg.put("s3://releases/app.zip", vec![7; 10_000]).await?;
    /// let deleted = dg.delete("s3://releases/app.zip").await?;
    /// assert_eq!((deleted.removed.len(), deleted.references.len()), (1, 1));
    /// assert!(!dg.delete("s3://releases/app.zip").await?.existed());
    /// # Ok(()) }
    /// ```
    pub async fn delete(&self, file: impl Into<Location>) -> Result<Deleted, Error> {
        let object = file.into().object(DELETE)?;
        match self.service().delete(&object).await {
            Ok(deletion) => Ok(Deleted::of(deletion)),
            Err(error) => {
                let error = Error::of(DELETE, &object)(error);
                let is_absent = error.kind() == ErrorKind::NotFound;
                if is_absent { Ok(Deleted::default()) } else { Err(error) }
            }
        }
    }

    /// Deletes many files, several at once. Those that do not exist count as deleted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Incomplete`], with a summary, if files could not be deleted; the others are.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # dg.put("s3://releases/a.txt", "a").await?;
    /// let summary = dg.delete_many(["s3://releases/a.txt", "s3://releases/b.txt"]).await?;
    /// assert_eq!(summary.deleted, 2);
    /// # Ok(()) }
    /// ```
    pub fn delete_many<L: Into<Location>>(
        &self,
        files: impl IntoIterator<Item = L>,
    ) -> DeleteFiles {
        self.deleting(Deleting::Named(files.into_iter().map(Into::into).collect()))
    }

    /// Deletes all files whose names begin with a prefix, a plain string. A file that was stored
    /// again since it was listed stays, and counts as skipped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Incomplete`], with a summary, if files could not be deleted; the others are.
    ///
    /// ```
    /// # use deltaglider::DeltaGlider;
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let dg = DeltaGlider::builder().embedded(folder.path()).build().await?;
    /// # dg.create_bucket("releases").await?;
    /// # dg.put("s3://releases/old/a.txt", "a").await?;
    /// assert_eq!(dg.delete_prefix("s3://releases/old/").await?.deleted, 1);
    /// # Ok(()) }
    /// ```
    pub fn delete_prefix(&self, prefix: impl Into<Location>) -> DeleteFiles {
        self.deleting(Deleting::Prefix(prefix.into()))
    }

    fn deleting(&self, what: Deleting) -> DeleteFiles {
        DeleteFiles { client: self.clone(), what, meter: Meter::default() }
    }
}

/// The result of a delete.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Deleted {
    /// The deleted objects of the name.
    pub removed: Vec<ObjectName>,
    /// The deleted references, which no other delta needs.
    pub references: Vec<ObjectName>,
    /// References that no delta needs and that could not be deleted.
    pub warnings: Vec<ReferenceWarning>,
}

impl Deleted {
    fn of(deletion: Deletion) -> Self {
        let Deletion { removed, references, warnings } = deletion;
        Self { removed, references, warnings }
    }

    /// Returns whether there was a file of this name.
    pub fn existed(&self) -> bool {
        !self.removed.is_empty()
    }
}

#[derive(Debug)]
enum Deleting {
    Named(Vec<Location>),
    Prefix(Location),
}

/// A delete of many files with its options; see [`DeltaGlider::delete_many`] and
/// [`DeltaGlider::delete_prefix`].
#[derive(Debug)]
#[must_use = "nothing is deleted before the delete is awaited"]
pub struct DeleteFiles {
    client: DeltaGlider,
    what: Deleting,
    meter: Meter,
}

verb!(DeleteFiles => Summary);

impl DeleteFiles {
    /// Calls `listener` whenever a file was deleted.
    pub fn progress(mut self, listener: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.meter = Meter::of_many(listener);
        self
    }

    async fn run(self) -> Result<Summary, Error> {
        match self.what {
            Deleting::Named(files) => named(&self.client, files, &self.meter).await,
            Deleting::Prefix(prefix) => below(&self.client, &prefix, &self.meter).await,
        }
    }
}

async fn named(
    client: &DeltaGlider,
    files: Vec<Location>,
    meter: &Meter,
) -> Result<Summary, Error> {
    let calls = files.into_iter().map(|file| client.delete(file));
    let calls: Vec<_> = calls.collect();
    let mut ended = futures::stream::iter(calls).buffer_unordered(client.inner.concurrency);
    let mut summary = Summary::default();
    while let Some(deleted) = ended.next().await {
        match deleted {
            Ok(_) => summary.count(FileAction::Delete),
            Err(error) => summary.failures.push(error),
        }
        meter.file_done();
    }
    summary.concluded(DELETE, "files")
}

async fn below(client: &DeltaGlider, prefix: &Location, meter: &Meter) -> Result<Summary, Error> {
    let uri = prefix.prefix(DELETE)?;
    let mut summary = Summary::default();
    let report = |object: &ObjectName, outcome| {
        match outcome {
            Ok(ListedRemoval::Removed) => summary.count(FileAction::Delete),
            Ok(ListedRemoval::Replaced) => summary.count(FileAction::Skip),
            Err(error) => summary.failures.push(Error::of::<ServiceError>(DELETE, object)(error)),
        }
        meter.file_done();
        Ok::<_, ServiceError>(())
    };
    let deletion = client.service().delete_all(&uri.bucket, &uri.path, report).await;
    deletion.map_err(Error::of(DELETE, prefix))?;
    summary.concluded(DELETE, prefix)
}
